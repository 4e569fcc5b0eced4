"""Crews whose workers run in this process on a scripted clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchgate.gate.side_by_side import timed
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
    """Block -1 is the loading. Seconds are those of one call; a block is one call, or as many as fill it."""

    crew: FakeCrew
    number: int
    block: int = -1

    def call(self, function: Callable[..., Any], *args: Any, timeout_s: float | None = None) -> Any:
        script = self.crew.script
        error = script.fails(self.number, self.block)
        if error is not None:
            raise error
        seconds = script.call_s(self.number, self.block)
        self.block += 1
        if function is timed.begin:
            self.crew.world.log.append(f"load {self.crew.name}")
            return Begun(1.0, 0.01, seconds, script.rss_bytes(-1), 1)
        count = max(1, round(args[0] / seconds))
        self.crew.world.now += count * seconds
        self.crew.world.cpus.append(args[1])
        rounds = (seconds,) * count
        return Block(1, rounds, rounds, (0.0,) * count, rss_bytes=script.rss_bytes(self.block))

    def close(self) -> None:
        self.crew.world.alive -= 1

    def kill(self) -> None:
        self.close()


def side(name: str) -> Side:
    """A side that only its name tells apart."""
    return Side(lambda: name)  # type: ignore[arg-type, return-value]
