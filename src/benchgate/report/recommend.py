"""The cell to ship: what keeps the limits, which of those is best, by how much, and what would change the answer."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from benchgate.core import BenchgateError
from benchgate.report.dominance import Reading, apart, beats, ratio, surely_beats
from benchgate.report.headline import ACCURACY_GROUPS, SPEED_GROUPS
from benchgate.report.losses import more_needed
from benchgate.report.pareto import SIZE
from benchgate.report.recommend_cells import Candidate, Measured, Unknown
from benchgate.report.recommend_words import Limit, Wanted
from benchgate.results import Record

Kept = Literal["yes", "no", "cannot say"]


@dataclass(frozen=True)
class Check:
    """One limit on one cell. `more` are the observations that would decide it, None where that cannot be told."""

    limit: Limit
    kept: Kept
    why: str = ""
    more: int | None = None


@dataclass(frozen=True)
class Judged:
    """A cell with all its checks. `kept` is the answer to all of them, the figure that is asked for included.

    `beaten_by` names the cells that are better in everything, `surely` whether their intervals bear it; `beaten_by` is
    None where a figure is missing.
    """

    candidate: Candidate
    checks: tuple[Check, ...]
    kept: Kept
    why: str
    beaten_by: tuple[str, ...] | None = ()
    surely: bool = False


@dataclass(frozen=True)
class Change:
    """The nearest change of limits that gives another answer: each limit with its new bound, and the cell ("": none)
    that is best then. Of tighter ones the bound is the first that the winner does not keep."""

    limits: tuple[tuple[Limit, float], ...]
    looser: bool
    to: str


@dataclass(frozen=True)
class Recommendation:
    """The answer for one model on one device. `lead` is the winner's figure over the next one's as a ratio, None where
    there is no next or none can be told."""

    model: str
    device: str
    by: Wanted
    limits: tuple[Limit, ...]
    shown: tuple[Wanted, ...]
    cells: tuple[Judged, ...]
    winner: str
    next: str
    lead: Reading | None
    told_apart: bool
    change: Change | None
    absent: Mapping[str, str]

    @property
    def undecided(self) -> list[Judged]:
        """Cells that might be better than the winner: nothing rules them out, and a figure is not known well enough."""
        best = next((c.candidate.reading(self.by) for c in self.cells if c.candidate.name == self.winner), None)
        return [
            c for c in self.cells if c.kept == "cannot say" and not _surely_worse(c.candidate.reading(self.by), best)
        ]


def recommend(
    records: Iterable[Record], limits: Sequence[Limit], by: Wanted | None, at: Mapping[str, str], model: str | None
) -> list[Recommendation]:
    """One answer for each model and device that has the figures which are asked for.

    Raises BenchgateError where none has, or where a figure is of several operations or parameters.
    """
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record.cell["model"], record.cell["device"]), []).append(record)
    models = sorted({name for name, _ in groups})
    if model is not None and model not in models:
        raise BenchgateError(f"no cell of model {model!r} in these files; there are {', '.join(models)}")
    found, reasons = [], []
    for (name, device), own in sorted(groups.items()):
        if model not in (None, name):
            continue
        measured = Measured(own)
        question = _completed(measured, limits, by)
        if isinstance(question, str):
            reasons.append(f"{name}: {question}")
        else:
            found.append(_answer(name, device, measured, *question, at))
    if not found:
        raise BenchgateError(
            f"nothing to recommend from: {'; '.join(reasons)}; `benchgate report FILE` shows what is there"
        )
    return found


def absences(reasons: Iterable[str]) -> list[str]:
    """Each reason why cells are absent, with how many they are."""
    return [f"{n} cell{'s' if n > 1 else ''}: {why}" for why, n in Counter(reasons).items()]


def _completed(
    measured: Measured, limits: Sequence[Limit], by: Wanted | None
) -> tuple[tuple[Limit, ...], Wanted] | str:
    """The limits and the figure to be best in with their metrics named, or the reason why this model has them not."""
    if not measured.by_cell:
        return f"nothing was measured; {'; '.join(absences(measured.absent.values()))}"
    speed, accuracy = measured.headline(SPEED_GROUPS), measured.headline(ACCURACY_GROUPS)
    if by is None and not speed:
        return "no time and no throughput among its headline metrics; name what to be best in with --by"
    if not accuracy and any(not limit.wanted.metric for limit in limits):
        return "no accuracy among its headline metrics; name one: --max-loss NAME=1%"
    best = by or Wanted(speed, measured.main_operation(speed))
    named = [replace(m, wanted=replace(m.wanted, metric=m.wanted.metric or accuracy)) for m in limits]
    lacking = [one.metric for one in (best, *(limit.wanted for limit in named)) if not measured.has(one.metric)]
    return f"no cell has {', '.join(dict.fromkeys(lacking))}" if lacking else (tuple(named), best)


def _answer(
    model: str, device: str, measured: Measured, limits: tuple[Limit, ...], by: Wanted, at: Mapping[str, str]
) -> Recommendation:
    accuracy = measured.headline(ACCURACY_GROUPS)
    bounded = [limit.wanted for limit in limits]
    # A loss is paired, which its accuracy is not: it stands for it.
    known = [Wanted(name) for name in (accuracy, SIZE) if name and measured.has(name)]
    extra = [one for one in known if not any(one.metric == other.metric for other in bounded)]
    shown = tuple(dict.fromkeys([by, *bounded, *extra]))
    candidates = measured.candidates(shown, at)
    cells = tuple(_placed([judged(candidate, limits, by) for candidate in candidates], shown, by))
    first, second = (*best(cells, by), None, None)[:2]
    lead = None
    if first is not None and second is not None:
        lead = ratio(_known(first, by), _known(second, by))
    return Recommendation(
        model, device, by, limits, shown, cells,
        first.name if first else "", second.name if second else "", lead,
        first is not None and second is not None and apart(_known(first, by), _known(second, by)),
        change_of(candidates, limits, by), {" ".join(cell): why for cell, why in measured.absent.items()},
    )  # fmt: skip


def judged(candidate: Candidate, limits: Sequence[Limit], by: Wanted) -> Judged:
    """Every limit on this cell; one that is broken decides, one that cannot be told leaves it open."""
    checks = tuple(check(candidate, limit) for limit in limits)
    for answer in ("no", "cannot say"):
        if found := [c for c in checks if c.kept == answer]:
            return Judged(candidate, checks, answer, "; ".join(c.why for c in found))
    figure = candidate.figures[by]
    if isinstance(figure, Unknown):
        return Judged(candidate, checks, "cannot say", f"{by}: {figure.reason}")
    return Judged(candidate, checks, "yes", "")


def check(candidate: Candidate, limit: Limit) -> Check:
    """One limit: kept where the whole interval is within it, broken where all of it is beyond."""
    figure = candidate.figures[limit.wanted]
    if isinstance(figure, Unknown):
        return Check(limit, "cannot say", f"{limit.wanted}: {figure.reason}")
    if _within(needed_bound(figure, limit), limit):
        return Check(limit, "yes")
    if not _within(figure.low if limit.at_most else figure.high, limit):
        return Check(limit, "no", str(limit.wanted))
    return Check(limit, "cannot say", str(limit.wanted), more_needed(figure, limit.bound))


def needed_bound(figure: Reading, limit: Limit) -> float:
    """The bound at which this figure begins to keep the limit."""
    return figure.high if limit.at_most else figure.low


def best(cells: Iterable[Judged], by: Wanted) -> list[Candidate]:
    """The cells that keep everything, the best value first; of equal ones the first by name."""
    good = [cell.candidate for cell in cells if cell.kept == "yes"]
    return sorted(good, key=lambda candidate: (-_known(candidate, by).goodness[1], candidate.name))


def change_of(candidates: Sequence[Candidate], limits: Sequence[Limit], by: Wanted) -> Change | None:
    """The change of bounds, smallest in relation to them, after which another cell is best; None where none does."""
    now = _winner(candidates, limits, by)
    options = []
    steps_of = [*((steps, True) for steps in _looser(candidates, limits))]
    steps_of += [(steps, False) for steps in _tighter(candidates, limits, now)]
    for exactly, looser in steps_of:
        steps = {i: rounded(bound, up=looser == limits[i].at_most) for i, bound in exactly.items()}
        to = _winner(candidates, [replace(m, bound=steps.get(i, m.bound)) for i, m in enumerate(limits)], by)
        if to != now:
            far = max(abs(bound - limits[i].bound) / (abs(limits[i].bound) or 1.0) for i, bound in steps.items())
            # Another cell tells more than none.
            options.append(
                (not to, far, to, Change(tuple((limits[i], bound) for i, bound in steps.items()), looser, to))
            )
    return min(options, key=lambda option: option[:3])[3] if options else None


def _looser(candidates: Sequence[Candidate], limits: Sequence[Limit]) -> Iterator[dict[int, float]]:
    """For each cell that does not keep them all: the bounds, by the limit's place, at which it does."""
    for candidate in candidates:
        steps = {}
        for i, limit in enumerate(limits):
            figure = candidate.reading(limit.wanted)
            if figure is None:
                break
            if not _within(needed_bound(figure, limit), limit):
                steps[i] = needed_bound(figure, limit)
        else:
            if steps:
                yield steps


def _tighter(candidates: Sequence[Candidate], limits: Sequence[Limit], now: str) -> Iterator[dict[int, float]]:
    """For each limit the bound at which the winner just does not keep it."""
    winner = next((candidate for candidate in candidates if candidate.name == now), None)
    for i, limit in enumerate(limits):
        figure = winner.reading(limit.wanted) if winner is not None else None
        if figure is not None:
            beyond = -math.inf if limit.at_most else math.inf
            bound = math.nextafter(needed_bound(figure, limit), beyond)
            # Nobody asks for a gain by a loss.
            if bound >= 0 or not limit.wanted.lost:
                yield {i: bound}


def rounded(bound: float, up: bool) -> float:
    """The bound with three digits, not below it or not above it: one that people type."""
    if abs(bound) < sys.float_info.min * 1e3:
        return bound
    step = 10.0 ** (math.floor(math.log10(abs(bound))) - 2)
    found = (math.ceil if up else math.floor)(bound / step) * step
    # In decimal digits, which the product of a power of ten has not always.
    found = float(f"{found:.3g}")
    return found if (found >= bound if up else found <= bound) else bound


def _winner(candidates: Sequence[Candidate], limits: Sequence[Limit], by: Wanted) -> str:
    found = best((judged(candidate, limits, by) for candidate in candidates), by)
    return found[0].name if found else ""


def _within(value: float, limit: Limit) -> bool:
    return value <= limit.bound if limit.at_most else value >= limit.bound


def _known(candidate: Candidate, wanted: Wanted) -> Reading:
    figure = candidate.figures[wanted]
    assert isinstance(figure, Reading)
    return figure


def _surely_worse(ours: Reading | None, best: Reading | None) -> bool:
    return ours is not None and best is not None and apart(best, ours)


def _placed(cells: Sequence[Judged], shown: Sequence[Wanted], by: Wanted) -> Iterator[Judged]:
    """Each with the cells that beat it in what is asked for and in all that is shown and that any cell has."""
    axes = [one for one in shown if one == by or any(cell.candidate.reading(one) for cell in cells)]
    figures = {cell.candidate.name: [cell.candidate.reading(one) for one in axes] for cell in cells}
    whole = {name: [f for f in own if f is not None] for name, own in figures.items() if None not in own}
    for cell in cells:
        own = whole.get(cell.candidate.name)
        if own is None:
            yield replace(cell, beaten_by=None)
            continue
        sure = tuple(name for name, other in whole.items() if surely_beats(other, own))
        yield replace(cell, beaten_by=sure or tuple(n for n, o in whole.items() if beats(o, own)), surely=bool(sure))
