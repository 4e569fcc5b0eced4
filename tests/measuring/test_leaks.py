"""Memory that calls leave behind."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.measuring.leaks import LEAST_ROUNDS, growth, slope

MIB = 2**20
# Private memory after each round of a prefill of 512 tokens, in units of 0.1 MB: an allocator's scatter as measured.
SCATTER = [
    3853, 3836, 3801, 3857, 3824, 3826, 3824, 3821, 4072, 4072, 3806, 3828, 3802, 3841, 3848, 3838, 3817,
    3828, 3821, 3845, 3817, 3824, 3857, 3853, 3830, 3826, 3817, 3828, 3818, 3802, 3818, 3844, 3848, 3828,
    3836, 3848, 3834, 3844, 3824, 3828, 3824, 4041, 4041, 4041, 3832, 3836, 3834, 3832,
]  # fmt: skip


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
        [value * 100_000 for value in SCATTER],
    ],
    ids=[
        "flat",
        "one step",
        "a cache that fills",
        "growth that slows down",
        "falling",
        "less than an allocator's scatter",
        "an allocator's scatter as measured",
    ],
)
def test_what_is_no_leak_is_none(private):
    assert growth(private) == 0.0


def test_a_leak_within_scatter_is_told():
    private = [100 * MIB + i * MIB + (i * 7919 % 5) * MIB // 4 for i in range(24)]
    assert growth(private) == pytest.approx(MIB, rel=0.1)


def test_too_few_rounds_tell_nothing():
    assert growth([100 * MIB + i * MIB for i in range(LEAST_ROUNDS - 1)]) is None


@given(st.integers(1, 10**6), st.integers(2, 30))
def test_the_slope_of_a_line_is_its_own(step, count):
    assert slope([7 + step * i for i in range(count)]) == pytest.approx(step)
