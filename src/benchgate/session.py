"""The state of one pytest session: what was collected, measured, compared, left out; the journal behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from benchgate import gate
from benchgate.core import Cell
from benchgate.gate import Finding, Policy
from benchgate.matrix import LeftOut
from benchgate.results import Journal, Record, ResultsError, read_document, records_of


@dataclass
class Session:
    """Filled by the plugin's hooks in the order of a run; read by the summary and the JSON.

    `tolerances` are those of the tests' marks by node id. `resumed` are the journal's entries that stay.
    """

    policy: Policy
    journal: Journal
    baselines: list[Record] = field(default_factory=list)
    comparing: bool = False
    strict: bool = False
    accept: bool = False
    tolerances: dict[str, Mapping[str, float]] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    collected: set[str] = field(default_factory=set)
    records: dict[str, Record] = field(default_factory=dict)
    resumed: dict[str, dict[str, Any]] = field(default_factory=dict)
    findings: dict[str, list[Finding]] = field(default_factory=dict)
    gone: list[Finding] = field(default_factory=list)
    references: dict[tuple[str, str], Record] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    @staticmethod
    def test_of(key: str) -> str:
        """The test function of a node id, without its parameters."""
        return key.partition("[")[0]

    def measured(self, key: str, cell: Cell) -> Record | None:
        """This session's record of another cell by the same test as `key`'s, or one that was scored as a reference."""
        test = self.test_of(key)
        wanted = asdict(cell)
        same_test = (r for k, r in self.records.items() if self.test_of(k) == test and r.metrics)
        found = next((r for r in same_test if r.cell == wanted), None)
        return found or self.references.get((test, str(cell)))

    def judge(self, key: str) -> list[Finding]:
        """The gate's findings for the cell that was just measured; returns those that fail it."""
        record = self.records.get(key)
        if record is None or not self.comparing:
            return []
        found = gate.compare(record, self.baselines, self.policy, self.tolerances.get(key))
        self.findings[key] = found
        return gate.failing(found, self.strict)

    def waived(self, key: str) -> bool:
        """Whether the cell has regressions that --accept-regressions let pass."""
        return self.accept and bool(gate.failing(self.findings.get(key, []), self.strict))

    def left_out_lines(self) -> list[str]:
        """For the header: how many combinations make no sense, by reason."""
        reasons = Counter(item.reason for item in dict.fromkeys(self.left_out))
        total = sum(reasons.values())
        lines = [f"benchgate: {total} combination{'s' if total > 1 else ''} left out:"] if total else []
        return lines + [f"  {count} x {reason}" for reason, count in reasons.most_common()]

    def finish(self, key: str, outcome: str, reason: str, benchmark: dict[str, Any] | None) -> Record | None:
        """Give the cell its outcome and put it into the journal; None for a test that measured no cell."""
        record = self.records.get(key)
        if record is None:
            return None
        self.records[key] = record = replace(record, outcome=outcome, reason=reason)
        self.journal.append({"record": record.as_dict(), "benchmark": benchmark})
        return record

    def find_gone(self, in_scope: Any) -> None:
        """Baseline cells that this run should have had (`in_scope(key)`) and that it did not collect, or skipped."""
        if not self.comparing:
            return
        relevant = [
            b for b in self.baselines if in_scope(b.key) and (b.key not in self.collected or self._skipped(b.key))
        ]
        self.gone = gate.gone(relevant, list(self.records.values()))

    def _skipped(self, key: str) -> bool:
        return key in self.records and self.records[key].outcome == "skipped"

    def untimed(self, timed: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Records that no benchmark of the document carries: skipped, crashed, out of memory."""
        carried = {bench["fullname"] for bench in timed}
        return [record.as_dict() for key, record in self.records.items() if key not in carried]

    def complete(self, document: dict[str, Any]) -> None:
        """Add to pytest-benchmark's document what it does not know: resumed benchmarks and untimed records."""
        have = {bench["fullname"] for bench in document["benchmarks"]}
        again = [
            e["benchmark"] for e in self.resumed.values() if e["benchmark"] and e["benchmark"]["fullname"] not in have
        ]
        document["benchmarks"] = again + document["benchmarks"]
        document["benchgate"] = {
            "untimed": self.untimed(document["benchmarks"]),
            "left_out": [{"cell": str(item.cell), "reason": item.reason} for item in self.left_out],
        }


def load_baselines(compare: str | bool, storage: Any) -> list[Record]:
    """The records to compare against, from what `--benchmark-compare` names.

    Without a name: of every cell the last run that passed, however many red ones were saved after it. With one: that
    file or those files. Raises ResultsError for a file that is named and missing, or cannot be read: it would
    otherwise be a comparison with nothing, which passes.
    """
    if compare is True:
        sessions = (
            [_records(path) for path in storage.query("[0-9][0-9][0-9][0-9]_")] if hasattr(storage, "query") else []
        )
        return gate.last_passed(sessions)
    name = str(compare)
    paths = [Path(name)] if Path(name).is_file() else _stored(name, storage)
    if not paths and (name.endswith(".json") or "/" in name):
        raise ResultsError(f"baseline {name!r} does not exist; make it with `pytest ... --benchmark-json={name}`")
    return [record for path in paths for record in _records(path)]


def _stored(name: str, storage: Any) -> list[Path]:
    try:
        return list(storage.query(name))
    except ValueError as error:
        raise ResultsError(f"baseline {name!r} does not exist ({error})") from error


def _records(path: Path) -> list[Record]:
    return records_of(read_document(path), str(path))
