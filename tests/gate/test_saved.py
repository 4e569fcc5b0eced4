"""Saved baselines: what goes into one, and that a broken file is refused with the next command."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchgate.core import BenchgateError, DataError
from benchgate.gate.saved import NAME, Run, Saved, as_text, check_name, gathered, parse, refusal
from benchgate.results import ResultsError, read_records
from tests.builders import KEY, a_record, records

NOW = "2026-01-01T00:00:00+00:00"


def results(path, *found, commit="a" * 40, dirty=False, **more):
    benchmarks = [{"fullname": r.key, "stats": {}, "extra_info": {"benchgate": r.as_dict()}} for r in found]
    info = {} if commit is None else {"commit_info": {"id": commit, "dirty": dirty}}
    path.write_text(json.dumps({"machine_info": {}, "benchmarks": benchmarks, "datetime": NOW, **info, **more}))
    return path


GREEN = a_record({"size_bytes": 1.0})
RED = a_record({"size_bytes": 2.0}, key="red", outcome="failed", reason="too large")
DISTURBED = a_record({"size_bytes": 3.0}, key="loud", details={"disturbed": ["steal"]})
RERUN = a_record({"size_bytes": 4.0}, key="again", details={"attempts": 2})


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (GREEN, None),
        (replace(GREEN, outcome="accepted"), None),
        (RED, "failed: too large"),
        (a_record(outcome="skipped", reason="no CUDA"), "skipped: no CUDA"),
        (a_record({"size_bytes": 1.0}, outcome="running"), "running"),
        (DISTURBED, "disturbed: steal"),
        (RERUN, "it passed only when it was run again"),
        (a_record(), "nothing was measured"),
    ],
)
def test_only_green_and_undisturbed_cells_are_part_of_a_baseline(record, reason):
    assert refusal(record) == reason


def test_several_runs_are_one_baseline_and_what_is_left_out_is_said(tmp_path):
    one = results(tmp_path / "1.json", GREEN, RED)
    two = results(tmp_path / "2.json", GREEN, DISTURBED)
    three = results(tmp_path / "3.json", RED)
    saved, found, left_out = gathered("v1", [one, two, three], NOW)
    assert saved == Saved(1, "v1", NOW, "a" * 40, False, (Run("1.json", NOW, 1), Run("2.json", NOW, 1)))
    assert found == [GREEN, GREEN]
    assert left_out == [
        f"left out: {one}: red: failed: too large",
        f"left out: {two}: loud: disturbed: steal",
        f"left out: {three}: red: failed: too large",
    ]


def test_nothing_left_is_an_error_with_all_reasons(tmp_path):
    path = results(tmp_path / "1.json", RED, DISTURBED)
    with pytest.raises(ResultsError, match="no green, undisturbed cell") as error:
        gathered("v1", [path], NOW)
    assert "red: failed: too large" in str(error.value)
    assert "loud: disturbed: steal" in str(error.value)
    assert "`pytest ... --benchmark-json=FILE`" in str(error.value)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../a", "/a", "a\\b", ".a", "-a", "a b", "a\n", "ä", "a" * 65, "a\0"]
)
def test_a_name_that_could_be_a_path_is_refused(name, tmp_path):
    with pytest.raises(BenchgateError, match="baseline name"):
        gathered(name, [results(tmp_path / "1.json", GREEN)], NOW)


@given(st.from_regex(NAME, fullmatch=True))
def test_a_name_is_one_part_of_a_path(name):
    assert check_name(name) == name
    assert not set(name) & set("/\\:\0\n")
    assert not name.startswith((".", "-"))


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"commit": "b" * 40}, "runs of several commits: .*1.json aaaaaaaaaaaa, .*2.json bbbbbbbbbbbb; save each"),
        ({"dirty": True}, "runs of several commits: .*2.json aaaaaaaaaaaa with uncommitted changes"),
        ({"commit": None}, "runs of several commits: .*2.json unversioned"),
    ],
)
def test_runs_of_several_commits_are_no_baseline(tmp_path, others, said):
    files = [results(tmp_path / "1.json", GREEN), results(tmp_path / "2.json", GREEN, **others)]
    with pytest.raises(BenchgateError, match=said):
        gathered("v1", files, NOW)


def test_one_run_counts_once(tmp_path):
    path = results(tmp_path / "1.json", GREEN)
    with pytest.raises(BenchgateError, match="given twice"):
        gathered("v1", [path, tmp_path / "." / "1.json"], NOW)


metas = st.builds(
    Saved,
    schema=st.just(1),
    name=st.just("v1"),
    saved=st.text(max_size=9),
    commit=st.text(max_size=50),
    dirty=st.booleans(),
    runs=st.lists(st.builds(Run, st.text(max_size=9), st.text(max_size=9), st.integers(0, 2**40)), max_size=3).map(
        tuple
    ),
)
green = records.map(lambda r: replace(r, outcome="passed", metrics={**r.metrics, **GREEN.metrics}, details={}))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(metas, st.lists(green, min_size=1, max_size=3))
def test_what_is_written_is_read_again(tmp_path, saved, found):
    path = tmp_path / "v1.baseline"
    path.write_text(as_text(saved, found), encoding="utf-8")
    assert parse(path, "v1") == (saved, found)
    assert read_records(path) == found


WHOLE = json.loads(as_text(Saved(1, "v1", NOW, "a" * 40, False, (Run("1.json", NOW, 1),)), [GREEN]))


def changed(*place, value):
    """The text of a whole baseline with one entry replaced."""
    copy = json.loads(json.dumps(WHOLE))
    *outer, last = place
    inner = copy
    for key in outer:
        inner = inner[key]
    inner[last] = value
    return json.dumps(copy)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not valid JSON"),
        (json.dumps(WHOLE)[:200], "not valid JSON"),
        ("[]", "not a pytest-benchmark document"),
        (changed("benchgate", value=[]), "broken"),
        (changed("benchgate", value="text"), "broken"),
        (changed("benchgate", value=None), "baseline: Input should be an object"),
        (changed("benchgate", "untimed", value=[]), "cells that are none"),
        (changed("benchgate", "untimed", value=5), "no list 'untimed'"),
        (changed("benchgate", "untimed", 0, "metrics", value=3), "broken benchgate record"),
        (changed("benchgate", "untimed", 0, "outcome", value="failed"), "cells that are none"),
        (changed("benchgate", "baseline", value=None), "baseline: Input should be an object"),
        (changed("benchgate", "baseline", "schema", value="1"), "schema: Input should be a valid integer"),
        (changed("benchgate", "baseline", "name", value="v2"), "it says that it is 'v2'"),
        (changed("benchgate", "baseline", "dirty", value="no"), "dirty: Input should be a valid boolean"),
        (changed("benchgate", "baseline", "runs", value={}), "runs: Input should be"),
        (changed("benchgate", "baseline", "runs", 0, "cells", value=None), "runs.0.cells: Input should be"),
    ],
)
def test_a_broken_baseline_is_refused_with_the_next_command(tmp_path, text, said):
    path = tmp_path / "v1.baseline"
    path.write_text(text)
    with pytest.raises(DataError, match="baseline 'v1' is broken") as error:
        parse(path, "v1")
    assert said in str(error.value)
    assert "`benchgate baseline save v1 FILES...`" in str(error.value)


def test_a_newer_one_says_to_upgrade(tmp_path):
    path = tmp_path / "v1.baseline"
    path.write_text(changed("benchgate", "baseline", "schema", value=2))
    with pytest.raises(DataError, match="schema 2 is newer; pip install --upgrade benchgate"):
        parse(path, "v1")
    assert read_records(path)[0].key == KEY
