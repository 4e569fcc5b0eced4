"""Times held against stored ones: noise explains a part of any change, and a worse hour looks like a worse version.

A time that is worse than its tolerance and than what the machine's noise explains is *suspicious*: side by side decides
it. It fails only where the project declares that its machine is quiet. Which of both holds, and the noise, is put into
the record that is measured (policy.resolved).
"""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from typing import Any, Literal

from benchgate.core import BenchgateError, unknown_name
from benchgate.core.metrics import Row
from benchgate.core.stats import student_t
from benchgate.gate.side_by_side.rule import ASSUMED, Noise

StoredTimes = Literal["suspect", "fail"]
SUSPECT: StoredTimes = "suspect"
RULES: tuple[StoredTimes, ...] = (SUSPECT, "fail")
GROUPS = frozenset({"time", "throughput"})
# Share of changes that noise makes and that lie beyond what it explains, each side.
TAIL = 0.005
# No calibration makes a change by more than this factor normal; what is read from a file may be any number.
FACTOR = 100.0


def as_stored(row: Row, rule: StoredTimes, noise: Noise) -> Row:
    """The row as it goes into a record: a time with the change that `noise` explains and the rule; others as they are.

    Of a machine that is declared quiet no noise is assumed: the project's tolerance holds until it is calibrated.
    """
    if row.group not in GROUPS or row.tolerance is None:
        return row
    believed = rule == SUSPECT or noise != ASSUMED
    return replace(row, noise=explained(noise, row.better) if believed else 0.0, suspect=rule == SUSPECT)


@functools.cache
def explained(noise: Noise, better: str) -> float:
    """The relative change for the worse that `noise` makes of a version held against itself, in all but TAIL of runs.

    The noise is that of pairs measured in turn. Runs that are days apart differ by more, and nobody knows by how much.
    """
    far = min(student_t(1 - TAIL, noise.df) * math.hypot(noise.pair_sd, noise.zygote_sd), math.log(FACTOR))
    return math.expm1(far) if better == "lower" else -math.expm1(-far)


def parse_rule(raw: Any, where: str) -> StoredTimes:
    """The rule of this name. Raises BenchgateError naming `where` for anything else."""
    for rule in RULES:
        if raw == rule:
            return rule
    raise BenchgateError(f"{where}: {unknown_name('rule', str(raw), RULES)}")
