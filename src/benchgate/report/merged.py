"""Records of one model on one device merged into rows that one can choose between: a scheme on a runtime.

A row has the figures of all its operations at their default sizes. What was measured at other sizes, and operations
that give no headline figure, are rows of their own that a short view folds away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchgate.core import Metric, Task, axes, operations
from benchgate.core.metrics import Row
from benchgate.gate.comparable import BETWEEN_CELLS, comparable
from benchgate.report.headline import headline_rows, metrics_of, task_of_records
from benchgate.results import Record
from benchgate.schemes import REFERENCE

# They belong to the cell, whatever was timed.
OF_THE_CELL = ("accuracy", "size")
# (scheme, runtime)
Place = tuple[str, str]


@dataclass(frozen=True)
class Figure:
    """One metric of a merged row and the record that it is from."""

    row: Row
    metric: Metric
    record: Record


@dataclass(frozen=True)
class Merged:
    """One scheme on one runtime. `words` are the sizes or the operation of a row beside the plain one, else empty."""

    scheme: str
    runtime: str
    words: str
    figures: Mapping[str, Figure]


@dataclass(frozen=True)
class Sheet:
    """The rows of one model on one device, the reference first; `columns` the most important first.

    `others` are the rows that a short view folds away, `folded` the names of what makes them others, in order.
    """

    model: str
    device: str
    file: str
    columns: Sequence[Row]
    rows: Sequence[Merged]
    others: Sequence[Merged]
    folded: Sequence[str]

    @property
    def reference(self) -> Merged:
        return self.rows[0]

    def held_against(self, row: Merged, column: Row) -> tuple[Figure | None, str | None]:
        """(the reference's figure, the reason why the row's is not comparable with it); (None, None) for none."""
        ours, theirs = row.figures.get(column.name), self._beside(row).get(column.name)
        if ours is None or theirs is None or ours.record is theirs.record:
            return None, None
        return theirs, comparable(column, ours.record, theirs.record, BETWEEN_CELLS)

    def _beside(self, row: Merged) -> Mapping[str, Figure]:
        """The figures of the reference at the row's own sizes."""
        mine = self.reference.scheme, self.reference.runtime, row.words
        found = (r for r in (*self.rows, *self.others) if (r.scheme, r.runtime, r.words) == mine)
        return next((r.figures for r in found), {})


def sheets(records: Sequence[Record], files: Sequence[str] = ()) -> Iterator[Sheet]:
    """A sheet for each model and device with figures, in the order of the records; of each file where there are
    several."""
    named = list(zip(records, files or [""] * len(records), strict=True))
    measured = [(record, file) for record, file in named if record.metrics]
    places = dict.fromkeys((file, record.cell["model"], record.cell["device"]) for record, file in measured)
    for file, model, device in places:
        own = [r for r, of in measured if (of, r.cell["model"], r.cell["device"]) == (file, model, device)]
        yield _sheet(own, file)


def _sheet(records: Sequence[Record], file: str) -> Sheet:
    sizes = Sizes(records)
    records = [replace(record, params=sizes.asked(record)) for record in records]
    columns = headline_rows(records)
    plain = by_place(r for r in records if sizes.are_plain(r))
    sources = {row.name: sizes.source(row, records) for row in columns}
    rows, used = [], set()
    for cell, own in by_place(records).items():
        merged = _merged(columns, own, plain.get(cell, ()), sources)
        if merged:
            rows.append(Merged(*cell, "", merged))
            used |= {id(figure.record) for figure in merged.values()}
    others = list(_others(columns, [r for r in records if id(r) not in used], sizes))
    lonely = [other for other in others if (other.scheme, other.runtime) not in {(r.scheme, r.runtime) for r in rows}]
    rows += lonely
    rows.sort(key=lambda row: (row.scheme, row.runtime) != (REFERENCE["scheme"], REFERENCE["runtime"]))
    left = [other for other in others if other not in lonely]
    names = dict.fromkeys(word.partition("=")[0] for other in left for word in other.words.split())
    place = records[0].cell
    return Sheet(place["model"], place["device"], file, columns, rows, left, tuple(names))


def by_place(records: Iterable[Record]) -> dict[Place, list[Record]]:
    """The records of each scheme on each runtime, in their order."""
    found: dict[Place, list[Record]] = {}
    for record in records:
        found.setdefault(place_of(record), []).append(record)
    return found


def place_of(record: Record) -> Place:
    """Scheme and runtime, which is what one chooses between for a model on a device."""
    return record.cell["scheme"], record.cell["runtime"]


def _merged(
    columns: Sequence[Row], own: Sequence[Record], plain: Sequence[Record], sources: Mapping[str, str | None]
) -> dict[str, Figure]:
    """A cell's figures by metric: of the operation that is the column's source, at plain sizes; scores and sizes on
    disk of any of its records."""
    figures = {}
    for row in columns:
        if row.group in OF_THE_CELL:
            having = [record for record in (*plain, *own) if row.name in record.metrics]
        else:
            having = [r for r in plain if row.name in r.metrics and r.operation == sources[row.name]]
        if having:
            figures[row.name] = Figure(row, having[0].metrics[row.name], having[0])
    return figures


def _others(columns: Sequence[Row], left: Sequence[Record], sizes: Sizes) -> Iterator[Merged]:
    """Rows of what was not merged: a cell's at one set of sizes, all operations together."""
    found: dict[tuple[str, str, str], dict[str, Figure]] = {}
    for record in left:
        named = {
            row.name: Figure(row, record.metrics[row.name], record) for row in columns if row.name in record.metrics
        }
        key = *place_of(record), sizes.words(record)
        found[key] = {**named, **found.get(key, {})}
    yield from (Merged(*key, figures) for key, figures in found.items())


class Sizes:
    """The sizes that were asked of each operation: which are plain, and words for the rest."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._task = task_of_records(records, metrics_of(records))
        self._plain: dict[str, Mapping[str, Any]] = {}
        for record in records:
            asked = self.asked(record)
            known = self._plain.setdefault(record.operation, asked)
            if known and not asked:
                self._plain[record.operation] = asked

    def are_plain(self, record: Record) -> bool:
        """True at the operation's default sizes, or, where nothing was measured at them, at those measured first."""
        return self.asked(record) == self._plain[record.operation]

    def source(self, row: Row, records: Sequence[Record]) -> str | None:
        """The operation that a column's figures are of: the first of the task's that has the metric."""
        having = dict.fromkeys(r.operation for r in records if row.name in r.metrics and self.are_plain(r))
        return next((name for name in [*_names(self._task), *having] if name in having), None)

    def words(self, record: Record) -> str:
        """The sizes beside the default ones, else the operation."""
        asked = self.asked(record)
        return " ".join(f"{name}={value}" for name, value in asked.items()) or record.operation

    def asked(self, record: Record) -> dict[str, Any]:
        """The record's parameters without those that are the operation's defaults."""
        defaults = self._defaults(record)
        return {name: value for name, value in record.params.items() if defaults.get(name, self) != value}

    def are_at(self, record: Record, at: Mapping[str, str]) -> bool:
        """True where the parameters, those left out by their defaults, have these values, as text."""
        whole = {**self._defaults(record), **record.params}
        return all(str(whole.get(name)) == value for name, value in at.items())

    def _defaults(self, record: Record) -> Mapping[str, int]:
        known = operations(self._task) if self._task is not None else {}
        return axes(self._task, known[record.operation]) if self._task and record.operation in known else {}


def _names(task: Task | None) -> Sequence[str]:
    return list(operations(task)) if task is not None else []
