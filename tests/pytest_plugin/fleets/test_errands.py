"""What is sent away in which order, against a fleet that answers from a table."""

from __future__ import annotations

from collections import deque

import pytest

from benchgate.executors.fleet import Lost
from benchgate.executors.wire import SideError
from benchgate.pytest_plugin.fleet_errands import Errands
from benchgate.pytest_plugin.fleet_scoring import Scoring
from benchgate.pytest_plugin.node_pytest import NodePytest
from benchgate.storage.resumable import take_up

PLAN = {"items": 10, "threads": 1, "cores": 4}
ABOUT = {"cell": {"model": "m"}, "content": "files:1"}


class Fleet:
    """Answers each errand by the first rule that fits, in the order in which they were sent."""

    def __init__(self, plan=PLAN, shards=(), run="measured"):
        self._plan, self._shards, self._run = plan, dict(shards), run
        self._away = deque()
        self.sent = []
        self.shelf = None

    def send(self, function, job):
        self._away.append(job)
        self.sent.append((job.argument.do, job.share, dict(job.argument.parts)))

    def answers(self, function):
        while self._away:
            job = self._away.popleft()
            said = self._said(job.argument)
            yield job, said if isinstance(said, BaseException) else {"said": said, "node": "a", "id": "n1"}

    def _said(self, errand):
        if errand.do == "plan":
            return self._plan
        if errand.do == "run":
            return self._run
        number = errand.parts["number"]
        return self._shards.get(number, {"about": ABOUT, "answers": {str(number): number * 10}})

    def done(self):
        return [do for do, _, _ in self.sent]


@pytest.fixture
def begun(tmp_path):
    """A function that sends one test away by the fleet and gives what became of it."""

    def begin(fleet, most=3, resumed=None):
        with Scoring(tmp_path, most) as scoring:
            notes = []
            errands = Errands(fleet, scoring, NodePytest((), "", "", (), "here"), notes)
            errands.begin("test_it", resumed)
            return list(errands.finished()), notes

    return begin


@pytest.fixture
def resuming():
    take_up(True)
    yield
    take_up(False)


def test_shards_are_scored_before_the_test_is_run_with_all_their_answers(begun, benchgate_cache):
    fleet = Fleet()
    (done,), notes = begun(fleet)
    assert fleet.done() == ["plan", "shard", "shard", "shard", "run"]
    assert [share for _, share, _ in fleet.sent] == [1.0, 0.25, 0.25, 0.25, 1.0]
    assert fleet.sent[-1][2]["given"] == {"about": ABOUT, "answers": {"0": 0, "1": 10, "2": 20}}
    assert (done.test, done.said, notes) == ("test_it", "measured", [])
    assert [one["shard"] for one in done.about["shards"]] == [0, 1, 2]
    assert not list((benchgate_cache / "partial").iterdir())


@pytest.mark.parametrize(
    ("scheme", "model", "there"), [("fp32", "m", True), ("int8", "m", False), ("fp32", "other", False)]
)
def test_a_test_is_given_the_answers_of_the_reference_of_its_model(tmp_path, scheme, model, there):
    """Its floor is held against them, and they were scored in parts already."""
    about = {"content": "files:1"}
    first = {"about": {**about, "cell": {"model": "m", "scheme": scheme}}, "answers": {"0": 1}}
    second = {"about": {**about, "cell": {"model": model, "scheme": "bf16"}}, "answers": {"0": 2}}
    with Scoring(tmp_path, 2) as scoring:
        for test, part in (("first", first), ("second", second)):
            for number in scoring.begin(test, {**PLAN, "items": 2}):
                scoring.take(test, number, part, {})
        scoring.given("first")
        scoring.end("first")
        assert [one["about"] for one in scoring.references("second")] == [first["about"]] * there


@pytest.mark.parametrize(
    ("plan", "most", "sent"),
    [
        (None, 3, ["plan", "run"]),
        ({**PLAN, "items": 1}, 3, ["plan", "run"]),
        ({**PLAN, "items": 2}, 3, ["plan", "shard", "shard", "run"]),
        (PLAN, 1, ["run"]),
    ],
)
def test_what_cannot_be_split_is_run_at_once(begun, plan, most, sent):
    fleet = Fleet(plan)
    begun(fleet, most)
    assert fleet.done() == sent
    assert (fleet.sent[-1][2]["given"] is None) == (sent[-2:-1] != ["shard"])


def test_what_an_interrupted_run_measured_is_not_scored_again(begun):
    fleet = Fleet()
    begun(fleet, resumed={"record": {}})
    assert fleet.sent == [("run", 1.0, {"resumed": {"record": {}}, "given": None, "references": []})]


@pytest.mark.parametrize("plan", [SideError("no such data"), PLAN])
def test_a_shard_that_fails_has_the_test_say_why_itself(begun, plan):
    fleet = Fleet(plan, {1: SideError("no such data")})
    (done,), notes = begun(fleet)
    assert fleet.done().count("run") == 1
    assert fleet.sent[-1][2]["given"] is None
    assert notes == ["benchgate: test_it: scored whole, not in shards: no such data"]
    assert "shards" not in done.about


def test_a_shard_that_is_lost_for_good_is_the_tests_end(begun):
    fleet = Fleet(PLAN, {0: Lost("its node is gone"), 2: Lost("its node is gone")})
    (done,), _ = begun(fleet)
    assert isinstance(done.said, Lost)
    assert "run" not in fleet.done()


def test_shards_of_different_things_are_never_put_together(begun):
    fleet = Fleet(PLAN, {2: {"about": {**ABOUT, "content": "files:2"}, "answers": {"2": 0}}})
    (done,), (note,) = begun(fleet)
    assert fleet.sent[-1][2]["given"] is None
    assert done.said == "measured"
    assert "shards 0 and 2 were scored with different things: other content: files:1 -> files:2" in note


def interrupted(begun, shards):
    """A run whose driver ends after these shards: their answers stay."""
    fleet = Fleet(PLAN, shards)
    fleet_answers = fleet.answers

    def cut(function):
        for number, one in enumerate(fleet_answers(function)):
            if number == 1 + len(shards):
                raise KeyboardInterrupt
            yield one

    fleet.answers = cut
    with pytest.raises(KeyboardInterrupt):
        begun(fleet)


@pytest.mark.usefixtures("resuming", "benchgate_cache")
@pytest.mark.parametrize("there", [1, 2])
def test_a_resumed_run_scores_the_shards_that_are_missing(begun, there):
    found = {n: {"about": ABOUT, "answers": {str(n): f"earlier {n}"}} for n in range(there)}
    interrupted(begun, found)
    fleet = Fleet()
    begun(fleet)
    assert [parts["number"] for do, _, parts in fleet.sent if do == "shard"] == list(range(there, 3))
    assert fleet.sent[-1][2]["given"]["answers"] == {
        str(n): f"earlier {n}" if n < there else 10 * n for n in range(3)
    }  # fmt: skip


@pytest.mark.usefixtures("resuming", "benchgate_cache")
def test_where_all_are_there_one_is_scored_yet_to_see_that_they_hold(begun):
    interrupted(begun, {n: {"about": ABOUT, "answers": {str(n): 10 * n}} for n in range(3)})
    fleet = Fleet()
    begun(fleet)
    assert fleet.done() == ["plan", "shard", "run"]


@pytest.mark.usefixtures("resuming", "benchgate_cache")
@pytest.mark.parametrize("there", [2, 3])
def test_shards_of_something_else_are_scored_anew(begun, there):
    found = {n: {"about": {**ABOUT, "content": "files:old"}, "answers": {str(n): "old"}} for n in range(there)}
    interrupted(begun, found)
    fleet = Fleet()
    begun(fleet)
    assert sorted(parts["number"] for do, _, parts in fleet.sent if do == "shard") == [0, 1, 2]
    assert fleet.sent[-1][2]["given"] == {"about": ABOUT, "answers": {"0": 0, "1": 10, "2": 20}}
