"""docs/extending.md: every block is run, in one file of somebody's own, and none is longer than the docs promise."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"
# A word of the block -> the most lines it may have, without its imports and empty lines.
LIMITS = {
    "class Net": 6, "bg.Scheme(": 1, "class Pictures": 12, "class Round": 15, "class Walking": 20,
    "class TorchWalk": 20, "class OnnxWalk": 20, "class Plain:": 20, "class PlainSession": 20, "bg.SimpleRuntime": 15,
    "class Npu": 8,
    "bg.Row(": 2, "class Signs": 20, "class LargestFile": 20,
}  # fmt: skip

# Nothing is asked of the times: no block is measured again for a busy machine.
OPTIONS = ("-p", "no:cacheprovider", "--benchmark-max-time=0.02", "--cell-patience=0")


def blocks() -> list[str]:
    found = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(found) > 8
    return found


def lines(block: str) -> list[str]:
    return [line for line in block.splitlines() if line.strip() and not line.startswith(("import", "from", "@"))]


@pytest.mark.parametrize("word", LIMITS)
def test_no_example_is_longer_than_promised(word):
    (block,) = [block for block in blocks() if word in block and "def test_" not in block]
    assert len(lines(block)) <= LIMITS[word]


@pytest.mark.backend("torch")
@pytest.mark.backend("onnxruntime")
def test_all_of_it_runs(pytester, monkeypatch):
    tests = [block for block in blocks() if block.startswith("# test_mine.py")]
    assert len(tests) == 1
    mine = "\n".join(block for block in blocks() if block not in tests)
    pytester.makepyfile(mine=mine, test_mine=tests[0], conftest='pytest_plugins = ["mine"]')
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    result = pytester.runpytest_subprocess(*OPTIONS, timeout=240)
    result.assert_outcomes(passed=2 + 9 + 1 + 4 + 4, skipped=1)
    result.stdout.fnmatch_lines(["  2 x walking models are run step by step, litert runs one call on its inputs"])
