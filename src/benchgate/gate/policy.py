"""Tolerances: the metric table's, the project's, a cell's, a mark's; resolved once, into the record that is measured.

The gate reads them from the record, so that `benchgate gate` on two files says the same as the run that wrote them,
whatever folder it is called from and whichever metrics this process knows.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from benchgate.core import BenchgateError, unknown_name
from benchgate.core.metrics import TABLE, Row, bad_tolerance, row_of
from benchgate.results import Record


@dataclass(frozen=True)
class Policy:
    """Tolerances: the table's, overridden by `tolerances` (metric -> value) and then by `cells` (glob -> those)."""

    tolerances: Mapping[str, float] = field(default_factory=dict)
    cells: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def tolerance(self, key: str, row: Row, own: Mapping[str, float]) -> float | None:
        """The tolerance of one metric of one cell: the mark's (`own`), the cell's, the project's, the table's."""
        # Node ids end in [...]: brackets stand for themselves, only * and ? are wild.
        matching = [values for glob, values in self.cells.items() if fnmatch.fnmatchcase(key, glob.replace("[", "[[]"))]
        for source in (own, *reversed(matching), self.tolerances):
            if row.name in source:
                return source[row.name]
        return row.tolerance


def resolved(record: Record, policy: Policy, own: Mapping[str, float] | None = None) -> Record:
    """The record with the row of each of its metrics and its missing ones, tolerances as they hold for this cell.

    `own` are the tolerances of its test's mark.
    """
    known = {name: row_of(name, metric) for name, metric in record.metrics.items()}
    known |= {name: TABLE[name] for name in record.missing if name in TABLE}
    rows = {n: replace(row, tolerance=policy.tolerance(record.key, row, own or {})) for n, row in known.items()}
    return replace(record, rows=rows)


def parse_policy(raw: Any, where: str) -> Policy:
    """`[tool.benchgate.gate]` as a Policy: metric = tolerance, and `cells."glob"` tables of the same.

    Raises BenchgateError naming the entry for an unknown metric or a tolerance that is no number >= 0, or that no
    change could exceed.
    """
    if not isinstance(raw, Mapping):
        raise BenchgateError(f"{where}: must be a table, got {raw!r}")
    cells = raw.get("cells", {})
    if not isinstance(cells, Mapping):
        raise BenchgateError(f"{where}.cells: must be a table of glob = tolerances, got {cells!r}")
    own = {name: value for name, value in raw.items() if name != "cells"}
    return Policy(
        parse_tolerances(own, where),
        {glob: parse_tolerances(values, f'{where}.cells."{glob}"') for glob, values in cells.items()},
    )


def parse_tolerances(raw: Any, where: str) -> dict[str, float]:
    """metric -> tolerance >= 0. Raises BenchgateError for anything else; names outside the table are typing errors."""
    if not isinstance(raw, Mapping):
        raise BenchgateError(f"{where}: must be a table of metric = tolerance, got {raw!r}")
    for name, value in raw.items():
        if name not in TABLE:
            raise BenchgateError(f"{where}: {unknown_name('metric', name, sorted(TABLE))}")
        if reason := bad_tolerance(TABLE[name], value):
            raise BenchgateError(f"{where}.{name}: {reason}")
    return {name: float(value) for name, value in raw.items()}
