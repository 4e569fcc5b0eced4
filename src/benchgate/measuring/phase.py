"""The phase that the measuring of a cell is in, for who waits for it: one short line in a file.

It is written between what is timed, never within, by the worker or the process that asks; nobody is told anything
where `PLACE` is not set.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

PLACE = "BENCHGATE_PHASE_FILE"


def enter(phase: str) -> None:
    """Write the phase where somebody waits for it. A file that cannot be written is no reason to measure nothing."""
    if place := os.environ.get(PLACE):
        with contextlib.suppress(OSError):
            Path(place).write_text(phase, encoding="utf-8")


def told(place: Path) -> str:
    """Return the phase that was written last, "" before the first."""
    with contextlib.suppress(OSError):
        return place.read_text(encoding="utf-8")
    return ""
