"""The figures of a comparison, and how each stands to the full-precision cell's.

What may be related is decided in gate/comparable.py; the packages may differ, they are what is compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from benchgate.core import Metric
from benchgate.core.metrics import row_of
from benchgate.gate.comparable import BETWEEN_CELLS, comparable, data_of
from benchgate.gate.paired import ALPHA, bootstrap_difference, examples_of, mcnemar
from benchgate.results import Record
from benchgate.schemes import REFERENCE

FULL = REFERENCE["scheme"]
# Which runtime's full-precision cell is the reference, where there are several.
FIRST_RUNTIME = REFERENCE["runtime"]


@dataclass(frozen=True)
class Source:
    """One results file and its records that hold figures."""

    path: Path
    records: tuple[Record, ...]


@dataclass(frozen=True)
class Column:
    """One metric, of one operation where it depends on it, in one place (a machine or environment; "" for all)."""

    metric: str
    operation: str
    place: str


@dataclass(frozen=True)
class Relation:
    """A figure held against the reference's: a difference (absolute metrics) or a ratio; with `why_not` neither.

    `significant` is the paired test's answer on the single results, None where there are none; `test` its words.
    """

    change: float | None = None
    kind: Literal["difference", "ratio"] = "ratio"
    significant: bool | None = None
    test: str = ""
    why_not: str = ""


@dataclass(frozen=True)
class Figure:
    """One metric of one cell. `relation` is None for the reference itself, and where it has no such figure."""

    metric: Metric
    record: Record
    source: Source
    relation: Relation | None = None


@dataclass
class Line:
    """One cell with one set of parameters; `test` is named where one file measured it more than once."""

    cell: Mapping[str, str]
    params: Mapping[str, object]
    test: str = ""
    figures: dict[Column, Figure] = field(default_factory=dict)

    @property
    def parts(self) -> dict[str, str]:
        """The words that the line is called by."""
        return {
            **self.cell,
            **{name: str(value) for name, value in self.params.items()},
            **({"test": self.test} if self.test else {}),
        }


def reference_of(line: Line, lines: Iterable[Line]) -> Line | None:
    """The full-precision line of the same model, device and parameters: torch's, else the same runtime's, else any."""
    found = [
        other
        for other in lines
        if other.cell["scheme"] == FULL
        and (other.cell["model"], other.cell["device"]) == (line.cell["model"], line.cell["device"])
        and other.params == line.params
        and not other.test
    ]
    preferred = (FIRST_RUNTIME, line.cell["runtime"])
    found.sort(key=lambda other: preferred.index(other.cell["runtime"]) if other.cell["runtime"] in preferred else 2)
    return found[0] if found else None


def related(line: Line, lines: Sequence[Line]) -> Line:
    reference = reference_of(line, lines)
    others = [o for o in lines if o.cell["model"] == line.cell["model"] and o.params == line.params]
    figures = {}
    for column, figure in line.figures.items():
        anchor = _in_reference(column, reference) if reference is not None else None
        # Without a reference the first of the column, so that what does not belong together is still marked.
        other = anchor or next(o.figures[column] for o in others if column in o.figures)
        relation = None if other.record is figure.record else _relation(column, figure, other)
        if relation is not None and anchor is None and not relation.why_not:
            relation = None
        figures[column] = replace(figure, relation=relation)
    return replace(line, figures=figures)


def _in_reference(column: Column, reference: Line) -> Figure | None:
    """The reference's figure in the same place, or in another: sizes and accuracies are the same everywhere, and the
    rest is marked."""
    elsewhere = (f for c, f in reference.figures.items() if replace(c, place=column.place) == column)
    return reference.figures.get(column) or next(elsewhere, None)


def _relation(column: Column, figure: Figure, anchor: Figure) -> Relation:
    table_row = row_of(column.metric, figure.metric)
    if why_not := comparable(table_row, figure.record, anchor.record, BETWEEN_CELLS):
        return Relation(why_not=why_not)
    now, before = figure.metric.value, anchor.metric.value
    significant, test = _significance(column.metric, figure, anchor)
    if table_row.absolute:
        return Relation(now - before, "difference", significant, test)
    return Relation(now / before if before else None, "ratio", significant, test)


def _significance(name: str, figure: Figure, anchor: Figure) -> tuple[bool | None, str]:
    """(True where the single results differ by more than chance, the test in words): exact McNemar for hits, else the
    bootstrap of the mean. (None, "") where there are none to pair."""
    told = data_of(figure.record, name) is not None
    if not (told and figure.metric.examples and anchor.metric.examples):
        return None, ""
    before, after = examples_of(anchor.record, figure.record, name)
    if {*before, *after} <= {0.0, 1.0}:
        test = mcnemar(before, after)
        return test.p_value < ALPHA, str(test)
    change = bootstrap_difference(before, after)
    if change.low is None or change.high is None:
        return None, ""
    text = f"mean change {change.value:+.4g} [{change.low:+.4g}, {change.high:+.4g}], paired bootstrap"
    return not change.low <= 0 <= change.high, text


def marks(lines: Sequence[Line]) -> Iterator[tuple[str, str]]:
    """(mark, reason) for each reason for which a figure of these lines is not compared: [1], [2], ..."""
    reasons = dict.fromkeys(
        figure.relation.why_not
        for line in lines
        for figure in line.figures.values()
        if figure.relation is not None and figure.relation.why_not
    )
    for number, reason in enumerate(reasons, 1):
        yield f"[{number}]", reason
