"""Records of three schemes and the question asked of them, for the tests of the recommendation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from benchgate.core import Metric
from benchgate.core.metrics import metric
from benchgate.report.recommend import Recommendation, recommend
from benchgate.report.recommend_words import Wanted, limits_of
from benchgate.results import Record
from tests.builders import CELL, a_record

LATENCY, SIZE, RSS = Wanted("latency_median_s"), Wanted("size_bytes"), Wanted("peak_rss_bytes")


def time_of(value: float, half: float, n: int = 20) -> Metric:
    return metric("latency_median_s", value, low=value - half, high=value + half, n=n)


def measured(scheme: str, time: Metric | None, size: float = 1e6, runtime: str = "torch", **fields: Any) -> Record:
    metrics = {"size_bytes": metric("size_bytes", size)}
    if time is not None:
        metrics["latency_median_s"] = time
    cell = {**CELL, "scheme": scheme, "runtime": runtime}
    return replace(a_record(key=f"test[{scheme}-{runtime}]", cell=cell, **fields), metrics=metrics)


def asked(
    records: Sequence[Record],
    most: Sequence[str] = (),
    losses: Sequence[str] = (),
    by: Wanted = LATENCY,
    **options: Any,
) -> Recommendation:
    (found,) = recommend(records, limits_of(most, (), losses), by, options.get("at", {}), options.get("model"))
    return found


THREE = [
    measured("fp32", time_of(1.0, 0.05), 4e6),
    measured("fp16", time_of(0.8, 0.05), 2e6),
    measured("int8", time_of(0.5, 0.05), 3e6),
]
