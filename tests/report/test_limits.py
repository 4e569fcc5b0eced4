"""The answer of a search for a limit: its table, verdict, map and picture."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from benchgate.core import BenchgateError
from benchgate.executors.limits import Limit, Trial
from benchgate.measuring.limit_search import Outcome, Plan, search
from benchgate.report.limits import map_table, table, verdict
from benchgate.report.limits_plot import draw
from tests.builders import a_record

BUDGETS = {"memory": 1000.0, "latency": 1.0}


def limit(base: float = 100.0, slope: float = 10.0, growth: float | None = None, **changed: Any) -> Limit:
    """A search over a cell whose memory is a line; beyond the budget it is out of memory."""
    trials: list[Trial] = []

    def trial(value: int) -> Outcome:
        need = base + slope * value
        fits = need <= BUDGETS["memory"]
        outcome = Outcome(fits, {"memory": need, "latency": value / 1e4} if fits else {})
        figures = {"latency_median_s": value / 1e4, "throughput_per_s": 1e4, "peak_private_bytes": need} if fits else {}
        record = a_record(figures, params={"batch": value}, outcome="passed" if fits else "oom")
        ended, reason = ("fits", "") if fits else ("oom", "can't allocate memory")
        trials.append(Trial(value, outcome, ended, reason, record, growth if fits else None))
        return outcome

    found = search(trial, BUDGETS, Plan())
    made = Limit("batch", "call", found, tuple(trials), BUDGETS, "--memory", "private memory was limited")
    return replace(made, **changed)


def test_the_table_has_a_row_a_trial_in_order_of_value():
    made = limit()
    grid = table("a cell", "batch", made.trials, verdict(made))
    values = [row[0] for row in grid.rows]
    assert values == sorted(trial.value for trial in made.trials)
    assert "swapped" not in grid.columns
    assert {row[1] for row in grid.rows} == {"fits", "oom"}


def test_the_verdict_says_what_was_found_foretold_and_limited():
    lines = verdict(limit())
    assert lines[0].startswith("batch 90 fits, 91 does not (oom: can't allocate memory)")
    assert lines[1].startswith(
        "predicted 90 from the first 4 trials, found 90 (+0.0%): memory = 100 B + 10.0 B x batch"
    )
    assert "budget: memory 1 kB and latency 1 s (--memory); private memory was limited" in lines[2]


def test_what_makes_it_doubtful_is_said():
    said = " ".join(verdict(limit(growth=4e6)))
    assert "leaks: private memory grows by 4 MB a round at batch 1" in said


def test_a_value_that_fits_in_one_process_only_is_said():
    made = limit()
    found = replace(made.found, again={91: Outcome(True)})
    assert "not sharp: batch 91 fitted in one process and not in another" in " ".join(
        verdict(replace(made, found=found))
    )
    assert "not sharp" not in " ".join(verdict(made))


def test_nothing_fits_by_how_much():
    lines = verdict(limit(base=5000.0, needed=5010.0))
    assert lines[0].startswith(
        "nothing fits: batch 1 does not (oom: can't allocate memory); it needs 5.01 kB, 4.01 kB more"
    )


def test_where_nothing_larger_was_tried_it_is_said():
    made = limit(slope=1e-9)
    assert "fits; nothing larger was tried within 10 trials" in verdict(made)[0]


def test_where_the_cell_itself_ends_first_the_prediction_is_held_against_nothing():
    """A model's longest context is no budget's doing."""
    made = limit()
    own = tuple(replace(t, ended="refused", reason="too long") if not t.outcome.fits else t for t in made.trials)
    said = verdict(replace(made, trials=own))[1]
    assert said.startswith("predicted 90 from the first 4 trials for memory, which is not what ended it: memory =")
    assert "%" not in said


def test_a_map_has_the_ceiling_for_each_value_of_the_second_axis():
    grid = map_table("a cell", "batch", "context", {64: limit(), 128: limit(slope=20.0), 256: limit(base=5000.0)})
    assert [row[:2] for row in grid.rows] == [(64, 90), (128, 45), (256, None)]


def test_a_picture_is_drawn_and_another_kind_refused(tmp_path):
    pytest.importorskip("matplotlib")
    path = draw(limit(), "a cell", tmp_path / "limits.svg")
    text = path.read_text(encoding="utf-8")
    assert "<svg" in text
    with pytest.raises(BenchgateError, match="the name must end in"):
        draw(limit(), "a cell", tmp_path / "limits.txt")
