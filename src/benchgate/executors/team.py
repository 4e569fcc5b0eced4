"""Cells as the sides of a comparison: their workers know what the run knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from benchgate.core import Lapped
from benchgate.executors.local import Local
from benchgate.gate.side_by_side.driver import side_by_side
from benchgate.gate.side_by_side.pairs import Load, Side, Started
from benchgate.gate.side_by_side.timed import Prepared
from benchgate.gate.side_by_side.verdict import Verdict
from benchgate.gate.side_by_side.workloads import How, slowed
from benchgate.measuring import run as running
from benchgate.measuring.resolved import Loaded, Resolved
from benchgate.measuring.timing import Loop


class CellTeam:
    """Workers of one cell, of zygotes of its own: `renew` makes those that follow independent of those before."""

    def __init__(self, local: Local, of: Resolved, load: Load) -> None:
        self._local, self._of, self._load = local.apart(), of, load

    def worker(self, slow: tuple[float, How] | None = None) -> Started:
        """A fresh worker; `slow` is a share of a call's own time that is added to each, and how."""
        load = self._load if slow is None else slowed(self._load, *slow)
        return Started(self._local.worker(self._of), load)

    def renew(self) -> None:
        self._local.end_processes()

    def close(self) -> None:
        self._local.end_processes()


def compare(
    local: Local,
    ours: Resolved,
    theirs: Resolved,
    operation: str | None,
    params: Mapping[str, Any],
    inputs: Any,
    threads: int,
    **options: Any,
) -> Verdict:
    """Return the verdict on our cell's operation against theirs; `options` are those of `side_by_side`."""
    cells = [theirs, ours]
    sides = [
        Side(partial(loaded_call, of, operation, params, inputs, threads), device=of.device.name, threads=threads)
        for of in cells
    ]
    teams = {id(side): of for side, of in zip(sides, cells, strict=True)}
    return side_by_side(*sides, crew=lambda side, seed: CellTeam(local, teams[id(side)], side.load), **options)


def loaded_call(
    of: Resolved, operation: str | None, params: Mapping[str, Any], inputs: Any, threads: int
) -> Callable[[], Any] | Prepared:
    """Load the cell, in a worker, and return the operation's call. Its first output is checked."""
    return loaded(of, operation, params, inputs, threads)[1]


def loaded(
    of: Resolved, operation: str | None, params: Mapping[str, Any], inputs: Any, threads: int
) -> tuple[Loaded, Callable[[], Any] | Prepared]:
    """`loaded_call` with the loaded cell itself."""
    cell = of.load(threads)
    work = running.prepare(cell, operation, params, Loop(), inputs).work
    call, synchronize = work.started(), of.device.synchronize
    if work.begin is not None:
        work.begin()
    if work.prepare is not None:
        work.prepare()
    first = call()
    if work.check is not None:
        work.check(first.output if isinstance(first, Lapped) else first)
    timed = call if synchronize is None else partial(_waited, call, synchronize)
    around = Prepared(timed, work.prepare, of.device.watch)
    return cell, timed if around == Prepared(timed) else around


def _waited(call: Callable[[], Any], synchronize: Callable[[], None]) -> None:
    """A call on a device that works on while the call returns."""
    call()
    synchronize()
