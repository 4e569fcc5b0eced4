"""The state of one pytest session: what was collected, measured, compared, left out; the journal behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from benchgate.core import Cell, DataError
from benchgate.core.metrics import row_of
from benchgate.gate import compare as gate
from benchgate.gate.baselines import Baselines
from benchgate.gate.findings import Finding, failing, how_to_confirm, suspicious
from benchgate.gate.policy import Policy, resolved
from benchgate.gate.side_by_side.answers import CellAnswer, confirmed
from benchgate.gate.side_by_side.rule import ASSUMED, Noise
from benchgate.measuring.matrix import LeftOut
from benchgate.measuring.run import Order
from benchgate.measuring.sharded import Part
from benchgate.pytest_plugin.builds import Builds
from benchgate.pytest_plugin.dependencies import artifact_state, changed
from benchgate.pytest_plugin.patience import Patience
from benchgate.report.summary import Summary
from benchgate.results import PASSED, Record, Shared
from benchgate.storage.journal import Entry, Journal


@dataclass
class SuiteRun:
    """Filled by the plugin's hooks in the order of a run; read by the summary and the JSON.

    `tolerances` are those of the tests' marks by node id, `depends` what their cells depend on. `resumed` are the
    entries of the run that is resumed, `reused` the keys of those that hold, `notes` what is said of it at the end.
    `elsewhere` are the benchmarks that other machines measured, by node id, `given` the answers that they gave to
    cells' data, `given_references` those of reference cells, by cell. `shared` has the parts that records have in
    common.
    `attempts` are measurements that raised: what is known of the cell when it has no record. `named` are the names in
    the marks by axis, `warned` lines for the header. `tries` counts how often a test was begun (pytest-rerunfailures),
    `regressed` holds what the gate failed in any of them. `noise` is this machine's by cell and operation, and device.
    `patience` and `builds` are the run's. `intercept` gives what ends a test where it would measure: nothing is
    measured then, and no journal is kept. `confirm` measures a suspicious cell side by side.
    """

    policy: Policy
    journal: Journal
    baselines: Baselines = field(default_factory=Baselines)
    comparing: bool = False
    strict: bool = False
    accept: bool = False
    noise: Callable[[str, str], Noise] = lambda name, device: ASSUMED
    tolerances: dict[str, Mapping[str, float]] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    collected: set[str] = field(default_factory=set)
    records: dict[str, Record] = field(default_factory=dict)
    attempts: dict[str, Record] = field(default_factory=dict)
    depends: dict[str, dict[str, Any]] = field(default_factory=dict)
    resumed: dict[str, Entry] = field(default_factory=dict)
    reused: set[str] = field(default_factory=set)
    elsewhere: dict[str, Mapping[str, Any] | None] = field(default_factory=dict)
    shared: Shared = field(default_factory=Shared)
    notes: list[str] = field(default_factory=list)
    findings: dict[str, list[Finding]] = field(default_factory=dict)
    gone: list[Finding] = field(default_factory=list)
    references: dict[tuple[str, str, str], Record] = field(default_factory=dict)
    given: dict[str, Part] = field(default_factory=dict)
    given_references: dict[str, Part] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    named: dict[str, set[str]] = field(default_factory=dict)
    warned: list[str] = field(default_factory=list)
    tries: Counter[str] = field(default_factory=Counter)
    regressed: dict[str, str] = field(default_factory=dict)
    patience: Patience = field(default_factory=lambda: Patience.of(0.0))
    builds: Builds = field(default_factory=Builds)
    intercept: Callable[[Order], BaseException] | None = None
    confirm: Callable[[str], CellAnswer] | None = None

    @staticmethod
    def test_of(key: str) -> str:
        """The test function of a node id, without its parameters."""
        return key.partition("[")[0]

    def scored(self, key: str, cell: Cell, data: Any) -> Record | None:
        """This session's record with the accuracy of another cell on the same data (`describe()`), by the same test as
        `key`'s; or one that was scored as a reference."""
        test, wanted = self.test_of(key), asdict(cell)
        for other, record in self.records.items():
            same = self.test_of(other) == test and record.cell == wanted and record.details.get("data") == data
            if same and any(row_of(name, m).group == "accuracy" for name, m in record.metrics.items()):
                return record
        return self.references.get((test, str(cell), str(data)))

    def keep_reference(self, key: str, cell: Cell, data: Any, record: Record) -> None:
        self.references[self.test_of(key), str(cell), str(data)] = record

    def resume(self) -> None:
        """Take over what an interrupted run left."""
        left = self.journal.unfinished()
        self.resumed = dict(left.entries)
        self.notes += left.notes

    def take_resumed(self, key: str, cell: Cell, artifact: Callable[[], str]) -> bool:
        """Return True where the interrupted run's record stays: all that it depends on holds, and it passes the gate.

        `depends[key]` is what the cell depends on now, `artifact()` the state of its artifact; what differs is noted.
        """
        entry = self.resumed.get(key)
        if entry is None:
            return False
        now = {**self.depends[key], "artifact": artifact(), "cell": asdict(cell)}
        if differences := changed({**entry.depends, "cell": dict(entry.record.cell)}, now):
            self.notes.append(f"benchgate: {key}: measured again, not resumed: other {'; '.join(differences)}")
            return False
        return self.reuse(key)

    def reuse(self, key: str) -> bool:
        """Take the interrupted run's record where it passes the gate of this one; else False, and it is noted."""
        self.records[key] = self.resumed[key].record
        if self.accept or not self.judge(key):
            self.reused.add(key)
            return True
        del self.records[key]
        self.findings.pop(key, None)
        self.notes.append(f"benchgate: {key}: measured again, not resumed: its record fails the gate")
        return False

    def judge(self, key: str, timer: str | None = None) -> list[Finding]:
        """The findings that fail the cell that was just measured; all are kept.

        Its tolerances go into its record, and `timer`, what its rounds were timed with.
        """
        record = self.records.get(key)
        if record is None:
            return []
        if timer is not None:
            record = replace(record, details={**record.details, "timer": timer})
        if self.comparing and (promoted := self.baselines.promoted) is not None:
            record = replace(record, details={**record.details, gate.PROMOTED: promoted.identity})
        noise = self.noise_of(record)
        self.records[key] = record = resolved(record, self.policy, self.tolerances.get(key), noise)
        if not self.comparing:
            return []
        found = gate.compare(record, self.baselines)
        if self.confirm is not None and suspicious(found):
            answer = self.confirm(key)
            found = confirmed(found, answer)
            self.records[key] = replace(record, details={**record.details, "confirmed": str(answer)})
        self.findings[key] = found
        return failing(found, self.strict)

    def noise_of(self, record: Record) -> Noise:
        """This machine's calibrated noise for the cell; the assumed one, and a note, where its file is broken."""
        cell = Cell(**record.cell)
        try:
            return self.noise(f"{cell} {record.operation}", cell.device)
        except DataError as error:
            note = f"benchgate: noise is assumed, not calibrated: {error}"
            self.notes += [note] if note not in self.notes else []
            return ASSUMED

    def name(self, marks: Sequence[Mapping[str, Sequence[str]]]) -> None:
        """Keep what the marks of a test name, for who asks for something that none has."""
        for mark in marks:
            for axis, names in mark.items():
                self.named.setdefault(axis, set()).update(names)

    def begin(self, key: str) -> int:
        """Count the test's attempt, and drop what an earlier one of the same run measured. Returns its number."""
        self.tries[key] += 1
        if self.tries[key] > 1:
            for kept in (self.records, self.attempts, self.findings):
                kept.pop(key, None)
        return self.tries[key]

    def verdict(self, key: str, timer: str | None = None) -> str:
        """Return what fails the cell just measured, "" for nothing. A rerun does not take back a regression."""
        failed = self.judge(key, timer)
        said = "; ".join(filter(None, [*map(str, failed), how_to_confirm(failed)]))
        earlier = self.regressed.get(key, "")
        if said:
            self.regressed[key] = said
        elif earlier:
            return f"an earlier attempt of this run failed, and a rerun does not take that back: {earlier}"
        return said

    def ended(self, phase: str, bare: Record, outcome: str, reason: str) -> None:
        """Give the cell what a phase of its test (setup, call, teardown) came to; `bare` where there is no record.

        A teardown that fails spoils what passed; it does not hide an earlier failure.
        """
        if bare.key in self.reused or (outcome in ("passed", "accepted") and bare.key not in self.records):
            return
        record = self.records.get(bare.key) or self.attempts.get(bare.key, bare)
        if phase == "teardown":
            if not record.passed and record.outcome != "skipped":
                return
            outcome, reason = "error", f"teardown: {reason}"
        self.records[bare.key] = replace(record, outcome=outcome, reason=reason)

    def waived(self, key: str) -> bool:
        """True for regressions that --gate-accept let pass, and for suspicious times: they are no drift from now on."""
        found = self.findings.get(key, [])
        return self.accept and bool(failing(found, self.strict) or suspicious(found))

    def header(self) -> list[str]:
        """How many cells are there from an interrupted run, and how many combinations make no sense, by reason."""
        reasons = Counter(item.reason for item in dict.fromkeys(self.left_out))
        total = sum(reasons.values())
        known = len(self.resumed.keys() & self.collected)
        lines = [f"benchgate: {known} measured before the interruption"] if known else []
        lines += [f"benchgate: {total} combination{'s' if total > 1 else ''} left out:"] if total else []
        return [*lines, *(f"  {count} x {reason}" for reason, count in reasons.most_common()), *self.warned]

    def finish(self, key: str, benchmark: dict[str, Any] | None) -> Record | None:
        """Put the cell into the journal, once its test is over; None for a test that measured no cell, or long ago."""
        record = self.records.get(key)
        if record is None or key in self.reused:
            return None
        if self.tries[key] > 1:
            record = replace(record, details={**record.details, "attempts": self.tries[key]})
        self.records[key] = record = self.shared.of(record)
        if benchmark is not None:
            benchmark["extra_info"]["benchgate"] = record.as_dict()
        # Only what passed is resumed: for the rest nothing needs to hold.
        state = {"artifact": artifact_state(Cell(**record.cell))} if record.outcome == PASSED else {}
        self.journal.append(Entry(record, benchmark, {**self.depends.get(key, {}), **state}))
        return record

    def keep_elsewhere(self, entry: Entry) -> None:
        """Put a cell that another machine measured into the journal, with its record as it is here by now."""
        self.records[entry.record.key] = record = self.shared.of(self.records[entry.record.key])
        benchmark = None if entry.benchmark is None else dict(entry.benchmark)
        if benchmark is not None:
            benchmark["extra_info"] = {**benchmark["extra_info"], "benchgate": record.as_dict()}
        self.elsewhere[record.key] = benchmark
        self.journal.append(Entry(record, benchmark, entry.depends))

    def end_journal(self) -> None:
        """The run ended in order: only what was resumed and not asked for this time stays to be resumed."""
        self.journal.end([entry for key, entry in self.resumed.items() if key not in self.collected])

    def find_gone(self, in_scope: Callable[[Record], bool]) -> None:
        """Baseline cells that this run should have had (`in_scope`) and that it did not collect, or skipped."""
        if not self.comparing:
            return
        relevant = [b for b in self.baselines if in_scope(b) and (b.key not in self.collected or self._skipped(b.key))]
        self.gone = gate.gone(relevant, list(self.records.values()))

    def _skipped(self, key: str) -> bool:
        return key in self.records and self.records[key].outcome == "skipped"

    def untimed(self, timed: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Records that no benchmark of the document carries: skipped, crashed, out of memory."""
        carried = {bench["fullname"] for bench in timed}
        return [record.as_dict() for key, record in self.records.items() if key not in carried]

    def summary(self) -> Summary:
        """The part of the run that the terminal summary shows."""
        return Summary(list(self.records.values()), dict(self.findings), list(self.gone), self.comparing)

    def complete(self, document: dict[str, Any]) -> None:
        """Add to pytest-benchmark's document what it does not know: benchmarks that were resumed or run elsewhere, and
        untimed records."""
        have = {bench["fullname"] for bench in document["benchmarks"]}
        resumed = {key: entry.benchmark for key, entry in self.resumed.items() if key in self.reused}
        known = {**resumed, **self.elsewhere}
        again = [dict(benchmark) for key, benchmark in known.items() if benchmark is not None and key not in have]
        document["benchmarks"] = again + document["benchmarks"]
        document["benchgate"] = {
            "untimed": self.untimed(document["benchmarks"]),
            "left_out": [{"cell": str(item.cell), "reason": item.reason} for item in self.left_out],
        }
