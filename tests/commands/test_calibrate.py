"""`benchgate calibrate`: what it measures, what it prints and keeps, and what it refuses."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest

from benchgate.commands import calibrate as verb
from benchgate.commands.main import main
from benchgate.core import Cell, DataError, Work, operations, runtimes, tasks
from benchgate.executors import team
from benchgate.executors.collected import Collected
from benchgate.gate.side_by_side import calibrate as engine
from benchgate.gate.side_by_side.calibrated import file_of, read
from benchgate.gate.side_by_side.pairs import Crew, Side
from benchgate.gate.side_by_side.timed import Prepared
from benchgate.gate.side_by_side.workloads import WORKLOADS
from benchgate.machine.devices import devices
from benchgate.machine.fingerprint import fingerprint
from benchgate.storage.project import working_folder
from tests.gate.side_by_side.test_calibrate import calibrated

ECHO = Cell("echo", "fp32", "echo", "cpu")


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """Names that were measured, on fake workers, in an empty cache and a folder without a project."""
    monkeypatch.setenv("BENCHGATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    names = []

    def fake(name, side, *, effort, crew, said):
        names.append((name, effort.trials))
        said(f"{name}: measuring")
        return calibrated(name=name)

    monkeypatch.setattr(engine, "calibrate", fake)
    return names


def test_the_built_in_work_is_calibrated_kept_and_shown(measured, capsys):
    assert main(["calibrate", "--trials", "0"]) == 0
    printed = capsys.readouterr().out
    assert measured == [(name, 0) for name in WORKLOADS]
    assert "calibration of this machine" in printed
    machine = fingerprint("cpu")
    assert set(read(file_of(machine), machine)) == set(WORKLOADS)
    assert main(["calibrate", "--show"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in WORKLOADS)
    assert len(measured) == len(WORKLOADS)


def test_names_and_words_choose(measured):
    assert main(["calibrate", "-k", "max"]) == 0
    assert main(["calibrate", "tokenizer"]) == 0
    assert [name for name, _ in measured] == ["softmax", "tokenizer"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-k", "nothing"], "-k 'nothing' leaves nothing of: tokenizer"),
        (["tokeniser"], "unknown cell 'tokeniser'"),
        (["--show"], "nothing is calibrated on this machine; run `benchgate calibrate`"),
    ],
)
def test_what_cannot_be_calibrated_is_said(measured, capsys, arguments, said):
    assert main(["calibrate", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert measured == []


@pytest.mark.parametrize("arguments", [["--pairs", "1"], ["--zygotes", "1"], ["--trials", "-1"], ["--pairs", "x"]])
def test_too_few_pairs_are_refused(measured, capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        main(["calibrate", *arguments])
    assert ended.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_a_calibration_of_another_machine_is_refused(measured, capsys):
    assert main(["calibrate", "tokenizer"]) == 0
    path = file_of(fingerprint("cpu"))
    path.write_text(path.read_text().replace('"cores": ', '"cores": 9'))
    assert main(["calibrate", "--show"]) == 2
    assert "a calibration of another machine: cores 9" in capsys.readouterr().err


def test_a_cells_operations_are_sides_of_their_own(measured):
    cell = Cell("echo", "fp32", "echo", "cpu")
    found = verb.chosen([str(cell), "tokenizer"], "", 3, working_folder())
    assert list(found) == [*(f"{cell} {name}" for name in operations(tasks["text2text"])), "tokenizer"]
    side = next(iter(found.values()))
    assert (side.threads, side.device) == (3, "cpu")
    assert found["tokenizer"].threads == 1


def test_a_cell_is_loaded_begun_and_prepared_before_each_call(measured, monkeypatch):
    done: list[str] = []
    work = Work(
        call=lambda: done.append("call"), begin=lambda: done.append("begin"), prepare=lambda: done.append("prepare")
    )
    monkeypatch.setattr(team.running, "prepare", lambda *asked: SimpleNamespace(work=work))
    loaded = verb.load_cell(ECHO, "any", 1, working_folder())
    assert isinstance(loaded, Prepared)
    assert loaded.watch is None
    # Its first call was checked. What prepares is not timed: whoever times does it before each call.
    assert done == ["begin", "prepare", "call"]
    loaded.prepare()
    loaded.call()
    assert done[3:] == ["prepare", "call"]


def test_on_a_device_that_works_on_its_own_a_call_ends_when_the_device_has_done_it(measured, monkeypatch):
    done: list[str] = []
    work = Work(call=lambda: done.append("call"))
    monkeypatch.setattr(team.running, "prepare", lambda *asked: SimpleNamespace(work=work))
    device = replace(devices["cpu"], synchronize=lambda: done.append("waited"), watch=lambda: None)
    of = verb.resolve(ECHO)
    monkeypatch.setattr(verb, "resolve", lambda cell: replace(of, device=device))
    loaded = verb.load_cell(ECHO, "any", 1, working_folder())
    assert isinstance(loaded, Prepared)
    assert (loaded.prepare, loaded.watch) == (None, device.watch)
    done.clear()
    loaded.call()
    assert done == ["call", "waited"]


def test_a_cell_without_inputs_of_its_own_is_refused(measured):
    with pytest.raises(DataError, match="no queries to time it on"):
        verb.load_cell(ECHO, next(iter(operations(tasks["text2text"]))), 1, working_folder())


def test_a_cell_that_cannot_run_here_says_why(measured, capsys, monkeypatch):
    monkeypatch.setattr(type(runtimes["echo"]), "missing", lambda self, device: "no engine")
    assert main(["calibrate", "echo-fp32-echo-cpu"]) == 2
    assert "echo-fp32-echo-cpu: no engine" in capsys.readouterr().err


def test_a_word_alone_means_the_cells_of_the_benchmarks(measured, tmp_path, monkeypatch):
    asked = []

    @contextmanager
    def cells(tests, word, folder):
        asked.append((tests, word, folder))
        yield Collected({"m-fp32-torch-cpu decode": Side(int)}, Crew)

    monkeypatch.setattr(verb, "cells_of_tests", cells)
    (tmp_path / "benchmarks").mkdir()
    assert main(["calibrate", "-k", "decode"]) == 0
    assert main(["calibrate", "--tests", "a.py", "b.py"]) == 0
    assert asked == [(["benchmarks"], "decode", working_folder()), (["a.py", "b.py"], "", working_folder())]
    assert [name for name, _ in measured] == ["m-fp32-torch-cpu decode"] * 2


def test_names_and_tests_are_not_mixed(measured, capsys):
    assert main(["calibrate", "tokenizer", "--tests", "a.py"]) == 2
    assert "NAME 'tokenizer' and --tests 'a.py': give one of them" in capsys.readouterr().err
