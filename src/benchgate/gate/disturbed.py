"""Figures of a record that neighbours disturbed: they are shown with a mark, are no baseline and decide nothing."""

from __future__ import annotations

from typing import Any

from benchgate.core.metrics import Row
from benchgate.results import Record

# What is measured in a window of its own, by metric or else by group -> the detail that holds its reasons.
OWN_WINDOWS = {"first_call_s": "first_call_disturbed", "energy": "energy_disturbed"}
# Sizes, accuracies and peaks of memory do not depend on who else computes.
GROUPS = frozenset({"time", "throughput", "energy"})
MARK = "~"


def disturbance(row: Row, record: Record) -> str | None:
    """The reasons why the record's figure of this metric cannot be trusted, None for an undisturbed one.

    The first call is one and cannot be measured again, energy has a window of its own: they have reasons of their own.
    """
    if row.group not in GROUPS:
        return None
    own = OWN_WINDOWS.get(row.name) or OWN_WINDOWS.get(row.group)
    return told(record.details.get(own or "disturbed"))


def told(reasons: Any) -> str | None:
    """The reasons as one text, None for none; whatever a results file holds in their place is a reason too."""
    if not reasons:
        return None
    return "; ".join(map(str, reasons)) if isinstance(reasons, list | tuple) else str(reasons)
