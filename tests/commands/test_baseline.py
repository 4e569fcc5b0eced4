"""`benchgate baseline`: the verbs as they are typed, their exit codes and next commands."""

from __future__ import annotations

import json

import pytest

from benchgate.commands import main as cli
from benchgate.gate.shelf import Shelf
from benchgate.results import write_records
from tests.builders import KEY, a_record
from tests.gate.test_saved import DISTURBED, GREEN, RED, results


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with two runs, in which one stands."""
    (tmp_path / "pyproject.toml").write_text("[tool.benchgate.gate]\n")
    monkeypatch.chdir(tmp_path)
    results(tmp_path / "1.json", GREEN, RED)
    results(tmp_path / "2.json", GREEN, DISTURBED)
    return tmp_path


def called(capsys, *words, code=0):
    assert cli.main(["baseline", *words]) == code
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return captured.err if code else captured.out


def test_save_promote_list_show(project, capsys, monkeypatch):
    out = called(capsys, "save", "v1", "1.json", "2.json")
    assert "left out: 1.json: red: failed: too large\n" in out
    assert "left out: 2.json: loud: disturbed: steal\n" in out
    assert f"{project / '.benchmarks/baselines/v1.baseline'}: 1 cell of 2 runs\n" in out
    assert "commit aaaaaaaaaaaa; next: `benchgate baseline promote v1`\n" in out
    assert "promoted" not in called(capsys, "list")
    inner = project / "src"
    inner.mkdir()
    monkeypatch.chdir(inner)
    assert "v1 is promoted: `pytest ... --benchmark-compare`" in called(capsys, "promote", "v1")
    row = next(line for line in called(capsys, "list").splitlines() if line.startswith("v1"))
    assert row.split()[3:6] == ["Quiet", "CPU", "9000"]
    assert row.split()[-3:] == ["2", "1", "promoted"]
    shown = called(capsys, "show", "v1")
    assert "v1: commit aaaaaaaaaaaa, saved " in shown
    assert ", promoted\n" in shown
    assert "run: 2.json, 2026-01-01T00:00:00+00:00, 1 cell\n" in shown
    assert "1 B" in shown


def test_list_says_what_to_do_where_there_is_none_and_what_is_broken(project, capsys):
    assert "none is saved; `benchgate baseline save NAME FILES...` makes one" in called(capsys, "list")
    called(capsys, "save", "v1", "1.json")
    called(capsys, "promote", "v1")
    (project / ".benchmarks/baselines/v1.baseline").write_text("{")
    out = " ".join(called(capsys, "list").split())
    assert "baseline 'v1' is broken" in out
    assert "`benchgate baseline promote NAME`" in out


def test_prune(project, capsys):
    for name in ("v1", "v2", "v3"):
        called(capsys, "save", name, "1.json")
    called(capsys, "promote", "v1")
    assert called(capsys, "prune") == "removed: none\n"
    assert called(capsys, "prune", "--keep", "1") == "removed: v2\n"
    assert called(capsys, "prune", "--keep", "0") == "removed: v3\n"
    assert Shelf.of(project).names() == ["v1"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["save", "../v1", "1.json"], "baseline name '../v1': letters, digits"),
        (["save", "v1", "no.json"], "no.json: cannot be read"),
        (["save", "v1", "pyproject.toml"], "pyproject.toml: not valid JSON"),
        (["save", "v1", "1.json", "./1.json"], "given twice"),
        (["show", "v2"], "unknown baseline 'v2'"),
        (["promote", "../x"], "baseline name '../x'"),
        (["prune", "--keep", "-1"], "--keep -1: a number from 0 on is needed"),
    ],
)
def test_what_cannot_be_is_one_line_and_exit_code_2(project, capsys, words, said):
    assert said in called(capsys, *words, code=cli.UNUSABLE)
    assert Shelf.of(project).names() == []


def test_a_name_that_is_taken_stays(project, capsys):
    called(capsys, "save", "v1", "1.json")
    assert "baseline 'v1' exists" in called(capsys, "save", "v1", "2.json", code=cli.UNUSABLE)


def test_the_offline_gate_holds_against_the_promoted_one(project, capsys):
    """Each file against the one before it is within 1 %; two steps are not."""
    called(capsys, "save", "v1", "1.json")
    called(capsys, "promote", "v1")
    for name, size in (("before.json", 1.009), ("now.json", 1.018)):
        write_records(project / name, [a_record({"size_bytes": size})])
    assert cli.main(["gate", "before.json", "now.json"]) == 1
    out = capsys.readouterr().out
    assert f"{KEY}: size_bytes drifted: 1 B -> 1.02 B, +1.8 %" in out
    assert "against promoted baseline 'v1' (aaaaaaaaaaaa)" in out
    (project / ".benchmarks/baselines/PROMOTED").write_text(json.dumps({"name": "v9", "sha256": ""}))
    assert cli.main(["gate", "before.json", "now.json"]) == cli.UNUSABLE
    assert "`benchgate baseline promote NAME`" in capsys.readouterr().err
