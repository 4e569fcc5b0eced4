"""docs/ci.md: every step of its recipes is run in a small made repository, and its table of exit codes holds.

Not run: NOT_RUN, with why. `pytest` is a fake that takes the gate's two options, so that every answer can be had, and
the real one in one test; gh and curl keep what they are given. git, bash and `benchgate answers` are real.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchgate.commands import exits
from benchgate.gate.side_by_side.answers import read_answers
from tests.storage.test_checkout import commit, run

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
GITHUB, GITLAB = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
# Beginning of a step -> why it is not run here.
NOT_RUN = {"pip install": "needs a network"}
# What the fake answers -> exit code of pytest, are there reports, is a comment written.
CASES = {
    "regressed": (1, True, True),
    "improved": (0, True, True),
    "same": (0, True, False),
    "inconclusive": (0, True, False),
    "no report": (4, False, False),
}

PYTEST = """
import subprocess, sys
from pathlib import Path
from benchgate.gate.side_by_side.answers import CellAnswer, GateAnswers
from benchgate.gate.side_by_side.verdict import Verdict
from benchgate.report.gate_formats import write

_, folder, *options = sys.argv
words = [word for option in options for word in option.split("=", 1)]
names, values = words[::2], words[1::2]
assert Path(folder).is_dir() and set(names) == {"--gate-against", "--gate-report"}, options
ref = values[names.index("--gate-against")]
subprocess.run(["git", "rev-parse", "--verify", "--quiet", ref + "^{commit}"], check=True)
kind = Path("kind.txt").read_text()
if kind == "no report":
    sys.exit(4)
answers = GateAnswers(ref, "here", (CellAnswer("benchmarks/test_x.py::t[@m]", {"time": Verdict(kind)}),))
for name, value in zip(names, values):
    if name == "--gate-report":
        write(answers, Path(value), strict=False)
sys.exit(answers.fails())
"""
SENT = """
import sys
from pathlib import Path

given = [word.removeprefix("body=<") for word in sys.argv]
(body,) = [word for word in given if word == "comment.md"]
Path("sent.md").write_text(Path(body).read_text())
Path("sent_by.txt").write_text(" ".join(sys.argv[1:]))
"""
COMMANDS = {
    "pytest": PYTEST,
    "gh": SENT,
    "curl": SENT,
    "benchgate": "import sys\nfrom benchgate.commands.main import main\nsys.exit(main())",
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clone of a made repository, whose branch `main` is only known as origin's, as in a CI job."""
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    origin.mkdir()
    run(origin, "init", "-q", "-b", "main")
    commit(origin, benchmarks_in_test_x__py="\n")
    run(tmp_path, "clone", "-q", str(origin), str(clone))
    run(clone, "checkout", "-q", "--detach")
    run(clone, "branch", "-qD", "main")
    return clone


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, code in COMMANDS.items():
        (folder / f"fake_{name}.py").write_text(code)
        (folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" "{folder}/fake_{name}.py" "$@"\n')
        (folder / name).chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"), "GITHUB_BASE_REF": "main", "GITHUB_REPOSITORY": "o/r",
        "PULL_REQUEST": "7", "GH_TOKEN": "t",
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main", "GATE_TOKEN": "t", "CI_API_V4_URL": "https://example.invalid",
        "CI_PROJECT_ID": "1", "CI_MERGE_REQUEST_IID": "2",
    }  # fmt: skip


def is_run(step: str) -> bool:
    return not any(step.startswith(beginning) for beginning in NOT_RUN)


def in_shell(step: str, folder: Path, environment: dict[str, str]) -> int:
    """The exit code of a step, run as GitHub and GitLab run it."""
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode


@pytest.mark.parametrize("kind", CASES)
def test_the_steps_for_github(checkout: Path, environment: dict[str, str], tmp_path: Path, kind: str) -> None:
    code, reports, comments = CASES[kind]
    (checkout / "kind.txt").write_text(kind)
    gate, comment = (GITHUB["jobs"][name]["steps"] for name in ("gate", "comment"))
    failed, codes = False, {}
    for step in (*gate, *comment):
        if "run" in step and is_run(step["run"]) and (not failed or step.get("if") == "always()" or step in comment):
            codes[step["run"]] = in_shell(step["run"], checkout, environment)
            failed |= codes[step["run"]] != 0

    assert len(codes) == 4
    assert [found for found in codes.values() if found] == ([code] if code else [])
    assert (tmp_path / "summary").exists() is reports
    assert (checkout / "gate.xml").exists() is reports
    assert (checkout / "sent.md").exists() is comments
    if comments:
        assert (checkout / "sent.md").read_text().startswith(f"### benchgate: 1 {kind} of 1 cell")
        assert (checkout / "sent_by.txt").read_text().startswith("pr comment 7 --repo o/r --edit-last")


@pytest.mark.parametrize("kind", CASES)
def test_the_steps_for_gitlab(checkout: Path, environment: dict[str, str], kind: str) -> None:
    code, reports, comments = CASES[kind]
    (checkout / "kind.txt").write_text(kind)
    job = GITLAB["performance"]
    run(checkout, "update-ref", "-d", "refs/remotes/origin/main")
    codes = [in_shell(step, checkout, environment) for step in filter(is_run, (*job["before_script"], *job["script"]))]
    after = [in_shell(step, checkout, environment) for step in job["after_script"]]

    assert codes == [0, code]
    assert after == [0, 0]
    assert all((checkout / name).exists() is reports for name in job["artifacts"]["paths"])
    assert (checkout / job["artifacts"]["reports"]["junit"]).exists() is reports
    assert (checkout / "sent.md").exists() is comments


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """A clone of docs/examples/own_task at a pull request that makes its recall worse."""
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    shutil.copytree(ROOT / "docs" / "examples" / "own_task", origin)
    run(origin, "init", "-q", "-b", "main")
    commit(origin, "as it was")
    run(tmp_path, "clone", "-q", str(origin), str(clone))
    test = clone / "benchmarks" / "test_search.py"
    test.write_text(test.read_text().replace("BITS = 8", "BITS = 2"))
    commit(clone, "smaller")
    return clone


@pytest.mark.parametrize("name", ["GitHub", "GitLab"])
def test_an_example_is_gated_by_each_recipe(
    example: Path, environment: dict[str, str], tmp_path: Path, name: str
) -> None:
    """With the real pytest: the pull request fails by what it made worse, and its comment says so."""
    # Its time is not what is looked at.
    environment |= {"BENCHGATE_CACHE": str(tmp_path / "cache"), "PYTEST_ADDOPTS": "--gate-budget=2s"}
    fake = tmp_path / "bin" / "pytest"
    fake.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pytest -p no:randomly -p no:cacheprovider "$@"\n')
    if name == "GitHub":
        steps = [step["run"] for job in ("gate", "comment") for step in GITHUB["jobs"][job]["steps"] if "run" in step]
    else:
        job = GITLAB["performance"]
        steps = [step for part in ("before_script", "script", "after_script") for step in job[part]]
    codes = [in_shell(step, example, environment) for step in steps if is_run(step)]

    assert sorted(codes) == [*[0] * (len(codes) - 1), exits.WORSE]
    answers = read_answers(example / "gate.json")
    (cell,) = answers.cells
    assert cell.verdicts["recall_at_10"].kind == "regressed"
    assert cell.verdicts["size_bytes"].kind == "improved" or "size_bytes" in str(cell)
    assert "recall" in (example / "sent.md").read_text()


def test_without_a_token_gitlab_has_no_comment_and_no_failure(checkout: Path, environment: dict[str, str]) -> None:
    (checkout / "comment.md").write_text("x")
    *_, send = GITLAB["performance"]["after_script"]
    assert in_shell(send, checkout, {**environment, "GATE_TOKEN": ""}) == 0
    assert not (checkout / "sent.md").exists()


def test_a_branch_that_was_not_fetched_is_found_out(checkout: Path, environment: dict[str, str]) -> None:
    """As in a clone of depth 1: the fake has git look for it."""
    (checkout / "kind.txt").write_text("same")
    run(checkout, "update-ref", "-d", "refs/remotes/origin/main")
    (step,) = [s["run"] for s in GITHUB["jobs"]["gate"]["steps"] if s.get("run", "").startswith("pytest")]
    with pytest.raises(AssertionError, match="Traceback"):
        in_shell(step, checkout, environment)


def test_what_is_not_run_is_there() -> None:
    steps = [s["run"] for job in GITHUB["jobs"].values() for s in job["steps"] if "run" in s]
    steps += [step for name in ("before_script", "script", "after_script") for step in GITLAB["performance"][name]]
    assert {beginning for beginning in NOT_RUN if any(step.startswith(beginning) for step in steps)} == set(NOT_RUN)


def test_the_job_that_may_write_runs_nothing_of_the_project() -> None:
    jobs: dict[str, Any] = GITHUB["jobs"]
    assert GITHUB["permissions"] == {}
    assert {name: job["permissions"] for name, job in jobs.items()} == {
        "gate": {"contents": "read"},
        "comment": {"pull-requests": "write"},
    }
    assert not any("checkout" in step.get("uses", "") for step in jobs["comment"]["steps"])
    checkout = jobs["gate"]["steps"][0]
    assert checkout["with"] == {"fetch-depth": 0, "persist-credentials": False}


def test_actions_are_pinned_by_tag() -> None:
    used = [step["uses"] for job in GITHUB["jobs"].values() for step in job["steps"] if "uses" in step]
    assert len(used) == 4
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", name) for name in used)


def test_the_table_of_exit_codes_holds() -> None:
    section = PAGE.partition("## Exit codes")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if "|" in line][2:]
    by_code = {int(code): said for code, *said in rows}

    ours = {0, exits.WORSE, exits.UNUSABLE, exits.INTERRUPTED}
    # Columns: pytest, `benchgate gate`, other verbs. An older pytest has fewer codes.
    assert {code for code, said in by_code.items() if said[0]} >= {int(code) for code in pytest.ExitCode}
    assert {code for code, said in by_code.items() if said[1]} == ours
    assert {code for code, said in by_code.items() if said[2]} == ours
    assert "worse" in by_code[exits.WORSE][1]
    assert "cannot say" in by_code[exits.UNUSABLE][1]
    assert "interrupted" in by_code[exits.INTERRUPTED][1]
    assert "no cell" in by_code[int(pytest.ExitCode.NO_TESTS_COLLECTED)][0]
    assert "option" in by_code[int(pytest.ExitCode.USAGE_ERROR)][0]
