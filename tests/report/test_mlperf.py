"""LoadGen's names, what is missing, and that it is no MLPerf result."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchgate.core import BenchgateError
from benchgate.core.metrics import metric
from benchgate.report.mlperf import summary
from tests.report.test_stored_formats import a_run


def lines(record):
    return dict(line.split(" : ", 1) for line in summary([record], ()).splitlines() if " : " in line)


def test_a_cell_is_a_single_stream_and_says_what_it_lacks():
    found = lines(a_run())
    assert found["SUT name"] == "spam fp32 torch cpu call"
    assert found["Scenario"] == "SingleStream"
    assert found["90.0th percentile latency (ns)"] == "not measured: n=20: a 99 % bound for P90 needs n >= 64"
    assert found["Result is"] == "not an MLPerf result"
    assert found["Min duration satisfied"] == "not known"
    assert found["Min queries satisfied"] == "No (20 of 1024 queries)"
    assert summary([a_run()], ()).startswith("Not an MLPerf result: ")


def test_nanoseconds_and_minima_at_their_limits():
    times = {name: metric(name, 0.6, n=1024) for name in ("latency_median_s", "latency_mean_s", "latency_p90_s")}
    found = lines(replace(a_run(), metrics=times, missing={}))
    assert found["90.0th percentile latency (ns)"] == "600000000"
    assert found["Min duration satisfied"] == "Yes (614.4 of 600 s)"
    assert found["Min queries satisfied"] == "Yes (1024 of 1024 queries)"
    assert found["99.00 percentile latency (ns)"] == "not measured: not asked for"


def test_more_than_one_item_a_call_is_a_multi_stream():
    found = lines(replace(a_run(), params={"batch": 8}))
    assert found["Scenario"] == "MultiStream"
    assert "99.0th percentile latency (ns)" in found


def test_disturbed_and_failed_are_said_and_no_times_is_an_error():
    found = lines(replace(a_run(), details={"disturbed": ["a neighbour"]}, outcome="failed", reason="floor"))
    assert (found["Disturbed"], found["Test failed"]) == ("a neighbour", "floor")
    with pytest.raises(BenchgateError, match="no times in these results"):
        summary([replace(a_run(), metrics={})], ())
