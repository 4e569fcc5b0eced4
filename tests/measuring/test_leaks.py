"""Memory that calls leave behind."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.measuring.leaks import LEAST_ROUNDS, growth, slope

MIB = 2**20


def test_a_steady_leak_is_told_a_round():
    assert growth([100 * MIB + i * MIB for i in range(20)]) == pytest.approx(MIB)


@pytest.mark.parametrize(
    "private",
    [
        [100 * MIB] * 20,
        [100 * MIB] * 10 + [140 * MIB] * 10,
        [100 * MIB + min(i, 9) * 4 * MIB for i in range(20)],
        [int(100 * MIB + 20 * MIB * math.log1p(i)) for i in range(20)],
        [120 * MIB - i * MIB for i in range(20)],
        [100 * MIB + i * 1024 for i in range(20)],
    ],
    ids=[
        "flat",
        "one step",
        "a cache that fills",
        "growth that slows down",
        "falling",
        "less than an allocator's scatter",
    ],
)
def test_what_is_no_leak_is_none(private):
    assert growth(private) == 0.0


def test_too_few_rounds_tell_nothing():
    assert growth([100 * MIB + i * MIB for i in range(LEAST_ROUNDS - 1)]) is None


@given(st.integers(1, 10**6), st.integers(2, 30))
def test_the_slope_of_a_line_is_its_own(step, count):
    assert slope([7 + step * i for i in range(count)]) == pytest.approx(step)
