"""Two versions of a project, cell by cell, with sides that answer from a script."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchgate.core import Unavailable
from benchgate.executors.versions import Terms, Versions
from benchgate.executors.wire import SideError, SideOutOfMemory
from benchgate.gate.policy import Policy, resolved
from benchgate.gate.side_by_side.answers import CellAnswer
from benchgate.gate.side_by_side.driver import Setup
from benchgate.gate.side_by_side.rule import RULE
from tests.executors.sides import ASKED, PROOF, Script, ScriptedPeer, record

CHANGED = frozenset({"model.py"})
OTHER_CODE = replace(PROOF, modules={"model.py": "2"})


def steady(seconds: float) -> Callable[[str, int], float]:
    """A call's time, a little different in each worker."""
    return lambda test, worker: seconds * (1 + 0.001 * (worker * 7 % 5 - 2))


def answers(old: Script, new: Script, tests: tuple[str, ...] = ("t",), **terms: Any) -> list[CellAnswer]:
    settings: dict[str, Any] = {
        "changed": CHANGED,
        "ours": Path("/ours"),
        "theirs": Path("/theirs"),
        "setup_of": lambda test, asked: Setup(seed=3),
        "resolved": lambda made: resolved(made, Policy()),
        **terms,
    }
    return Versions(ScriptedPeer("baseline", old), ScriptedPeer("candidate", new), Terms(**settings)).answers(tests)


def answer(old: Script, new: Script, **terms: Any) -> CellAnswer:
    return answers(old, new, **terms)[0]


@pytest.mark.parametrize(("new_s", "kind"), [(0.010, "same"), (0.0106, "regressed"), (0.0090, "improved")])
def test_changed_code_is_timed_and_named(new_s: float, kind: str) -> None:
    found = answer(Script(call_s=steady(0.01)), Script(proof=OTHER_CODE, call_s=steady(new_s)))

    assert found.kind == kind, str(found)
    assert found.changed == ("model.py",)
    assert found.verdicts["size_bytes"].kind == "same"


def test_equal_proofs_are_unchanged_and_nothing_is_timed_or_weighed() -> None:
    new = Script()

    found = answer(Script(), new, changed=frozenset())

    assert found.kind == "unchanged"
    assert new.log == ["capture", "build t", "prove t"]


def test_a_change_that_no_cell_loaded_is_not_exercised() -> None:
    found = answer(Script(), Script(), changed=frozenset({"README.md"}))

    assert found.kind == "code not exercised"
    assert "README.md" in str(found)
    assert not found.fails(strict=True)


@pytest.mark.parametrize(
    ("proof", "named"),
    [
        (replace(PROOF, packages={"torch": "2.14.0"}), "package torch 2.13.0 -> 2.14.0"),
        (replace(PROOF, artifacts={"m-fp32-r-cpu": "weights:2"}), "artifact m-fp32-r-cpu weights:1 -> weights:2"),
        (replace(PROOF, facts={"threads": "2"}), "other threads 1 -> 2"),
    ],
)
def test_what_changed_between_the_sides_is_named(proof: Any, named: str) -> None:
    assert answer(Script(call_s=steady(0.01)), Script(proof=proof, call_s=steady(0.01))).changed == (named,)


@pytest.mark.parametrize(
    ("values", "kind"), [({"size_bytes": 1100.0}, "regressed"), ({"size_bytes": 900.0}, "improved")]
)
def test_a_size_is_named_beside_the_time(values: dict[str, float], kind: str) -> None:
    new = Script(proof=OTHER_CODE, record=record(**values), call_s=steady(0.01))

    found = answer(Script(call_s=steady(0.01)), new)

    assert (found.verdicts["time"].kind, found.verdicts["size_bytes"].kind) == ("same", kind)
    assert found.fails() == (kind == "regressed")
    assert "size_bytes" in str(found)


def test_accuracy_without_single_results_is_judged_by_its_mean() -> None:
    old = Script(record=record(perplexity=20.0), call_s=steady(0.01))
    new = Script(proof=OTHER_CODE, record=record(perplexity=30.0), call_s=steady(0.01))

    assert answer(old, new).verdicts["perplexity"].kind == "regressed"


def test_a_metric_that_one_side_lacks_never_passes_as_the_same() -> None:
    old = Script(record=record(size_bytes=1000.0, peak_rss_bytes=1e8), call_s=steady(0.01))
    new = Script(proof=OTHER_CODE, record=record(size_bytes=1000.0), call_s=steady(0.01))

    found = answer(old, new).verdicts["peak_rss_bytes"]

    assert (found.kind, found.reason) == (
        "not comparable",
        "the candidate has no peak_rss_bytes: it was not measured",
    )


@pytest.mark.parametrize(
    "asked",
    [
        replace(ASKED, operation="other"),
        replace(ASKED, params={"batch": 4}),
        replace(ASKED, inputs={"sha256": "2"}),
        replace(ASKED, data={"sha256": "2"}),
        replace(ASKED, scored=True),
    ],
)
def test_another_request_is_not_comparable(asked: Any) -> None:
    found = answer(Script(), Script(asked=asked))

    assert found.kind == "not comparable"
    assert "other " in str(found)
    assert (found.fails(), found.fails(strict=True)) == (False, True)


def test_other_threads_are_compared() -> None:
    new = Script(asked=replace(ASKED, threads=2), proof=OTHER_CODE, call_s=steady(0.01))

    assert answer(Script(call_s=steady(0.01)), new).kind == "same"


def test_a_side_that_loaded_the_others_code_proves_nothing() -> None:
    strange = replace(PROOF, outside=("/ours/model.py",))

    found = answer(Script(proof=strange), Script(proof=OTHER_CODE))

    assert found.kind == "not comparable"
    assert "/ours/model.py" in str(found)


def test_cells_that_one_side_has() -> None:
    old, new = Script(tests=("t", "old")), Script(tests=("t", "new"))
    versions = Versions(
        ScriptedPeer("baseline", old), ScriptedPeer("candidate", new), Terms(frozenset(), Path("a"), Path("b"))
    )

    found = versions.answers(["t", "new"])

    assert [cell.kind for cell in found] == ["unchanged", "not comparable"]
    assert "new: the baseline has no such cell" in str(found[1])
    assert versions.gone == ("old",)


def test_a_baseline_that_cannot_import_says_why() -> None:
    old = Script(tests=(), failed={"test_a.py": "E   ImportError: no module named gone"})

    found = answers(old, Script(tests=("test_a.py::t",)), ("test_a.py::t",), lacking=("x.bin is an LFS pointer",))[0]

    assert found.kind == "not comparable"
    assert "ImportError: no module named gone" in str(found)
    assert "LFS pointer" in str(found)


@pytest.mark.parametrize("do", ["capture", "build", "prove", "record"])
@pytest.mark.parametrize(
    "error", [SideError("it died"), SideOutOfMemory("no more of it"), Unavailable("no such kernel")]
)
def test_a_side_that_breaks_is_said_and_what_the_candidate_breaks_fails(do: str, error: BaseException) -> None:
    broken = Script(raises={do: error}, proof=OTHER_CODE)

    theirs, ours = answer(broken, Script()), answer(Script(), broken)

    assert (theirs.kind, theirs.fails()) == ("not comparable", False)
    assert (ours.kind, ours.fails()) == ("broken", True)
    assert str(error) in str(theirs)
    assert str(error) in str(ours)


def test_a_side_that_breaks_while_it_is_timed_is_said_and_the_others_go_on() -> None:
    def call_s(test: str, worker: int) -> float:
        if test == "u":
            raise SideError("was killed by signal 11 (SIGSEGV)")
        return steady(0.01)(test, worker)

    tests = ("u", "t")
    found = answers(
        Script(tests=tests, call_s=steady(0.01)), Script(tests=tests, proof=OTHER_CODE, call_s=call_s), tests
    )

    assert [cell.kind for cell in found] == ["broken", "same"]
    assert "SIGSEGV" in str(found[0])


def test_a_budget_is_spent_and_what_is_open_then_is_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    tests = ("t", "u")
    old, new = (Script(tests=tests, proof=proof, call_s=steady(0.01)) for proof in (PROOF, OTHER_CODE))

    found = answers(old, new, tests, budget_s=1e-9)

    assert [cell.kind for cell in found] == ["inconclusive", "inconclusive"]
    assert all("--gate-budget" in str(cell) for cell in found)


def test_with_a_budget_the_noisy_cell_gets_more_pairs() -> None:
    tests = ("noisy", "quiet")

    def call_s(test: str, worker: int) -> float:
        return 0.01 * (1 + (0.04 if test == "noisy" else 0.001) * (worker * 7 % 5 - 2))

    old, new = (Script(tests=tests, proof=proof, call_s=call_s) for proof in (PROOF, OTHER_CODE))
    pairs = {a.test: a.verdicts["time"].pairs for a in answers(old, new, tests, budget_s=3600.0)}
    assert pairs["noisy"] >= pairs["quiet"] >= 3


def test_a_projects_tolerance_is_the_margin() -> None:
    wide = Setup(RULE.for_tolerance(0.2), seed=3)

    found = answer(
        Script(call_s=steady(0.01)),
        Script(proof=OTHER_CODE, call_s=steady(0.011)),
        setup_of=lambda test, asked: wide,
    )

    assert found.kind == "same"


WHY = {"t": "E   RuntimeError: no fixture"}


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        (Script(), Script(why=WHY), "broken"),
        (Script(tests=()), Script(why=WHY), "broken"),
        (Script(why=WHY, skips=True), Script(why=WHY), "broken"),
        (Script(why=WHY), Script(why=WHY), "not comparable"),
        (Script(), Script(why=WHY, skips=True), "not comparable"),
        (Script(why=WHY), Script(), "not comparable"),
    ],
)
def test_a_candidates_test_that_fails_before_it_asks_is_no_pass(old: Script, new: Script, kind: str) -> None:
    found = answer(old, new)

    assert (found.kind, found.fails()) == (kind, kind == "broken")
    assert "no fixture" in str(found)


@pytest.mark.parametrize("budget_s", [None, 3600.0])
def test_the_most_suspicious_test_is_timed_first(budget_s: float | None) -> None:
    tests = ("a", "b", "c")
    new = Script(tests, proof=OTHER_CODE, call_s=steady(0.01))

    found = answers(Script(tests, call_s=steady(0.01)), new, tests, budget_s=budget_s, suspicion={"c": 0.2, "b": 0.1})

    begun = [line.split()[1] for line in new.log if line.startswith("begin")]
    assert list(dict.fromkeys(begun)) == ["c", "b", "a"]
    assert [answer.test for answer in found] == list(tests)
