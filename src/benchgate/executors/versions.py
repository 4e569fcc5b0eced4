"""Two versions of a project, cell by cell: what both ran, what is exact, and the times by pairs of workers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchgate.core import BenchgateError, DataError
from benchgate.executors import wire
from benchgate.executors.exact import METERS, exact
from benchgate.executors.peer import Peer, PeerLoad, PeerTeam
from benchgate.executors.wire import Asked
from benchgate.gate.side_by_side import budget, proof
from benchgate.gate.side_by_side.answers import TIME, CellAnswer
from benchgate.gate.side_by_side.driver import FIRST_PAIR_S, Comparison, Setup
from benchgate.gate.side_by_side.pairs import Side
from benchgate.gate.side_by_side.proof import Proof
from benchgate.gate.side_by_side.verdict import Verdict
from benchgate.results import Record

# What a side's worker may take to build, to load and call once, or to be weighed.
BUILD_S, PROVE_S, WEIGH_S = 3600.0, 1200.0, 3600.0


@dataclass(frozen=True)
class Terms:
    """Terms that hold for all cells: paths that differ between the trees, and both trees' folders.

    `suspicion` is that of each test's stored runs, by which the most suspicious come first;
    `setup_of(test, asked)` is how its times are compared; `resolved` puts tolerances into a record; `budget_s` is for
    all times together; `lacking` is what the baseline's tree could not be given; `say` is told each answer.
    """

    changed: frozenset[str]
    ours: Path
    theirs: Path
    setup_of: Callable[[str, Asked], Setup] = lambda test, asked: Setup()
    resolved: Callable[[Record], Record] = lambda record: record
    budget_s: float | None = None
    lacking: tuple[str, ...] = ()
    times_only: bool = False
    say: Callable[[str], None] = lambda line: None
    suspicion: Mapping[str, float] = field(default_factory=dict)


class SideFailed(BenchgateError):
    """A side cannot answer for a cell; `side` says which one."""

    def __init__(self, side: str, message: str) -> None:
        super().__init__(message)
        self.side = side


class Versions:
    """The baseline and the candidate, both running and greeted."""

    def __init__(self, baseline: Peer, candidate: Peer, terms: Terms) -> None:
        self._baseline, self._candidate, self._terms = baseline, candidate, terms
        self._asked: dict[str, tuple[Asked, Asked]] = {}
        self._clock = time.monotonic

    @property
    def gone(self) -> tuple[str, ...]:
        """Tests that the baseline has and the candidate has not."""
        return tuple(test for test in self._baseline.tests if test not in self._candidate.tests)

    def answers(self, tests: Sequence[str]) -> list[CellAnswer]:
        """Return the answer for each test, in their order. All times come last, and share the budget."""
        try:
            found = self._captured(tests)
        except SideFailed as failed:
            return [self._failed(test, failed) for test in tests]
        timed: dict[str, CellAnswer] = {}
        for test in self._asked:
            try:
                answer = self._before_times(test)
            except SideFailed as failed:
                answer = self._failed(test, failed)
            (found if TIME in answer.verdicts else timed)[test] = answer
            if TIME in answer.verdicts:
                self._terms.say(f"{test}: {answer.kind}")
        for test, verdict in self._times(list(timed)).items():
            found[test] = replace(timed[test], verdicts={TIME: verdict, **timed[test].verdicts})
        return [found[test] for test in tests]

    def _captured(self, tests: Sequence[str]) -> dict[str, CellAnswer]:
        """Answers for tests that cannot be compared; for the others it keeps what both sides were asked."""
        found: dict[str, CellAnswer] = {}
        told = self._both("capture", PROVE_S, tests=list(tests))
        for test in tests:
            old, new = (side.get(test) for side in told)
            if (reason := self._reason(test, old, new)) is not None:
                found[test] = CellAnswer(test, {TIME: reason})
                continue
            baseline, candidate = wire.asked(old["asked"]), wire.asked(new["asked"])
            if differences := candidate.differences(baseline):
                found[test] = CellAnswer(test, {TIME: Verdict("not comparable", "; ".join(differences))})
            else:
                self._asked[test] = (baseline, candidate)
        return found

    def _reason(self, test: str, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> Verdict | None:
        """Why nothing can be compared, or None."""
        if new is None or "asked" not in new:
            return self._asks_nothing(old, new)
        if old is None:
            file = test.partition("::")[0]
            if file not in self._baseline.failed:
                return Verdict("not comparable", "new: the baseline has no such cell")
            lacks = f"; {'; '.join(self._terms.lacking)}" if self._terms.lacking else ""
            why = f"the baseline cannot collect {file}: {self._baseline.failed[file]}{lacks}"
            return Verdict("not comparable", why)
        return None if "asked" in old else Verdict("not comparable", f"the baseline: {old['why']}")

    def _asks_nothing(self, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> Verdict:
        """The verdict on a candidate whose test asks nothing: broken where it failed and the baseline's did not."""
        if new is None or new.get("skipped"):
            return Verdict("not comparable", f"the candidate: {new['why'] if new else 'it has no such cell'}")
        told = f"the candidate's test ends before cell.measure(): {new['why']}"
        if old is not None and "asked" not in old and not old.get("skipped"):
            return Verdict("not comparable", f"{told}; so does the baseline's: {old['why']}")
        return Verdict("broken", told, broken="candidate")

    def _before_times(self, test: str) -> CellAnswer:
        """The answer as far as it needs no times; without one for TIME where those must be taken."""
        self._both("build", BUILD_S, test=test)
        old, new = (wire.unpacked(Proof, raw) for raw in self._both("prove", PROVE_S, test=test))
        terms = self._terms
        for side, ran, tree in (("baseline", old, terms.ours), ("candidate", new, terms.theirs)):
            if terms.ours != terms.theirs and (foreign := proof.foreign(ran, tree)):
                raise SideFailed(side, f"it loaded {foreign} of the other side's tree: it did not run its own code")
        try:
            known = proof.unneeded(old, new, terms.changed)
        except DataError as error:
            return CellAnswer(test, {TIME: Verdict("not comparable", str(error))})
        if known is not None:
            return CellAnswer(test, {TIME: Verdict(*known)})
        changed = proof.differences(old, new)
        return CellAnswer(test, {} if terms.times_only else self._exact(test), changed)

    def _exact(self, test: str) -> dict[str, Verdict]:
        """Verdicts on size, memory and accuracy. One side after the other: they are weighed."""

        def records(meters: Sequence[str]) -> tuple[Record, Record]:
            old, new = (self._asked_of(peer, "record", WEIGH_S, test=test, meters=list(meters)) for peer in self._peers)
            return wire.record(old, test), self._terms.resolved(wire.record(new, test))

        return exact(records, METERS)

    def _times(self, tests: Sequence[str]) -> dict[str, Verdict]:
        """Verdicts on the times of these tests, within the budget."""
        terms = self._terms
        left = [cell.name for cell in budget.order([self._in_line(test, None, FIRST_PAIR_S) for test in tests])]
        running = {test: self._comparison(test) for test in tests}
        found: dict[str, Verdict] = {}
        end = None if terms.budget_s is None else self._clock() + terms.budget_s
        last = ""
        try:
            while left:
                test = self._next(left, running, end)
                if test is None:
                    found |= {name: running[name].stop("the budget was spent (--gate-budget)") for name in left}
                    break
                if last and last != test and last in left:
                    running[last].pause()
                last = test
                verdict = running[test].verdict()
                if verdict is None:
                    running[test].pair()
                    continue
                found[test] = verdict
                left.remove(test)
                running[test].close()
                terms.say(f"{test}: {verdict}")
        finally:
            for test in left:
                running[test].close()
        return found

    def _next(self, left: Sequence[str], running: Mapping[str, Comparison], end: float | None) -> str | None:
        """The test that the next pair is for: the first, or with a budget the one with the widest interval."""
        decided = next((test for test in left if running[test].verdict() is not None), None)
        if end is None or decided is not None:
            return decided or left[0]
        cells = [self._in_line(test, running[test].half_width, running[test].pair_s) for test in left]
        chosen = budget.next_cell(cells, max(0.0, end - self._clock()))
        return None if chosen is None else chosen.name

    def _in_line(self, test: str, half_width: float | None, pair_s: float) -> budget.Candidate:
        return budget.Candidate(test, half_width, pair_s, self._terms.suspicion.get(test, 0.0))

    def _comparison(self, test: str) -> Comparison:
        before, now = (
            Side(PeerLoad(test), device=asked.cell["device"], threads=asked.threads) for asked in self._asked[test]
        )
        # A comparison makes its two teams once, the baseline's first.
        peers = iter(self._peers)
        setup = self._terms.setup_of(test, self._asked[test][1])
        return Comparison(before, now, setup, lambda side, seed: PeerTeam(next(peers), side, seed))

    @property
    def _peers(self) -> tuple[Peer, Peer]:
        return self._baseline, self._candidate

    def _both(self, do: str, timeout_s: float, **parts: Any) -> list[Any]:
        """Both sides' answers; they work at the same time. Raises SideFailed."""
        for peer in self._peers:
            peer.send(do, **parts)
        answers, failed = [], None
        for peer in self._peers:
            try:
                answers.append(peer.hear(timeout_s))
            except BenchgateError as error:
                # The other side's answer must be taken off its wire all the same.
                failed = failed or SideFailed(peer.name, str(error))
        if failed is not None:
            raise failed
        return answers

    def _asked_of(self, peer: Peer, do: str, timeout_s: float, **parts: Any) -> Any:
        try:
            peer.send(do, **parts)
            return peer.hear(timeout_s)
        except BenchgateError as error:
            raise SideFailed(peer.name, str(error)) from error

    def _failed(self, test: str, failed: SideFailed) -> CellAnswer:
        """A candidate that breaks fails, a baseline that breaks compares nothing."""
        lacks = f"; {'; '.join(self._terms.lacking)}" if self._terms.lacking and failed.side == "baseline" else ""
        told = f"the {failed.side}: {failed}{lacks}"
        if failed.side == "candidate":
            return CellAnswer(test, {TIME: Verdict("broken", told, broken="candidate")})
        return CellAnswer(test, {TIME: Verdict("not comparable", told)})
