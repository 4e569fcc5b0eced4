"""Where a tolerance comes from: the mark, the cell's glob, the project's table, the metric table."""

from __future__ import annotations

import pytest

from benchgate.core import BenchgateError
from benchgate.core.metrics import TABLE
from benchgate.gate import policy as gate
from benchgate.gate.policy import Policy
from tests.builders import KEY
from tests.gate.test_compare import verdict


@pytest.mark.parametrize(
    ("own", "cells", "project", "expected"),
    [
        ({"top1": 0.4}, {"*": {"top1": 0.3}}, {"top1": 0.2}, 0.4),
        ({"top5": 0.4}, {"*": {"top1": 0.3}}, {"top1": 0.2}, 0.3),
        ({}, {"*cuda*": {"top1": 0.3}}, {"top1": 0.2}, 0.2),
        ({}, {"*": {"top5": 0.3}}, {"top1": 0.2}, 0.2),
        ({}, {}, {"top5": 0.2}, 0.01),
        # of several globs the last one that says something
        ({}, {"*": {"top1": 0.3}, "*spam*": {"top1": 0.5}}, {}, 0.5),
        ({}, {"*spam*": {"top1": 0.5}, "*": {"top5": 0.3}}, {}, 0.5),
        ({"top1": 0.0}, {}, {"top1": 0.2}, 0.0),
    ],
)
def test_the_mark_goes_before_the_cell_before_the_project_before_the_table(own, cells, project, expected):
    assert Policy(project, cells).tolerance(KEY, TABLE["top1"], own) == expected


@pytest.mark.parametrize(
    ("glob", "fits"),
    [
        (KEY, True),
        ("*::test_latency[[]*", False),
        ("*::test_latency[*]", True),
        ("*::test_latency[spam-*-cpu]", True),
        ("*::test_latency[spam-*-cuda]", False),
        ("*-fp32-*", True),
        ("*spam-fp??-torch*", True),
        ("benchmarks/test_spam.py", False),
        ("*FP32*", False),
    ],
)
def test_a_cell_glob_takes_node_ids_with_their_brackets_literally(glob, fits):
    policy = Policy(cells={glob: {"top1": 0.5}})
    assert (policy.tolerance(KEY, TABLE["top1"], {}) == 0.5) is fits


def test_the_mark_and_the_policy_reach_the_verdict():
    assert verdict("top1", 0.9, 0.7, own={"top1": 0.3}) == "unchanged"
    assert verdict("top1", 0.9, 0.7, policy=Policy(cells={"*spam*": {"top1": 0.3}})) == "unchanged"
    assert verdict("top1", 0.9, 0.7, policy=Policy({"top1": 0.3}), own={"top1": 0.1}) == "regressed"


def test_parse_policy_reads_the_projects_table():
    raw = {"top1": 0.02, "latency_median_s": 1, "cells": {"*int8*": {"top1": 0.05}}}
    assert gate.parse_policy(raw, "where") == Policy(
        {"top1": 0.02, "latency_median_s": 1.0}, {"*int8*": {"top1": 0.05}}
    )
    assert gate.parse_policy({}, "where") == Policy(stored_times="suspect")
    assert gate.parse_policy({"stored_times": "fail"}, "where") == Policy(stored_times="fail")


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("0.1", "gate: must be a table, got '0.1'"),
        ({"latency_median": 0.1}, "gate: unknown metric 'latency_median'; did you mean 'latency_median_s'"),
        ({"top2": 0.1}, "unknown metric 'top2'; did you mean .*'top1'"),
        ({"zzzzzz": 0.1}, "gate: unknown metric 'zzzzzz'; known: accuracy, agreement_ap"),
        ({"top1": -0.1}, r"gate.top1: a tolerance is a number >= 0 \(0.1 = 10 %\), got -0.1"),
        ({"top1": "10 %"}, "gate.top1: .* got '10 %'"),
        ({"top1": True}, "gate.top1: .* got True"),
        ({"top1": float("nan")}, "gate.top1: .* got nan"),
        ({"top1": float("inf")}, "gate.top1: .* got inf"),
        ({"top1": None}, "gate.top1: .* got None"),
        ({"throughput_per_s": 1}, "gate.throughput_per_s: higher is better: .* a tolerance >= 1 never fails, got 1"),
        ({"cells": {"*": {"decode_tokens_per_s": 1.5}}}, r"cells.*never fails, got 1.5"),
        (
            {"stored_times": "fails"},
            "gate.stored_times: unknown rule 'fails'; did you mean 'fail'.* known: suspect, fail",
        ),
        ({"stored_times": True}, "gate.stored_times: unknown rule 'True'"),
        ({"stored_times": ["fail"]}, "gate.stored_times: unknown rule "),
        ({"stored_time": "fail"}, "gate: unknown metric 'stored_time'; did you mean 'stored_times'"),
        ({"cells": {"*": {"stored_times": "fail"}}}, "unknown metric 'stored_times'"),
        ({"cells": 0.1}, "gate.cells: must be a table"),
        ({"cells": {"*int8*": 0.1}}, r'gate.cells."\*int8\*": must be a table of metric = tolerance, got 0.1'),
        ({"cells": {"*int8*": {"topp1": 0.1}}}, r'gate.cells."\*int8\*": unknown metric .* did you mean \'top1\''),
    ],
)
def test_a_wrong_policy_is_refused_naming_the_entry(raw, said):
    with pytest.raises(BenchgateError, match=said):
        gate.parse_policy(raw, "gate")
