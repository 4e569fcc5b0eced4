"""The metrics that a report shows first: stated by the task, else sensible."""

from __future__ import annotations

import pytest

from benchgate import registration
from benchgate.core import tasks
from benchgate.core.headline import COMMON, HasHeadline
from benchgate.core.metrics import TABLE, Row
from benchgate.report.headline import headline_rows
from tests.builders import a_record

registration.load_builtin()


class Stated:
    name, unit, headline = "stated", "things", ("top5", "top1", "energy_j_per_call")


class Plain:
    name, unit = "plain", "things"


def names(*records):
    return [row.name for row in headline_rows(records)]


@pytest.fixture(autouse=True)
def two_tasks():
    with tasks.extended(Stated(), Plain()):
        yield


def test_a_task_states_its_headline_and_what_was_not_measured_is_left_out():
    details = {"task": "stated"}
    assert names(a_record({"top1": 0.5, "latency_median_s": 1.0, "top5": 0.6}, details=details)) == ["top5", "top1"]


def test_energy_and_what_a_suite_measures_of_its_own_come_after_what_the_task_states(monkeypatch):
    monkeypatch.setitem(TABLE, "cold_start_s", Row("cold_start_s", "s", "lower", "time", "cold start"))
    measured = {"cold_start_s": 2.0, "modelled_energy_j_per_call": 3.0, "power_w": 4.0, "top1": 0.5, "ap": 0.1}
    found = names(a_record(measured, details={"task": "stated"}))
    assert found == ["top1", "modelled_energy_j_per_call", "cold_start_s"]


@pytest.mark.parametrize("task", ["plain", "of somebody else's", None])
def test_a_task_that_states_none_has_its_first_scores_and_what_everybody_looks_at(task):
    measured = {"peak_rss_bytes": 3.0, "latency_median_s": 1.0, "top1": 0.5, "top5": 0.6, "top10": 0.7}
    found = names(a_record(measured, operation="unheard of", details={"task": task}))
    assert found == ["top1", "top5", "latency_median_s", "peak_rss_bytes"]


def test_where_nothing_of_a_stated_headline_was_measured_it_is_the_sensible_one():
    assert names(a_record({"latency_median_s": 1.0}, details={"task": "stated"})) == ["latency_median_s"]


def test_records_of_before_they_named_a_task_have_that_of_their_operations():
    """`generate` is an operation of two tasks."""
    of_a_language_model = a_record({"ttft_s": 1.0, "perplexity": 9.0}, operation="generate")
    assert names(of_a_language_model) == ["perplexity", "ttft_s"]
    assert names(a_record({"exact_match": 0.2, "latency_p95_s": 1.0}, operation="generate")) == [
        "exact_match",
        "latency_p95_s",
    ]


def test_metrics_of_all_records_count():
    one, two = (a_record({name: 0.5}, details={"task": "stated"}) for name in ("top1", "top5"))
    assert names(one, two) == ["top5", "top1"]
    assert names() == []


def test_what_our_tasks_state_is_in_the_metric_table():
    stated = [name for task in tasks.values() if isinstance(task, HasHeadline) and task.name != "stated"
              for name in task.headline]  # fmt: skip
    assert len(stated) > 20
    assert {*stated, *COMMON} <= set(TABLE)
