"""Names that the hooks of every suite share with those of suites that have cells. Imports nothing but the core."""

from __future__ import annotations

from dataclasses import fields

from benchgate.core import Cell

AXES = tuple(axis.name for axis in fields(Cell))
# The name under which the hooks of suites with cells are registered with pytest.
CELLS = "benchgate-cells"
# The same for the hooks and the fixtures of data.
DATA, FIXTURES = "benchgate-data", "benchgate-data-fixtures"
# Where a worker of pytest-xdist leaves the reason why its cells are not measured, for the controller.
REFUSAL = "benchgate_refusal"
