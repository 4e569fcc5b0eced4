"""`--cell-executor ray`: real nodes of a real cluster, killed and out of reach; each cell is finished exactly once."""

from __future__ import annotations

import json
import signal

import pytest

# Loaded here, so that an inner run of this process has the same module.
from benchgate.executors import fleet
from tests.pytest_plugin.fake_project import SETTINGS
from tests.pytest_plugin.fleets.clusters import DEADLINE_S, added, marks, node_elsewhere, rack, sessions, started, until

CELLS = sorted(f"test_speed[fake-{m}-{s}-fake-cpu]" for m in "abc" for s in ("fp32", "bf16"))


def test_without_an_address_a_cluster_of_this_machine_measures_and_is_gone_afterwards(suite, tmp_path):
    result = suite.run("--cell-executor=ray", "--benchmark-json=out.json", process=True)
    result.assert_outcomes(passed=7)
    result.stdout.fnmatch_lines(["benchgate: 6 cells for 1 machine of a Ray cluster"])
    assert sorted(name for _, name in marks(tmp_path)) == sorted(["test_plain", *CELLS])
    records = suite.records("out.json")
    assert sorted(records) == CELLS
    assert {record["outcome"] for record in records.values()} == {"passed"}
    assert {record["details"]["fleet"]["attempt"] for record in records.values()} == {1}
    assert all(len(bench["stats"]["data"]) >= 20 for bench in suite.json("out.json")["benchmarks"])
    assert "fake-a-fp32" in suite.compare("out.json")
    assert suite.journals() == []
    until(lambda: not sessions(suite))


def test_what_fails_skips_or_ends_early_on_a_node_does_so_here(suite, board):
    for event, outcome, word in (("error", "failed", "the fake broke"), ("unavailable", "skipped", "no such kernel")):
        result = suite.run(*board, "-k", "fake-b", "-rs", process=True, EVENT=f"fake-b-bf16={event}")
        result.assert_outcomes(passed=1, **{outcome: 1})
        assert suite.outcomes("out.json")["test_speed[fake-b-bf16-fake-cpu]"] == outcome
        assert word in result.stdout.str()


def test_the_gate_of_the_driver_judges_what_a_node_of_the_kind_measured(suite, board):
    result = suite.run(*board, "--benchmark-json=base.json", process=True)
    result.assert_outcomes(passed=7)
    result.stdout.fnmatch_lines(["benchgate: 6 cells for 1 machine of a Ray cluster"])
    assert len({record["details"]["fleet"]["id"] for record in suite.records("base.json").values()}) == 1
    result = suite.run(*board, "--benchmark-compare=base.json", "-k", "fake-a", process=True, BYTES=9000)
    result.assert_outcomes(failed=2)
    assert "size" in result.stdout.str()
    assert set(suite.outcomes("out.json").values()) == {"failed"}


def test_a_node_that_dies_while_it_measures_loses_nothing(suite, three, cluster, tmp_path):
    run = started(suite, *rack(cluster), "-v", PAUSE=4)
    until(lambda: len(marks(tmp_path)) >= 3)
    cluster.remove_node(three[0], allow_graceful=False)
    out, _ = run.communicate(timeout=DEADLINE_S)
    assert run.returncode == 0, out
    assert sorted(suite.outcomes("out.json")) == CELLS
    told = [record["details"]["fleet"] for record in suite.records("out.json").values()]
    again = [one for one in told if one["attempt"] == 2]
    assert len(again) == 1
    assert again[0]["lost"]
    assert [one["attempt"] for one in told].count(1) == 5
    assert [out.count(f"{cell} PASSED") for cell in CELLS] == [1] * 6


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_driver_that_dies_leaves_no_session_and_takes_up_what_is_done(suite, board, tmp_path, number):
    # A background job ignores SIGINT, and so would what it starts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run = started(suite, *board, PAUSE=1)
    finally:
        signal.signal(signal.SIGINT, before)
    until(lambda: len(suite.journals()) == 1 and len(suite.journal()) >= 2)
    run.send_signal(number)
    run.communicate(timeout=DEADLINE_S)
    until(lambda: not sessions(suite))
    kept = {entry["record"]["key"].partition("::")[2] for entry in suite.journal()}
    begun = len(marks(tmp_path))
    result = suite.run(*board, "--cell-resume", process=True)
    result.assert_outcomes(passed=7 - len(kept), skipped=len(kept))
    assert sorted(suite.outcomes("out.json")) == CELLS
    assert {name for _, name in marks(tmp_path)[begun:]}.isdisjoint(kept)


def test_a_session_ends_with_its_driver_in_the_middle_of_a_long_test(suite, board, tmp_path):
    run = started(suite, *board, "-k", "fake-a-fp32", PAUSE=2 * DEADLINE_S)
    until(lambda: marks(tmp_path))
    assert sessions(suite)
    run.kill()
    run.communicate(timeout=DEADLINE_S)
    until(lambda: not sessions(suite))


def test_what_an_interrupted_run_measured_is_judged_before_it_is_taken_up(suite, board):
    suite.run(*board, "--benchmark-json=base.json", "-k", "fake-a", process=True).assert_outcomes(passed=2)
    run = started(suite, *board, "-k", "fake-a", PAUSE=3, BYTES=9000)
    until(lambda: len(suite.journals()) == 1 and suite.journal())
    run.kill()
    run.communicate(timeout=DEADLINE_S)
    until(lambda: not sessions(suite))
    given = [*board, "-k", "fake-a", "--cell-resume", "--benchmark-compare=base.json"]
    suite.run(*given, process=True, BYTES=9000).assert_outcomes(failed=2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--cell-kind=pie"], "no node of kind 'pie' (there are: board) has bench_slot; start a node with: ray start"),
        (["--cell-executor=ray=127.0.0.1:1"], "ray=127.0.0.1:1: nobody answers there"),
        (["--cell-executor=ray=nowhere"], "ray=nowhere: HOST:PORT, ray://HOST:PORT or auto is needed"),
        (["--cell-executor=rya"], "'rya' is none of process, inline, ray and ray=ADDRESS"),
        (["--cell-executor=process", "--cell-kind=board"], "--cell-kind chooses machines of a cluster"),
        (["--gate-against=main"], "side by side is measured on one machine; leave --cell-executor ray out"),
    ],
)
def test_what_cannot_be_placed_is_said_at_once(suite, board, options, said):
    result = suite.run(*board, *options, process=True)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    output = result.stdout.str() + result.stderr.str()
    assert said in output
    assert "Traceback" not in output


def test_what_cannot_be_installed_is_said_and_not_tried_again(suite, board):
    suite.write("pyproject.toml", SETTINGS + '[tool.benchgate.fleet]\nuv = ["no-such-package-of-ours==1.0"]\n')
    result = suite.run(*board, "-k", "fake-a-fp32", process=True)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["its node cannot install what it needs: *"])
    (told,) = suite.json("out.json")["benchgate"]["untimed"]
    assert "attempts" not in told["reason"]


def test_a_cluster_that_wants_a_token_is_no_defect(suite, board, monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "no-token"))
    result = suite.run(*board, process=True)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    output = result.stdout.str() + result.stderr.str()
    assert "ray get-auth-token --generate" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    "line", ["pass_env = 'FAKE_*'", "pass_env = [3]", "pass = ['FAKE_*']", "pip = 'ray'", "uv = [3]"]
)
def test_a_setting_that_means_nothing_is_refused(suite, board, line):
    suite.write("pyproject.toml", f"{SETTINGS}[tool.benchgate.fleet]\n{line}\n")
    result = suite.run(*board)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    said = '*[[]tool.benchgate.fleet[]]: pass_env = [[]"MY_[*]"[]], pip = *, uv = * may stand there, not *'
    result.stderr.fnmatch_lines([said])


def test_when_the_last_node_is_gone_what_is_left_fails_and_says_so(suite, cluster, tmp_path):
    (node,) = added(cluster, "rack")
    run = started(suite, *rack(cluster), "-k", "fake-a", PAUSE=4)
    until(lambda: marks(tmp_path))
    cluster.remove_node(node, allow_graceful=False)
    out, _ = run.communicate(timeout=DEADLINE_S)
    assert run.returncode == 1
    assert "it can be placed nowhere any more: no node of kind 'rack'" in out
    outcomes = json.loads((suite.path / "out.json").read_text())["benchgate"]["untimed"]
    assert [record["outcome"] for record in outcomes] == ["crash", "crash"]


def test_without_ray_the_command_to_install_it_is_said(suite, monkeypatch):
    monkeypatch.setattr(fleet, "missing_packages", lambda needs: "ray is not installed; pip install 'benchgate[ray]'")
    result = suite.run("--cell-executor=ray")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--cell-executor ray: ray is not installed; pip install 'benchgate?ray?'"])


@pytest.fixture
def elsewhere(cluster):
    """A node that has another host name, so that the project is sent to it."""
    with node_elsewhere(cluster, "other", "far"):
        yield


def test_another_machine_is_sent_the_project(suite, elsewhere, cluster):
    suite.write("data/values.txt", "sent along")
    suite.write("test_sent.py", '''
import os, pathlib, socket
import pytest

@pytest.mark.cells(model="fake-a", scheme="fp32", runtime="fake")
def test_sent(cell):
    assert socket.gethostname() == "other"
    assert pathlib.Path("data/values.txt").read_text() == "sent along"
    assert str(pathlib.Path(__file__).parent) == os.getcwd() != os.environ["FAKE_HOME"]
    cell.measure(meters=("size",))
''')  # fmt: skip
    given = [f"--cell-executor=ray={cluster.address}", "--cell-kind=far", f"{suite.path}/test_sent.py"]
    given += ["--benchmark-json=out.json"]
    suite.run(*given, process=True, HOME=suite.path).assert_outcomes(passed=1)
    assert suite.records("out.json")["test_sent[fake-a-fp32-fake-cpu]"]["details"]["fleet"]["node"] == "other"
