"""`benchgate gate` on two files says what the run said that wrote the second, whatever this process knows."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from benchgate.core import Metric, metrics
from benchgate.core.metrics import TABLE, Row
from benchgate.gate import compare as gate
from benchgate.gate.baselines import Baselines
from benchgate.gate.findings import failing
from benchgate.gate.policy import Policy, resolved
from benchgate.gate.side_by_side.rule import Noise
from benchgate.gate.stored_times import RULES
from benchgate.results import Record, parse_record, read_records, write_records
from tests.builders import CELL, KEY

OWN = [
    Row("spam_recall", "1", "higher", "accuracy", "recall", 0.01, absolute=True),
    Row("spam_cost_s", "s", "lower", "time", "cost", 0.3, slack=0.1),
    Row("spam_drift", "1", "lower", "size", "drift", 0.1, signed=True),
]
NAMES = [
    "latency_median_s",
    "throughput_per_s",
    "top1",
    "kl_mean",
    "size_bytes",
    "latency_p99_s",
    *(r.name for r in OWN),
]
tolerances = st.dictionaries(st.sampled_from(NAMES), st.sampled_from([0.0, 0.05, 0.5]), max_size=3)
policies = st.builds(
    Policy,
    tolerances,
    st.dictionaries(st.sampled_from(["*", "*spam*", "*other*"]), tolerances, max_size=2),
    st.sampled_from(RULES),
)
noises = st.builds(Noise, st.sampled_from([1e-3, 0.02, 0.5]), st.sampled_from([0.0, 0.1]))
values = st.sampled_from([0.0, 0.5, 0.501, 0.52, 0.55, 0.7, 1.0])


def figure(name: str, value: float, n: int) -> Metric:
    row = {row.name: row for row in [*TABLE.values(), *OWN]}[name]
    return Metric(value, row.unit, row.better, n)


@st.composite
def records(draw: st.DrawFn) -> Record:
    measured = draw(st.dictionaries(st.sampled_from(NAMES), values, max_size=5))
    n = draw(st.sampled_from([5, 100]))
    data = draw(st.sampled_from([None, {"n": 5}, {"n": 100, "sha256": "ab"}]))
    return Record(
        draw(st.sampled_from([KEY, "other"])),
        CELL,
        draw(st.sampled_from(["prefill", "decode"])),
        draw(st.sampled_from([{}, {"x": float("nan")}, {"x": 1}])),
        {name: figure(name, value, n) for name, value in measured.items()},
        dict.fromkeys(set(draw(st.sets(st.sampled_from(NAMES), max_size=2))) - measured.keys(), "not this time"),
        "passed",
        version=draw(st.sampled_from(["1", "1", "2"])),
        machine=draw(st.sampled_from([{"cpu": "a"}, {"cpu": "a"}, {"cpu": "b"}])),
        details={"threads": draw(st.sampled_from([1, 1, 2])), **({} if data is None else {"data": data})},
    )


@settings(max_examples=500, deadline=None)
@given(st.lists(records(), min_size=1, max_size=3), records(), policies, policies, tolerances, noises)
def test_the_run_and_the_two_files_say_the_same(stored, now, then, policy, mark, noise):
    """The files are read where neither the project's tolerances and rule nor its metrics and the noise are known."""
    whole = dict(TABLE)
    try:
        TABLE.update({row.name: row for row in OWN})
        baselines = [resolved(record, then) for record in stored]
        measured = resolved(now, policy, mark, noise)
        in_run = gate.compare(measured, Baselines(baselines))
    finally:
        TABLE.clear()
        TABLE.update(whole)
    with tempfile.TemporaryDirectory() as folder:
        for name, found in {"base.json": baselines, "now.json": [measured]}.items():
            write_records(Path(folder, name), found)
        read = [read_records(Path(folder, name)) for name in ("base.json", "now.json")]
    offline = gate.compare_sessions(read[1], Baselines(read[0]))
    assert [f for f in offline if f.kind != "gone"] == in_run
    for strict in (False, True):
        assert failing([f for f in offline if f.kind != "gone"], strict) == failing(in_run, strict)


def test_a_record_of_before_takes_the_projects_tolerances():
    """Schema 1 held none; the table and the project of the folder hold."""
    old = {
        **Record(KEY, CELL, "call", metrics={"top1": figure("top1", 0.9, 5)}, outcome="passed").as_dict(),
        "schema": 1,
    }
    del old["rows"]
    before = parse_record(json.loads(json.dumps(old)), "here")
    assert (before.schema, before.rows) == (2, {})
    now = replace(before, metrics={"top1": figure("top1", 0.85, 5)})
    kinds = {
        share: gate.compare_sessions([now], Baselines([before]), Policy({"top1": share}))[0].kind
        for share in (0.1, 0.01)
    }
    assert kinds == {0.1: "unchanged", 0.01: "regressed"}
    assert metrics.TABLE["top1"].tolerance == 0.01
