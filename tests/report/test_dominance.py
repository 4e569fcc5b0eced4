"""Figures with intervals: better by value, apart, dominance, ratios."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.report.dominance import Reading, ahead, apart, beats, ratio, surely_beats


def near(value: float, half: float, better: str = "lower") -> Reading:
    return Reading(value, value - half, value + half, better)


@st.composite
def readings(draw: st.DrawFn, better: str = "lower") -> Reading:
    value = draw(st.integers(1, 50))
    return Reading(value, value - draw(st.integers(0, 9)) / 10, value + draw(st.integers(0, 9)), better)


rows = st.lists(st.tuples(readings("lower"), readings("higher")), min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("ours", "theirs", "is_ahead", "is_apart"),
    [
        (near(1, 0.4), near(2, 0.4), True, True),
        (near(1, 0.5), near(2, 0.5), True, False),
        (near(2, 0.1), near(1, 0.1), False, False),
        (near(2, 0.1, "higher"), near(1, 0.1, "higher"), True, True),
        (near(1, 0), near(1, 0), False, False),
    ],
)
def test_ahead_by_value_and_apart_by_intervals(ours, theirs, is_ahead, is_apart):
    assert (ahead(ours, theirs), apart(ours, theirs)) == (is_ahead, is_apart)


def test_a_cell_dominates_surely_only_where_every_interval_bears_it():
    small, large = near(1, 0), near(2, 0)
    fast, slow, doubtful = near(9, 1, "higher"), near(5, 1, "higher"), near(8, 2, "higher")
    assert surely_beats([small, fast], [large, slow])
    assert beats([small, fast], [large, doubtful])
    assert not surely_beats([small, fast], [large, doubtful])
    # equal and exact is no worse
    assert surely_beats([small, fast], [small, slow])


@given(rows)
def test_somebody_is_always_on_the_front(cells):
    assert any(not any(beats(other, own) for other in cells) for own in cells)
    for own in cells:
        for other in cells:
            assert beats(own, other) or not surely_beats(own, other)
            assert not (beats(own, other) and beats(other, own))


def test_a_ratio_has_the_wider_end_of_both_intervals():
    found = ratio(Reading(2, 1.9, 2.2, "higher"), Reading(1, 0.9, 1.05, "higher"))
    assert found is not None
    assert found.value == 2
    assert found.low < 2 * 1.9 / 2
    assert found.high > 2.2
    exact = ratio(Reading.exact(3, "lower"), Reading.exact(4, "lower"))
    assert exact == Reading(0.75, 0.75, 0.75, "lower")
    assert ratio(Reading.exact(0, "lower"), Reading.exact(4, "lower")) is None
