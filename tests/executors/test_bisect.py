"""`benchgate bisect`: the commit with a planted slowdown is found, in a worktree that is gone afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchgate.commands import main as cli
from benchgate.core import BenchgateError, DataError
from benchgate.executors.bisect import TERMS, Found, bisect, measured, term_of
from benchgate.gate.side_by_side.answers import KINDS, CellAnswer, GateAnswers
from benchgate.gate.side_by_side.verdict import Verdict
from benchgate.storage.checkout import here
from tests.storage.test_checkout import commit, run, worktrees

# Stands for `python -m pytest CELL --gate-against GOOD --gate-report FILE`: says what speed.txt holds.
FAKE = """
import sys
from pathlib import Path
from benchgate.gate.side_by_side.answers import CellAnswer, GateAnswers
from benchgate.gate.side_by_side.verdict import Verdict
import model

good, report = sys.argv[1:]
Path("left_behind.txt").write_text("x")
Path("README.md").write_text("changed by the step")
kind = Path("speed.txt").read_text().strip()
assert kind == model.KIND, "imported from another tree"
if kind == "silent":
    sys.exit("boom: no such cell")
larger = {"time": Verdict("same"), "size_bytes": Verdict("regressed")}
verdicts = larger if kind == "larger" else {"time": Verdict(kind)}
Path(report).write_text(GateAnswers(good, "here", (CellAnswer("t", verdicts),)).as_json())
"""


def fake(good: str, report: Path) -> Sequence[str]:
    return [sys.executable, "-c", FAKE, good, str(report)]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "my project"
    folder.mkdir()
    run(folder, "init", "-q", "-b", "main")
    commit(folder, "the beginning", README__md="words\n")
    # As an editable installation has it: our own process imports from our checkout.
    monkeypatch.syspath_prepend(str(folder / "bench" / "src"))
    return folder


def history(project: Path, *kinds: str) -> list[str]:
    """A commit for each verdict that the fake will give; their hashes."""
    found = []
    for index, kind in enumerate(kinds):
        model = f"KIND = {kind!r}  # {index}\n"
        found.append(commit(project, f"{index}: {kind}", bench_in_speed__txt=kind, bench_in_src_in_model__py=model))
    return found


def found(project: Path, good: str, bad: str, metric: str | None = None) -> Found:
    folder = project / "bench"
    return bisect(folder, good, bad, measured(here(folder), fake, metric))


@pytest.mark.parametrize("first_bad", range(1, 9))
def test_the_planted_slowdown_is_found_wherever_it_is(project: Path, first_bad: int) -> None:
    commits = history(project, *["same"] * first_bad, *["regressed"] * (9 - first_bad))

    answer = found(project, commits[0], "main")

    assert answer.commits == (commits[first_bad],)
    assert len(answer.judged) <= 4


def test_each_step_has_its_own_commit_of_a_submodule(project: Path, tmp_path: Path) -> None:
    """git moves the worktree and not the submodule: all steps would be judged by the files of the first one."""
    part = tmp_path / "part"
    part.mkdir()
    run(part, "init", "-q", "-b", "main")
    model = "KIND = 'same'\n"
    commits = []
    for index, kind in enumerate(["same", "same", "regressed", "regressed", "regressed"]):
        commit(part, f"{index}", speed__txt=kind, **{f"only_{index}__txt": "x"})
        if index == 0:
            run(project, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(part), "bench/part")
        run(project / "bench" / "part", "-c", "protocol.file.allow=always", "pull", "-q", "origin", "main")
        commits.append(commit(project, f"{index}", bench_in_src_in_model__py=model, bench_in_speed__txt="same"))
        run(part, "rm", "-q", f"only_{index}.txt")
    folder = project / "bench"
    reading = FAKE.replace(
        'Path("speed.txt").read_text().strip()', 'Path("part/speed.txt").read_text().strip()'
    ).replace("assert kind == model.KIND", "assert len(list(Path('part').glob('only_*.txt'))) == 1")
    step = measured(here(folder), lambda good, report: [sys.executable, "-c", reading, good, str(report)])

    answer = bisect(folder, commits[0], "main", step)

    assert [judged.why for judged in answer.judged if judged.term == "skip"] == []
    assert answer.commits == (commits[2],)

    run(project, "submodule", "deinit", "-q", "-f", "bench/part")
    with pytest.raises(BenchgateError, match=r"submodule bench/part at .* is not here: git submodule update"):
        bisect(folder, commits[0], "main", step)


def test_the_checkout_is_left_as_it_is_and_no_worktree_stays(project: Path) -> None:
    commits = history(project, "same", "improved", "unchanged", "regressed", "regressed")
    (project / "bench" / "speed.txt").write_text("not committed")
    run(project, "bisect", "start", commits[4], commits[2])
    before = [
        run(project, *words.split()) for words in ("status --porcelain", "bisect log", "rev-parse HEAD", "for-each-ref")
    ]

    assert found(project, commits[0], commits[4]).commits == (commits[3],)

    after = [
        run(project, *words.split()) for words in ("status --porcelain", "bisect log", "rev-parse HEAD", "for-each-ref")
    ]
    assert after == before
    assert worktrees(project) == 0
    assert [path.name for path in project.parent.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("kind", ["inconclusive", "not comparable", "broken", "silent"])
def test_what_cannot_be_judged_is_skipped_and_the_others_tell(project: Path, kind: str) -> None:
    commits = history(project, "same", "same", "same", kind, "same", "regressed", "regressed")

    answer = found(project, commits[0], commits[6])

    assert answer.commits == (commits[5],)
    skipped = [judged for judged in answer.judged if judged.term == "skip"]
    assert [judged.commit for judged in skipped] in ([], [commits[3]])
    if kind == "silent":
        assert "exit code 1: boom: no such cell" in skipped[0].why


def test_where_skipped_ones_hide_it_all_candidates_are_told(project: Path) -> None:
    commits = history(project, "same", "inconclusive", "inconclusive", "regressed")
    assert set(found(project, commits[0], commits[3]).commits) == set(commits[1:])


def test_a_commit_without_the_folder_is_skipped(project: Path) -> None:
    (good,) = history(project, "same")
    run(project, "rm", "-rq", "bench")
    commit(project, "gone")
    *_, bad = history(project, "same", "regressed")
    assert found(project, good, bad).commits == (bad,)


def test_one_metric_can_be_asked_for(project: Path) -> None:
    commits = history(project, "same", "larger", "regressed")
    assert found(project, commits[0], commits[2]).commits == (commits[1],)
    assert found(project, commits[0], commits[2], "time").commits == (commits[2],)


def test_a_bad_end_that_is_not_bad_is_an_error(project: Path) -> None:
    commits = history(project, "same", "regressed", "same")
    with pytest.raises(BenchgateError, match=r"is not worse than .* \(same\).*benchgate history"):
        found(project, commits[0], commits[2])
    assert worktrees(project) == 0


def test_the_order_of_the_ends_matters(project: Path) -> None:
    commits = history(project, "same", "regressed")
    for good, bad in ((commits[1], commits[0]), (commits[1], commits[1])):
        with pytest.raises(DataError, match="does not come after"):
            found(project, good, bad)


def test_unrelated_ends_and_unknown_names_are_errors(project: Path, tmp_path: Path) -> None:
    (first,) = history(project, "same")
    run(project, "checkout", "-q", "--orphan", "other")
    other = commit(project, "another root")
    with pytest.raises(DataError, match="does not come after"):
        found(project, first, other)
    with pytest.raises(DataError, match=r"'mian' is neither a commit.*did you mean 'main'"):
        found(project, "mian", "other")
    with pytest.raises(DataError, match="no git repository"):
        bisect(tmp_path, "a", "b", measured(here(tmp_path), fake))


def test_every_kind_has_its_term() -> None:
    assert tuple(TERMS) == KINDS


@pytest.mark.parametrize(
    ("kinds", "term"),
    [
        (("same", "regressed", "broken"), "bad"),
        (("same", "inconclusive"), "skip"),
        (("same", "unchanged", "improved"), "good"),
        ((), "skip"),
    ],
)
def test_several_cells_are_good_only_together(kinds: tuple[str, ...], term: str) -> None:
    cells = tuple(CellAnswer("t", {"time": Verdict(kind)}) for kind in kinds)  # type: ignore[arg-type]
    assert term_of(GateAnswers("a", "b", cells))[0] == term


def test_a_metric_that_has_no_verdict_is_a_skip() -> None:
    answers = GateAnswers("a", "b", (CellAnswer("t", {"time": Verdict("regressed")}),))
    assert term_of(answers, "size_bytes") == ("skip", "no answer for size_bytes")


INTERRUPTED = """
import sys
from pathlib import Path
from benchgate.executors.bisect import bisect, measured
from benchgate.storage.checkout import here

folder, marker, good, bad = sys.argv[1:]
step = f'''
import sys, time
try:
    open({marker!r} + ".started", "w").close()
    time.sleep(300)
except KeyboardInterrupt:
    open({marker!r} + ".heard", "w").close()
'''
bisect(Path(folder), good, bad, measured(here(Path(folder)), lambda good, report: [sys.executable, "-c", step]))
"""


@pytest.mark.usefixtures("sigint_is_heard")
def test_after_ctrl_c_nothing_stays(project: Path, tmp_path: Path) -> None:
    commits = history(project, "same", "same", "regressed")
    marker = tmp_path / "marker"
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(project / "bench"), str(marker), commits[0], commits[2]],
        env={**os.environ}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not Path(f"{marker}.started").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert worktrees(project) == 1
    process.send_signal(signal.SIGINT)

    assert process.wait(60) != 0
    assert Path(f"{marker}.heard").exists(), "the step was not told"
    assert worktrees(project) == 0


def test_the_command_tells_the_commit(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commits = history(project, "same", "same", "same", "regressed", "regressed")
    monkeypatch.chdir(project / "bench")
    seen = []

    def spied(ours: object, command: object, metric: str | None) -> object:
        seen.append((command("GOOD", Path("r.json")), metric))  # type: ignore[operator]
        return measured(ours, fake, metric)  # type: ignore[arg-type]

    monkeypatch.setattr("benchgate.executors.bisect.measured", spied)
    verb = ["bisect", commits[0], "main", "--metric", "time", "--", "t.py::test[m-fp32]", "--gate-budget", "5m", "-x"]
    assert cli.main(verb) == 0

    out = capsys.readouterr().out
    assert f"first bad commit: {commits[3]}" in out
    assert f"{commits[3][:10]} bad: 3: regressed (regressed)" in out
    pytest_command = [sys.executable, "-m", "pytest", "t.py::test[m-fp32]", "--gate-budget", "5m", "-x"]
    assert seen == [([*pytest_command, "--gate-against", "GOOD", "--gate-report", "r.json"], "time")]


def test_the_command_cannot_say_where_all_were_skipped(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commits = history(project, "same", "inconclusive", "regressed")
    monkeypatch.chdir(project / "bench")
    monkeypatch.setattr("benchgate.executors.bisect.measured", lambda ours, _, metric: measured(ours, fake, metric))
    assert cli.main(["bisect", commits[0], "main", "--", "t.py"]) == cli.UNUSABLE
    out = capsys.readouterr().out
    assert "could not be told" in out
    assert commits[1] in out


def test_the_command_names_a_ref_that_is_none(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    assert cli.main(["bisect", "mian", "HEAD", "--", "t.py"]) == cli.UNUSABLE
    assert "did you mean 'main'" in capsys.readouterr().err
