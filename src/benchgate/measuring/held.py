"""The loaded cell of one test, where it runs."""

from __future__ import annotations

import sys

from benchgate.machine.devices import usable_cores
from benchgate.measuring.meters.base import Subject
from benchgate.measuring.resolved import Loaded, Resolved


class Held:
    """At most one loaded cell, and the operation of it that was measured last.

    `imported` are the modules that the first load imported.
    """

    def __init__(self) -> None:
        self.loaded: Loaded | None = None
        self.subject: Subject | None = None
        self.imported: tuple[str, ...] | None = None

    def load(self, of: Resolved, threads: int) -> Loaded:
        """Close what is held and load the cell anew: nothing that ran before is in its figures."""
        self.close()
        before = set(sys.modules)
        self.loaded = of.load(threads)
        if self.imported is None:
            self.imported = tuple(name for name in sys.modules if name not in before)
        return self.loaded

    def open(self, of: Resolved, threads: int | None = None) -> Loaded:
        """Return the held cell where it is this one, with so many threads where that matters; else load it."""
        held = self.loaded
        if held is not None and held.of.cell == of.cell and held.of.way == of.way and threads in (None, held.threads):
            return held
        return self.load(of, usable_cores() if threads is None else threads)

    def close(self) -> None:
        """Free what is held."""
        self.subject = None
        if self.loaded is not None:
            self.loaded.session.close()
            self.loaded = None
