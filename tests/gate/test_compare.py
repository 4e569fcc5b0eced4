"""The gate: verdicts at the tolerance and one past it, what may be compared with what, and which baseline counts."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.core import Metric
from benchgate.core.metrics import TABLE
from benchgate.gate import compare as gate
from benchgate.gate.baselines import Baselines
from benchgate.gate.findings import Finding, failing
from benchgate.gate.policy import Policy, resolved
from tests.builders import KEY, MACHINE, a_record, nextafter

GATED = [name for name, row in TABLE.items() if row.tolerance is not None]
OTHER = {**MACHINE, "cpu": "Other CPU"}
QUIET = Policy(stored_times="fail")


def compared(now, *baselines, policy=None, own=None) -> list[Finding]:
    """What a run says of `now` that is held against named files, on a machine that is declared quiet."""
    return gate.compare(resolved(now, policy or QUIET, own), Baselines(baselines))


def verdict(name, baseline, now, **options) -> str:
    (finding,) = compared(a_record({name: now}), a_record({name: baseline}), **options)
    return finding.kind


@pytest.mark.parametrize(
    ("name", "baseline", "now", "kind"),
    [
        # lower is better, 20 % of the baseline
        ("latency_median_s", 1.0, 1.2, "unchanged"),
        ("latency_median_s", 1.0, 1.2000001, "regressed"),
        ("latency_median_s", 1.0, 0.8, "unchanged"),
        ("latency_median_s", 1.0, 0.7999999, "improved"),
        ("latency_median_s", 1e-9, 1.2e-9, "unchanged"),
        ("latency_median_s", 1e-9, 1.21e-9, "regressed"),
        # higher is better, 20 % of the baseline
        ("throughput_per_s", 100.0, 80.0, "unchanged"),
        ("throughput_per_s", 100.0, 79.9999, "regressed"),
        ("throughput_per_s", 100.0, 120.0, "unchanged"),
        ("throughput_per_s", 100.0, 120.0001, "improved"),
        # accuracies: 0.01 absolute, however small the baseline is
        ("top1", 0.50, 0.49, "unchanged"),
        ("top1", 0.50, 0.4899, "regressed"),
        ("top1", 0.50, 0.51, "unchanged"),
        ("top1", 0.50, 0.5101, "improved"),
        ("top1", 0.02, 0.0101, "unchanged"),
        ("top1", 0.02, 0.0099, "regressed"),
        # exact: not one more
        ("images_excluded", 3.0, 3.0, "unchanged"),
        ("images_excluded", 3.0, 4.0, "regressed"),
        ("images_excluded", 3.0, 2.0, "improved"),
        # a baseline of zero has no relative room
        ("latency_median_s", 0.0, 0.0, "unchanged"),
        ("latency_median_s", 0.0, 1e-9, "regressed"),
        ("throughput_per_s", 0.0, 1.0, "improved"),
        ("top1", 0.0, 0.0, "unchanged"),
        # but rounding that leaves 1e-12 nat for 0
        ("kl_mean", 0.0, 1e-12, "unchanged"),
        ("kl_mean", 0.0, 1e-6, "unchanged"),
        ("kl_mean", 0.0, 1.01e-6, "regressed"),
        ("kl_mean", -1e-9, 1e-9, "unchanged"),
        ("peak_native_bytes", 150e3, 1.2e6, "unchanged"),
        ("peak_native_bytes", 10e6, 12.2e6, "regressed"),
        ("peak_native_bytes", 500e6, 526e6, "regressed"),
        ("size_bytes", 1000.0, 1010.0, "unchanged"),
        ("size_bytes", 1000.0, 1011.0, "regressed"),
    ],
)
def test_verdict_at_the_tolerance_and_just_past_it(name, baseline, now, kind):
    assert verdict(name, baseline, now) == kind


@pytest.mark.parametrize("now", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", ["latency_median_s", "top1"])
def test_a_figure_that_is_no_number_is_never_unchanged_or_better(name, now):
    assert verdict(name, 0.5, now) == "regressed"


@pytest.mark.parametrize("name", ["latency_p99_s", "first_call_s", "latency_std_s", "power_w"])
def test_a_metric_without_tolerance_is_shown_and_never_fails(name):
    (finding,) = compared(a_record({name: 100.0}), a_record({name: 1.0}))
    assert (finding.kind, finding.now, finding.baseline) == ("informative", 100.0, 1.0)
    assert not failing([finding], strict=True)


def test_a_metric_without_tolerance_is_gated_when_the_project_gives_one():
    assert verdict("latency_p99_s", 1.0, 1.2, policy=Policy({"latency_p99_s": 0.1}, stored_times="fail")) == "regressed"


def test_a_suites_own_metric_is_shown_and_not_gated():
    now, before = (
        dataclasses.replace(a_record(), metrics={"spam_index": Metric(v, "1", "higher")}) for v in (0.1, 0.9)
    )
    (finding,) = compared(now, before)
    assert (finding.kind, finding.now, finding.baseline) == ("informative", 0.1, 0.9)


# What may be compared with what


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"machine": OTHER}, "other machine: cpu Quiet CPU 9000 -> Other CPU"),
        ({"machine": {**MACHINE, "gpu": "H100"}}, "other machine: gpu not recorded -> H100"),
        ({"packages": {"torch": "2.10"}}, "other packages: torch 2.9 -> 2.10"),
        ({"details": {"threads": 8}}, "other threads: 4 -> 8"),
    ],
)
@pytest.mark.parametrize("name", ["latency_median_s", "throughput_per_s", "peak_rss_bytes", "energy_j_per_call"])
def test_times_memory_and_energy_of_another_machine_are_not_compared(name, changed, said):
    (finding,) = compared(a_record({name: 9.0}, **changed), a_record({name: 1.0}))
    assert finding == Finding("not compared", KEY, name, 9.0, tolerance=TABLE[name].tolerance, reason=said)
    assert not failing([finding])
    assert failing([finding], strict=True)


@pytest.mark.parametrize(("name", "now"), [("size_bytes", 2.0), ("top1", 0.5), ("perplexity", 2.0), ("ap", 0.5)])
def test_sizes_and_accuracies_are_compared_across_machines(name, now):
    (finding,) = compared(a_record({name: now}, machine=OTHER), a_record({name: 1.0}))
    assert finding.kind == "regressed"


def test_only_the_baselines_of_this_machine_count_for_a_time():
    baselines = [a_record({"latency_median_s": 9.0}, machine=OTHER), a_record({"latency_median_s": 1.0})]
    (finding,) = compared(a_record({"latency_median_s": 2.0}), *baselines)
    assert (finding.kind, finding.baseline) == ("regressed", 1.0)


def test_a_metric_that_this_machine_cannot_measure_is_not_compared_with_one_that_could():
    record = a_record({"top1": 1.0}, machine=OTHER, missing={"energy_j_per_call": "no counters"})
    baseline = a_record({"top1": 1.0, "energy_j_per_call": 2.0})
    kinds = {f.metric: f.kind for f in compared(record, baseline)}
    assert kinds == {"top1": "unchanged", "energy_j_per_call": "not compared"}


def test_a_gated_metric_that_vanished_on_the_same_machine_fails_with_its_reason():
    record = a_record({"top1": 1.0}, missing={"peak_rss_bytes": "the process died"})
    findings = compared(record, a_record({"top1": 1.0, "peak_rss_bytes": 2.0}))
    (vanished,) = failing(findings)
    assert (vanished.kind, vanished.metric, vanished.reason) == (
        "no longer measured",
        "peak_rss_bytes",
        "the process died",
    )


def test_an_accuracy_that_vanished_fails_on_any_machine():
    (finding,) = compared(a_record(machine=OTHER), a_record({"top1": 1.0}))
    assert (finding.kind, finding.reason) == ("no longer measured", "it was not measured")


def test_a_percentile_that_needs_more_rounds_than_there_were_is_no_failure():
    record = a_record(missing={"latency_p99_s": "n=5: needs 662"})
    (finding,) = compared(record, a_record({"latency_p99_s": 1.0}))
    assert finding.kind == "informative"


def test_another_model_version_is_new_not_regressed():
    (finding,) = compared(a_record({"top1": 0.1}, version="2"), a_record({"top1": 0.9}))
    assert finding == Finding("new", KEY, reason="model version '1' -> '2'")


def test_other_parameters_of_the_same_test_are_new_not_slower():
    now, before = (a_record({"latency_median_s": s}, params={"new_tokens": n}) for s, n in ((2.0, 16), (1.0, 8)))
    (finding,) = compared(now, before)
    assert finding == Finding("new", KEY, reason="parameters changed: new_tokens 8 -> 16")


def test_among_baselines_of_several_versions_the_same_version_counts():
    baselines = [a_record({"top1": 0.9}, version="2"), a_record({"top1": 0.1}, version="1")]
    (finding,) = compared(a_record({"top1": 0.9}, version="2"), *baselines)
    assert (finding.kind, finding.baseline) == ("unchanged", 0.9)


@pytest.mark.parametrize("outcome", ["failed", "skipped", "oom", "error", "timeout", "running"])
def test_what_did_not_pass_is_never_a_baseline(outcome):
    (finding,) = compared(a_record({"top1": 0.1}), a_record({"top1": 0.1}, outcome=outcome))
    assert (finding.kind, finding.metric) == ("new", "")


def test_an_accepted_regression_is_a_baseline():
    (finding,) = compared(a_record({"top1": 0.1}), a_record({"top1": 0.1}, outcome="accepted"))
    assert finding.kind == "unchanged"


def test_baselines_of_other_cells_are_passed_over():
    (finding,) = compared(a_record({"top1": 0.1}), a_record({"top1": 0.9}, key="test_other.py::test[x]"))
    assert finding.kind == "new"


@pytest.mark.parametrize(("values", "reference"), [([1.0, 9.0, 2.0], 2.0), ([1.0, 2.0], 1.5), ([3.0], 3.0)])
def test_several_baselines_count_by_their_median(values, reference):
    baselines = [a_record({"latency_median_s": v}) for v in values]
    (finding,) = compared(a_record({"latency_median_s": 1.0}), *baselines)
    assert finding.baseline == reference


def test_a_metric_that_no_baseline_has_is_new_and_fails_not_even_strictly():
    findings = compared(a_record({"top1": 1.0, "top5": 1.0}), a_record({"top1": 1.0}))
    assert [(f.kind, f.metric) for f in findings] == [("unchanged", "top1"), ("new", "top5")]
    assert not failing(findings, strict=True)


# Messages


@pytest.mark.parametrize(
    ("finding", "line"),
    [
        (Finding("new", "k", reason="no passed baseline has this cell"), "k: new: no passed baseline has this cell"),
        (Finding("gone", "k"), "k: gone"),
        (
            Finding("regressed", "k", "latency_median_s", 0.015, 0.01, 0.2),
            "latency_median_s regressed: 10.0 ms -> 15.0 ms, +50.0 %, allowed 20 %",
        ),
        (
            Finding("regressed", "k", "latency_median_s", 1.23e-3, 26.6e-6, 0.2),
            "latency_median_s regressed: 26.6 us -> 1.23 ms, +4,524 %, allowed 20 %",
        ),
        (
            Finding("regressed", "k", "top1", 0.5, 0.6, 0.01, absolute=True),
            "top1 regressed: 0.600 -> 0.500, -0.1, allowed 0.01 absolute",
        ),
        (
            Finding("regressed", "k", "kl_mean", 0.5, 0.0, 0.1),
            "kl_mean regressed: 0 -> 0.5, allowed 10 %",
        ),
        (
            Finding("not compared", "k", "ttft_s", 0.5, reason="other machine: cores 2 -> 8"),
            "ttft_s not compared: other machine: cores 2 -> 8",
        ),
    ],
)
def test_a_finding_is_one_readable_line(finding, line):
    assert str(finding) == line


@pytest.mark.parametrize(
    ("now", "baseline", "change"), [(1.5, 1.0, 0.5), (-1.0, -2.0, 0.5), (1.0, 0.0, None), (None, 1.0, None)]
)
def test_change_is_relative_to_the_size_of_the_baseline(now, baseline, change):
    assert Finding("unchanged", "k", "top1", now, baseline).change == change


# Properties

positive = st.floats(1e-9, 1e12)


@given(st.dictionaries(st.sampled_from(list(TABLE)), st.floats(-1e12, 1e12), min_size=1))
def test_a_record_never_regresses_against_itself(values):
    record = a_record(values)
    findings = compared(record, record)
    assert not failing(findings, strict=True)
    assert {f.kind for f in findings} <= {"unchanged", "informative"}


@given(st.sampled_from(GATED), positive, st.floats(1e-6, 10))
def test_worse_by_more_than_the_tolerance_always_regresses_and_better_by_as_much_always_improves(name, value, excess):
    row = TABLE[name]
    room = (row.tolerance if row.absolute else max(row.tolerance * value, row.slack)) + excess * max(
        value, row.slack, 1e-3
    )
    worse = room if row.better == "lower" else -room
    assert verdict(name, value, value + worse) == "regressed"
    assert verdict(name, value, value - worse) == "improved"


@given(st.sampled_from(GATED), positive, st.floats(-1, 1))
def test_within_the_tolerance_nothing_is_said(name, value, share):
    row = TABLE[name]
    room = row.tolerance if row.absolute else row.tolerance * value
    assert verdict(name, value, value + share * room) == "unchanged"


@given(positive)
def test_a_tolerance_of_zero_forgives_rounding_only(value):
    zero = {"latency_median_s": 0.0}
    assert verdict("latency_median_s", value, nextafter(value, float("inf")), own=zero) == "unchanged"
    assert verdict("latency_median_s", value, value * (1 + 1e-9), own=zero) == "regressed"
