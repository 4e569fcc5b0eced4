"""The metric table: what every row must have, and metrics made from it."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from benchgate.core import BenchgateError, Metric, UnknownName
from benchgate.core.metrics import GROUPS, OTHER, ROWS, TABLE, Row, add_row, group_order, metric, refusal, row_of
from benchgate.gate.comparable import NEEDS, PARTS
from benchgate.report.tables import HIDDEN

SUFFIX_UNITS = {"_s": "s", "_bytes": "B", "_w": "W", "_per_s": "/s"}


def test_every_name_is_there_once():
    assert len({row.name for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_has_a_group_a_direction_and_a_tolerance_that_can_be(row):
    assert row.group in GROUPS
    assert row.better in ("lower", "higher")
    assert row.title
    assert row.tolerance is None or 0 <= row.tolerance < 1


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_unit_is_in_the_name_of_everything_measured_in_si_units(row):
    suffix = next((s for s in ("_per_s", "_bytes", "_s", "_w") if row.name.endswith(s)), None)
    if suffix is None:
        assert row.unit not in ("s", "B", "W")
    else:
        assert row.unit.endswith(SUFFIX_UNITS[suffix])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_depends_on_the_machine_is_never_compared_across_machines(row):
    assert ("machine" in NEEDS[row.group]) is (row.group not in ("accuracy", "size"))


def test_every_group_says_what_must_be_equal():
    assert set(NEEDS) == set(GROUPS)
    assert {part for needed in NEEDS.values() for part in needed} == set(PARTS)


@pytest.mark.parametrize("name", ["top1", "ap", "exact_match", "rouge_l"])
def test_accuracies_have_absolute_tolerances(name):
    assert TABLE[name].absolute
    assert TABLE[name].better == "higher"


def test_only_rows_of_the_table_are_hidden():
    assert set(TABLE) >= HIDDEN


def test_metric_takes_unit_and_direction_from_the_table():
    assert metric("throughput_per_s", 3, n=7, method="counted") == Metric(3.0, "1/s", "higher", 7, method="counted")
    assert isinstance(metric("size_bytes", 3).value, float)


def test_metric_refuses_a_name_without_row():
    with pytest.raises(UnknownName, match=r"'latency' has no row; did you mean .*metric_row\(Row"):
        metric("latency", 1.0)


def test_a_suites_own_metric_gets_a_row_from_what_it_says_of_itself():
    row = row_of("spam_index", Metric(1.0, "spam", "lower"))
    assert (row.unit, row.better, row.title, row.tolerance) == ("spam", "lower", "spam index", None)
    assert row_of("top1", Metric(1.0, "percent", "lower")) is TABLE["top1"]


def test_a_suites_own_metric_is_gated_once_it_has_a_row(monkeypatch):
    monkeypatch.setattr("benchgate.core.metrics.TABLE", dict(TABLE))
    row = add_row(Row("spam_recall", "1", "higher", "accuracy", "recall", 0.01))
    assert row_of("spam_recall", Metric(1.0, "1", "higher")) is row
    assert add_row(Row("spam_recall", "1", "higher", "accuracy", "recall", 0.01)) == row


@pytest.mark.parametrize(
    ("row", "absolute"),
    [
        (Row("spam", "1", "higher", "accuracy", "spam", 0.05), True),
        (Row("spam", "1", "higher", "accuracy", "spam", 0.05, absolute=False), False),
        (Row("spam", "1", "lower", "accuracy", "spam", 0.05), False),
        (Row("spam", "points", "higher", "accuracy", "spam", 0.05), False),
        (Row("spam", "1", "higher", "throughput", "spam", 0.05), False),
        (Row("spam", "1", "lower", "accuracy", "spam", 0.05, absolute=True), True),
    ],
)
def test_the_tolerance_of_an_accuracy_is_a_difference_unless_the_row_says_otherwise(row, absolute):
    assert row.absolute is absolute
    assert dataclasses.replace(row, tolerance=0.1).absolute is absolute


def test_an_unregistered_metric_is_no_accuracy_and_any_group_may_be_made():
    assert row_of("spam_index", Metric(1.0, "spam", "lower")).group == OTHER
    own = Row("spam_g", "g", "lower", "footprint", "CO2", 0.1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchgate.core.metrics.TABLE", dict(TABLE))
        assert add_row(own) is own


def test_a_group_of_ones_own_comes_last_in_the_order():
    assert sorted(["footprint", "size", OTHER, "time"], key=group_order) == ["time", "size", OTHER, "footprint"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (Row("top1", "1", "higher", "accuracy", "mine"), "has a row already"),
        (Row("spam", "1", "higher", "acuracy", "spam"), "did you mean 'accuracy'"),
        (Row("spam", "1", "higher", "", "spam"), "has no group"),
        (Row("spam", "1/s", "higher", "throughput", "spam", tolerance=1), "never fails, got 1"),
        (Row("spam", "s", "lower", "time", "spam", tolerance=-0.1), "a number >= 0"),
    ],
)
def test_a_row_that_cannot_be_added(row, said):
    with pytest.raises(BenchgateError, match=said):
        add_row(row)


@pytest.mark.parametrize(
    ("name", "fields", "said"),
    [
        ("latency_median_s", {"value": -1e-9}, "latency_median_s is -1e-09 s, which cannot be below 0"),
        ("size_bytes", {"value": -1}, "size_bytes is -1 B, which cannot be below 0"),
        ("top1", {"value": float("nan")}, "top1 is nan"),
        ("top1", {"value": 1, "low": float("nan")}, "top1 low is nan"),
        ("top1", {"value": 1, "high": float("inf")}, "top1 high is inf"),
        ("top1", {"value": 1, "examples": (1.0, float("nan"))}, "top1 has single results that are not finite"),
        ("ap", {"value": 1, "resamples": (1.0, float("nan"))}, "ap has single results that are not finite"),
        ("latency_median_s", {"value": 0}, None),
        ("kl_mean", {"value": -1e-9}, None),
        ("log_perplexity_delta", {"value": -0.5}, None),
        ("of_my_own", {"value": -3}, None),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_measured(name, fields, said):
    known = TABLE.get(name)
    unit, better = (known.unit, known.better) if known else ("1", "lower")
    assert refusal(name, Metric(unit=unit, better=better, **fields)) == said


def test_a_metric_holds_plain_numbers_whatever_the_scorer_returned():
    found = Metric(np.float32(0.5), "1", "higher", np.int64(3), np.float64(0.25), np.float32(1), examples=np.ones(2))
    assert json.loads(json.dumps(found.as_dict())) == {
        "value": 0.5, "unit": "1", "better": "higher", "n": 3, "low": 0.25, "high": 1.0, "method": "", "examples": "1 1"
    }  # fmt: skip
    assert found.examples == (1.0, 1.0)
