"""The protocol of instruments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from benchgate.core import Metric

if TYPE_CHECKING:
    from benchgate.measuring.run import Run


class Meter(Protocol):
    """One instrument. `gives` are the metrics that are missing, with one reason, when it raises Unavailable.

    `optional` says whether a cell makes sense without it; Unavailable from one that is not skips the whole cell.
    """

    name: str
    optional: bool
    gives: tuple[str, ...]

    def measure(self, run: Run) -> Mapping[str, Metric]:
        """Metrics of this run; single ones that cannot be had go into `run.missing` with their reason."""
