"""Sides of a comparison that answer from a script, on a scripted clock: no process, no pytest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from benchgate.core import Cell
from benchgate.core.metrics import metric
from benchgate.executors import wire
from benchgate.executors.peer import Peer
from benchgate.executors.wire import Asked
from benchgate.gate.policy import Policy, resolved
from benchgate.gate.side_by_side.proof import Proof
from benchgate.gate.side_by_side.timed import Begun, Block
from benchgate.results import Record

ASKED = Asked({"model": "m", "scheme": "fp32", "runtime": "r", "device": "cpu"}, "answer", {}, 1, None, None, False)
PROOF = Proof({"model.py": "1"}, {"m-fp32-r-cpu": "weights:1"}, {"torch": "2.13.0"}, {"threads": "1"})


def record(**values: float) -> Record:
    made = Record.unmeasured("t", Cell("m", "fp32", "r", "cpu"))
    made = replace(
        made, outcome="passed", metrics={name: metric(name, value, method="made") for name, value in values.items()}
    )
    return resolved(made, Policy())


@dataclass
class Script:
    """The answers of one side. `call_s(test, worker)` is the time of a call; `raises` are errors by request."""

    tests: tuple[str, ...] = ("t",)
    asked: Asked = ASKED
    why: Mapping[str, str] = field(default_factory=dict)
    skips: bool = False
    proof: Proof = PROOF
    record: Record = field(default_factory=lambda: record(size_bytes=1000.0))
    call_s: Any = lambda test, worker: 0.01
    raises: Mapping[str, BaseException] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)


class ScriptedPeer(Peer):
    """A Peer without its process: requests and answers still cross as JSON."""

    def __init__(self, name: str, script: Script) -> None:
        self.name, self.script = name, script
        self.tests, self.failed = script.tests, script.failed
        self._waiting: list[dict[str, Any]] = []
        self._worker_test: dict[int, str] = {}
        self._longer: dict[int, float] = {}

    def send(self, do: str, **parts: Any) -> None:
        self.script.log.append(f"{do} {parts.get('test', '')}".strip())
        try:
            if do in self.script.raises:
                raise self.script.raises[do]
            answer = {"ok": getattr(self, f"_{do}")(**parts)}
        except Exception as error:
            answer = wire.failure(error)
        self._waiting.append(answer)

    def hear(self, timeout_s: float | None = None) -> Any:
        return wire.value_of(self._waiting.pop(0))

    def _capture(self, tests: list[str]) -> Any:
        script = self.script
        known = [test for test in tests if test in script.tests]
        return {
            t: {"why": script.why[t], "skipped": script.skips}
            if t in script.why
            else {"asked": wire.packed(script.asked)}
            for t in known
        }

    def _build(self, test: str) -> None:
        return None

    def _prove(self, test: str) -> Any:
        return wire.packed(self.script.proof)

    def _record(self, test: str, meters: list[str]) -> Any:
        return self.script.record.as_dict()

    def _begin(self, test: str, worker: int, timeout_s: float, slow: Any = None) -> Any:
        self._worker_test[worker] = test
        self._longer[worker] = 1.0 if slow is None else 1.0 + slow[0]
        return wire.packed(Begun(1.0, 0.1, self.script.call_s(test, worker), 100 * 2**20, 1))

    def _block(self, worker: int, seconds: float, cpus: Any, timeout_s: float) -> Any:
        call_s = self.script.call_s(self._worker_test[worker], worker) * self._longer[worker]
        rounds = (call_s,) * max(1, round(seconds / call_s))
        return wire.packed(Block(1, rounds, rounds, (0.0,) * len(rounds), rss_bytes=100 * 2**20))

    def _end(self, worker: int) -> None:
        return None

    def _renew(self, test: str, hashes: int | None) -> None:
        return None
