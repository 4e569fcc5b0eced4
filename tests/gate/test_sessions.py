"""Two whole sets of records: what is gone, crashed, new."""

from __future__ import annotations

import pytest

from benchgate.gate import compare as gate
from benchgate.gate.baselines import Baselines
from benchgate.gate.findings import Finding, failing
from tests.builders import KEY, a_record


@pytest.mark.parametrize(
    ("current", "said"),
    [
        ([], [Finding("gone", KEY)]),
        ([a_record(key="another")], [Finding("gone", KEY)]),
        ([a_record(outcome="skipped", reason="no CUDA")], [Finding("gone", KEY, reason="skipped now: no CUDA")]),
        ([a_record()], []),
        ([a_record(outcome="failed")], []),
        ([a_record(outcome="oom")], []),
    ],
)
def test_a_cell_that_is_not_measured_any_more_is_gone(current, said):
    assert gate.gone([a_record(), a_record()], current) == said


def test_what_never_passed_cannot_be_gone():
    assert gate.gone([a_record(outcome="failed")], []) == []


def test_a_session_says_failed_cells_renamed_cells_and_compares_the_rest():
    baselines = [a_record({"top1": 0.9}, key=key) for key in ("same", "crashed", "old name")]
    current = [
        a_record({"top1": 0.9}, key="same"),
        a_record(key="crashed", outcome="oom", reason="CUDA out of memory"),
        a_record({"top1": 0.9}, key="new name"),
        a_record(key="never", outcome="skipped", reason="no CUDA"),
    ]
    findings = gate.compare_sessions(current, Baselines(baselines))
    assert [(f.key, f.kind, f.metric) for f in findings] == [
        ("same", "unchanged", "top1"),
        ("crashed", "regressed", ""),
        ("new name", "new", ""),
        ("old name", "gone", ""),
    ]
    assert str(findings[1]) == "crashed: regressed: the cell oom: CUDA out of memory"
    assert [f.key for f in failing(findings)] == ["crashed"]
    assert [f.key for f in failing(findings, strict=True)] == ["crashed", "new name", "old name"]


def test_a_cell_that_was_interrupted_in_the_middle_is_not_silently_there():
    (finding,) = gate.compare_sessions([a_record(outcome="running")], Baselines([a_record({"top1": 1.0})]))
    assert (finding.kind, finding.reason) == ("gone", "interrupted")
