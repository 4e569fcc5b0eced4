"""One line for a whole fleet."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from benchgate.pytest_plugin.fleet_progress import State


@pytest.mark.parametrize(
    ("done", "shards", "known", "line"),
    [
        ([], (0, 0), {}, "0/4 cells 1 min"),
        (["a"], (3, 8), {}, "1/4 cells 1 min, 3/8 shards of those that are scored now"),
        # A third of the work took a minute.
        (["a"], (0, 0), {"a": 10.0, "b": 20.0}, "1/4 cells 1 min, about 2 min left"),
        (["a", "b"], (0, 0), {"a": 10.0, "b": 20.0}, "2/4 cells 1 min"),
        (["c"], (0, 0), {"a": 10.0}, "1/4 cells 1 min"),
    ],
)
def test_a_line_says_how_far_and_what_is_known_of_how_long(done, shards, known, line):
    scoring = SimpleNamespace(count=lambda: shards)
    assert State(4, scoring, known, done=done).line(60.0) == line
