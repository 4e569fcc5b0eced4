"""The performance log: average, median, standard deviation, P90, P95 and P99 of a call, one row a cell.

Called by `benchgate report --table latency` and by `benchgate evaluate`. Times are in milliseconds; the records have
them in seconds, with their intervals.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchgate.core import BenchgateError
from benchgate.report.grid import Entry, Grid
from benchgate.report.tables import labels
from benchgate.results import Record

TIMES = {
    "average ms": "latency_mean_s",
    "median ms": "latency_median_s",
    "std ms": "latency_std_s",
    "P90 ms": "latency_p90_s",
    "P95 ms": "latency_p95_s",
    "P99 ms": "latency_p99_s",
}
RATE = "throughput_per_s"


def latency_tables(records: Sequence[Record], files: Sequence[str] = ()) -> list[Grid]:
    """One table a model, of its cells with times; `files` name the records' files where there are several.

    Raises BenchgateError where no record has any.
    """
    named = list(zip(records, files or [""] * len(records), strict=True))
    timed = [(record, file) for record, file in named if TIMES["average ms"] in record.metrics]
    if not timed:
        raise BenchgateError(
            "no times in these results (a run with --benchmark-disable or xdist has none); measure with "
            "`pytest benchmarks --benchmark-json=out.json`"
        )
    models = dict.fromkeys(record.cell["model"] for record, _ in timed)
    return [_table([pair for pair in timed if pair[0].cell["model"] == model], bool(files)) for model in models]


def _table(named: Sequence[tuple[Record, str]], with_files: bool) -> Grid:
    records = [record for record, _ in named]
    common, names = labels(records, [file for _, file in named] if with_files else ())
    rated = any(RATE in record.metrics for record in records)
    columns = ("cell", "calls", *TIMES, *(("items/s",) if rated else ()))
    rows = tuple((name, *_row(record, rated)) for name, record in zip(names, records, strict=True))
    return Grid(common, columns, rows, tuple(_notes(records)))


def _row(record: Record, rated: bool) -> Iterator[Entry]:
    yield record.metrics[TIMES["average ms"]].n
    for name in TIMES.values():
        yield 1000 * record.metrics[name].value if name in record.metrics else None
    if rated:
        yield record.metrics[RATE].value if RATE in record.metrics else None


def _notes(records: Sequence[Record]) -> Iterator[str]:
    """Each reason for an absent figure once, with the columns and the number of cells it holds for."""
    missing: dict[tuple[str, str], int] = {}
    for record in records:
        for title, name in TIMES.items():
            if name not in record.metrics:
                key = (title.removesuffix(" ms"), record.missing.get(name, "no reason recorded"))
                missing[key] = missing.get(key, 0) + 1
    for (title, reason), n in missing.items():
        yield f"{title} of {n} cell{'s' if n > 1 else ''}: {reason}"
