"""`benchgate fleet`: what it says of plan, run and state; a real cluster is in tests/pytest_plugin/fleets."""

from __future__ import annotations

import sys

import pytest

from benchgate.commands import fleet
from benchgate.commands.main import main
from benchgate.executors import fleet as executor
from benchgate.executors.fleet_status import state_of
from benchgate.executors.inventory import Estimate, Kind
from benchgate.report.grid import rendered


def node(host, digit, resources, alive=True):
    return {"NodeManagerHostname": host, "NodeID": digit * 56, "Alive": alive, "Resources": resources}


NODES = [
    node("b", "2", {"bench_slot": 1, "kind:pi": 1, "CPU": 4}),
    node("a", "1", {"CPU": 8}),
    node("c", "3", {}, alive=False),
]


@pytest.fixture
def inventory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    (tmp_path / "fleet.toml").write_text('address = "127.0.0.1:1"\n[kinds.pi]\nmachines = 2\n')
    return tmp_path


def test_the_state_of_a_cluster_is_a_row_a_machine_and_what_is_missing():
    found = state_of(NODES, {"bench_slot": 1.0, "kind:pi": 1.0}, {"bench_slot": 0.5, "kind:pi": 0.998})
    text = rendered([fleet.status_table(found, [Kind("pi", 2, None), Kind("big", 1, None)])], "terminal", 100)
    assert [line.split() for line in text.splitlines()[2:5]] == [
        ["a", "11111111", "alive", "false", "-", "8"],
        ["b", "22222222", "alive", "true", "pi", "4"],
        ["c", "33333333", "gone", "false", "-", "0"],
    ]
    assert text.splitlines()[5:] == [
        "0.5 of 1 slots are taken; pi: 2 tasks",
        "pi: 1 of 2 machines are there; start one with: ray start --address=... "
        """--resources='{"bench_slot": 1, "kind:pi": 1}'""",
        "big: 0 of 1 machines are there; start one with: ray start --address=... "
        """--resources='{"bench_slot": 1, "kind:big": 1}'""",
    ]


def test_a_plan_says_what_it_does_not_know():
    rows = [Estimate(Kind("pi", 4, 0.5), 10, 6, 3, 1800.0), Estimate(Kind("big", 1, None), 10, 0, 0, None)]
    text = rendered([fleet.plan_table(rows, "EUR")], "terminal", 100)
    assert [line.split() for line in text.splitlines()[1:4]] == [
        ["kind", "machines", "cells", "about", "cost,", "EUR"],
        ["pi", "4", "10", "30", "min", "1"],
        ["big", "1", "10", "-", "-"],
    ]
    assert text.splitlines()[4:] == [
        "pi: 3 of 10 cells by what they took on other machines",
        "pi: 1 of 10 cells are in no stored run; their time is not known",
        "big: 10 of 10 cells are in no stored run; their time is not known",
        "all kinds at once: about 30 min; builds, and cells not known, come on top",
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--inventory", "nowhere.toml", "-o", "o.json"], "nowhere.toml"),
        (["run", "-o", "there.json"], "there.json: is there already; give --out another place, or --force"),
        (["run", "--inventory", "silent.toml", "-o", "o.json"], "where is the cluster? write address ="),
        (["status", "--inventory", "silent.toml"], "where is the cluster? write address ="),
        (["status"], "ray=127.0.0.1:1: nobody answers there"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(inventory, capsys, monkeypatch, arguments, said):
    monkeypatch.setattr(executor, "missing_packages", lambda needs: "")
    pytest.importorskip("ray", reason="ray is not installed; pip install 'benchgate[ray]'")
    (inventory / "there.json").write_text("{}")
    (inventory / "silent.toml").write_text("[kinds.pi]\n")
    assert main(["fleet", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert (inventory / "there.json").read_text() == "{}"


@pytest.mark.parametrize(
    ("codes", "exits"), [((0, 0), 0), ((0, 1), 1), ((1, 5), 1), ((0, 2), 2), ((3, 1), 2), ((0, -9), 2)]
)
def test_the_exit_code_is_of_the_worst_kind(inventory, monkeypatch, capsys, codes, exits):
    (inventory / "fleet.toml").write_text('address = "h:1"\n[kinds.a]\n[kinds.b]\n')
    merged = []
    monkeypatch.setattr(fleet.merge, "write", lambda files, out, console: merged.extend(files))

    def commands(address, asked, parts):
        assert asked == ["-k", "decode"]
        for path in parts.values():
            path.write_text("{}")
        ends = "import os, sys; print('said by', sys.argv[1], flush=True); code = int(sys.argv[2])\n"
        ends += "if code < 0: os.kill(os.getpid(), -code)\nraise SystemExit(code)"
        ended = zip(parts, codes, strict=True)
        return {kind.name: [sys.executable, "-c", ends, kind.name, str(code)] for kind, code in ended}

    monkeypatch.setattr(fleet, "_commands", commands)
    assert main(["fleet", "run", "-o", "all.json", "--", "-k", "decode"]) == exits
    out = capsys.readouterr().out
    assert "a: said by a" in out
    assert f"b: pytest ended with {codes[1]}" in out
    assert [path.name for path in merged] == ["all.a.json", "all.b.json"]


def test_a_kind_that_wrote_nothing_is_no_success(inventory, monkeypatch, capsys):
    monkeypatch.setattr(fleet, "_commands", lambda address, asked, parts: {"pi": [sys.executable, "-c", "0"]})
    assert main(["fleet", "run", "-o", "all.json"]) == 2
    assert not (inventory / "all.json").exists()
