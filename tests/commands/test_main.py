"""The command: exit codes, messages without tracebacks, JUnit."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from xml.etree import ElementTree

import pytest

import benchgate
from benchgate.commands import completing
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
        ([record(102)], [], 1, "size_bytes regressed: 100 B -> 102 B, +2.0 %, allowed 1 %"),
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


@pytest.mark.parametrize(
    ("states", "said"),
    [
        (({}, {"RAPL": "sudo modprobe"}), "energy: no counter can be read here RAPL no: sudo modprobe"),
        (({"RAPL": "package-0"}, {"NVML": "no GPU"}), "energy RAPL package-0 NVML no: no GPU"),
    ],
)
def test_doctor_says_what_energy_can_be_read_and_the_way_out(base, capsys, monkeypatch, states, said):
    monkeypatch.setattr("benchgate.machine.energy_counters.states", lambda: states)
    assert cli.main(["doctor"]) == 0
    assert said in " ".join(capsys.readouterr().out.split())


def test_unknown_verb_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["gat"])
    assert stopped.value.code == 2


def test_interrupt_is_no_traceback(base, capsys, monkeypatch):
    def interrupted(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("benchgate.commands.report.read_records", interrupted)
    assert cli.main(["report", str(base)]) == 130
    assert "interrupted" in capsys.readouterr().err


def broken(*arguments) -> None:
    raise ValueError("two\nlines")


def test_a_defect_is_a_message_and_no_verdict(base, capsys, monkeypatch):
    """Exit code 1 means worse; Python's own for a traceback is 1 too."""
    monkeypatch.delenv(cli.DEBUG, raising=False)
    monkeypatch.setattr("benchgate.commands.gate.judge_files", broken)
    assert cli.main(["gate", str(base), str(base)]) == cli.UNUSABLE
    said = capsys.readouterr().err
    assert said.startswith("benchgate: unexpected ValueError: two lines; ")
    assert said.count("\n") == 1
    assert cli.main(["--debug", "gate", str(base), str(base)]) == cli.UNUSABLE
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv(cli.DEBUG, "1")
    assert cli.main(["gate", str(base), str(base)]) == cli.UNUSABLE
    assert "Traceback" in capsys.readouterr().err


def run(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    source = str(Path(benchgate.__file__).parents[1])
    command = [sys.executable, "-m", "benchgate.commands.main", *arguments]
    return subprocess.run(
        command, cwd=cwd, env={**os.environ, "PYTHONPATH": source, **environment},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_a_home_that_nobody_has(tmp_path):
    done = run("doctor", cwd=tmp_path, BENCHGATE_CACHE="~nobody-has-this-name/cache")
    assert done.returncode == cli.UNUSABLE
    assert done.stderr.startswith("benchgate: ")
    assert "Traceback" not in done.stderr


def test_a_working_folder_that_was_removed(tmp_path, capsys, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for verb in (["doctor"], ["gate", "a.json", "b.json"], ["fetch", "--list"]):
        assert cli.main(verb) == cli.UNUSABLE
        assert capsys.readouterr().err == "benchgate: the working folder no longer exists; cd to one that does\n"


def test_what_cannot_be_written_is_a_message(base, tmp_path, capsys):
    assert cli.main(["gate", str(base), str(base), "--junit", str(tmp_path / "no" / "folder.xml")]) == cli.UNUSABLE
    assert "folder.xml" in capsys.readouterr().err


def test_help_imports_no_verb_and_nothing_heavy(tmp_path):
    show = (
        "import contextlib, sys\nfrom benchgate.commands.main import main\n"
        "with contextlib.suppress(SystemExit):\n    main(['--help'])\n"
        "print('LOADED', *sys.modules)"
    )
    source = str(Path(benchgate.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", show], cwd=tmp_path, env={**os.environ, "PYTHONPATH": source},
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    loaded = set(done.stdout.partition("LOADED ")[2].split())
    assert all(re.search(rf"^    {verb}\s", done.stdout, re.MULTILINE) for verb in cli.VERBS)
    assert {name for name in loaded if name.startswith("benchgate.commands.")} == {
        "benchgate.commands.main", "benchgate.commands.exits",
    }  # fmt: skip
    assert not loaded & {"numpy", "scipy", "rich", "torch", "matplotlib", "pytest"}


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_has_its_help(verb, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main([verb, "--help"])
    assert stopped.value.code == 0
    assert cli.VERBS[verb].split()[0] in capsys.readouterr().out


def test_what_completion_knows_by_its_placeholder_is_a_placeholder_of_a_verb():
    """A placeholder that is written otherwise in a verb is no longer completed, and nothing says so."""
    parsers = {verb: argparse.ArgumentParser() for verb in cli.VERBS}
    for verb, parser in parsers.items():
        import_module(f"benchgate.commands.{verb}").add_arguments(parser)
    found = {str(action.metavar) for parser in parsers.values() for action in parser._actions}
    assert found >= completing.NAMES.keys()


def test_gate_in_a_subfolder_reads_the_projects_rows_and_tolerances(base, tmp_path, capsys, monkeypatch):
    """A metric of the project's own is in no table before its conftest is loaded."""
    (tmp_path / "pyproject.toml").write_text("[tool.benchgate.gate]\nspam_per_egg = 0.5\n")
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["spam_rows_of_a_test"]\n')
    row = "benchgate.metric_row(benchgate.Row('spam_per_egg', '1', 'higher', 'spam', 'spam'))\n"
    (tmp_path / "spam_rows_of_a_test.py").write_text("import benchgate\n" + row)
    (tmp_path / "deep" / "er").mkdir(parents=True)
    for name, value in (("base.json", 10.0), ("worse.json", 4.0), ("good.json", 6.0)):
        metrics = {"spam_per_egg": Metric(value, "1", "higher")}
        write(tmp_path / name, replace(record(), metrics=metrics))
    results = [run("gate", "../../base.json", f"../../{name}", cwd=tmp_path / "deep" / "er") for name in
               ("worse.json", "good.json")]  # fmt: skip
    assert [done.returncode for done in results] == [1, 0], results
    assert "spam_per_egg regressed: 10.0 -> 4, -60.0 %, allowed 50 %" in results[0].stdout
