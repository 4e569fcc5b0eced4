"""Tolerances: the metric table's, the project's, a cell's, a mark's; resolved once, into the record that is measured.

With them go the noise of its times and the rule that holds for them (stored_times.py). The gate reads them from the
record, so that `benchgate gate` on two files says the same as the run that wrote them, whatever folder it is called
from and whichever metrics this process knows.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from benchgate.core import BenchgateError, unknown_name
from benchgate.core.metrics import TABLE, Row, bad_tolerance, row_of
from benchgate.gate.side_by_side.rule import ASSUMED, Noise
from benchgate.gate.stored_times import SUSPECT, StoredTimes, as_stored, parse_rule
from benchgate.results import Record

STORED_TIMES = "stored_times"
# What may stand in the table beside tolerances.
SETTINGS = ("cells", STORED_TIMES)


@dataclass(frozen=True)
class Policy:
    """Tolerances: the table's, overridden by `tolerances` (metric -> value) and then by `cells` (glob -> those).

    `stored_times` says whether a time that is worse than a stored one fails: only where the project calls its machine
    quiet.
    """

    tolerances: Mapping[str, float] = field(default_factory=dict)
    cells: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    stored_times: StoredTimes = SUSPECT

    def tolerance(self, key: str, row: Row, own: Mapping[str, float]) -> float | None:
        """The tolerance of one metric of one cell: the mark's (`own`), the cell's, the project's, the table's."""
        said = self.said(key, row.name, own)
        return row.tolerance if said is None else said

    def said(self, key: str, name: str, own: Mapping[str, float]) -> float | None:
        """The tolerance that somebody wrote down for this metric of this cell, None where that is nobody."""
        # Node ids end in [...]: brackets stand for themselves, only * and ? are wild.
        matching = [values for glob, values in self.cells.items() if fnmatch.fnmatchcase(key, glob.replace("[", "[[]"))]
        for source in (own, *reversed(matching), self.tolerances):
            if name in source:
                return source[name]
        return None


def resolved(record: Record, policy: Policy, own: Mapping[str, float] | None = None, noise: Noise = ASSUMED) -> Record:
    """The record with the row of each of its metrics and its missing ones, tolerances as they hold for this cell.

    `own` are the tolerances of its test's mark, `noise` that of this machine for this cell.
    """
    known = {name: row_of(name, metric) for name, metric in record.metrics.items()}
    known |= {name: TABLE[name] for name in record.missing if name in TABLE}
    rows = {
        name: as_stored(
            replace(row, tolerance=policy.tolerance(record.key, row, own or {})), policy.stored_times, noise
        )
        for name, row in known.items()
    }
    return replace(record, rows=rows)


def parse_policy(raw: Any, where: str) -> Policy:
    """`[tool.benchgate.gate]` as a Policy: metric = tolerance, `cells."glob"` tables of the same, `stored_times`.

    Raises BenchgateError naming the entry for an unknown metric or rule, or a tolerance that is no number >= 0, or that
    no change could exceed.
    """
    if not isinstance(raw, Mapping):
        raise BenchgateError(f"{where}: must be a table, got {raw!r}")
    cells = raw.get("cells", {})
    if not isinstance(cells, Mapping):
        raise BenchgateError(f"{where}.cells: must be a table of glob = tolerances, got {cells!r}")
    own = {name: value for name, value in raw.items() if name not in SETTINGS}
    return Policy(
        parse_tolerances(own, where, SETTINGS),
        {glob: parse_tolerances(values, f'{where}.cells."{glob}"') for glob, values in cells.items()},
        parse_rule(raw.get(STORED_TIMES, SUSPECT), f"{where}.{STORED_TIMES}"),
    )


def parse_tolerances(raw: Any, where: str, others: Sequence[str] = ()) -> dict[str, float]:
    """metric -> tolerance >= 0. Raises BenchgateError for anything else; names outside the table are typing errors.

    `others` are what else may stand there, for the near matches.
    """
    if not isinstance(raw, Mapping):
        raise BenchgateError(f"{where}: must be a table of metric = tolerance, got {raw!r}")
    for name, value in raw.items():
        if name not in TABLE:
            raise BenchgateError(f"{where}: {unknown_name('metric', name, [*sorted(TABLE), *others])}")
        if reason := bad_tolerance(TABLE[name], value):
            raise BenchgateError(f"{where}.{name}: {reason}")
    return {name: float(value) for name, value in raw.items()}
