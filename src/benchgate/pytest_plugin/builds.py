"""The artifacts of all cells of a run, built before anything is timed: a build would disturb the cell beside it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from benchgate.core import BenchgateError, Cell
from benchgate.executors.local import Local
from benchgate.measuring.resolved import Resolved, resolve
from benchgate.storage.artifacts import content_of


class Builds:
    """Failures of builds, by cell. What failed is raised in its cell's test, and is that cell's outcome."""

    def __init__(self) -> None:
        self._failed: dict[Cell, BaseException] = {}

    def make(self, cells: Iterable[Cell], local: Local, say: Callable[[str], None]) -> None:
        """Build what is not in the cache yet, each in a process of its own; `say` is told each one and its seconds."""
        wanted = unbuilt(cells)
        for number, of in enumerate(wanted, 1):
            start = time.monotonic()
            try:
                local.build(of)
                said = f"{time.monotonic() - start:.1f} s"
            except Exception as error:
                # Whatever it is, also the process' death: its own test tells.
                self._failed[of.cell] = error
                said = type(error).__name__
            say(f"benchgate: built {number} of {len(wanted)}: {of.cell}: {said}")

    def check(self, cell: Cell) -> None:
        """Raise what the cell's build raised."""
        if cell in self._failed:
            raise self._failed[cell]


def unbuilt(cells: Iterable[Cell]) -> list[Resolved]:
    """Return those of the cells that can run here and whose artifacts are not built, each once."""
    return [of for cell in dict.fromkeys(cells) if (of := buildable(cell)) is not None]


def buildable(cell: Cell) -> Resolved | None:
    """The cell where it can run here and its artifact is not built; an error of finding that out is its test's."""
    try:
        of = resolve(cell)
        if of.missing() is not None or content_of(of.model, of.scheme, of.runtime, cell.device) != "not built":
            return None
    except BenchgateError:
        return None
    return of
