"""The cell to ship, on a page: the answers of `benchgate recommend`, by its rules and in its words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from benchgate.core import BenchgateError
from benchgate.report.grid import Grid
from benchgate.report.recommend import Recommendation, recommend
from benchgate.report.recommend_text import as_grid, decided, undecided
from benchgate.report.recommend_words import Limit, limits_of
from benchgate.results import Record

# The share of the reference's accuracy that may be lost, where nobody says another one.
MOST_LOST = "1%"
# Lines of what cannot be told, beside which the next model's answer is still seen.
MOST_LINES = 3


@dataclass(frozen=True)
class Advice:
    """The answer for one model and device: the question and the decision with its reasons, what cannot be told, and its
    table. `folded` says in a line what `undecided` has, where those lines would hide the next answer."""

    lines: tuple[str, ...]
    undecided: tuple[str, ...]
    folded: str
    grid: Grid


def advice(records: Iterable[Record], losses: Sequence[Limit] = ()) -> tuple[list[Advice], list[str]]:
    """Return (an answer for each model and device with several cells, the reasons why others have none).

    Of cells that lose at most so much accuracy the fastest one. Where nobody says how much, at most MOST_LOST, and of a
    model without accuracies the fastest of all.
    """
    found: list[Advice] = []
    reasons: list[str] = []
    models: dict[str, list[Record]] = {}
    for record in records:
        models.setdefault(record.cell["model"], []).append(record)
    for own in models.values():
        if len({(record.cell["scheme"], record.cell["runtime"]) for record in own}) < 2:
            continue
        try:
            found += [_advice(answer) for answer in _answers(own, losses)]
        except BenchgateError as error:
            reasons.append(str(error))
    return found, reasons


def _advice(answer: Recommendation) -> Advice:
    title = f"{answer.model} {answer.device}: best {answer.by}"
    left = tuple(undecided(answer))
    counts = (len(answer.undecided), "might be better and cannot be told"), (len(answer.absent), "not measured")
    folded = "; ".join(f"{n} {'cells' if n > 1 else 'cell'} {what}" for n, what in counts if n)
    grid = replace(as_grid(answer), title=title)
    return Advice(tuple(decided(answer)), left, folded if len(left) > MOST_LINES else "", grid)


def _answers(own: list[Record], losses: Sequence[Limit]) -> list[Recommendation]:
    if losses:
        return recommend(own, losses, None, {}, None)
    try:
        return recommend(own, limits_of([], [], [MOST_LOST]), None, {}, None)
    except BenchgateError:
        # No accuracy to lose; what is wrong beside that is said by the second question too.
        return recommend(own, [], None, {}, None)
