"""The records that a run is held against, and which of them counts for one metric."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchgate.core.metrics import Row
from benchgate.results import Record


@dataclass(frozen=True)
class Promoted:
    """The baseline that a project made its reference: `records` of several runs of one commit.

    `identity` is its name and content, for the record of who was held against it.
    """

    name: str
    commit: str
    identity: str
    records: Sequence[Record]

    @property
    def label(self) -> str:
        return f"promoted baseline {self.name!r} ({self.commit})"


@dataclass(frozen=True)
class Baselines:
    """Records to compare with, oldest first.

    `newest`: they are the runs that were stored here, and of each cell and metric the newest comparable one counts,
    with the drift since the first. Else they are files that were named: the median of what is comparable in them.
    `promoted` is what every run is held against too, so that small steps cannot pass: by the median of its runs.
    """

    records: Sequence[Record] = ()
    newest: bool = False
    promoted: Promoted | None = None

    def __iter__(self) -> Iterator[Record]:
        """All records, the promoted ones too: their cells can be gone."""
        return itertools.chain(self.records, self.promoted.records if self.promoted else ())

    def of(self, key: str) -> list[Record]:
        """Those of one cell that passed, or were accepted: a red run that was saved is no baseline."""
        return [record for record in self.records if record.key == key and record.is_baseline]

    def reference(self, name: str, comparable: Sequence[Record]) -> float:
        """The value that a metric is held against, of the records that may be compared (at least one)."""
        values = [record.metrics[name].value for record in comparable]
        return values[-1] if self.newest else statistics.median(values)


def anchor(row: Row, comparable: Sequence[Record]) -> float:
    """The value that small changes add up from: that of the oldest comparable run.

    An accepted run and one that improved by more than the tolerance start anew: what was accepted is no drift, and
    an improvement must not be lost again in small steps.
    """
    first, *later = comparable
    found = first.metrics[row.name].value
    for record in later:
        value = record.metrics[row.name].value
        if record.outcome == "accepted" or worse_by(row, value, found) < 0:
            found = value
    return found


def worse_by(row: Row, now: float, reference: float) -> int:
    """1 where `now` is worse than `reference` by more than the tolerance and the noise, -1 where better, else 0."""
    worse = now - reference if row.better == "lower" else reference - now
    allowed = row.tolerance or 0.0
    limit = max(allowed if row.absolute else allowed * abs(reference), row.slack, row.noise * abs(reference))
    # The room lets a change of exactly the tolerance pass in spite of binary fractions.
    room = 1e-12 * max(abs(now), abs(reference))
    if worse > limit + room:
        return 1
    return -1 if -worse > limit + room else 0
