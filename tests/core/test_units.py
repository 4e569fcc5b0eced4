"""Figures for people."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.core.units import factor, human, percent, share, three_digits


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (2.0, "s", "2 s"),
        (61.0, "s", "61.0 s"),
        (0.0123, "s", "12.3 ms"),
        (0.001, "s", "1 ms"),
        (0.000999, "s", "999 us"),
        (1.5e-6, "s", "1.5 us"),
        (5e-10, "s", "0.5 ns"),
        (0.0, "s", "0 ns"),
        (0.0, "B", "0 B"),
        (-0.0123, "s", "-12.3 ms"),
        (999.0, "B", "999 B"),
        (1000.0, "B", "1 kB"),
        (98_362_432, "B", "98.4 MB"),
        (1.5e9, "B", "1.5 GB"),
        (22.0, "J", "22.0 J"),
        (0.00411, "J", "4.11 mJ"),
        (1500.0, "J", "1.5 kJ"),
        (44.0, "W", "44.0 W"),
        (0.61234, "1", "0.612"),
        (1.0, "1", "1.000"),
        (0.0, "1", "0.000"),
        (31.55, "1", "31.6"),
        (4.5, "bit", "4.5"),
        (1234.4, "tokens/s", "1,234"),
        (1.5e7, "1/s", "1.5e+07"),
    ],
)
def test_human_takes_the_unit_that_fits(value, unit, text):
    assert human(value, unit) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1.2345, "1.23"), (12.345, "12.3"), (123.45, "123"), (1234.5, "1,234"), (-12.345, "-12.3")],
)
def test_three_digits(value, text):
    assert three_digits(value) == text


@given(st.floats(1e-9, 1e3))
def test_a_time_is_told_to_one_percent(seconds):
    number, unit = human(seconds, "s").split()
    factor = {"s": 1, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}[unit]
    assert float(number.replace(",", "")) * factor == pytest.approx(seconds, rel=0.01)


@given(st.floats(1, 1e15))
def test_bytes_are_told_to_one_percent(size):
    number, unit = human(size, "B").split()
    factor = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}[unit]
    assert float(number.replace(",", "")) * factor == pytest.approx(size, rel=0.01)


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (percent(45.13), "+4,513 %"),
        (percent(-0.123), "-12.3 %"),
        (percent(0.0), "+0.0 %"),
        (share(0.2), "20 %"),
        (share(0.005), "0.5 %"),
        (share(99.0), "9,900 %"),
        (factor(1.567), "1.57x"),
        (factor(0.3), "0.30x"),
        (factor(1234.0), "1,234x"),
    ],
)
def test_changes_shares_and_ratios(shown, text):
    assert shown == text
