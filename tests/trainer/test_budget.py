"""Minutes become steps, by a measurement, once."""

from __future__ import annotations

import json

import pytest

from benchgate.core import BenchgateError
from benchgate.trainer.budget import planned
from benchgate.trainer.sweep import Speed
from benchgate.trainer.train import Changes
from tests.trainer.tiny import LSTM


def fake_speed(monkeypatch, steps_per_s, status="ok"):
    asked = []

    def fake(model, changes, batches, on, steps):
        asked.append(batches)
        return [Speed(model.name, on[0], batches[0], 2, steps, steps_per_s, None, None, None, status=status)]

    monkeypatch.setattr("benchgate.trainer.budget.measure", fake)
    return asked


def test_minutes_become_steps_once(monkeypatch, benchgate_cache):
    asked = fake_speed(monkeypatch, 2.0)
    found = planned(LSTM, Changes(batch=4), "cpu", 10)
    assert (found.steps, found.evaluate_every, found.batch) == (1020, 170, 4)
    fake_speed(monkeypatch, 99.0)
    assert planned(LSTM, Changes(batch=4), "cpu", 10) == found, "a run that goes on keeps its plan"
    assert planned(LSTM, Changes(batch=4), "cpu", 20).steps > 2 * found.steps
    assert asked == [[4]]


@pytest.mark.parametrize(
    ("minutes", "speed", "said"),
    [
        (0, 1, "--minutes 0 must be above 0"),
        (float("nan"), 1, "--minutes nan must be above 0"),
        (1, 0.01, "--minutes 1: a step takes 100.0 s.*give more minutes or a smaller --batch"),
        (1, None, "no step worked, so there is no plan: out of memory"),
    ],
)
def test_minutes_that_cannot_be_planned_are_said(monkeypatch, benchgate_cache, minutes, speed, said):
    fake_speed(monkeypatch, speed, "out of memory")
    with pytest.raises(BenchgateError, match=said):
        planned(LSTM, Changes(), "cpu", minutes)


def test_a_damaged_plan_is_named(monkeypatch, benchgate_cache):
    fake_speed(monkeypatch, 2.0)
    planned(LSTM, Changes(), "cpu", 10)
    (path,) = (benchgate_cache / "trained").glob("*.plan.json")
    path.write_text("[]")
    with pytest.raises(BenchgateError, match=f"delete {path} for a new plan"):
        planned(LSTM, Changes(), "cpu", 10)
    path.write_text(json.dumps({}))
    with pytest.raises(BenchgateError, match=f"delete {path} for a new plan"):
        planned(LSTM, Changes(), "cpu", 10)
