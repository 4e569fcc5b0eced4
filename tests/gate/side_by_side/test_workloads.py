"""The built-in work: it does the same each time, and a slowed copy takes its share longer."""

from __future__ import annotations

import numpy as np
import pytest

from benchgate.gate.side_by_side import workloads
from benchgate.gate.side_by_side.timed import Prepared
from benchgate.gate.side_by_side.workloads import WORKLOADS, slowed


@pytest.mark.parametrize("name", WORKLOADS)
def test_each_call_gives_the_same(name):
    call = WORKLOADS[name].load()
    assert np.array_equal(call(), call())
    assert np.isfinite(call()).all()


@pytest.mark.parametrize("how", ["spin", "sleep"])
@pytest.mark.parametrize("share", [0.02, 0.10])
def test_a_slowed_call_takes_its_share_longer(monkeypatch, how, share):
    now, slept = [0.0], [0.0]

    def clock() -> float:
        now[0] += 1e-6
        return now[0]

    def sleep(seconds: float) -> None:
        slept[0] += seconds

    def call() -> str:
        now[0] += 0.010
        return "answer"

    monkeypatch.setattr(workloads.time, "thread_time", clock)
    monkeypatch.setattr(workloads.time, "sleep", sleep)
    longer = slowed(lambda: call, share, how)()
    assert longer() == "answer"
    spun, asleep = now[0] - 0.010, slept[0]
    if how == "sleep":
        assert asleep == pytest.approx(0.010 * share - workloads.LATE_S, abs=1e-6)
        assert spun == pytest.approx(0.0, abs=8e-6)
    else:
        assert spun == pytest.approx(0.010 * share, abs=8e-6)
        assert asleep == 0.0


def test_what_stands_around_a_call_stands_around_the_slowed_one():
    around = Prepared(lambda: None, lambda: None, lambda: None)
    found = slowed(lambda: around, 0.05, "spin")()
    assert isinstance(found, Prepared)
    assert (found.prepare, found.watch) == (around.prepare, around.watch)
    assert found.call is not around.call
