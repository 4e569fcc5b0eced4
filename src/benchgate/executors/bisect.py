"""The commit that made a cell worse, by `git bisect` in a worktree of its own: the user's checkout is not touched.

Every step is a process that holds the step's commit against the good one, side by side, and writes its answers.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchgate.core import BenchgateError, DataError
from benchgate.executors import surroundings
from benchgate.gate.side_by_side.answers import KINDS, GateAnswers, read_answers
from benchgate.gate.side_by_side.verdict import Kind
from benchgate.storage import git
from benchgate.storage.brought import bring
from benchgate.storage.checkout import Tree, here, version

Term = Literal["good", "bad", "skip"]
# A commit that cannot be judged is skipped, as exit code 125 is for `git bisect run`.
TERMS: Mapping[Kind, Term] = {
    "regressed": "bad",
    "broken": "skip",
    "inconclusive": "skip",
    "not comparable": "skip",
    "improved": "good",
    "same": "good",
    "code not exercised": "good",
    "unchanged": "good",
}
# What an interrupted step may take to put its own worktrees away.
PATIENCE_S = 30.0
SAID_LINES = 3


@dataclass(frozen=True)
class Judged:
    """A commit, what git is told of it, and why."""

    commit: str
    subject: str
    term: Term
    why: str

    def __str__(self) -> str:
        return f"{self.commit[:10]} {self.term}: {self.subject} ({self.why})"


@dataclass(frozen=True)
class Found:
    """The first bad commit, or those among which it is where the others could not be judged; newest first."""

    commits: tuple[str, ...]
    judged: tuple[Judged, ...]


# What a step runs in the folder of its commit: from the good commit and the file for its answers to a command.
Command = Callable[[str, Path], Sequence[str]]
Step = Callable[[Path, str], tuple[Term, str]]


def bisect(folder: Path, good: str, bad: str, step: Step, say: Callable[[str], None] = lambda line: None) -> Found:
    """Return the commit after `good` and up to `bad` at which `step` begins to call commits bad.

    `step(folder, good commit)` judges what is checked out in a folder, which stands to its worktree as `folder` stands
    to ours. Raises BenchgateError where the two are no beginning and end, or `bad` is not bad.
    """
    ours = here(folder)
    first, last = _ends(ours, good, bad)
    with version(last, ours) as tree:
        inside = tree.root / folder.resolve().relative_to(ours.root)
        judged = [_judged(ours, tree, inside, first, step)]
        say(str(judged[0]))
        if judged[0].term != "bad":
            raise BenchgateError(
                f"{bad} is not worse than {good} ({judged[0].why}): there is nothing to look for; "
                "give commits between which it became worse, see `benchgate history`"
            )
        git.git(tree.root, "bisect", "start", last, first)
        skipped: set[str] = set()
        while len(left := _left(tree)) > 1 and set(left[1:]) - skipped:
            judged.append(_judged(ours, tree, inside, first, step))
            say(str(judged[-1]))
            if judged[-1].term == "skip":
                skipped.add(judged[-1].commit)
            if judged[-1].term != "skip" or set(left[1:]) - skipped:
                # What a step left changed must not keep git from the next commit.
                git.git(tree.root, "reset", "--hard", "--quiet")
                git.git(tree.root, "bisect", judged[-1].term)
        return Found(tuple(left), tuple(judged))


def _ends(ours: Tree, good: str, bad: str) -> tuple[str, str]:
    """The commits of two names. Raises DataError for an unknown name, and unless the second comes from the first."""
    if git.top_of(ours.root) is None:
        raise DataError(f"{ours.root} is no git repository (or git is missing): there are no commits to try")
    commits = [git.commit_of(ours.root, name) for name in (good, bad)]
    for name, commit in zip((good, bad), commits, strict=True):
        if commit is None:
            raise git.unknown_ref(ours.root, name)
    first, last = (str(commit) for commit in commits)
    base = _common(ours, first, last)
    if first == last or base != first:
        told = f"; their common ancestor is {base[:10]}" if base else ""
        raise DataError(f"{bad} does not come after {good}{told}: give a good commit that {bad} was made from")
    return first, last


def _common(ours: Tree, first: str, last: str) -> str:
    """The newest commit that both come from, "" where there is none."""
    try:
        return git.git(ours.root, "merge-base", first, last).strip()
    except DataError:
        return ""


def _left(tree: Tree) -> list[str]:
    """The commits that may be the first bad one, the one known to be bad first."""
    goods = git.git(tree.root, "for-each-ref", "--format=%(objectname)", "refs/bisect/good-*").split()
    return git.git(tree.root, "rev-list", "refs/bisect/bad", "--not", *goods).split()


def _judged(ours: Tree, tree: Tree, inside: Path, good: str, step: Step) -> Judged:
    commit, _, subject = git.git(tree.root, "show", "--no-patch", "--format=%H %s", "HEAD").strip().partition(" ")
    if not inside.is_dir():
        return Judged(commit, subject, "skip", f"it has no folder {inside.relative_to(tree.root)}")
    # git moves neither submodules nor LFS files: those of the commit before would be judged.
    _, lacking = bring(ours.root, tree.root, commit)
    if lacking:
        return Judged(commit, subject, "skip", "; ".join(lacking))
    return Judged(commit, subject, *step(inside, good))


def term_of(answers: GateAnswers, metric: str | None = None) -> tuple[Term, str]:
    """Return the term for a step's answers, and why; only of one metric where it is named.

    Bad where anything is worse, good where all was decided and nothing is, else skip.
    """
    kinds = [v.kind for cell in answers.cells for name, v in cell.verdicts.items() if metric in (None, name)]
    if not kinds:
        return "skip", f"no answer for {metric}" if metric else "no cell was measured"
    worst = min(kinds, key=KINDS.index)
    told = next(str(cell) for cell in answers.cells if worst in (v.kind for v in cell.verdicts.values()))
    return TERMS[worst], told


def measured(ours: Tree, command: Command, metric: str | None = None) -> Step:
    """Return the step that runs a command in the commit's folder, its own sources first, and reads its answers.

    A step that leaves no answers is a skip, with the end of what it said.
    """

    def step(inside: Path, good: str) -> tuple[Term, str]:
        with tempfile.TemporaryDirectory(prefix="benchgate-bisect-") as place:
            report, said = Path(place, "gate.json"), Path(place, "said.txt")
            with said.open("wb") as stream:
                code = _run(
                    command(good, report),
                    inside,
                    surroundings.environment(ours, here(inside), (), sys.path),
                    stream.fileno(),
                )
            if not report.exists():
                text = said.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-SAID_LINES:]
                return "skip", f"no answers, exit code {code}: {' / '.join(text) or 'it said nothing'}"
            try:
                return term_of(read_answers(report), metric)
            except DataError as error:
                return "skip", str(error)

    return step


def _run(command: Sequence[str], folder: Path, variables: Mapping[str, str], output: int) -> int:
    """Return a process's exit code. Ctrl-C is passed on once, so that it can put away what it made."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        return process.wait()
    except KeyboardInterrupt:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        raise
