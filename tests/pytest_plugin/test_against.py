"""`--gate-against`: a project's cells held against another version of it, by real processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchgate.gate.side_by_side.answers import read_answers
from tests.pytest_plugin.fake_project import CONFTEST
from tests.pytest_plugin.versions_project import VersionsProject

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks and signals as Linux has them")
ALPHA = "test_cells.py::test_answer[alpha-fp32-plain-cpu]"
BETA = "test_cells.py::test_answer[beta-fp32-plain-cpu]"


@pytest.fixture
def project(tmp_path: Path) -> VersionsProject:
    return VersionsProject(tmp_path / "pröject one", tmp_path / "cache")


def test_an_unchanged_ref_is_unchanged_and_nothing_is_measured(project: VersionsProject) -> None:
    code, output = project.run("--gate-against", "main")

    assert code == 0, output
    assert "2 unchanged: no file of the project differs" in output
    assert "2 passed, 1 deselected" in output
    assert project.worktrees() == 0


def test_a_slower_model_fails_by_name_and_no_other(project: VersionsProject, tmp_path: Path) -> None:
    project.change("work_alpha.py", "SPIN_S = 0.002", "SPIN_S = 0.006")

    code, output = project.run("--gate-against", "main", f"--gate-report={tmp_path / 'gate.json'}")

    assert code == 1, output
    answers = read_answers(tmp_path / "gate.json")
    assert {cell.test: cell.kind for cell in answers.cells} == {ALPHA: "regressed", BETA: "code not exercised"}
    assert answers.cells[0].changed[0] == "work_alpha.py"
    assert answers.cells[0].verdicts["size_bytes"].kind == "same"
    assert "1 failed, 1 passed" in output
    assert "another exception" not in output
    assert "not committed" in output
    assert project.worktrees() == 0


def test_a_larger_artifact_is_named_beside_the_time(project: VersionsProject, tmp_path: Path) -> None:
    project.change("work_alpha.py", "SIZE = 1000", "SIZE = 1500")

    code, output = project.run("--gate-against", "main", "-k", "alpha", f"--gate-report={tmp_path / 'gate.json'}")

    assert code == 1, output
    verdicts = read_answers(tmp_path / "gate.json").cells[0].verdicts
    assert verdicts["size_bytes"].kind == "regressed"
    assert verdicts["time"].kind != "regressed"


def test_a_documentation_commit_is_not_timed(project: VersionsProject) -> None:
    project.write("README.md", "Better words.\n")
    project.commit()

    code, output = project.run("--gate-against", "HEAD~1", "--gate-strict")

    assert code == 0, output
    assert "2 code not exercised: what differs was not loaded by this cell: README.md" in output


def test_a_changed_test_file_is_exercised_by_its_own_cells_alone(project: VersionsProject, tmp_path: Path) -> None:
    project.write("test_other.py", (project.path / "test_cells.py").read_text())
    project.commit()
    project.change("test_other.py", "threads=1)", "threads=1)  # as before")
    report = tmp_path / "gate.json"

    project.run("--gate-against", "main", "-k", "alpha", "--gate-budget", "1s", f"--gate-report={report}")

    cells = {cell.test: cell for cell in read_answers(report).cells}
    assert cells[ALPHA].kind == "code not exercised"
    assert cells[ALPHA.replace("test_cells", "test_other")].changed == ("test_other.py",)


def test_a_folder_is_a_baseline_too_and_cells_may_be_gone_or_new(project: VersionsProject, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(project.path, other)
    project.change("test_cells.py", 'model=["alpha", "beta"]', 'model="alpha"')
    project.change(
        "test_cells.py",
        "def test_nothing_of_ours",
        """@pytest.mark.cells(model="beta", scheme="fp32", runtime="plain")
def test_new(cell):
    cell.measure("answer", meters=(), threads=1)


def test_nothing_of_ours""",
    )

    code, output = project.run(f"--gate-against={other}", "-k", "new or beta")

    assert code == 0, output
    assert "test_new[beta-fp32-plain-cpu]: not comparable: new: the baseline has no such cell" in output
    assert f"{BETA}: gone" in output
    code, output = project.run(f"--gate-against={other}", "-k", "new or beta", "--gate-strict")
    assert code == 1, output


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("test_cells.py", "import pytest", "import pytest, surely_absent", "the baseline cannot collect test_cells.py"),
        ("suite.py", "import importlib", "import importlib, surely_absent", "surely_absent"),
        ("work_alpha.py", "import time", "raise RuntimeError('the old one broke')", "the old one broke"),
    ],
)
def test_a_baseline_that_breaks_compares_nothing_and_says_why(
    project: VersionsProject, file: str, old: str, new: str, said: str
) -> None:
    project.change(file, old, new)
    project.commit()
    project.change(file, new, old)

    code, output = project.run("--gate-against", "HEAD", "-k", "alpha")

    assert code == 0, output
    assert f"{ALPHA}: not comparable: the baseline" in output
    assert said in output


def test_a_candidate_that_breaks_fails(project: VersionsProject) -> None:
    project.change("work_alpha.py", "import time", "raise RuntimeError('the new one broke')")

    code, output = project.run("--gate-against", "HEAD", "-k", "alpha")

    assert code == 1, output
    assert "broken" in output
    assert "the new one broke" in output


def test_a_python_without_what_it_takes_is_named(project: VersionsProject, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "old"], check=True)

    code, output = project.run(f"--gate-against-python={tmp_path / 'old'}", "-k", "alpha")

    assert code == 0, output
    assert "not comparable: the baseline" in output
    assert "No module named" in output


def test_the_same_environment_by_another_python_is_unchanged(project: VersionsProject, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)

    code, output = project.run(f"--gate-against-python={python}", "-k", "alpha")

    assert code == 0, output
    assert "1 unchanged: both sides ran the same" in output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--gate-against", "mian"), "did you mean 'main'"),
        (("--gate-against", "main", "--gate-budget", "soon"), "write for example 200ms, 90s, 10m or 1h"),
        (("--gate-against", "main", "--gate-report", "gate.txt"), "gate.txt"),
        (("--gate-against", "main", "--gate-report", "no/such/folder/gate.md"), "no/such/folder/gate.md"),
        (("--gate-against-python", "nowhere"), "'nowhere' is no interpreter"),
        (("--gate-against", "."), "write --gate-against=., with ="),
    ],
)
def test_what_cannot_be_is_a_usage_error_with_a_way_out(
    project: VersionsProject, options: tuple[str, ...], said: str
) -> None:
    code, output = project.run(*options)

    assert code == 4, output
    assert said in output
    assert "Traceback" not in output


def test_a_suite_below_the_root_of_a_monorepo(project: VersionsProject) -> None:
    (project.path / "bench").mkdir()
    for name in ("conftest.py", "suite.py", "test_cells.py", "work_alpha.py", "work_beta.py"):
        shutil.move(project.path / name, project.path / "bench" / name)
    project.commit()
    project.change("bench/work_alpha.py", "SPIN_S = 0.002", "SPIN_S = 0.002  # as before")

    code, output = project.run("--gate-against", "HEAD", "-k", "beta", folder="bench")

    assert code == 0, output
    assert "1 code not exercised: what differs was not loaded by this cell: bench/work_alpha.py" in output


def test_sigkill_leaves_no_process_and_the_next_run_removes_the_worktree(project: VersionsProject) -> None:
    project.change("work_alpha.py", "SPIN_S = 0.002", "SPIN_S = 0.003")
    process = project.start("--gate-against", "main", "-k", "alpha")
    children = _until_both_sides_run(process.pid)
    process.kill()
    process.wait()

    assert _all_gone(children)
    assert project.worktrees() == 1
    assert project.run("--gate-against", "main", "-k", "beta")[0] == 0
    assert project.worktrees() == 0


@pytest.mark.usefixtures("sigint_is_heard")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_neither_process_nor_worktree(project: VersionsProject, number: int) -> None:
    project.change("work_alpha.py", "SPIN_S = 0.002", "SPIN_S = 0.003")
    process = project.start("--gate-against", "main", "-k", "alpha")
    children = _until_both_sides_run(process.pid)
    process.send_signal(number)
    process.communicate(timeout=60)

    assert _all_gone(children)
    assert project.worktrees() == 0


def _until_both_sides_run(pid: int) -> list[int]:
    """The processes of both sides, once there are some."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        sides = [int(child) for child in children if "--gate-peer" in _command(int(child))]
        if len(sides) == 2:
            return sides
        os.sched_yield()
    raise AssertionError("no sides")


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def _all_gone(pids: list[int]) -> bool:
    end = time.monotonic() + 60
    while any("--gate-peer" in _command(pid) for pid in pids):
        if time.monotonic() > end:
            return False
        os.sched_yield()
    return True


def test_the_report_is_json_that_others_read(project: VersionsProject, tmp_path: Path) -> None:
    project.run("--gate-against", "main", f"--gate-report={tmp_path / 'gate.json'}")

    document = json.loads((tmp_path / "gate.json").read_text())
    assert document["schema"] == 1
    assert [cell["verdicts"]["time"]["kind"] for cell in document["cells"]] == ["unchanged"] * 2


def test_a_suspicious_time_is_confirmed_side_by_side_or_forgiven(project: VersionsProject, tmp_path: Path) -> None:
    stored = f"--benchmark-json={tmp_path / 'stored.json'}"
    # How busy the machine is must not decide what is suspicious.
    undisturbed = "from benchgate.machine import neighbours\nneighbours.disturbances = lambda *_: []\n"
    project.write("conftest.py", CONFTEST + undisturbed)
    project.commit()
    quiet = ("-k", "alpha", "--benchmark-max-time=0.2", "--cell-patience=0", "--cell-executor=inline")
    assert project.run(stored, *quiet)[0] == 0
    project.change("work_alpha.py", "SPIN_S = 0.002", "SPIN_S = 0.008")
    compare = (f"--benchmark-compare={tmp_path / 'stored.json'}", *quiet)

    code, output = project.run(*compare, "--gate-confirm", "main")

    assert code == 1, output
    assert "side by side: regressed" in output
    project.commit()
    code, output = project.run(*compare, "--gate-confirm", "main")
    assert code == 0, output
    assert "unchanged" in output
    assert project.worktrees() == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [(("--gate-confirm", "main"), "--benchmark-compare"), (("--gate-confirm=main", "--gate-against=main"), "one of")],
)
def test_a_confirmation_needs_something_to_confirm(
    project: VersionsProject, options: tuple[str, ...], said: str
) -> None:
    code, output = project.run(*options)

    assert code == 4, output
    assert said in output
