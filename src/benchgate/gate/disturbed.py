"""Figures of a record that neighbours disturbed: they are shown with a mark, are no baseline and decide nothing."""

from __future__ import annotations

from typing import Any

from benchgate.core.metrics import Row
from benchgate.results import Record

FIRST_CALL = "first_call_s"
# Sizes, accuracies and peaks of memory do not depend on who else computes.
GROUPS = frozenset({"time", "throughput", "energy"})
MARK = "~"


def disturbance(row: Row, record: Record) -> str | None:
    """The reasons why the record's figure of this metric cannot be trusted, None for an undisturbed one.

    The first call is one: it cannot be measured again, and has reasons of its own.
    """
    if row.group not in GROUPS:
        return None
    return told(record.details.get("first_call_disturbed" if row.name == FIRST_CALL else "disturbed"))


def told(reasons: Any) -> str | None:
    """The reasons as one text, None for none; whatever a results file holds in their place is a reason too."""
    if not reasons:
        return None
    return "; ".join(map(str, reasons)) if isinstance(reasons, list | tuple) else str(reasons)
