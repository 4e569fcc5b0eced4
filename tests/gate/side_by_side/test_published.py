"""The script whose tables docs/gate.md publishes runs as the docs say."""

from __future__ import annotations

import importlib
import itertools
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "benchmarks" / "gate_simulation.py"


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "BENCHGATE_DATA": "", **environment},
    )


def test_the_simulated_tables_are_markdown():
    done = run("--trials", "200")
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert len(rows) > 15
    assert any(row.startswith("| 1.2, 0.0 |") for row in rows)
    assert any("Mann-Whitney" in row for row in rows)
    assert "Recorded" not in done.stdout


def test_a_folder_without_recordings_is_named(tmp_path):
    done = run("--trials", "100", BENCHGATE_DATA=str(tmp_path))
    assert done.returncode != 0
    assert done.stderr.startswith(str(tmp_path))
    assert "--data or BENCHGATE_DATA" in done.stderr


def test_the_docs_show_what_the_script_prints(monkeypatch):
    """The first rows, made again: a change of the rule that nobody published fails here."""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    script = importlib.import_module("gate_simulation")
    docs = (ROOT / "docs" / "gate.md").read_text(encoding="utf-8").splitlines()
    lines = [*itertools.islice(script.simulated(20_000), 3), *itertools.islice(script.misled(20_000), 3)]
    assert [line for line in lines if line not in docs] == []
