"""The load generator's queries, and its figures for people and for files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from benchgate.core import DataError, stats
from benchgate.core.units import three_digits
from benchgate.serving.load import Tally
from benchgate.serving.reformulate import BadInput, Question, checked, parse_question
from benchgate.storage.reading import parse_lines, read_bytes

FORM = '{"context": ["..."], "query": "..."}'
PERCENTILES = {"p50_s": 0.50, "p90_s": 0.90, "p95_s": 0.95, "p99_s": 0.99}
# What is sent where no file is given: short and longer conversations, as people type.
QUESTIONS = (
    checked([], "whats the wether in lisbon tomorow"),
    checked(["who wrote the left hand of darkness"], "and when was she born"),
    checked(["best hiking boots", "are the waterproof ones heavy"], "how much do they cost"),
    checked(["train from vienna to prague", "how long does it take", "is there a night train"], "how abt the bus"),
)


def read_bodies(path: Path | None) -> list[bytes]:
    """Request bodies, from JSONL lines with `context` and `query` (other fields are left out). Raises DataError."""
    return [
        json.dumps({"context": list(question.context), "query": question.query}).encode()
        for question in (QUESTIONS if path is None else _read(path))
    ]


def _read(path: Path) -> list[Question]:
    questions: list[Question] = []
    for place, entry in parse_lines(read_bytes(path, f"give a JSONL file of {FORM}"), f"--queries {path}", FORM):
        try:
            questions.append(parse_question({name: entry[name] for name in ("context", "query") if name in entry}))
        except BadInput as error:
            raise DataError(f"{place}: {error}") from error
    if not questions:
        raise DataError(f"--queries {path}: no line in it")
    return questions


def load_table(tallies: Sequence[Tally]) -> Table:
    """One row a level; a percentile that has too few answers for its bound is `-`."""
    table = Table(box=None, pad_edge=False)
    columns = ("offered", "answered", "per s", "shed", "failed", "P50 ms", "P95 ms", "P99 ms", "max ms", "lag P95 ms")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=name == "offered")
    for tally in tallies:
        found = figures(tally)
        table.add_row(
            str(tally.level),
            *map(str, (tally.answered, three_digits(found["answered_per_s"]), tally.shed, tally.failed)),
            *(_milliseconds(found["latency"].get(name)) for name in ("p50_s", "p95_s", "p99_s", "max_s")),
            _milliseconds(found["send_lag"].get("p95_s")),
        )
    return table


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else three_digits(1000 * value)


def figures(tally: Tally) -> dict[str, Any]:
    """Everything about one level, JSON-ready; latencies of answered requests in seconds from the intended send time."""
    return {
        "level": tally.level.kind,
        "value": tally.level.value,
        "seconds": tally.seconds,
        "sent": tally.sent,
        "answered": tally.answered,
        "shed": tally.shed,
        "failed": tally.failed,
        "statuses": dict(tally.statuses),
        "answered_per_s": tally.answered / tally.seconds,
        "latency": _summary(tally.latencies),
        "send_lag": _summary(tally.lags),
        "generator_cpu_share": tally.cpu_s / tally.seconds,
    }


def _summary(samples: Sequence[float]) -> dict[str, float]:
    """Percentiles by nearest rank, without those that n is too small for."""
    found = {name: stats.percentile(samples, q).value for name, q in PERCENTILES.items() if _enough(samples, q)}
    return found | ({"max_s": max(samples)} if samples else {})


def _enough(samples: Sequence[float], q: float) -> bool:
    return len(samples) >= stats.samples_needed(q)


def write_figures(path: Path, tallies: Sequence[Tally]) -> None:
    """Raises DataError where the file cannot be written."""
    text = json.dumps({"levels": [figures(tally) for tally in tallies]}, indent=1)
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"--json {path} cannot be written: {error.strerror}") from error
