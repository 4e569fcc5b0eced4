"""`benchgate evaluate`: how good a text2text cell's answers are, overall and by phenomenon, and how fast they come.

Every query is asked once and alone, from text to text; quality and times are of the same calls.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchgate.core import BenchgateError, Cell, Metric, all_needs
from benchgate.machine.packages import versions
from benchgate.measuring import run as running
from benchgate.measuring.meters.latency import latency_metrics, throughput, timing_details
from benchgate.measuring.resolved import Loaded, resolve
from benchgate.measuring.timing import Loop, time_work
from benchgate.results import PASSED, Record
from benchgate.storage.download import progress
from benchgate.tasks.text2text import rewrites
from benchgate.tasks.text2text.groups import grouped
from benchgate.tasks.text2text.rewrites import Rewrite, Rewrites, normalise
from benchgate.tasks.text2text.scores import copied, score_copies, score_texts
from benchgate.tasks.text2text.task import reformulate

# Wrong answers that the record keeps, the first ones, and characters that it keeps of each text.
WRONG, SHOWN = 100, 1000


@dataclass(frozen=True)
class Order:
    """Data to evaluate on, and how: names of splits or files, at most `limit` queries of each, `shown` answers in full.

    Raises BenchgateError for a number below 1.
    """

    data: Sequence[str]
    limit: int | None
    threads: int
    beams: int
    shown: int = 0

    def __post_init__(self) -> None:
        if self.shown < 0:
            raise BenchgateError(f"--show {self.shown}: at least 0 is needed")
        for name, value in (("--limit", self.limit), ("--threads", self.threads), ("--beams", self.beams)):
            if value is not None and value < 1:
                raise BenchgateError(f"{name} {value}: at least 1 is needed")


def evaluate(cell: Cell, order: Order) -> list[Record]:
    """Return one Record a data set, in the order given. Raises what loading model or data raises."""
    loaded = resolve(cell).load(order.threads)
    try:
        # The model first: who has to train it yet needs no data.
        chosen = [rewrites.load(name) for name in order.data]
        sampled = [data if order.limit is None else data.sample(order.limit) for data in chosen]
        return [_record(loaded, data, order) for data in sampled]
    finally:
        loaded.session.close()


def _record(loaded: Loaded, data: Rewrites, order: Order) -> Record:
    """Every query asked once, alone, by the operation that tests time: a pass through the data is its rounds."""
    subject = running.prepare(loaded, reformulate.__name__, {"beams": order.beams}, Loop(), data)
    answers: list[str] = []
    with progress(f"scoring {data.name}", len(data)) as advance:

        def see(texts: Sequence[str]) -> None:
            answers.extend(texts)
            advance(1)

        # Of an answer that is empty nothing is timed elsewhere; here it is a wrong answer among the others.
        timing = time_work(replace(subject.work, check=None), subject.rounds, see=see)
    assert timing.samples is not None
    times, missing = latency_metrics(timing.samples.seconds)
    rate = throughput(subject.work.throughput, subject.work.units, times["latency_median_s"])
    params = {"data": data.name, "beams": order.beams}
    key = f"evaluate[{loaded.of.cell}-{data.name}-beams={order.beams}]"
    about = running.attempted(loaded.of, key, order.threads, subject.asked.name, params)
    return replace(
        about,
        metrics={**times, subject.work.throughput: rate, **_scores(data.items, answers)},
        missing=missing,
        outcome=PASSED,
        packages=versions(all_needs(loaded.of.runtime)),
        kernel=dict(loaded.session.kernel),
        details={
            **about.details,
            **timing_details(timing),
            "data": data.describe(),
            "copy": _plain(score_copies(data.items)),
            "by_phenomenon": {
                name: _plain(_scores([data.items[i] for i in places], [answers[i] for i in places]))
                for name, places in grouped(data.items).items()
            },
            "wrong": _wrong(data.items, answers),
            "shown": _shown(data.items, answers, order.shown),
        },
    )


def _scores(examples: Sequence[Rewrite], answers: Sequence[str]) -> dict[str, Metric]:
    found = score_texts(answers, [example.reformulation for example in examples])
    return {**found, "exact_match_copy": copied(examples)}


def _plain(metrics: Mapping[str, Metric]) -> dict[str, Any]:
    """JSON-ready, without the single results: the whole set's metrics have them."""
    return {name: replace(found, examples=()).as_dict() for name, found in metrics.items()}


def _wrong(examples: Sequence[Rewrite], answers: Sequence[str]) -> list[dict[str, Any]]:
    told = (_told(*pair) for pair in zip(examples, answers, strict=True))
    return list(itertools.islice((one for one in told if not one["right"]), WRONG))


def _shown(examples: Sequence[Rewrite], answers: Sequence[str], count: int) -> list[dict[str, Any]]:
    """Right and wrong ones as a seed draws them, in the data's order: nobody has chosen."""
    drawn = sorted(random.Random(0).sample(range(len(examples)), min(count, len(examples))))
    return [_told(examples[place], answers[place]) for place in drawn]


def _told(example: Rewrite, answer: str) -> dict[str, Any]:
    return {
        "context": [turn[:SHOWN] for turn in example.context],
        "query": example.query[:SHOWN],
        "reformulation": example.reformulation[:SHOWN],
        "answer": answer[:SHOWN],
        "right": normalise(answer) == normalise(example.reformulation),
        "phenomenon": example.phenomenon,
        "id": example.id,
    }
