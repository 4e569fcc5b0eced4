"""The errands of a fleet's tests in their order: plan, score in shards, run. A test is run once, with all its answers.

What goes wrong before the run does not end a test: it is run whole then, and its own run says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchgate.core import BenchgateError
from benchgate.executors.fleet import Fleet, Job, Lost
from benchgate.pytest_plugin.fleet_scoring import Scoring
from benchgate.pytest_plugin.node_pytest import Errand, NodePytest, on_node


@dataclass(frozen=True)
class Finished:
    """A test that was run, or lost: `said` is its node's answer, or the error; `about` is for its record."""

    test: str
    said: Mapping[str, Any] | BaseException
    about: Mapping[str, Any]


class Errands:
    """All errands of a run. `notes` are told which tests were scored whole although shards were wanted, and why."""

    def __init__(self, fleet: Fleet, scoring: Scoring, pytest: NodePytest, notes: list[str]) -> None:
        self._fleet, self._scoring, self._pytest, self._notes = fleet, scoring, pytest, notes
        self._whole: set[str] = set()

    def begin(self, test: str, resumed: Mapping[str, Any] | None) -> None:
        """Send the test away; `resumed` is what an interrupted run measured."""
        if resumed is None and self._scoring.wanted:
            self._send(test, "plan")
        else:
            self._run(test, resumed)

    def _send(self, test: str, do: str, share: float = 1.0, **parts: Any) -> None:
        self._fleet.send(on_node, Job(test, Errand(self._pytest, do, test, parts, self._fleet.shelf), share))

    def _run(self, test: str, resumed: Any = None, given: Any = None, references: Sequence[Any] = ()) -> None:
        self._send(test, "run", resumed=resumed, given=given, references=list(references))

    def _shards(self, test: str, numbers: list[int]) -> None:
        one = self._scoring[test]
        for number in numbers:
            self._send(test, "shard", one.share, number=number, of=one.of)

    def finished(self) -> Iterator[Finished]:
        """Yield each test as it is done."""
        for job, answer in self._fleet.answers(on_node):
            errand: Errand = job.argument
            if errand.do == "run":
                yield self._done(job, answer)
            elif job.test in self._whole:
                # Another shard of it failed.
                continue
            elif isinstance(answer, Lost):
                self._whole.add(job.test)
                yield self._done(job, answer)
            else:
                self._next(job, answer)

    def _next(self, job: Job, answer: Any) -> None:
        """Send what follows a plan or a shard."""
        test, errand = job.test, job.argument
        try:
            if isinstance(answer, BaseException):
                raise answer
            if errand.do == "plan":
                self._planned(test, answer["said"])
            else:
                self._scored(test, errand.parts["number"], answer["said"], _where(job, answer))
        except BenchgateError as error:
            self._whole.add(test)
            self._scoring.end(test)
            self._notes.append(f"benchgate: {test}: scored whole, not in shards: {error}")
            self._run(test)

    def _planned(self, test: str, plan: Mapping[str, int] | None) -> None:
        if plan is None or min(plan["items"], self._scoring.most) < 2:
            self._run(test)
        else:
            self._shards(test, self._scoring.begin(test, plan))

    def _scored(self, test: str, number: int, found: Mapping[str, Any], where: dict[str, Any]) -> None:
        again = self._scoring.take(test, number, found, where)
        self._shards(test, again)
        if self._scoring[test].whole:
            given = self._scoring.given(test)
            self._run(test, given=given, references=self._scoring.references(test))

    def _done(self, job: Job, answer: Any) -> Finished:
        shards = self._scoring.nodes(job.test)
        self._scoring.end(job.test)
        if isinstance(answer, BaseException):
            return Finished(job.test, answer, {"attempt": job.attempt, "lost": job.lost})
        about = {**_where(job, answer), **({"shards": shards} if shards else {})}
        return Finished(job.test, answer["said"], about)


def _where(job: Job, answer: Mapping[str, Any]) -> dict[str, Any]:
    return {"node": answer["node"], "id": answer["id"], "attempt": job.attempt, "lost": job.lost}
