"""The figures that a recommendation asks of each scheme on each runtime, merged from all that measured it.

A figure that is missing, disturbed, without an interval or not comparable with the reference's is Unknown, with the
reason: it can be neither kept nor broken, and it wins nothing.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from benchgate.core import BenchgateError, DataError
from benchgate.core.metrics import row_of
from benchgate.gate.comparable import BETWEEN_CELLS, comparable
from benchgate.gate.disturbed import disturbance
from benchgate.report.dominance import Reading
from benchgate.report.headline import headline_rows
from benchgate.report.losses import loss
from benchgate.report.merged import OF_THE_CELL, Place, Sizes, by_place, place_of
from benchgate.report.recommend_words import Wanted
from benchgate.report.relations import Line, reference_of
from benchgate.results import Record

# Sizes, peaks of memory and counted operations: what is told is there, without an interval.
EXACT_GROUPS = ("size", "memory")
EXACT_UNITS = ("FLOP",)


@dataclass(frozen=True)
class Unknown:
    """The reason why a figure of a cell cannot be told."""

    reason: str


@dataclass(frozen=True)
class Told:
    """A figure, and the record whose single results stand behind it."""

    figure: Reading | Unknown
    record: Record | None = None


@dataclass(frozen=True)
class Candidate:
    """One scheme on one runtime, with each figure that was asked for."""

    scheme: str
    runtime: str
    figures: Mapping[Wanted, Reading | Unknown]

    @property
    def name(self) -> str:
        return f"{self.scheme} {self.runtime}"

    def reading(self, wanted: Wanted) -> Reading | None:
        """The figure where it is known, else None."""
        found = self.figures[wanted]
        return found if isinstance(found, Reading) else None


class Measured:
    """The records of one model on one device, in one order whatever the order of the files."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.records = sorted(records, key=_order)
        self._sizes = Sizes(self.records)
        self.by_cell = by_place(sorted(self.records, key=place_of))
        # Cells without any figure, each with the reason.
        self.absent = {
            cell: _absent("", own, ()) for cell, own in self.by_cell.items() if not any(r.metrics for r in own)
        }
        for cell in self.absent:
            del self.by_cell[cell]
        self.references = self._references()

    def has(self, metric: str) -> bool:
        return any(metric in record.metrics for record in self.records)

    def headline(self, groups: Sequence[str]) -> str:
        """The task's headline metric of these groups that most cells have, the first of equal ones; "" for none."""
        names = [row.name for row in headline_rows(self.records) if row.group in groups]
        cells = {name: sum(any(name in r.metrics for r in own) for own in self.by_cell.values()) for name in names}
        return max(names, key=cells.__getitem__, default="")

    def main_operation(self, metric: str) -> str:
        """The operation whose figure a summary shows where several have the metric: the task's first; "" for one."""
        having = [record for record in self.records if metric in record.metrics]
        if len({record.operation for record in having}) < 2:
            return ""
        return self._sizes.source(row_of(metric, having[0].metrics[metric]), having) or ""

    def candidates(self, wanted: Iterable[Wanted], at: Mapping[str, str]) -> list[Candidate]:
        """All of them, with these figures. `at` are parameters of what was timed, by name.

        Raises BenchgateError where the figures are of several operations or parameters, and nothing says which.
        """
        found: dict[Place, dict[Wanted, Reading | Unknown]] = {cell: {} for cell in self.by_cell}
        for one in dict.fromkeys(wanted):
            chosen = self._chosen(one, at)
            anchor = self._anchor(chosen)
            figures = {cell: self._told(one.metric, cell, chosen, anchor) for cell in self.by_cell}
            for cell in self.by_cell:
                found[cell][one] = self._lost(one.metric, cell, figures) if one.lost else figures[cell].figure
        return [Candidate(*cell, figures) for cell, figures in found.items()]

    def _references(self) -> dict[Place, Place]:
        """The cell that each one is held against."""
        lines = {cell: Line(own[0].cell, {}) for cell, own in self.by_cell.items()}
        places = {id(line): cell for cell, line in lines.items()}
        found = {cell: reference_of(line, lines.values()) for cell, line in lines.items()}
        return {cell: places[id(line)] for cell, line in found.items() if line is not None}

    def _anchor(self, chosen: Sequence[Record]) -> Record | None:
        """The record that all others must be comparable with: a reference's where it has the metric."""
        good = [record for record in chosen if record.is_baseline]
        references = set(self.references.values())
        return next((record for record in good if place_of(record) in references), next(iter(good), None))

    def _chosen(self, wanted: Wanted, at: Mapping[str, str]) -> list[Record]:
        """The records that have the metric, of one operation and one set of parameters."""
        having = [r for r in self.records if wanted.metric in r.metrics]
        if not having or row_of(wanted.metric, having[0].metrics[wanted.metric]).group in OF_THE_CELL:
            return having
        having = [r for r in having if wanted.operation in ("", r.operation) and self._sizes.are_at(r, at)]
        # Defaults that somebody wrote out are the same sizes, and comparable.
        having = [replace(r, params=self._sizes.asked(r)) for r in having]
        # What was measured at other sizes beside those that `at` names comes last.
        having = [r for r in having if r.params.keys() <= at.keys()] or having
        operations = sorted({r.operation for r in having})
        if len(operations) > 1:
            choices = ", ".join(f"{operation}.{wanted.metric}" for operation in operations)
            raise BenchgateError(f"{wanted.metric} was measured of several operations; write one of {choices}")
        params = sorted({json.dumps(dict(r.params), sort_keys=True, default=str) for r in having})
        if len(params) > 1:
            raise BenchgateError(
                f"{wanted.metric} was measured at several parameters: {', '.join(params)}; say which with "
                "--at NAME=VALUE"
            )
        return having

    def _told(self, metric: str, cell: Place, chosen: Sequence[Record], anchor: Record | None) -> Told:
        """One figure of all that measured it: the middle value, and an interval that holds all of theirs."""
        own = [record for record in chosen if place_of(record) == cell]
        good = [record for record in own if record.is_baseline]
        if not good or anchor is None:
            return Told(Unknown(_absent(metric, self.by_cell[cell], own)))
        row = row_of(metric, anchor.metrics[metric])
        reasons = [comparable(row, record, anchor, BETWEEN_CELLS) for record in good]
        fitting = [record for record, reason in zip(good, reasons, strict=True) if reason is None]
        if not fitting:
            return Told(Unknown(f"not comparable: {reasons[0]}"))
        quiet = [record for record in fitting if disturbance(row, record) is None]
        if not quiet:
            return Told(Unknown(f"disturbed: {disturbance(row, fitting[0])}"))
        if reason := next((r for other in quiet[1:] if (r := comparable(row, other, quiet[0]))), None):
            return Told(Unknown(f"measured more than once, not comparable: {reason}"))
        return Told(_middle(metric, quiet), quiet[0])

    def _lost(self, metric: str, cell: Place, figures: Mapping[Place, Told]) -> Reading | Unknown:
        anchor = self.references.get(cell)
        if anchor is None:
            return Unknown("no fp32 cell of this model in these files to lose against; measure it too")
        ours, theirs = figures[cell], figures[anchor]
        for told, whose in ((ours, ""), (theirs, "the reference's: ")):
            if isinstance(told.figure, Unknown):
                return Unknown(whose + told.figure.reason)
        if anchor == cell:
            return Reading.exact(0.0, "lower")
        assert isinstance(ours.figure, Reading)
        assert isinstance(theirs.figure, Reading)
        assert ours.record is not None
        assert theirs.record is not None
        try:
            return loss(theirs.record, ours.record, metric, ours.figure, theirs.figure)
        except DataError as error:
            return Unknown(str(error))


def _middle(metric: str, quiet: Sequence[Record]) -> Reading | Unknown:
    found = [reading for record in quiet if (reading := _reading(metric, record)) is not None]
    if not found:
        n = max(record.metrics[metric].n for record in quiet)
        return Unknown(f"no interval from n={n}: measure more (--benchmark-max-time=60)")
    value = statistics.median(reading.value for reading in found)
    low, high = min(reading.low for reading in found), max(reading.high for reading in found)
    return Reading(value, low, high, found[0].better, max(reading.n for reading in found))


def _reading(metric: str, record: Record) -> Reading | None:
    """The record's figure, None where it has no interval and needs one, or is an estimate."""
    found = record.metrics[metric]
    row = row_of(metric, found)
    if "estimate" in found.method:
        return None
    if found.low is not None and found.high is not None:
        return Reading(found.value, min(found.low, found.value), max(found.high, found.value), found.better, found.n)
    exact = row.group in EXACT_GROUPS or row.unit in EXACT_UNITS
    return Reading.exact(found.value, found.better) if exact else None


def _absent(metric: str, own: Sequence[Record], records: Sequence[Record]) -> str:
    """The reason why no record of a passed test has the metric."""
    if records:
        return f"its test {records[0].outcome}: {records[0].reason}".removesuffix(": ")
    told = next((record.missing[metric] for record in own if metric in record.missing), None)
    if told is not None:
        return f"missing: {told}"
    out = next((record for record in own if not record.metrics and record.reason), None)
    return f"{out.outcome}: {out.reason}" if out is not None else "not measured"


def _order(record: Record) -> str:
    return json.dumps([record.key, record.as_dict()], sort_keys=True, default=str)
