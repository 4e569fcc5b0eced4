"""Crews whose workers run in this process on a scripted clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchgate.gate.side_by_side.pairs import Side
from benchgate.gate.side_by_side.timed import Begun, Block

MIB = 2**20


@dataclass
class Script:
    """What a side does: seconds of a call by the number of its worker, of its block, resident bytes, and errors."""

    call_s: Callable[[int, int], float] = lambda worker, block: 0.01
    rss_bytes: Callable[[int], int] = lambda block: 100 * MIB
    fails: Callable[[int, int], BaseException | None] = lambda worker, block: None


@dataclass
class World:
    """The clock that all fake workers move, and what they did."""

    now: float = 0.0
    log: list[str] = field(default_factory=list)
    cpus: list[Any] = field(default_factory=list)
    alive: int = 0

    def crew(self, scripts: dict[str, Script]) -> Callable[[Side, int], FakeCrew]:
        """A factory of crews; a side's script is found by what its `load` gives."""
        return lambda side, seed: FakeCrew(self, str(side.load()), scripts[str(side.load())])


@dataclass
class FakeCrew:
    world: World
    name: str
    script: Script
    workers: int = 0

    def worker(self) -> FakeWorker:
        self.workers += 1
        self.world.alive += 1
        return FakeWorker(self, self.workers - 1)

    def renew(self) -> None:
        self.world.log.append(f"renew {self.name}")

    def close(self) -> None:
        self.world.log.append(f"close {self.name}")


@dataclass
class FakeWorker:
    """`done` counts from the loading, which is -1. A block is one call, or as many as fill it."""

    crew: FakeCrew
    number: int
    done: int = -1

    def begin(self, timeout_s: float) -> Begun:
        seconds = self._next()
        self.crew.world.log.append(f"load {self.crew.name}")
        return Begun(1.0, 0.01, seconds, self.crew.script.rss_bytes(-1), 1)

    def block(self, seconds: float, cpus: frozenset[int] | None, timeout_s: float) -> Block:
        call_s = self._next()
        count = max(1, round(seconds / call_s))
        self.crew.world.now += count * call_s
        self.crew.world.cpus.append(cpus)
        rounds = (call_s,) * count
        return Block(1, rounds, rounds, (0.0,) * count, rss_bytes=self.crew.script.rss_bytes(self.done))

    def _next(self) -> float:
        """Seconds of a call of what is asked for next. Raises the script's error."""
        error = self.crew.script.fails(self.number, self.done)
        if error is not None:
            raise error
        seconds = self.crew.script.call_s(self.number, self.done)
        self.done += 1
        return seconds

    def close(self) -> None:
        self.crew.world.alive -= 1


def side(name: str) -> Side:
    """A side that only its name tells apart."""
    return Side(lambda: name)  # type: ignore[arg-type, return-value]
