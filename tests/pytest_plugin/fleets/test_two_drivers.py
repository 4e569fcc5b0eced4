"""Two runs on one cluster at once: a node measures one cell at a time, whoever sent it."""

from __future__ import annotations

import pytest

from tests.pytest_plugin.fleets.clusters import DEADLINE_S, marks, started

SUITE = """
import os, pathlib, time
import pytest

def mark(word):
    with pathlib.Path(os.environ["FAKE_MARKS"]).open("a") as marks:
        marks.write(f"{word} {os.environ['FAKE_DRIVER']}\\n")

@pytest.mark.cells(model=["fake-a", "fake-b", "fake-c"], runtime="fake")
def test_speed(cell):
    mark("begin")
    time.sleep(1)
    cell.measure(meters=("size",))
    mark("end")
"""


@pytest.fixture
def drivers(suite, board):
    suite.write("test_it.py", SUITE)
    return [
        started(suite, *board, f"--benchmark-json={name}.json", "-o", f"cache_dir={name}", DRIVER=name)
        for name in ("one", "two")
    ]


def test_no_two_cells_are_timed_on_a_node_at_once_and_both_runs_are_whole(drivers, suite, tmp_path):
    for driver in drivers:
        out, _ = driver.communicate(timeout=DEADLINE_S)
        assert driver.returncode == 0, out
    told = marks(tmp_path)
    assert [word for word, _ in told] == ["begin", "end"] * 6
    assert [who for _, who in told[::2]] == [who for _, who in told[1::2]]
    for name in ("one", "two"):
        assert set(suite.outcomes(f"{name}.json").values()) == {"passed"}
        assert len(suite.outcomes(f"{name}.json")) == 3
