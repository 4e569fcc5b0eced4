"""Change points: found where a figure moved, by how much, and none where it only scatters."""

from __future__ import annotations

import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.core import BenchgateError
from benchgate.core.metrics import TABLE
from benchgate.gate.change_points import course
from benchmarks.history_alarms import NOISES, alarms

ROW = TABLE["latency_median_s"]
# Scatters by 1 % around 1, without a pattern.
QUIET = [1.004, 0.991, 1.007, 0.998, 1.012, 0.989, 1.001, 0.995, 1.009, 0.993, 1.003, 0.997]


@pytest.fixture(autouse=True)
def _ruptures() -> None:
    pytest.importorskip("ruptures", reason="ruptures is not installed; pip install 'benchgate[history]'")


@pytest.mark.parametrize(
    ("name", "values", "told"),
    [
        ("latency_median_s", QUIET, []),
        ("latency_median_s", [*QUIET, *(1.2 * v for v in QUIET)], [(12, 0.2, True)]),
        ("latency_median_s", [*QUIET, *(1.2 * v for v in QUIET[:3])], [(12, 0.2, True)]),
        ("latency_median_s", [*QUIET, *(0.8 * v for v in QUIET)], [(12, -0.2, False)]),
        ("throughput_per_s", [*QUIET, *(0.8 * v for v in QUIET)], [(12, -0.2, True)]),
        ("latency_median_s", [*QUIET, *(1.2 * v for v in QUIET), *QUIET], [(12, 0.2, True), (24, -1 / 6, False)]),
        ("latency_median_s", [1e-9 * v for v in (*QUIET, *(1.2 * v for v in QUIET))], [(12, 0.2, True)]),
        # One bad run is no change.
        ("latency_median_s", [*QUIET[:6], 3.0, *QUIET[6:]], []),
        ("latency_median_s", [*QUIET, 3.0], []),
        # What repeats exactly: the first other value is a change, be it the newest.
        ("size_bytes", [100.0, 101.0], [(1, 0.01, True)]),
        ("size_bytes", [100.0] * 5, []),
        ("top1", [0.5, 0.5, 0.5, 0.48], [(3, -0.02, True)]),
        ("top1", [0.0, 0.0, 0.0, 0.1, 0.1], [(3, 0.1, False)]),
        ("kl_mean", [-1e-9, -1e-9, -1e-9, 0.5], [(3, 0.5, True)]),
        ("size_bytes", [0.0, 0.0, 0.0], []),
        ("size_bytes", [5.0, 5.0, 6.0, 5.0], [(2, 0.2, True), (3, -1 / 6, False)]),
    ],
)
def test_steps(name: str, values: list[float], told: list[tuple[int, float, bool]]) -> None:
    found = course(values, TABLE[name])

    assert found.reason == ""
    assert [(step.at, step.is_worse) for step in found.steps] == [(at, worse) for at, _, worse in told]
    for step, (_, change, _) in zip(found.steps, told, strict=True):
        assert step.change == pytest.approx(change, abs=0.011)
    assert found.is_relative == (name not in ("top1", "kl_mean") and min(values) > 0)


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("latency_median_s", [], "too few runs: 0 of 8"),
        ("latency_median_s", [1.0, 2.0], "too few runs: 2 of 8"),
        ("latency_median_s", QUIET[:7], "too few runs: 7 of 8"),
        ("size_bytes", [1.0], "too few runs: 1 of 2"),
    ],
)
def test_too_few_runs_are_said(name: str, values: list[float], reason: str) -> None:
    found = course(values, TABLE[name])
    assert (found.reason, found.steps, found.scatter) == (reason, (), None)


def test_eight_runs_are_enough() -> None:
    assert course(QUIET[:8], ROW).reason == ""
    assert [step.at for step in course([*QUIET[:4], *(1.2 * v for v in QUIET[:4])], ROW).steps] == [4]


@pytest.mark.parametrize("noise", NOISES)
def test_false_alarms_on_noise_alone_are_rare(noise: str) -> None:
    """At most 1 % of the lines; seeded. docs/history.md has the rates by more of them."""
    assert alarms(noise, runs=12, trials=300) <= 3


@given(st.lists(st.floats(1e-9, 1e9), min_size=8, max_size=25), st.floats(1e-3, 1e3))
def test_the_unit_does_not_matter(values: list[float], factor: float) -> None:
    ours, scaled = course(values, ROW), course([factor * value for value in values], ROW)
    assert ours.scatter == pytest.approx(scaled.scatter, rel=1e-3, abs=1e-9)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=20), st.sampled_from([ROW, TABLE["top1"]]))
def test_any_figures_have_a_course(values: list[float], row: object) -> None:
    found = course(values, row)  # type: ignore[arg-type]
    ends = [0, *(step.at for step in found.steps), len(values)]
    assert ends == sorted(set(ends)) or not values
    assert bool(found.reason) == (found.scatter is None)


def test_a_step_within_scatter_is_told_by_its_medians() -> None:
    (step,) = course([*QUIET, *(1.5 * v for v in QUIET)], ROW).steps
    assert step.after / step.before - 1 == pytest.approx(step.change)
    assert math.isclose(step.change, 0.5, rel_tol=1e-6)


def test_without_ruptures_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ruptures", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BenchgateError, match=r"pip install 'benchgate\[history\]'"):
        course(QUIET, ROW)
