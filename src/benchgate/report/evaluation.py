"""The tables of `benchgate evaluate`: scores overall and by phenomenon with copying beside, and the performance log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchgate.core import Metric
from benchgate.report.grid import Entry, Grid
from benchgate.report.latency import latency_tables
from benchgate.results import Record

# Beside the exact match.
OTHERS = {
    "token F1": "token_f1",
    "chrF": "chrf",
    "BLEU": "bleu",
    "ROUGE-L": "rouge_l",
}
PERCENT = ("chrf", "bleu")
# Turns before the query that are shown beside an answer.
LAST_TURNS = 2


def evaluation_tables(records: Sequence[Record]) -> list[Grid]:
    """For each record its scores with copying beside and the answers that are to be shown; then the performance log."""
    asked = [table for record in records for table in (_quality(record), _answers(record)) if table is not None]
    return [*asked, *latency_tables(records)]


def _answers(record: Record) -> Grid | None:
    shown = record.details.get("shown")
    if not shown:
        return None
    rows = tuple(
        (
            "yes" if one["right"] else "no",
            " | ".join(one["context"][-LAST_TURNS:]),
            one["query"],
            one["answer"],
            one["reformulation"],
        )
        for one in shown
    )
    columns = ("right", f"last {LAST_TURNS} turns", "query", "answer", "meant")
    return Grid(f"{len(rows)} answers, drawn by a seed", columns, rows)


def _quality(record: Record) -> Grid:
    data, details = record.details["data"], record.details
    sample = f", seed {data['seed']}" if data["seed"] is not None else ""
    title = f"{'-'.join(record.cell.values())} on {data['dataset']} ({data['n']:,} of {data['of']:,}{sample})"
    rows = [
        _scores_row("all", record.metrics),
        _scores_row("all, query copied", _metrics(details["copy"])),
        *(_scores_row(name, _metrics(found)) for name, found in details["by_phenomenon"].items()),
    ]
    note = (
        "95 % intervals, +- half of one; chrF and BLEU from 0 to 100; 'copied' is the exact match of the query itself"
    )
    return Grid(title, ("phenomenon", "n", "copied", "exact match", *OTHERS), tuple(rows), (note,))


def _metrics(raw: Mapping[str, Any]) -> dict[str, Metric]:
    return {name: Metric(**found) for name, found in raw.items()}


def _scores_row(name: str, metrics: Mapping[str, Metric]) -> tuple[Entry, ...]:
    copy = metrics.get("exact_match_copy", metrics["exact_match"])
    shown = (_with_half_width(metrics[score], 1 if score in PERCENT else 3) for score in OTHERS.values())
    return name, copy.n, f"{copy.value:.3f}", _with_interval(metrics["exact_match"]), *shown


def _with_interval(found: Metric) -> str:
    """`0.953 [0.943, 0.962]`: Wilson's interval is not symmetric."""
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


def _with_half_width(found: Metric, places: int) -> str:
    """`0.953 +-0.010`; without an interval the value alone."""
    if found.low is None or found.high is None:
        return f"{found.value:.{places}f}"
    return f"{found.value:.{places}f} +-{(found.high - found.low) / 2:.{places}f}"
