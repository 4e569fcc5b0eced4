"""Merging of results files: no cell is lost, none is there twice, machines stay apart."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchgate.commands import main as cli
from benchgate.core import Metric
from benchgate.results import Record, ResultsError, read_records
from benchgate.results.merging import ORIGIN, merge

HERE, THERE = {"cpu": "here"}, {"cpu": "there"}
TIMES = ("min", "max", "mean", "stddev", "median", "iqr", "q1", "q3", "hd15iqr", "ld15iqr", "ops", "total")
COUNTS = {"rounds": 5, "iterations": 1, "outliers": "0;0", "iqr_outliers": 0, "stddev_outliers": 0}
STATS = {**dict.fromkeys(TIMES, 1.0), **COUNTS}


def record(name, machine=HERE, outcome="passed", size=1.0):
    cell = {"model": name, "scheme": "fp32", "runtime": "torch", "device": "cpu"}
    metrics = {"size_bytes": Metric(size, "B", "lower")} if outcome == "passed" else {}
    return Record(f"t.py::{name}", cell, "call", metrics=metrics, outcome=outcome, machine=machine, version="1")


def benchmark(one):
    name = one.key.partition("::")[2]
    return {
        "fullname": one.key, "name": name, "group": None, "param": None, "params": None, "stats": STATS,
        "options": {}, "extra_info": {"benchgate": one.as_dict()},
    }  # fmt: skip


def document(timed=(), untimed=(), day=1, machine="here", commit="a" * 40):
    return {
        "machine_info": {"node": machine, "system": "Linux"},
        "commit_info": {"id": commit, "dirty": False},
        "datetime": f"2026-01-{day:02}T00:00:00+00:00",
        "version": "5.3.1",
        "benchmarks": [benchmark(one) for one in timed],
        "benchgate": {"untimed": [one.as_dict() for one in untimed], "left_out": []},
    }


@pytest.fixture
def stored(tmp_path):
    """Writes documents, numbered files; returns their paths."""

    def write(*documents):
        paths = [tmp_path / f"{number}.json" for number, _ in enumerate(documents)]
        for path, one in zip(paths, documents, strict=True):
            path.write_text(json.dumps(one))
        return paths

    return write


def keys(merged):
    blocks = [bench["extra_info"]["benchgate"] for bench in merged["benchmarks"]] + merged["benchgate"]["untimed"]
    return sorted((block["key"], block["machine"]["cpu"], block["outcome"]) for block in blocks)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.booleans(), st.sampled_from(("passed", "failed", "crash", "skipped")),
                  st.sampled_from((HERE["cpu"], THERE["cpu"]))),
        min_size=1, max_size=12,
    ),
    st.booleans(),
)  # fmt: skip
def test_any_split_gives_back_the_cells(stored, cells, newest):
    parts = {}
    for number, (part, timed, outcome, cpu) in enumerate(cells):
        parts.setdefault(part, ([], []))[0 if timed else 1].append(record(f"m{number}", {"cpu": cpu}, outcome))
    paths = stored(*(document(*part, day=day + 1) for day, part in parts.items()))
    found = merge(paths, newest).document
    assert keys(found) == sorted((f"t.py::m{n}", cpu, outcome) for n, (_, _, outcome, cpu) in enumerate(cells))
    assert len(found["benchmarks"]) == sum(timed for _, timed, _, _ in cells)


def test_a_cell_twice_on_one_machine_is_refused_by_name_or_the_newest(stored):
    paths = stored(document([record("m", size=2.0), record("n")], day=2), document([record("m", size=1.0)], day=1))
    with pytest.raises(ResultsError, match=r"t.py::m: measured on one machine in .*1.json and .*0.json; .* --newest"):
        merge(paths)
    merged = merge(paths, newest=True)
    blocks = {b["fullname"]: b["extra_info"]["benchgate"] for b in merged.document["benchmarks"]}
    assert blocks["t.py::m"]["metrics"]["size_bytes"]["value"] == 2.0
    assert len(merged.document["benchmarks"]) == 2
    assert "newer than" in merged.notes[0]


def test_machines_are_kept_apart(stored):
    paths = stored(document([record("m")]), document([record("m", THERE)], machine="there"))
    found = merge(paths).document
    assert keys(found) == [("t.py::m", "here", "passed"), ("t.py::m", "there", "passed")]
    assert [b["extra_info"][ORIGIN]["machine_info"]["node"] for b in found["benchmarks"]] == ["here", "there"]
    assert found["machine_info"] == {"system": "Linux"}


@pytest.mark.parametrize("order", [1, -1])
def test_what_one_environment_skips_is_the_others(stored, order):
    skipped = replace(record("m", outcome="skipped"), machine={}, reason="no torch")
    documents = [document([record("m")], day=1), document([], [skipped, record("n")], day=2)][::order]
    assert keys(merge(stored(*documents)).document) == [("t.py::m", "here", "passed"), ("t.py::n", "here", "passed")]


def test_what_failed_does_not_give_way_to_what_passed_elsewhere(stored):
    paths = stored(document([record("m")]), document([], [record("m", outcome="crash")], day=2))
    with pytest.raises(ResultsError, match=r"t\.py::m: measured on one machine"):
        merge(paths)


def test_skipped_everywhere_is_there_once(stored):
    skips = [document([record(name)], [record("m", outcome="skipped")]) for name in ("a", "b")]
    assert [key for key, _, _ in keys(merge(stored(*skips)).document)].count("t.py::m") == 1


def test_commits_that_differ_are_told(stored):
    merged = merge(stored(document([record("a")]), document([record("b")], commit="b" * 40)))
    assert merged.document["commit_info"] == {}
    assert "2 commits" in merged.notes[0]


def test_a_merged_document_merges(stored, tmp_path):
    first, second, third = stored(*(document([record(name)], machine=name) for name in "abc"))
    (tmp_path / "ab.json").write_text(json.dumps(merge([first, second]).document))
    found = merge([tmp_path / "ab.json", third]).document
    assert [b["extra_info"][ORIGIN]["file"] for b in found["benchmarks"]] == ["0.json", "1.json", "2.json"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("[]", "not a pytest-benchmark document"),
        ('{"benchmarks": []}', "has no benchgate records"),
        ('{"benchmarks": [3]}', "has no benchgate records"),
        (json.dumps({**document([record("m")]), "datetime": None}), "does not say when it was measured"),
        (json.dumps(document([replace(record("m"), schema=99)])), "schema 99 is newer than this benchgate's"),
    ],
)
def test_what_cannot_be_merged_is_one_line_and_writes_nothing(stored, tmp_path, capsys, text, said):
    (good,) = stored(document([record("a")]))
    (tmp_path / "bad.json").write_text(text)
    out = tmp_path / "all.json"
    assert cli.main(["merge", str(good), str(tmp_path / "bad.json"), "-o", str(out)]) == cli.UNUSABLE
    told = capsys.readouterr().err
    assert "bad.json" in told
    assert said in told
    assert told.count("\n") == 1
    assert not out.exists()


def test_an_older_schema_is_read_beside_todays(stored):
    old = document([record("old")])
    old["benchmarks"][0]["extra_info"]["benchgate"]["schema"] = 1
    assert len(merge(stored(old, document([record("new")], day=2))).document["benchmarks"]) == 2


def test_a_file_given_twice(stored):
    (path,) = stored(document([record("m")]))
    with pytest.raises(ResultsError, match="given twice"):
        merge([path, path.parent / "." / path.name])


def test_the_command_and_all_readers_of_its_file(stored, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = [str(path) for path in stored(document([record("a")]), document([record("b")], [record("c")], day=2))]
    assert cli.main(["merge", *paths, "-o", "all.json"]) == 0
    assert "all.json: 2 timed, 1 not, of 2 files" in capsys.readouterr().out
    assert [one.key for one in read_records(tmp_path / "all.json")] == ["t.py::a", "t.py::b", "t.py::c"]
    assert cli.main(["merge", *paths, "-o", "all.json"]) == cli.UNUSABLE
    assert "--force" in capsys.readouterr().err
    assert cli.main(["merge", *paths, "-o", "all.json", "--force"]) == 0
    for verb in (["report"], ["compare"], ["gate", paths[0]]):
        assert cli.main([*verb, "all.json"]) == 0, verb
    command = [sys.executable, "-m", "pytest_benchmark", "compare", "all.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "a" in done.stdout


def test_a_place_that_cannot_be_written(stored, tmp_path, capsys):
    (path,) = stored(document([record("a")]))
    (tmp_path / "file").write_text("")
    assert cli.main(["merge", str(path), "-o", str(tmp_path / "file" / "all.json")]) == cli.UNUSABLE
    assert "give --out another place" in capsys.readouterr().err
