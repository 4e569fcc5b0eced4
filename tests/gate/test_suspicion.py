"""Suspicion of a cell from its stored runs."""

from __future__ import annotations

import math

import pytest

from benchgate.gate.suspicion import TIME, suspicions
from tests.builders import KEY, a_record


def runs(*seconds, **fields):
    return [a_record({TIME: value}, **fields) for value in seconds]


def test_the_newest_time_is_held_against_the_median_of_those_before():
    assert suspicions(runs(1.0, 9.0, 1.1, 1.21)) == {KEY: pytest.approx(math.log(1.21 / 1.1))}


@pytest.mark.parametrize(
    "stored",
    [
        [],
        runs(1.0),
        runs(1.0, 0.9),
        runs(0.0, 1.0),
        [*runs(1.0, machine={"cpu": "another"}), *runs(2.0)],
        [*runs(1.0, outcome="failed"), *runs(2.0)],
        [*runs(1.0), *runs(2.0, outcome="failed")],
    ],
    ids=["none", "one", "shorter", "zero", "another machine", "the old one failed", "the new one failed"],
)
def test_nothing_is_suspected_without_a_comparable_slower_run(stored):
    assert suspicions(stored) == {}
