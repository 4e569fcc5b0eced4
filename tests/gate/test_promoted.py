"""Runs held against the promoted baseline too: drift that every single step hides, and what cannot be compared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.gate import compare as gate
from benchgate.gate.baselines import Baselines, Promoted
from benchgate.gate.findings import failing
from benchgate.gate.policy import Policy, resolved
from tests.builders import KEY, MACHINE, a_record
from tests.gate.test_offline import records

SIZE, TIME = "size_bytes", "latency_median_s"
LABEL = "promoted baseline 'v1' (abc)"
OTHER = {"machine": {**MACHINE, "cpu": "Other CPU"}}
QUIET = Policy(stored_times="fail")


def promoted(*records):
    return Promoted("v1", "abc", "v1@0123", records)


def judged(now, stored, reference, policy=QUIET, newest=True):
    return gate.compare(resolved(now, policy), Baselines(stored, newest, promoted(*reference)))


@pytest.mark.parametrize(
    ("metric", "policy", "kind"),
    [(SIZE, Policy(), "drifted"), (TIME, QUIET, "drifted"), (TIME, Policy(), "suspicious")],
)
def test_small_steps_against_the_last_run_alone_add_up_to_drift(metric, policy, kind):
    """Only the last run is kept, as CI does: each step is within the tolerance, and so nothing ever fails."""
    step = 1.009 if metric == SIZE else 1.19
    before, now = a_record({metric: step}), a_record({metric: step**2})
    for newest in (True, False):
        (alone,) = gate.compare(resolved(now, policy), Baselines([before], newest))
        assert alone.kind == "unchanged"
        (found,) = judged(now, [before], [a_record({metric: 1.0})], policy, newest)
        assert (found.kind, found.baseline, found.now) == (kind, 1.0, step**2)
        assert LABEL in str(found)
        assert found.fails() is (kind == "drifted")


def test_several_runs_count_by_their_median():
    reference = [a_record({TIME: value}) for value in (1.0, 9.0, 1.1)]
    (found,) = judged(a_record({TIME: 1.4}), [a_record({TIME: 1.3})], reference)
    assert (found.kind, found.baseline) == ("drifted", 1.1)


@pytest.mark.parametrize(
    ("now", "stored", "reference", "expected"),
    [
        # what fails against the last run already is said once
        ({SIZE: 2.0}, {SIZE: 1.0}, {SIZE: 0.5}, {SIZE: "regressed"}),
        # better than the last run, and still worse than what was promised
        ({SIZE: 1.5}, {SIZE: 2.0}, {SIZE: 1.0}, {SIZE: "drifted"}),
        ({SIZE: 0.5}, {SIZE: 1.0}, {SIZE: 1.0}, {SIZE: "improved"}),
        ({SIZE: 1.0}, {SIZE: 1.0}, {SIZE: 2.0}, {SIZE: "unchanged"}),
        # a figure that the runs of last week have lost
        ({SIZE: 1.0}, {SIZE: 1.0}, {SIZE: 1.0, "top1": 0.9}, {SIZE: "unchanged", "top1": "no longer measured"}),
        # a metric that the promoted one has not yet
        ({SIZE: 1.0, "top1": 0.9}, {SIZE: 1.0, "top1": 0.9}, {SIZE: 1.0}, {SIZE: "unchanged", "top1": "unchanged"}),
    ],
)
def test_of_both_the_worse_finding_counts(now, stored, reference, expected):
    found = judged(a_record(now), [a_record(stored)], [a_record(reference)])
    assert {f.metric: f.kind for f in found} == expected
    assert len(found) == len(expected)


def test_a_cell_that_no_stored_run_has_is_held_against_the_promoted_one_alone():
    worse, same = a_record({SIZE: 2.0}), a_record({SIZE: 1.0})
    (found,) = judged(worse, [], [same])
    assert (found.kind, found.reason) == ("regressed", f"against {LABEL}")
    (found,) = judged(same, [], [same])
    assert (found.kind, found.fails(strict=True)) == ("unchanged", False)


def test_a_cell_that_the_promoted_one_has_not_is_judged_as_without_it():
    other = a_record({SIZE: 1.0}, key="other")
    (found,) = judged(a_record({SIZE: 2.0}), [a_record({SIZE: 1.0})], [other])
    assert found.kind == "regressed"
    (found,) = judged(a_record({SIZE: 2.0}), [], [other])
    assert (found.kind, found.metric) == ("new", "")


@pytest.mark.parametrize(
    ("fields", "said"),
    [(OTHER, "other machine: cpu Other CPU -> "), ({"version": "0"}, "model version '0' -> '1'")],
)
def test_what_cannot_be_held_against_it_is_said_and_fails_strictly(fields, said):
    now, stored = a_record({TIME: 1.0, "cpu_time_s": 1.0}), a_record({TIME: 1.0, "cpu_time_s": 1.0})
    found = judged(now, [stored], [a_record({TIME: 0.1, "cpu_time_s": 0.1}, **fields)])
    assert [(f.kind, f.metric) for f in found[:2]] == [("unchanged", TIME), ("informative", "cpu_time_s")]
    (last,) = found[2:]
    assert (last.kind, last.metric) == ("not compared", "")
    assert f"{LABEL}: {said}" in last.reason
    assert failing(found) == []
    assert failing(found, strict=True) == [last]


def test_sizes_are_held_against_the_promoted_one_of_another_machine():
    (found,) = judged(a_record({SIZE: 2.0}), [a_record({SIZE: 2.0})], [a_record({SIZE: 1.0}, **OTHER)])
    assert found.kind == "drifted"


def test_a_disturbed_time_decides_nothing_against_either():
    now = a_record({TIME: 9.0}, details={"threads": 4, "disturbed": ["steal"]})
    (found,) = judged(now, [a_record({TIME: 1.0})], [a_record({TIME: 1.0})])
    assert found.kind == "inconclusive"


def test_a_cell_of_the_promoted_one_can_be_gone():
    reference = promoted(a_record({SIZE: 1.0}), a_record({SIZE: 1.0}, key="other"))
    findings = gate.compare_sessions([a_record({SIZE: 1.0})], Baselines([], promoted=reference))
    assert [(f.key, f.kind) for f in findings] == [(KEY, "unchanged"), ("other", "gone")]


@pytest.mark.parametrize("here", [None, "v1@0123", "v1@9999"])
def test_offline_the_promoted_one_of_the_run_must_be_at_hand(here):
    """What a run failed as drift must not be unchanged where the promoted baseline is missing."""
    now = resolved(a_record({SIZE: 2.0}, details={gate.PROMOTED: "v1@0123"}), Policy())
    reference = None if here is None else Promoted("v1", "abc", here, [a_record({SIZE: 2.0})])
    found = gate.compare_sessions([now], Baselines([a_record({SIZE: 2.0})], promoted=reference))
    missing = [f for f in found if "v1@0123" in f.reason]
    assert bool(missing) is (here != "v1@0123")
    assert failing(found, strict=True) == missing


@given(st.lists(records(), max_size=3), st.lists(records(), min_size=1, max_size=3), records())
def test_a_promoted_baseline_never_hides_what_fails_without_it(stored, reference, now):
    now = resolved(now, QUIET)
    alone = gate.compare(now, Baselines(stored, newest=True))
    both = gate.compare(now, Baselines(stored, True, promoted(*reference)))
    assert {f.metric for f in failing(alone)} <= {f.metric for f in failing(both)}
    metrics = [f.metric for f in both if f.metric]
    assert len(metrics) == len(set(metrics))
    offline = gate.compare_sessions([now], Baselines(stored, True, promoted(*reference)))
    assert [f for f in offline if f.kind != "gone"] == both
