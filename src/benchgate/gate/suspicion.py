"""Suspicion of a cell from its stored runs: who looks slower there is held side by side first."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable

from benchgate.core.metrics import row_of
from benchgate.gate.comparable import comparable
from benchgate.results import Record

TIME = "latency_median_s"


def suspicions(stored: Iterable[Record]) -> dict[str, float]:
    """Return for each test how much longer its newest stored time is than the median of those before (log ratio).

    `stored` are records of runs in order of age, the oldest first. Only what may be compared counts; a test that is not
    longer, or has been measured once, is not among them. Stored times are no evidence: this is an order, no verdict.
    """
    by_test: dict[str, list[Record]] = defaultdict(list)
    for record in stored:
        if record.passed and TIME in record.metrics:
            by_test[record.key].append(record)
    found = {test: _longer(records) for test, records in by_test.items()}
    return {test: longer for test, longer in found.items() if longer > 0}


def _longer(records: list[Record]) -> float:
    newest = records[-1]
    row = row_of(TIME, newest.metrics[TIME])
    before = [record.metrics[TIME].value for record in records[:-1] if comparable(row, newest, record) is None]
    now = newest.metrics[TIME].value
    if not before or now <= 0 or (middle := statistics.median(before)) <= 0:
        return 0.0
    return math.log(now / middle)
