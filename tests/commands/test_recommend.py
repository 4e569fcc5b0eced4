"""`benchgate recommend`: exit codes, text, JSON, and a constraint that flips the winner, from results files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchgate.commands import main as cli
from benchgate.core.metrics import metric
from benchgate.results import Record, write_records
from tests.report.recommending import THREE, measured, time_of


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    return [str(stored(tmp_path / "a.json", THREE[:2])), str(stored(tmp_path / "b.json", THREE[2:]))]


def stored(path: Path, records: list[Record]) -> Path:
    write_records(path, records)
    return path


def test_a_limit_flips_the_winner(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["recommend", *files, "--by", "latency"]) == 0
    assert "ship: int8 torch\n" in capsys.readouterr().out
    assert cli.main(["recommend", *files, "--by", "latency", "--max", "size=2.5MB"]) == 0
    out = capsys.readouterr().out
    assert "ship: fp16 torch\n" in out
    assert "would change the answer: --max size=3MB (now 2.5 MB): int8 torch\n" in out


def test_the_best_may_be_asked_for_as_the_least(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for wish in (["--by", "size"], ["--min", "size"], ["--by", "latency"]):
        assert cli.main(["recommend", *files, *wish]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    assert "ship: fp16 torch\n" in said[0]
    assert "ship: int8 torch\n" in said[2]


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (["--max", "size=1MB"], 1),
        (["--max", "latency=480ms"], 2),
        (["--max", "rss=1GB"], 2),
        (["--max", "size"], 2),
        (["--max-loss", "1%"], 2),
        (["--by", "eggs"], 2),
        (["--at", "context"], 2),
        (["--model", "eggs"], 2),
    ],
)
def test_exit_codes(files: list[str], limits: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["recommend", *files, *(["--by", "latency"] if "--by" not in limits else []), *limits]) == code
    assert "Traceback" not in capsys.readouterr().err


def test_the_change_can_be_typed_as_it_stands(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["recommend", *files, "--by", "size"]
    assert cli.main([*asked, "--max", "latency=700ms"]) == 0
    out = capsys.readouterr().out
    assert "ship: int8 torch" in out
    words = next(line for line in out.splitlines() if line.startswith("would change")).split()
    option, bound = words[4:6]
    assert cli.main([*asked, option, bound]) == 0
    assert f"ship: {words[-2]} {words[-1]}\n" in capsys.readouterr().out


def test_json_has_every_figure_with_its_interval(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["recommend", *files, "--by", "latency", "--max", "latency=0.48", "--json"]) == 2
    (answer,) = json.loads(capsys.readouterr().out)
    assert (answer["answer"], answer["winner"]) == ("cannot say", None)
    cells = {cell["scheme"]: cell for cell in answer["cells"]}
    assert cells["int8"]["figures"]["latency_median_s"] == {"value": 0.5, "low": 0.45, "high": 0.55, "n": 20}
    assert cells["int8"]["more_needed"] == {"latency_median_s": 105}
    assert cells["fp32"]["keeps"] == "no"


def test_names_of_a_file_are_only_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = stored(tmp_path / "a.json", [measured("\x1b[31m=cmd()", time_of(1, 0.1)), *THREE])
    assert cli.main(["recommend", str(path), "--by", "latency"]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_models_without_the_figures_are_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = measured("fp32", time_of(1, 0.1))
    other = Record(
        **{**vars(other), "cell": {**other.cell, "model": "eggs"}, "metrics": {"sparsity": metric("sparsity", 0)}}
    )
    path = stored(tmp_path / "a.json", [other, *THREE])
    assert cli.main(["recommend", str(path), "--by", "latency"]) == 0
    assert "eggs" not in capsys.readouterr().out
