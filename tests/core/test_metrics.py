"""The metric table: what every row must have, and metrics made from it."""

from __future__ import annotations

import pytest

from benchgate.core import BenchgateError, Metric
from benchgate.core.metrics import GROUPS, ROWS, TABLE, Row, add_row, metric, row_of
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
    assert row.across_machines is (row.group in ("accuracy", "size"))


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
    with pytest.raises(KeyError, match="latency"):
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
    ("row", "said"),
    [
        (Row("top1", "1", "higher", "accuracy", "mine"), "has a row already"),
        (Row("spam", "1", "higher", "acuracy", "spam"), "did you mean 'accuracy'"),
    ],
)
def test_a_row_that_cannot_be_added(row, said):
    with pytest.raises(BenchgateError, match=said):
        add_row(row)
