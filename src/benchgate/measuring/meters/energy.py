"""Energy per call. The seam is here; no counter is read yet, and nothing is estimated in its place."""

from __future__ import annotations

from typing import ClassVar

from benchgate.core import Unavailable
from benchgate.measuring.meters.base import Reading, Subject


class Energy:
    """Will give joules per call from hardware counters; until then the metric is absent, with this reason."""

    name = "energy"
    optional = True
    gives: ClassVar[tuple[str, ...]] = ("energy_j_per_call",)

    def measure(self, subject: Subject) -> Reading:
        raise Unavailable("this version of benchgate reads no energy counters")
