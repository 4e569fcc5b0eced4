"""Stored times: what noise explains, what is suspicious, and where a project's own machine lets them fail."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.core.metrics import TABLE
from benchgate.gate import compare as gate
from benchgate.gate.baselines import Baselines
from benchgate.gate.findings import CONFIRM, Finding, failing, how_to_confirm, suspicious
from benchgate.gate.policy import Policy, resolved
from benchgate.gate.side_by_side.rule import ASSUMED, Noise
from benchgate.gate.stored_times import FACTOR, GROUPS, as_stored, explained
from benchgate.report.summary import Summary, verdicts
from benchgate.report.terminal import Terminal
from benchgate.report.verdicts import print_findings, write_junit
from tests.builders import KEY, a_record

QUIET = Policy(stored_times="fail")
# Explains 36 %: t(.005) of 12 degrees of freedom is 3.05.
LOUD = Noise(0.10, 0.01, source="calibrated on work")
TIME = "latency_median_s"
TIMES = [name for name, row in TABLE.items() if row.group in GROUPS and row.tolerance is not None]


def judged(name, before, now, *, policy=Policy(), noise=ASSUMED, newest=False):  # noqa: B008
    record = resolved(a_record({name: now}), policy, noise=noise)
    (found,) = gate.compare(record, Baselines([a_record({name: value}) for value in before], newest))
    return found


@pytest.mark.parametrize(
    ("name", "now", "policy", "noise", "kind"),
    [
        (TIME, 1.19, Policy(), ASSUMED, "unchanged"),
        (TIME, 1.21, Policy(), ASSUMED, "suspicious"),
        (TIME, 1.21, QUIET, ASSUMED, "regressed"),
        (TIME, 0.79, Policy(), ASSUMED, "improved"),
        # whichever is wider
        (TIME, 1.34, Policy(), LOUD, "unchanged"),
        (TIME, 1.38, Policy(), LOUD, "suspicious"),
        (TIME, 1.34, QUIET, LOUD, "unchanged"),
        (TIME, 1.38, QUIET, LOUD, "regressed"),
        (TIME, 0.72, Policy(), LOUD, "unchanged"),
        (TIME, 1.40, Policy({TIME: 0.5}), LOUD, "unchanged"),
        # the assumed noise explains 6 %; on a quiet machine the project's word counts
        (TIME, 1.06, Policy({TIME: 0.01}), ASSUMED, "unchanged"),
        (TIME, 1.07, Policy({TIME: 0.01}), ASSUMED, "suspicious"),
        (TIME, 1.02, Policy({TIME: 0.01}, stored_times="fail"), ASSUMED, "regressed"),
        ("throughput_per_s", 0.75, Policy(), LOUD, "unchanged"),
        ("throughput_per_s", 0.73, Policy(), LOUD, "suspicious"),
        # nothing explains what is no number
        (TIME, math.nan, Policy(), LOUD, "regressed"),
        (TIME, math.inf, Policy(), LOUD, "regressed"),
        # what depends on no mood of the machine
        ("size_bytes", 1.02, Policy(), LOUD, "regressed"),
        ("top1", 0.9, Policy(), LOUD, "regressed"),
        ("peak_rss_bytes", 1.2, Policy(), LOUD, "regressed"),
        ("latency_p99_s", 9.0, Policy(), LOUD, "informative"),
    ],
)
def test_a_worse_time_is_suspicious_and_fails_on_quiet_machines_only(name, now, policy, noise, kind):
    found = judged(name, [1.0], now, policy=policy, noise=noise)
    assert found.kind == kind
    assert found.fails() is (kind == "regressed")
    assert found.fails(strict=True) is (kind in ("regressed", "suspicious"))


@pytest.mark.parametrize("name", TIMES)
def test_every_gated_time_of_the_table_is_covered(name):
    worse = 9.0 if TABLE[name].better == "lower" else 0.01
    assert judged(name, [1.0], worse).kind == "suspicious"
    assert judged(name, [1.0], worse, policy=QUIET).kind == "regressed"


@pytest.mark.parametrize(("policy", "kind"), [(Policy(), "suspicious"), (QUIET, "drifted")])
def test_small_steps_of_a_time_add_up_and_are_suspicious(policy, kind):
    found = judged(TIME, [1.0, 1.15], 1.3, policy=policy, newest=True)
    assert (found.kind, found.baseline) == (kind, 1.0)
    assert "in small steps" in found.reason


def test_a_record_of_before_is_judged_as_the_run_that_wrote_it():
    """Its rows know neither noise nor rule; a time that was worse failed then."""
    now = resolved(a_record({TIME: 1.3}), QUIET)
    (found,) = gate.compare_sessions([now], Baselines([a_record({TIME: 1.0})]), Policy())
    assert found.kind == "regressed"


@given(st.floats(1e-6, 1e6), st.floats(0, 1e6), st.integers(1, 1000), st.sampled_from(["lower", "higher"]))
def test_what_noise_explains_is_a_tolerance_that_can_fail(pair_sd, zygote_sd, df, better):
    share = explained(Noise(pair_sd, zygote_sd, df), better)
    assert 0 < share <= FACTOR
    assert better == "lower" or share < 1


@given(st.sampled_from(sorted(TABLE)), st.floats(1e-3, 10))
def test_only_gated_times_have_noise_in_their_rows(name, sd):
    row = TABLE[name]
    stored = as_stored(row, "suspect", Noise(sd, 0.0))
    if row.group in GROUPS and row.tolerance is not None:
        assert (stored.suspect, stored.noise > 0) == (True, True)
    else:
        assert stored == row


# What is shown

FOUND = [
    Finding("suspicious", KEY, TIME, 1.4, 1.0, 0.2, noise=0.0634),
    Finding("suspicious", KEY, "ttft_s", 1.4, 1.0, 0.2),
    Finding("suspicious", "other", TIME, 1.4, 1.0, 0.2),
    Finding("unchanged", KEY, "size_bytes", 1.0, 1.0, 0.01),
]
LINE = f"{TIME} suspicious: 1 s -> 1.4 s, +40.0 %, allowed 20 %, noise here 6.3 %"


def test_suspicious_findings_are_listed_by_cell_with_the_next_command():
    assert [(f.key, f.metric) for f in suspicious(FOUND)] == [(KEY, TIME), (KEY, "ttft_s"), ("other", TIME)]
    assert str(FOUND[0]) == LINE
    said = how_to_confirm(FOUND)
    assert said.startswith("suspicious: 3 times of 2 cells: ")
    assert CONFIRM in said
    assert "1 time of 1 cell:" in how_to_confirm(FOUND[:1])
    assert how_to_confirm(FOUND[3:]) is None


def test_the_summary_and_the_gate_show_them_with_the_next_command(capsys):
    lines = list(verdicts(Summary([], {KEY: FOUND[:2], "other": FOUND[2:]}, [], True)))
    assert f"  {KEY}: {LINE}" in lines
    assert lines[-1] == f"  {how_to_confirm(FOUND)}"
    print_findings(Terminal(), FOUND, [])
    shown = capsys.readouterr().out
    assert f"{KEY}: {LINE}\n" in shown
    assert f"{how_to_confirm(FOUND)}\n" in shown
    assert "3 suspicious, 1 unchanged\npassed\n" in shown


@pytest.mark.parametrize("strict", [False, True])
def test_junit_has_them_and_fails_strictly_only(tmp_path, strict):
    write_junit(tmp_path / "gate.xml", [], FOUND, failing(FOUND, strict))
    suite = ElementTree.parse(tmp_path / "gate.xml").getroot()
    assert suite.get("failures") == ("2" if strict else "0")
    told = {case.get("name"): case.findtext("system-out") for case in suite}
    assert told[KEY].splitlines()[0] == LINE
    assert all(CONFIRM in text for text in told.values())
