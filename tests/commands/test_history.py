"""`benchgate history`: the planted slowdown is told with its commits, in the table and as JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from benchgate.commands import main as cli
from benchgate.results import Record
from tests.builders import KEY, MACHINE, a_record
from tests.gate.test_change_points import QUIET


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ruptures", reason="ruptures is not installed; pip install 'benchgate[history]'")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()


def store(index: int, record: Record, commit: str) -> None:
    block = {"fullname": record.key, "extra_info": {"benchgate": record.as_dict()}}
    time = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=index)
    info = {"id": commit, "dirty": False}
    document = {"datetime": time.isoformat(), "commit_info": info, "benchmarks": [block]}
    Path(f"runs/{index:04}.json").write_text(json.dumps(document))


def a_history(slower_from: int = 8, **fields: Any) -> None:
    """Twelve runs of commits 000..., 111..., ..., bbb...; the first metric is 20 % slower from one of them on."""
    for index, value in enumerate(QUIET):
        time = value * (1.2 if index >= slower_from else 1.0)
        metrics = {"latency_median_s": time, "size_bytes": 100.0, "throughput_per_s": value}
        store(index, a_record(metrics, **fields), f"{index:x}" * 40)


def test_the_planted_slowdown_is_told_with_its_commits(capsys: pytest.CaptureFixture[str]) -> None:
    a_history()
    assert cli.main(["history", "runs", "--metric", "latency_median_s"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "% worse in 7777777777..8888888888" in out
    assert "0000000000..bbbbbbbbbb" in out


def test_json_has_every_figure_and_change(capsys: pytest.CaptureFixture[str]) -> None:
    a_history()
    assert cli.main(["history", "runs", "--json"]) == 0
    by_metric = {line["metric"]: line for line in json.loads(capsys.readouterr().out)["lines"]}
    assert set(by_metric) == {"latency_median_s", "size_bytes", "throughput_per_s"}
    (change,) = by_metric["latency_median_s"]["changes"]
    assert (change["last_before"], change["first_after"], change["worse"]) == ("7" * 40, "8" * 40, True)
    assert change["change"] == pytest.approx(0.2, abs=0.011)
    assert len(by_metric["latency_median_s"]["points"]) == 12
    assert by_metric["size_bytes"]["changes"] == by_metric["throughput_per_s"]["changes"] == []


def test_a_change_between_two_runs_of_one_commit_is_no_commits(capsys: pytest.CaptureFixture[str]) -> None:
    for index in range(4):
        store(index, a_record({"size_bytes": 100.0 + (index > 1)}), ("a" if index else "b") * 40)
    cli.main(["history", "runs"])
    assert "within aaaaaaaaaa: not by a commit" in " ".join(capsys.readouterr().out.split())


def test_what_is_not_joined_or_left_out_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    store(0, a_record({"latency_median_s": 1.0}), "a" * 40)
    store(1, a_record({"latency_median_s": 1.0}, machine={**MACHINE, "cores": 64}), "b" * 40)
    store(2, a_record({"latency_median_s": 1.0}, details={"threads": 4, "disturbed": ["busy"]}), "c" * 40)
    cli.main(["history", "runs"])
    out = " ".join(capsys.readouterr().out.split())
    assert "from bbbbbbbbbb on: another line: other machine: cores 4 -> 64" in out
    assert "disturbed, left out: 1 runs: cccccccccc" in out
    assert out.count("too few runs: 1 of 8") == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["runs", "--metric", "speed"], "unknown metric 'speed'"),
        (["runs", "--cell", "eggs"], "unknown cell 'eggs'"),
        (["nothing.json"], "nothing.json: cannot be read"),
    ],
)
def test_what_cannot_be_is_a_message(capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    a_history()
    assert cli.main(["history", *arguments]) == cli.UNUSABLE
    assert said in capsys.readouterr().err


def test_names_are_shown_and_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    for index in range(2):
        store(index, a_record({"size_bytes": 1.0}, key=f"{KEY}\x1b[31m"), "\x1b[31m" * 2)
    assert cli.main(["history", "runs"]) == 0
    assert "\x1b" not in capsys.readouterr().out
