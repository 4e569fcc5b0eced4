"""Results files for the tests of the page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchgate.results import Record
from tests.builders import a_record

EVIL = "<img src=x onerror=alert(1)>"
FORMULA = "=cmd()"


def a_cell(
    scheme: str = "fp32", model: str = "lm", size: float = 400.0, test: str = "test_it", **fields: Any
) -> Record:
    """A passed prefill with size, time and top-1."""
    cell = {"model": model, "scheme": scheme, "runtime": "torch", "device": "cpu"}
    defaults = {
        "key": f"benchmarks/t.py::{test}[{model}-{scheme}-torch-cpu]",
        "cell": cell,
        "operation": "prefill",
        "details": {"threads": 2, "data": {"dataset": "cloze", "sha256": "ab" * 32, "n": 40}},
    }
    metrics = {"size_bytes": size, "latency_median_s": 0.2, "top1": 0.5, **fields.pop("metrics", {})}
    return a_record(metrics, **{**defaults, **fields})


def rounds(n: int) -> list[float]:
    """So many times around 10 ms, one of them 100 ms."""
    return [0.1 if place == n // 2 else 0.01 + 1e-6 * (place % 7) for place in range(n)]


def saved(
    path: Path, records: Sequence[Record], day: int = 0, rounds: Mapping[str, Sequence[float]] | None = None
) -> Path:
    """Write the records as `pytest --benchmark-json` does on that day; `rounds` are the times of a test's calls."""
    benchmarks = [
        {
            "fullname": record.key,
            "stats": {"data": list((rounds or {}).get(record.key, ()))},
            "extra_info": {"benchgate": record.as_dict()},
        }
        for record in records
    ]
    time = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day)
    commit = {"id": f"{day:040x}", "dirty": False}
    path.write_text(json.dumps({"datetime": time.isoformat(), "commit_info": commit, "benchmarks": benchmarks}))
    return path
