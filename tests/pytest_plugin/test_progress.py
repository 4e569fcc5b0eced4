"""Progress while cells are measured: its line, where it is drawn, and that pytest's own output stays whole."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import threading

import pytest

from benchgate.core import Cell
from benchgate.measuring import phase
from benchgate.pytest_plugin import progress
from benchgate.pytest_plugin.progress import Course, Screen, Watch
from tests.pytest_plugin.fake_project import TWO_CELLS

A, B = Cell("m", "fp32", "torch", "cpu"), Cell("m", "bf16", "torch", "cpu")
LINES = {
    "nothing is known": ({}, "", 3.0, "1/2 3 s: start: m-fp32-torch-cpu"),
    "the cell is known": ({"a": 70.0}, "load", 10.0, "1/2 10 s, about 1 min left: load: m-fp32-torch-cpu"),
    "all are known": (
        {"a": 20.0, "b": 40.0},
        "score",
        5.0,
        "1/2 5 s, about 15 s left, of all 55 s: score: m-fp32-torch-cpu",
    ),
    "it takes longer": ({"a": 20.0}, "load", 25.0, "1/2 25 s, 5 s longer than last time: load: m-fp32-torch-cpu"),
}


@pytest.mark.parametrize(("known", "now_in", "elapsed", "line"), LINES.values(), ids=LINES)
def test_the_line_says_what_is_known(known, now_in, elapsed, line):
    assert Course({"a": A, "b": B}, known).line("a", now_in, elapsed) == line


def test_a_terminal_gets_one_line_that_is_cut_and_the_cursor_comes_back():
    said = []
    screen = Screen(said.append, updating=True, column=lambda: 7, width=lambda: 10)
    screen.show("a line that is longer")
    screen.clear()
    assert said == ["\n\r\x1b[2Ka line th\x1b[1A\r\x1b[7C", "\n\r\x1b[2K\x1b[1A\r\x1b[7C"]


def test_a_log_gets_whole_lines_and_nothing_is_taken_back():
    said = []
    screen = Screen(said.append, updating=False)
    screen.show("a line")
    screen.clear()
    assert said == ["\nbenchgate: a line\n"]


def test_a_watch_draws_until_it_is_stopped_and_wipes_its_line(monkeypatch):
    monkeypatch.setattr(progress, "LOOK_S", 0.01)
    said, seen = [], threading.Event()

    def write(text):
        said.append(text)
        seen.set()

    watch = Watch(Screen(write, updating=True, width=lambda: 80), lambda elapsed: "here")
    assert seen.wait(10)
    watch.stop()
    assert "here" in said[0]
    assert said[-1] == "\n\r\x1b[2K\x1b[1A\r"
    count = len(said)
    assert not any(thread.name == progress.PROGRESS for thread in threading.enumerate())
    assert len(said) == count


def test_the_phase_is_left_in_a_file_only_where_somebody_waits(tmp_path, monkeypatch):
    monkeypatch.delenv(phase.PLACE, raising=False)
    phase.enter("load")
    place = tmp_path / "phase"
    assert phase.told(place) == ""
    monkeypatch.setenv(phase.PLACE, str(place))
    phase.enter("load")
    phase.enter("score")
    assert phase.told(place) == "score"
    monkeypatch.setenv(phase.PLACE, str(tmp_path))
    phase.enter("measure")


# Two blocks of one cell.
LONG = ("--benchmark-max-time=2.5", "--cell-scheme=fp32")


def in_a_terminal(project, *args, **settings):
    """What pytest writes to a terminal of its own."""
    environment = {**os.environ, **{f"FAKE_{name}": str(value) for name, value in settings.items()}}
    environment |= {"TERM": "xterm", "PYTHONPATH": os.pathsep.join([*sys.path, str(project.path)]), "COLUMNS": "120"}
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "pytest", "--cell-executor=process", "--benchmark-min-rounds=1", *LONG, *args]
    run = subprocess.Popen(command, cwd=project.path, env=environment, stdout=theirs, stderr=theirs, stdin=theirs)
    os.close(theirs)
    found = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            # Nobody holds the other end any more.
            break
        if not part:
            break
        found += part
    assert run.wait() == 0, found.decode()
    os.close(ours)
    return found.decode()


def test_a_terminal_shows_the_phase_while_output_is_captured_and_pytests_dots_stay(project):
    project.write("test_it.py", TWO_CELLS.replace("cell.measure(", "print(6 * 7 * 1001); cell.measure("))
    text = in_a_terminal(project, SPIN=0.3)
    assert re.search(r"1/1 \d+ s: [a-z -]+(, block \d of \d)?: fake-a-fp32-fake-cpu", text)
    assert ": measure, block " in text
    assert "42042" not in text
    assert re.sub(r"\r?\n\r\x1b\[2K[^\x1b]*\x1b\[1A\r(\x1b\[\d+C)?", "", text).count("test_it.py ") == 1
    assert "1 passed" in text


def test_quiet_is_quiet(project):
    project.write("test_it.py", TWO_CELLS)
    assert "1/1" not in in_a_terminal(project, "-q", SPIN=0.3)


def test_the_seconds_of_a_test_are_in_its_record(project):
    project.write("test_it.py", TWO_CELLS)
    project.run("--benchmark-json=now.json").assert_outcomes(passed=2)
    assert all(0 < record["details"]["test_s"] < 60 for record in project.records("now.json").values())
