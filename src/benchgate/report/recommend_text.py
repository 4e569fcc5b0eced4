"""A recommendation as text for people, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from benchgate.core.units import human, three_digits
from benchgate.report.dominance import Reading
from benchgate.report.escape import visible
from benchgate.report.grid import Grid, rendered
from benchgate.report.recommend import Check, Judged, Recommendation, absences
from benchgate.report.recommend_cells import Unknown
from benchgate.report.recommend_words import Limit, Wanted

FRONT = (
    "front: yes = no cell is better in every column; no = one is, and the intervals bear it; open = one is by its "
    "values, the intervals do not bear it; ? = a figure is missing"
)

# Units of which a bound is read back as it is told.
TYPED = frozenset({"s", "B", "J", "W"})


def as_text(found: Sequence[Recommendation], width: int) -> str:
    """The answers first, below each its table."""
    return "\n".join(_one(answer, width) for answer in found)


def as_json(found: Sequence[Recommendation]) -> str:
    """A list of answers with every figure, its interval and each check."""
    return json.dumps([_plain(answer) for answer in found], indent=1) + "\n"


def _one(answer: Recommendation, width: int) -> str:
    lines = "".join(f"{visible(line)}\n" for line in said(answer))
    return f"{lines}\n{rendered([as_grid(answer)], 'terminal', width)}"


def as_grid(answer: Recommendation) -> Grid:
    """Return the cells with each figure that was asked for, whether none is better, and whether the limits are kept."""
    return Grid("", *_table(answer), (FRONT,))


def said(answer: Recommendation) -> Iterator[str]:
    """Yield the answer in lines: what is `decided`, and what is left `undecided`."""
    yield from decided(answer)
    yield from undecided(answer)


def decided(answer: Recommendation) -> Iterator[str]:
    """Yield the question, the decision, why, and what would change it."""
    asked = ", ".join(f"{m.wanted} {_sign(m)} {told(m.bound, m.wanted)}" for m in answer.limits) or "nothing"
    yield f"{answer.model} {answer.device}: best {answer.by} ({_direction(answer)} is better) of what keeps: {asked}"
    if answer.winner:
        yield f"ship: {answer.winner}"
    elif any(cell.kept == "cannot say" for cell in answer.cells):
        yield "cannot say: no cell is shown to keep this, and not all are shown to break it"
    else:
        yield "nothing keeps this"
    yield from _why(answer)
    yield from _changes(answer)


def undecided(answer: Recommendation) -> Iterator[str]:
    """Yield a line for each cell that might be better and cannot be told, and for each reason why others are absent."""
    for cell in answer.undecided:
        yield f"cannot say: {cell.candidate.name}: {'; '.join(_undecided(cell))}"
    yield from (f"not measured: {line}" for line in absences(answer.absent.values()))


def _why(answer: Recommendation) -> Iterator[str]:
    if not answer.winner:
        return
    if not answer.next:
        yield "why: it is the only one that is shown to keep it"
    elif answer.lead is None:
        yield f"why: better in {answer.by} than the next, {answer.next}"
    else:
        lead = answer.lead
        ends = "" if lead.low == lead.high else f" [{three_digits(lead.low)}, {three_digits(lead.high)}]"
        factor = f"{three_digits(lead.value)}x{ends}"
        apart = "" if answer.told_apart else "; their intervals meet: not told apart"
        yield f"why: {answer.by} {factor} of the next, {answer.next}{apart}"


def _changes(answer: Recommendation) -> Iterator[str]:
    change = answer.change
    if change is None:
        yield "no other bounds give another answer" if answer.limits else "no limits were given"
        return
    to = change.to or "no cell is shown to keep it then"
    news = " and ".join(
        f"{_typed(limit, bound)} (now {told(limit.bound, limit.wanted)})" for limit, bound in change.limits
    )
    yield f"would change the answer: {news}: {to}"


def _undecided(cell: Judged) -> Iterator[str]:
    open_checks = [check for check in cell.checks if check.kept == "cannot say"]
    for check in open_checks:
        yield _open(cell, check)
    if not open_checks:
        yield cell.why


def _open(cell: Judged, check: Check) -> str:
    figure = cell.candidate.figures[check.limit.wanted]
    if isinstance(figure, Unknown):
        return check.why
    group = check.limit.wanted.row.group
    unit = "examples" if group == "accuracy" else "rounds"
    more = f"measure about {check.more:,} more {unit}" if check.more else f"no number of {unit} can be told"
    limit = check.limit
    return f"{limit.wanted} {_with_interval(figure, limit.wanted)}, limit {told(limit.bound, limit.wanted)}: {more}"


def _with_interval(figure: Reading, wanted: Wanted) -> str:
    return f"{told(figure.value, wanted)} [{told(figure.low, wanted)}, {told(figure.high, wanted)}]"


def told(value: float, wanted: Wanted) -> str:
    """A figure for people; a loss in percent."""
    return f"{100 * value:.3g}%" if wanted.lost else human(value, wanted.unit)


def _typed(limit: Limit, bound: float) -> str:
    """The option with another bound, to be typed as it stands."""
    unit = limit.wanted.unit
    plain = unit not in TYPED and not limit.wanted.lost
    text = f"{bound:g}" if plain else told(bound, limit.wanted).replace(" ", "").replace(",", "")
    between = " " if limit.option == "--max-loss" else "="
    return f"{limit.option}{between}{text}"


def _table(answer: Recommendation) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    columns = ("cell", *map(str, answer.shown), "front", "keeps it")
    order = {"yes": 0, "cannot say": 1, "no": 2}
    cells = sorted(answer.cells, key=lambda c: (c.candidate.name != answer.winner, order[c.kept], c.candidate.name))
    return columns, tuple(
        (
            cell.candidate.name,
            *(_entry(cell.candidate.figures[one], one) for one in answer.shown),
            _front(cell),
            # The lines above the table have why it cannot be said.
            f"no: {', '.join(_names(cell))}" if cell.kept == "no" else cell.kept,
        )
        for cell in cells
    )


def _entry(figure: Reading | Unknown, wanted: Wanted) -> str:
    if isinstance(figure, Unknown):
        return "~" if figure.reason.startswith("disturbed") else "-"
    return told(figure.value, wanted)


def _front(cell: Judged) -> str:
    if cell.beaten_by is None:
        return "?"
    if not cell.beaten_by:
        return "yes"
    return "no" if cell.surely else "open"


def _names(cell: Judged) -> list[str]:
    return [str(check.limit.wanted) for check in cell.checks if check.kept == cell.kept]


def _sign(limit: Limit) -> str:
    return "<=" if limit.at_most else ">="


def _direction(answer: Recommendation) -> str:
    return answer.by.row.better


def _plain(answer: Recommendation) -> dict[str, Any]:
    change = answer.change
    return {
        "model": answer.model,
        "device": answer.device,
        "by": _key(answer.by),
        "limits": [{"figure": _key(m.wanted), "at_most": m.at_most, "bound": m.bound} for m in answer.limits],
        "answer": "ship" if answer.winner else "cannot say" if answer.undecided else "nothing",
        "winner": answer.winner or None,
        "next": answer.next or None,
        "lead": _figure(answer.lead),
        "told_apart": answer.told_apart,
        "change": change
        and {
            "bounds": {limit.option: bound for limit, bound in change.limits},
            "looser": change.looser,
            "to": change.to or None,
        },
        "undecided": {cell.candidate.name: [*_undecided(cell)] for cell in answer.undecided},
        "cells": [_cell(cell) for cell in answer.cells],
        "not_measured": dict(answer.absent),
    }


def _cell(cell: Judged) -> dict[str, Any]:
    return {
        "scheme": cell.candidate.scheme,
        "runtime": cell.candidate.runtime,
        "keeps": cell.kept,
        "why": cell.why or None,
        "front": _front(cell),
        "beaten_by": cell.beaten_by,
        "figures": {_key(one): _figure(figure) for one, figure in cell.candidate.figures.items()},
        "more_needed": {_key(c.limit.wanted): c.more for c in cell.checks if c.kept == "cannot say"},
    }


def _figure(figure: Reading | Unknown | None) -> dict[str, Any] | None:
    if figure is None:
        return None
    if isinstance(figure, Unknown):
        return {"unknown": figure.reason}
    return {"value": figure.value, "low": figure.low, "high": figure.high, "n": figure.n}


def _key(wanted: Wanted) -> str:
    name = f"{wanted.operation}.{wanted.metric}" if wanted.operation else wanted.metric
    return f"loss({name})" if wanted.lost else name
