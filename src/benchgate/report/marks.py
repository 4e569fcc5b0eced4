"""Marks beside the figures of a sheet: best, beaten, and what makes a figure doubtful."""

from __future__ import annotations

from collections.abc import Mapping

from benchgate.core.metrics import MODELLED, Row
from benchgate.gate.disturbed import MARK as DISTURBED
from benchgate.gate.disturbed import disturbance
from benchgate.report.dominance import Reading, ahead, apart, beats
from benchgate.report.merged import Figure, Merged, Sheet

BEST, BEATEN, ESTIMATE, UNDECIDABLE, FAILS, FAILED, INCOMPARABLE = "*", ".", "^", "?", "!", "x", "n/c"
# Groups of metrics of which a row must be no better in any to be beaten.
KINDS = 2
# In the legend's order; only those that occur are in it.
WORDS: Mapping[str, str] = {
    BEST: "best",
    BEATEN: "beaten by another row",
    DISTURBED: "disturbed",
    ESTIMATE: "estimate",
    UNDECIDABLE: "undecidable",
    FAILS: "below its floor",
    FAILED: "failed",
    INCOMPARABLE: "not comparable",
}


def legend(found: set[str]) -> str:
    """One line that names the marks that were drawn; empty for none."""
    return "  ".join(f"{mark} {said}" for mark, said in WORDS.items() if mark in found)


def doubts(figure: Figure) -> str:
    """The marks of one figure by itself."""
    floors = [f for f in figure.record.details.get("floors", ()) if f.get("metric") == figure.row.name]
    answers = {floor.get("answer") for floor in floors}
    marks = {
        DISTURBED: disturbance(figure.row, figure.record) is not None,
        ESTIMATE: figure.row.name in MODELLED,
        UNDECIDABLE: "undecidable" in answers,
        FAILS: "fails" in answers,
        FAILED: not figure.record.passed,
    }
    return "".join(mark for mark, holds in marks.items() if holds)


def best(sheet: Sheet, column: Row) -> set[int]:
    """Indexes of the rows with the best figure of a column; none where there is nothing to choose between.

    A disturbed or estimated figure, one of a cell that failed, one at other sizes and one that is not comparable with
    the reference's decide nothing.
    """
    rows = enumerate(sheet.rows)
    sure = {i: found for i, row in rows if not row.words and (found := _deciding(sheet, row, column)) is not None}
    top = {i for i, found in sure.items() if not any(ahead(other, found) for other in sure.values())}
    return top if len(top) < len(sure) else set()


def beaten(sheet: Sheet) -> set[int]:
    """Indexes of the rows that another one beats: no worse in all that decides, surely better in something.

    Judged on every headline metric, whatever the width shows. A row can be beaten only where a figure of each group
    that any row has says so: one that was timed alone, or disturbed, may be the best of all. Where all figures are of
    one group nobody is beaten: what is slower may be worth it, and nothing here tells.
    """
    found = [{} if row.words else _figures(sheet, row) for row in sheet.rows]
    groups = {figure.row.group for row in sheet.rows for figure in row.figures.values()}
    if len(groups) < KINDS:
        return set()
    judged = {i for i, figures in enumerate(found) if {column.group for column in figures} == groups}
    return {i for i in judged if any(_beats(ours, found[i]) for ours in found if ours is not found[i])}


def _figures(sheet: Sheet, row: Merged) -> dict[Row, Reading]:
    found = {column: _deciding(sheet, row, column) for column in sheet.columns}
    return {column: figure for column, figure in found.items() if figure is not None}


def _beats(ours: Mapping[Row, Reading], theirs: Mapping[Row, Reading]) -> bool:
    if not theirs.keys() <= ours.keys():
        return False
    pairs = [(ours[column], theirs[column]) for column in theirs]
    return beats(*zip(*pairs, strict=True)) and any(apart(a, b) for a, b in pairs)


def _deciding(sheet: Sheet, row: Merged, column: Row) -> Reading | None:
    """The row's figure with its interval, without one as wide as anything where it is of times, exact otherwise; None
    for a figure that decides nothing."""
    figure = row.figures.get(column.name)
    if figure is None or set(doubts(figure)) & {DISTURBED, ESTIMATE, FAILED}:
        return None
    if sheet.held_against(row, column)[1] is not None:
        return None
    low, high, value = figure.metric.low, figure.metric.high, figure.metric.value
    if low is None or high is None:
        scatters = column.group in ("time", "throughput", "energy")
        low, high = (float("-inf"), float("inf")) if scatters else (value, value)
    return Reading(value, low, high, column.better)
