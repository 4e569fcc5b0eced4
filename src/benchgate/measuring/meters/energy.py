"""Energy per call. The seam is here; no counter is read yet, and nothing is estimated in its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from benchgate.core import Metric, Unavailable

if TYPE_CHECKING:
    from benchgate.measuring.run import Run


class Energy:
    """Will give joules per call from hardware counters; until then the metric is absent, with this reason."""

    name = "energy"
    optional = True
    gives: ClassVar[tuple[str, ...]] = ("energy_j_per_call",)

    def measure(self, run: Run) -> Mapping[str, Metric]:
        raise Unavailable("this version of benchgate reads no energy counters")
