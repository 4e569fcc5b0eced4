"""How often a trial of a search for a limit calls, by how long its first call takes; on a scripted clock."""

from __future__ import annotations

import pytest

from benchgate.core import InvalidOutput, Work
from benchgate.measuring import limit_trial
from benchgate.measuring.limit_trial import LEAST_ROUNDS, LONG_S, MOST_ROUNDS, VERY_LONG_S, timed


@pytest.fixture
def called(monkeypatch):
    """`called(seconds)` times calls that take so long each and returns seconds of the first, the rounds, all calls."""

    def run(seconds, check=None):
        now, calls, noted = [0.0], [], []

        def call():
            now[0] += seconds
            calls.append(seconds)
            return 1.0

        monkeypatch.setattr(limit_trial.time, "perf_counter", lambda: now[0])
        found = timed(Work(call=call, check=check), None, lambda: noted.append(1))
        assert len(noted) == len(found[1])
        return *found, len(calls)

    return run


@pytest.mark.parametrize(
    ("seconds", "rounds", "calls"), [(LONG_S, 1, 2), (VERY_LONG_S - 1, 1, 2), (VERY_LONG_S, 1, 1), (50.0, 1, 1)]
)
def test_long_calls_are_few(called, seconds, rounds, calls):
    first, found, made = called(seconds)
    assert first == pytest.approx(seconds)
    assert found == [pytest.approx(seconds)] * rounds
    assert made == calls


def test_short_calls_are_warmed_up_and_as_many_as_tell_a_leak(called):
    _, found, made = called(0.0001)
    assert LEAST_ROUNDS < len(found) == MOST_ROUNDS
    assert made > MOST_ROUNDS + 1


def test_every_output_is_checked(called):
    def refuse(output):
        raise InvalidOutput("no")

    with pytest.raises(InvalidOutput):
        called(0.1, refuse)
