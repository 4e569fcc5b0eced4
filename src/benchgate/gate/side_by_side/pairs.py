"""Pairs of workers: a fresh one of each side, their blocks in turn in random order.

A *crew* gives the workers of one side: forks of a zygote that is renewed now and then, or fresh interpreters where a
fork is not safe. Where the two sides do not fit into memory together they are loaded one after the other, ABBA, so
that what drifts meets both.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from benchgate.core import BenchgateError, Unavailable
from benchgate.gate.side_by_side import timed
from benchgate.gate.side_by_side.statistic import Pair, pair_of
from benchgate.gate.side_by_side.timed import Begun, Block, Prepared
from benchgate.machine import workers
from benchgate.machine.workers import Worker
from benchgate.machine.zygotes import FORKING_DEVICES, CannotFork, Zygote

Answer = TypeVar("Answer")
Load = Callable[[], Callable[[], Any] | Prepared]
SideName = Literal["baseline", "candidate"]
NAMES: tuple[SideName, SideName] = ("baseline", "candidate")
# Of the memory that is free once one side is loaded, the other's may take this share.
MEMORY_SHARE = 0.9
FEWEST_CYCLES = 2


@dataclass(frozen=True)
class Side:
    """One side of a comparison. `load()` is called in a worker and gives the call to time; both must be picklable.

    `preload` are modules that its zygote imports, `environment` what its processes have beside this one's. `threads`
    are those that compute: work on one is pinned, see Plan.
    """

    load: Load
    preload: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    device: str = "cpu"
    threads: int = 1


@dataclass(frozen=True)
class Plan:
    """How a pair is made: `cycles` blocks a side of at least `block_s` seconds, fewer where `pair_s` is over before.

    `workers` a side are alive at once and take turns. `pinning` "swap": where both sides compute on one thread they
    share a CPU in a cycle and another one in the next, so that a neighbour on one CPU, or on its sibling, meets both;
    "free": the system places them. `together` False loads the sides one after the other, None only where the
    memory does not hold both. `timeout_s` is for loading and for one block.
    """

    block_s: float = 0.03
    cycles: int = 16
    pair_s: float = 4.0
    workers: int = 1
    pinning: Literal["free", "swap"] = "swap"
    together: bool | None = None
    timeout_s: float = 600.0

    def cycles_for(self, call_s: float) -> int:
        """Return the blocks a side: as many as fit into `pair_s`, at least two and at most `cycles`."""
        block = max(self.block_s, call_s)
        return max(FEWEST_CYCLES, min(self.cycles, int(self.pair_s / (2 * block))))


PLAN = Plan()


class SideBroke(BenchgateError):
    """A side could not be measured to the end; `side` says which, the message how, `out_of_memory` why."""

    def __init__(self, side: SideName, message: str, out_of_memory: bool = False) -> None:
        super().__init__(message)
        self.side, self.out_of_memory = side, out_of_memory


class Running(Protocol):
    """A worker as pairs need it: it loads its side once, then times blocks of its calls; see `timed`."""

    def begin(self, timeout_s: float) -> Begun: ...

    def block(self, seconds: float, cpus: frozenset[int] | None, timeout_s: float) -> Block: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Started:
    """A worker of this machine's and what it is to load."""

    process: Worker
    load: Load

    def begin(self, timeout_s: float) -> Begun:
        begun: Begun = self.process.call(timed.begin, self.load, timeout_s=timeout_s)
        return begun

    def block(self, seconds: float, cpus: frozenset[int] | None, timeout_s: float) -> Block:
        found: Block = self.process.call(timed.block, seconds, cpus, timeout_s=timeout_s)
        return found

    def close(self) -> None:
        self.process.close()


class Team(Protocol):
    """Who starts a side's workers; `renew` makes those that follow independent of those before."""

    def worker(self) -> Running: ...

    def renew(self) -> None: ...

    def close(self) -> None: ...


class Crew:
    """The workers of one side, forks of its zygote where that can be; `fresh` says why it cannot.

    `seed` is that of both sides: Python's hashes, and with them the layout of sets and dictionaries, are the same in
    both zygotes of a pair and others in the next.
    """

    def __init__(self, side: Side, seed: int = 0) -> None:
        self._side = side
        self._seeds = random.Random(seed)
        self._preload = tuple(dict.fromkeys(["cloudpickle", timed.__name__, *side.preload]))
        self._zygote: Zygote | None = None
        self._environment: dict[str, str] = {}
        self.renew()
        self.fresh = "" if side.device in FORKING_DEVICES else f"a process with {side.device} in it is not forked"

    def worker(self) -> Started:
        return Started(self._process(), self._side.load)

    def _process(self) -> Worker:
        for _ in range(2):
            try:
                if self._zygote is None and not self.fresh:
                    self._zygote = self._started()
                if self._zygote is not None:
                    return self._zygote.fork()
            except CannotFork:
                # Somebody killed it: the next one is as good.
                self.close()
        return workers.start(self._preload, self._environment, self.fresh)

    def _started(self) -> Zygote | None:
        try:
            return Zygote(self._preload, self._environment)
        except CannotFork as reason:
            self.fresh = str(reason)
            return None

    def renew(self) -> None:
        self.close()
        hashes = str(self._seeds.randrange(2**32))
        self._environment = {"PYTHONHASHSEED": hashes, **self._side.environment}

    def close(self) -> None:
        if self._zygote is not None:
            self._zygote.close()
            self._zygote = None


def free_bytes() -> int:
    """Bytes that new processes can have without taking them from others."""
    import psutil

    available: int = psutil.virtual_memory().available
    return available


class Pairs:
    """Makes pairs of two sides. `crews` start their workers, `rng` draws the orders."""

    def __init__(
        self,
        sides: tuple[Side, Side],
        crews: tuple[Team, Team],
        plan: Plan,
        rng: random.Random,
        free: Callable[[], int] = free_bytes,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sides, self._crews, self._plan, self._rng = sides, crews, plan, rng
        self._free, self._clock = free, clock
        self._apart = plan.together is False
        pinned = plan.pinning == "swap" and all(side.threads == 1 and side.device == "cpu" for side in sides)
        self._cpus = sorted(os.sched_getaffinity(0)) if pinned and hasattr(os, "sched_getaffinity") else []

    @property
    def apart(self) -> bool:
        """True where the two sides are loaded one after the other."""
        return self._apart

    def make(self, zygote: int) -> Pair:
        """Return one pair, of the zygote pair of this number. Raises SideBroke."""
        start = self._clock()
        found = None if self._apart else self._together()
        blocks, order = found if found is not None else self._one_after_the_other()
        return pair_of(blocks[0], blocks[1], zygote, order, self._clock() - start)

    def _together(self) -> tuple[list[list[Block]], str] | None:
        """Blocks of both sides in turn, and their order; None where the memory does not hold both: apart from then."""
        alive: list[tuple[int, Running]] = []
        try:
            call_s = 0.0
            for number in self._rng.sample((0, 1), 2):
                for _ in range(self._plan.workers):
                    begun = self._begin(number, alive)
                    call_s = max(call_s, begun.call_s)
                if self._does_not_fit(alive, begun):
                    self._apart = True
                    return None
            return self._in_turn(alive, self._plan.cycles_for(call_s))
        except SideBroke as broke:
            # The first side alone did fit.
            if not broke.out_of_memory or self._plan.together or len({side for side, _ in alive}) < 2:
                raise
            self._apart = True
            return None
        finally:
            for _, worker in alive:
                worker.close()

    def _does_not_fit(self, alive: Sequence[Any], begun: Begun) -> bool:
        first_only = len(alive) == self._plan.workers and self._plan.together is None
        return first_only and (begun.rss_bytes or 0) > MEMORY_SHARE * self._free()

    def _in_turn(self, alive: Sequence[tuple[int, Running]], cycles: int) -> tuple[list[list[Block]], str]:
        blocks: list[list[Block]] = [[], []]
        order = ""
        for cycle in range(cycles):
            cpus = self._cpu_of(cycle)
            for turn in range(self._plan.workers):
                for number in self._rng.sample((0, 1), 2):
                    mine = [worker for side, worker in alive if side == number]
                    blocks[number].append(self._block(number, mine[turn], len(blocks[number]), cpus))
                    order += "AB"[number]
        return blocks, order

    def _one_after_the_other(self) -> tuple[list[list[Block]], str]:
        blocks: list[list[Block]] = [[], []]
        order = self._rng.choice(("ABBA", "BAAB"))
        for letter in order:
            number = "AB".index(letter)
            alive: list[tuple[int, Running]] = []
            try:
                begun = self._begin(number, alive)
                for _ in range(max(1, self._plan.cycles_for(begun.call_s) // 2)):
                    blocks[number].append(self._block(number, alive[0][1], len(blocks[number]), None))
            finally:
                for _, worker in alive:
                    worker.close()
        return blocks, order

    def _cpu_of(self, cycle: int) -> frozenset[int] | None:
        return frozenset({self._cpus[cycle % len(self._cpus)]}) if self._cpus else None

    def _begin(self, number: int, alive: list[tuple[int, Running]]) -> Begun:
        """Start a worker of a side, put it with those alive, load and warm up."""
        worker = self._crews[number].worker()
        alive.append((number, worker))
        return _asked(number, "while it loaded", lambda: worker.begin(self._plan.timeout_s))

    def _block(self, number: int, worker: Running, done: int, cpus: frozenset[int] | None) -> Block:
        plan = self._plan
        return _asked(number, f"in block {done + 1}", lambda: worker.block(plan.block_s, cpus, plan.timeout_s))


def _asked(number: int, place: str, ask: Callable[[], Answer]) -> Answer:
    """The answer of a side's worker. Raises SideBroke where it has none."""
    try:
        return ask()
    except Unavailable:
        # It is not the side's doing: the caller must send something else.
        raise
    except Exception as error:
        told = str(error) if isinstance(error, BenchgateError) else f"{type(error).__name__}: {error}"
        raise SideBroke(NAMES[number], f"{place}: {told}", isinstance(error, MemoryError)) from error
