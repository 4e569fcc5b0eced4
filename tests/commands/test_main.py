"""The command: exit codes, messages without tracebacks, JUnit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchgate.commands import main as cli
from benchgate.core import Metric
from benchgate.results import Record

KEY = "benchmarks/test_x.py::test_x[m-fp32-torch-cpu]"


def record(size: float = 100.0, key: str = KEY, outcome: str = "passed") -> Record:
    cell = {"model": "m", "scheme": "fp32", "runtime": "torch", "device": "cpu"}
    metrics = {"size_bytes": Metric(size, "B", "lower")}
    return Record(key, cell, "call", metrics=metrics, outcome=outcome, version="1")


def write(path: Path, *records: Record) -> Path:
    benchmarks = [{"fullname": r.key, "extra_info": {"benchgate": r.as_dict()}} for r in records]
    path.write_text(json.dumps({"benchmarks": benchmarks}))
    return path


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write(tmp_path / "base.json", record())


@pytest.mark.parametrize(
    ("current", "options", "code", "said"),
    [
        ([record(101)], [], 0, "passed"),
        ([record(102)], [], 1, "size_bytes regressed: 100 -> 102 (+2.0%), allowed 0.01 relative"),
        ([record(50)], [], 0, "size_bytes improved"),
        ([record(key="other")], [], 0, f"{KEY}: gone"),
        ([record(key="other")], ["--strict"], 1, "other: new"),
        ([record(outcome="failed")], [], 1, "the cell failed"),
    ],
)
def test_gate_exit_code_and_verdict(base, tmp_path, capsys, current, options, code, said):
    now = write(tmp_path / "now.json", *current)
    assert cli.main(["gate", str(base), str(now), *options]) == code
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        ("{", "not valid JSON"),
        ("[]", "not a pytest-benchmark document"),
        ('{"benchmarks": []}', "has no benchgate records"),
        ('{"benchmarks": [{"extra_info": {"benchgate": {"schema": 99}}}]}', "newer than this benchgate's"),
    ],
)
def test_gate_cannot_say(base, tmp_path, capsys, content, said):
    now = tmp_path / "now.json"
    if content is not None:
        now.write_text(content)
    assert cli.main(["gate", str(base), str(now)]) == cli.UNUSABLE
    captured = capsys.readouterr()
    assert said in captured.err
    assert str(now) in captured.err
    assert "Traceback" not in captured.err


def test_gate_reads_the_projects_tolerances(base, tmp_path, capsys):
    (tmp_path / "pyproject.toml").write_text("[tool.benchgate.gate]\nsize_bytes = 0.05\n")
    assert cli.main(["gate", str(base), str(write(tmp_path / "now.json", record(104)))]) == 0


def test_gate_writes_junit_with_a_failure_for_each_cell(base, tmp_path, capsys):
    now = write(tmp_path / "now.json", record(200), record(key="other<&>"))
    assert cli.main(["gate", str(base), str(now), "--junit", str(tmp_path / "gate.xml")]) == 1
    suite = ElementTree.parse(tmp_path / "gate.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    assert failed == [KEY]


def test_junit_of_a_skipped_cell_says_why(base, tmp_path, capsys):
    skipped = replace(record(outcome="skipped"), metrics={}, reason="no CUDA device")
    assert cli.main(["gate", str(base), str(write(tmp_path / "now.json", skipped)), "--junit", "gate.xml"]) == 0
    case = ElementTree.parse(tmp_path / "gate.xml").getroot()[0]
    assert case.find("skipped").get("message") == "no CUDA device"


def test_report_prints_the_figures(base, capsys):
    assert cli.main(["report", str(base)]) == 0
    assert "100 B" in capsys.readouterr().out


def test_fetch_names_near_matches(base, capsys):
    assert cli.main(["fetch", "lambada-open"]) == cli.UNUSABLE
    assert "unknown asset 'lambada-open'; did you mean 'lambada-openai'?" in capsys.readouterr().err


def test_fetch_list_fetches_nothing(base, tmp_path, capsys):
    assert cli.main(["fetch", "--list"]) == 0
    assert "lambada-openai" in capsys.readouterr().out


def test_doctor_names_what_is_missing_and_how_to_get_it(base, capsys, monkeypatch):
    monkeypatch.setattr("benchgate.machine.packages._installed", lambda name: False)
    assert cli.main(["doctor"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "pip install 'benchgate[torch]'" in out
    assert "BENCHGATE_CACHE" in out


def test_unknown_verb_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["gat"])
    assert stopped.value.code == 2


def test_interrupt_is_no_traceback(base, capsys, monkeypatch):
    def interrupted(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("benchgate.results.read_records", interrupted)
    assert cli.main(["report", str(base)]) == 130
    assert "interrupted" in capsys.readouterr().err
