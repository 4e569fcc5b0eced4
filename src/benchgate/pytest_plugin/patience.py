"""How long a run measures disturbed blocks again, and what it knows of the machine when it is quiet."""

from __future__ import annotations

from dataclasses import dataclass

from benchgate.measuring.blocks import Blocks

# A run waits no longer than so many cells would.
CELLS_A_RUN = 10


@dataclass
class Patience:
    """`cell_s` is for one cell, `run_s` what is left for all of the run's; `best_reference_s` the fixed arithmetic's
    best time so far, None before the first cell."""

    cell_s: float
    run_s: float
    best_reference_s: float | None = None

    @classmethod
    def of(cls, cell_s: float, timeout_s: float | None = None) -> Patience:
        """A run's patience; with a timeout at most half of it, so that waiting for quiet alone ends no cell."""
        own = cell_s if timeout_s is None else min(cell_s, timeout_s / 2)
        return cls(own, own * CELLS_A_RUN)

    def left(self) -> float:
        """Seconds that the next cell may wait for quiet."""
        return min(self.cell_s, self.run_s)

    def spent(self, blocks: Blocks | None) -> None:
        """Take note of what a cell took."""
        if blocks is not None:
            self.run_s = max(0.0, self.run_s - blocks.again_s)
            self.best_reference_s = blocks.best_reference_s
