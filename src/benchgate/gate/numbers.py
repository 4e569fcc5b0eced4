"""numpy and scipy, which the gate side by side and the bootstrap of paired scores compute with: the extra `gate`.

They are 216 MB, which a suite that only measures and holds results against stored ones need not have.
"""

from __future__ import annotations

from benchgate.core import Unavailable
from benchgate.machine.packages import missing_packages

NEEDS = {"numpy": "gate", "scipy": "gate"}


def need(what: str) -> None:
    """Raise Unavailable where one of them is not installed; `what` computes with them."""
    reason = missing_packages(NEEDS)
    if reason is not None:
        raise Unavailable(f"{what}: {reason}")
