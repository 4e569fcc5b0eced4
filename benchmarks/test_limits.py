"""The limits of the embedded models under 2 GiB: found within ten trials and two minutes, the same twice, as foretold.

    pytest benchmarks/test_limits.py --full -s          prints each search's table and verdict

Detectors and rewriters are searched where their packages and weights are; a rewriter is trained by `benchgate train`.
"""

from __future__ import annotations

import time

import pytest

from benchgate import registration
from benchgate.core import Cell, models
from benchgate.executors.limits import Wanted, find
from benchgate.measuring.resolved import resolve
from benchgate.report.grid import rendered
from benchgate.report.limits import table, verdict

pytestmark = pytest.mark.full
MEMORY = 2 * 2**30
TRIALS, SECONDS = 10, 120
REPEATABLE, FORETOLD = 0.05, 0.15
WIDE = 160
# (model, axis, operation, sizes held)
SEARCHES = (
    ("smollm2-135m", "batch", "prefill", {}),
    ("smollm2-135m", "context", "prefill", {}),
    ("smollm2-135m", "batch", "decode", {}),
    ("yolov3-tiny", "batch", "inference", {}),
    ("rewrite-t5", "batch", "reformulate", {}),
)


@pytest.mark.parametrize(("model", "axis", "operation", "held"), SEARCHES)
def test_a_limit_is_found_soon_again_and_as_foretold(model, axis, operation, held, pytestconfig, capsys):
    registration.load_project(pytestconfig.rootpath)
    of = resolve(Cell(model, "fp32", "torch", "cpu"))
    if reason := of.missing():
        pytest.skip(reason)
    limits = []
    for _ in range(2):
        start = time.monotonic()
        limit = find(of, Wanted(axis, operation, held, memory=MEMORY, trials=TRIALS))
        took = time.monotonic() - start
        limits.append(limit)
        with capsys.disabled():
            print("\n" + rendered([table(str(of.cell), axis, limit.trials, verdict(limit))], "terminal", WIDE))
            print(f"{len(limit.trials)} trials, {took:.0f} s")
    first, second = (limit.found for limit in limits)
    assert models[model].name == model
    assert all(len(limit.trials) <= TRIALS and limit.found.settled for limit in limits)
    assert first.largest == pytest.approx(second.largest, rel=REPEATABLE)
    if first.forecast is not None and first.trials[max(first.trials)].excess is None:
        assert first.forecast.value == pytest.approx(first.largest, rel=FORETOLD)
