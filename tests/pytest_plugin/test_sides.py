"""How two versions of a cell are compared: the project's tolerance, and what is known of this machine's noise."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchgate.gate.policy import Policy
from benchgate.gate.side_by_side import calibrated
from benchgate.gate.side_by_side.rule import ASSUMED, RULE
from benchgate.pytest_plugin.sides import TIME_METRIC, setup_of
from tests.executors.sides import ASKED

TEST = "test_a.py::test_b[m-fp32-r-cpu]"


@pytest.mark.parametrize(
    ("policy", "own", "margin"),
    [
        (Policy(), {}, RULE.margin),
        (Policy({TIME_METRIC: 0.1}), {}, 0.1),
        (Policy({TIME_METRIC: 0.1}), {TIME_METRIC: 0.05}, 0.05),
        (Policy(cells={"*fp32*": {TIME_METRIC: 0.2}}), {}, 0.2),
        (Policy({"size_bytes": 0.3}), {}, RULE.margin),
    ],
)
def test_a_tolerance_that_somebody_wrote_is_the_margin(policy: Policy, own: dict[str, float], margin: float) -> None:
    rule = setup_of(policy, TEST, ASKED, own).rule

    assert rule.margin == margin
    assert rule.excluded - rule.margin == pytest.approx(RULE.excluded - RULE.margin)


def test_the_noise_is_that_of_the_cell_and_its_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    loud = replace(ASSUMED, pair_sd=0.07)
    monkeypatch.setattr(calibrated, "noise_for", lambda name, machine: {"m-fp32-r-cpu answer": loud}[name])

    assert setup_of(Policy(), TEST, ASKED, {}).noise == loud
