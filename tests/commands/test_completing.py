"""Completion as the shell asks for it: verbs, options, files, names of the registries."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchgate.commands.completing import words

pytest.importorskip("argcomplete", reason="argcomplete is not installed; pip install 'benchgate[completion]'")


def completed(line: str, folder: Path) -> list[str]:
    answer = folder / "answer"
    asked = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "COMP_LINE": line, "COMP_POINT": str(len(line))}
    command = [sys.executable, "-m", "benchgate.commands.main"]
    environment = {**os.environ, **asked, "_ARGCOMPLETE_STDOUT_FILENAME": str(answer)}
    subprocess.run(command, env=environment, cwd=folder, check=True, timeout=60, capture_output=True)
    return [word.strip() for word in answer.read_text().split("\n")]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("benchgate rec", {"recommend"}),
        ("benchgate recommend --max-", {"--max-loss"}),
        ("benchgate recommend --by dec", {"decode", "decode_tokens_per_s"}),
        ("benchgate recommend --max rs", {"rss="}),
        ("benchgate limits x --scheme bf16-", {"bf16-autocast"}),
        ("benchgate report res", {"results.json"}),
    ],
)
def test_the_shell_is_told(line: str, found: set[str], tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text("{}")
    assert set(completed(line, tmp_path)) == found


def test_the_words_are_those_up_to_the_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMP_LINE", "benchgate report x y")
    monkeypatch.setenv("COMP_POINT", str(len("benchgate report x")))
    assert words() == ["report", "x"]
