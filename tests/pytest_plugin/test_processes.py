"""A process for every cell: whatever it does there is its own outcome, the others are measured, and nothing is left."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.pytest_plugin.doer_suite import Suite

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="signals and /proc as Linux has them")


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return Suite(tmp_path / "a folder with ümlauts")


EACH = """
@pytest.mark.cells(model={models}, runtime="doer"{more})
def test_do(cell):
    cell.measure(meters=())
"""
# model -> (outcome, a part of its reason)
ENDS = {
    "quiet": ("passed", ""),
    "segfault": ("crash", "killed by signal 11 (SIGSEGV)"),
    "exit": ("crash", "died with exit code 3"),
    "eat": ("oom", ""),
    "hang": ("timeout", "not done within"),
    "shout": ("passed", ""),
    "fork": ("passed", ""),
    "close": ("crash", "closed its end of the pipe"),
    "kill": ("crash", "killed by signal 9"),
    "raise": ("failed", "division by zero"),
    "unbuildable": ("crash", "died with exit code 7"),
}


def test_each_end_is_its_cells_outcome_and_the_others_are_measured(suite):
    suite.write(EACH.format(models=list(ENDS), more=""))
    said = suite.run("--cell-timeout=5", "--cell-memory=400MiB", "-rA")
    found = suite.records()
    assert {name: record["outcome"] for name, record in found.items()} == {n: end for n, (end, _) in ENDS.items()}
    for name, (outcome, reason) in ENDS.items():
        assert reason in found[name]["reason"], name
        assert bool(found[name]["metrics"]) is (outcome == "passed"), name
    # The last lines of a dead worker are in its failure.
    assert "about to fall" in said
    # A worker does not import the conftest again.
    assert len((suite.path / "imported").read_text().splitlines()) == 1
    assert suite.left() == []


def test_a_cell_that_may_end_so_is_a_row_and_no_failure_nor_an_unexpected_pass(suite):
    names = ["quiet", "eat", "hang", "segfault"]
    suite.write(EACH.format(models=names, more=', may_end=("oom", "timeout", "crash")'))
    said = suite.run("--cell-timeout=5", "--cell-memory=400MiB")
    assert "1 passed, 3 xfailed" in said
    outcomes = [suite.records()[name]["outcome"] for name in names]
    assert outcomes == ["passed", "oom", "timeout", "crash"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_ended_leaves_no_process(suite, number, sigint_is_heard):
    suite.write(EACH.format(models=["fork", "hang"], more=""))
    process = suite.begin()
    wait_until(lambda: (suite.path / "hanging").exists())
    assert len(suite.left()) >= 3
    process.send_signal(number)
    process.communicate(timeout=60)
    wait_until(lambda: suite.left() == [])


def wait_until(holds: Any, seconds: float = 60.0) -> None:
    """Look again and again, until it holds; fails when it never does."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "did not come about"
        time.sleep(0.05)


IN_A_FUNCTION = """
def make():
    class Local(Doer):
        def __reduce__(self):
            return super().__reduce__()
    return Local("local")

ACTS["local"] = quiet
benchgate.model(make())

@pytest.mark.cells(model="local", runtime="doer")
@pytest.mark.parametrize("given", [1, object()])
def test_local(cell, given):
    cell.measure(meters=())

@pytest.mark.cells(model="quiet", runtime="doer")
def test_unsendable(cell):
    cell.measure(meters=(), inputs=sys.stdout)

@pytest.mark.cells(model="quiet", runtime="doer")
def test_environment(cell, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("GIVEN", "yes")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys.modules[__name__], "quiet", lambda: 1 / 0)
    cell.measure(meters=())
    assert cell.session() == 1.0
"""


@pytest.mark.parametrize("mode", ["prepend", "importlib"])
def test_what_is_defined_anywhere_is_known_there_and_what_cannot_be_sent_says_so(suite, mode):
    suite.write(IN_A_FUNCTION)
    said = suite.run(f"--import-mode={mode}", "-rs")
    assert "1 failed, 3 passed" in said
    assert "define it in a module, or run with --cell-executor inline" in said


def test_why_there_was_no_fork_is_said(suite):
    """A package that starts a thread when it is imported: each cell has a fresh interpreter."""
    text = "import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
    (suite.path / "starts_threads.py").write_text(text, encoding="utf-8")
    suite.write(EACH.format(models=["quiet"], more=""))
    test = suite.path / "test_it.py"
    changed = test.read_text(encoding="utf-8").replace(
        "default_factory=dict", 'default_factory=lambda: {"starts_threads": ""}'
    )
    # Such an interpreter is pytest's own child.
    test.write_text(changed.replace("assert os.getppid() !=", "assert os.getppid() =="), encoding="utf-8")
    said = suite.run()
    assert "1 passed" in said, said
    assert "fresh interpreters instead of forks: 2 threads after the imports" in said


def test_bad_limits_are_refused_in_one_line(suite):
    suite.write(EACH.format(models=["quiet"], more=""))
    for option, said in {
        "--cell-timeout=0": "seconds are too few",
        "--cell-timeout=nan": "is no number of seconds",
        "--cell-memory=lots": "memory limit 'lots' is no size",
        "--cell-patience=-1": "is no number of seconds",
        "--cell-executor=rya": "is none of process, inline, ray and ray=ADDRESS",
    }.items():
        found = suite.run(option)
        assert said in found, option
        assert "Traceback" not in found, option


SIDE_BY_SIDE = """
def spin(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass

ACTS["slow"], ACTS["fast"] = lambda: spin(0.004), lambda: spin(0.002)
for name in ("slow", "fast"):
    benchgate.model(Doer(name))

@pytest.mark.cells(model="fast", runtime="doer")
def test_twice_as_fast(cell):
    from dataclasses import replace
    cell.measure(meters=(), threads=1)
    found = cell.side_by_side(replace(cell.cell, model="slow"), threads=1)
    assert found.kind == "improved", found
    assert found.change.high < -1 / 3, found

@pytest.mark.cells(model="segfault", runtime="doer", measure=False)
def test_a_side_that_dies(cell):
    from dataclasses import replace
    found = cell.side_by_side(replace(cell.cell, model="quiet"), threads=1)
    assert (found.kind, found.broken) == ("broken", "candidate"), found
    assert "SIGSEGV" in found.reason
"""


def test_two_cells_are_compared_by_fresh_workers_of_each(suite):
    suite.write(SIDE_BY_SIDE)
    said = suite.run()
    assert "2 passed" in said, said
    (kept,) = suite.records()["fast"]["details"]["side_by_side"]
    assert kept["other"] == "slow-fp32-doer-cpu"
    assert kept["pairs"] >= 3
    assert suite.left() == []
