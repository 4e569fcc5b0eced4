"""`benchgate evaluate`: how good a text2text cell's answers are, overall and by phenomenon, and how fast they come.

Every query is asked once and alone, from text to text; quality and times are of the same calls.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from benchgate.core import BenchgateError, Cell, Metric, all_needs, models, runtimes
from benchgate.core.metrics import metric
from benchgate.machine.packages import versions
from benchgate.measuring import run as running
from benchgate.measuring.meters.latency import latency_metrics, warm_up
from benchgate.report.grid import Entry, Grid
from benchgate.report.latency import latency_tables
from benchgate.results import PASSED, Record
from benchgate.tasks.text2text import rewrites
from benchgate.tasks.text2text.rewrites import Rewrite, Rewrites, normalise
from benchgate.tasks.text2text.scores import by_phenomenon, copied, score_copies, score_texts
from benchgate.tasks.text2text.task import Answer, Text2TextModel, Text2TextSession, ask, rewrite

# Beside the exact match.
OTHERS = {
    "token F1": "token_f1",
    "chrF": "chrf",
    "BLEU": "bleu",
    "ROUGE-L": "rouge_l",
}
PERCENT = ("chrf", "bleu")
# Wrong answers that the record keeps, the first ones, and characters of each of their texts.
WRONG, SHOWN = 100, 1000


@dataclass(frozen=True)
class Order:
    """What to evaluate on and how: names of splits or files, at most `limit` queries of each.

    Raises BenchgateError for a number below 1.
    """

    data: Sequence[str]
    limit: int | None
    threads: int
    beams: int

    def __post_init__(self) -> None:
        for name, value in (("--limit", self.limit), ("--threads", self.threads), ("--beams", self.beams)):
            if value is not None and value < 1:
                raise BenchgateError(f"{name} {value}: at least 1 is needed")


def evaluate(cell: Cell, order: Order) -> list[Record]:
    """One Record a data set, in the order given. Raises what loading model or data raises."""
    model: Any = models[cell.model]
    _, session = running.load(cell, order.threads)
    try:
        # The model first: who has to train it yet needs no data.
        chosen = [rewrites.load(name) for name in order.data]
        sampled = [data if order.limit is None else data.sample(order.limit) for data in chosen]
        return [_record(cell, session, model, data, order) for data in sampled]
    finally:
        session.close()


def _record(cell: Cell, session: Any, model: Any, data: Rewrites, order: Order) -> Record:
    warm = _warm(session, model, data, order.beams)
    answers = ask(session, model, data, order.beams)
    times, missing = latency_metrics([answer.seconds for answer in answers])
    params = {"data": data.name, "beams": order.beams}
    key = f"evaluate[{cell}-{data.name}-beams={order.beams}]"
    about = running.attempted(cell, key, order.threads, "reformulate", params)
    return replace(
        about,
        metrics={**times, **_rate(answers), **_scores(data.items, answers)},
        missing=missing,
        outcome=PASSED,
        packages=versions(all_needs(runtimes[cell.runtime])),
        kernel=dict(session.kernel),
        details={
            "threads": order.threads,
            "warm_up": asdict(warm),
            "data": data.describe(),
            "copy": _plain(score_copies(data.items)),
            "by_phenomenon": {
                name: _plain(_scores([data.items[i] for i in places], [answers[i] for i in places]))
                for name, places in by_phenomenon(data.items).items()
            },
            "wrong": _wrong(data.items, answers),
        },
    )


def _warm(session: Text2TextSession, model: Text2TextModel, data: Rewrites, beams: int) -> Any:
    endless = itertools.cycle(data)
    return warm_up(lambda: rewrite(session, model, [next(endless)], beams))


def _rate(answers: Sequence[Answer]) -> dict[str, Metric]:
    seconds, n = sum(answer.seconds for answer in answers), len(answers)
    method = "queries / sum of their latencies, one after another"
    return {"throughput_per_s": metric("throughput_per_s", n / seconds, n=n, method=method)}


def _scores(examples: Sequence[Rewrite], answers: Sequence[Answer]) -> dict[str, Metric]:
    found = score_texts([a.text for a in answers], [example.reformulation for example in examples])
    return {**found, "exact_match_copy": copied(examples)}


def _plain(metrics: Mapping[str, Metric]) -> dict[str, Any]:
    """JSON-ready, without the single results: the whole set's metrics have them."""
    return {name: replace(found, examples=()).as_dict() for name, found in metrics.items()}


def _wrong(examples: Sequence[Rewrite], answers: Sequence[Answer]) -> list[dict[str, Any]]:
    wrong = (
        (example, answer)
        for example, answer in zip(examples, answers, strict=True)
        if normalise(answer.text) != normalise(example.reformulation)
    )
    return [
        {
            "context": [turn[:SHOWN] for turn in example.context],
            "query": example.query[:SHOWN],
            "reformulation": example.reformulation[:SHOWN],
            "answer": answer.text[:SHOWN],
            "phenomenon": example.phenomenon,
            "id": example.id,
        }
        for example, answer in itertools.islice(wrong, WRONG)
    ]


def evaluation_tables(records: Sequence[Record]) -> list[Grid]:
    """For each record its scores with copying beside; then the performance log of all."""
    return [*(_quality(record) for record in records), *latency_tables(records)]


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
