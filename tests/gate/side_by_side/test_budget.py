"""Who gets the next pair: the widest interval, within the budget, and nobody a share that decides nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.core import DataError
from benchgate.gate.side_by_side.budget import Candidate, allocated, next_cell, order

cells = st.lists(
    st.builds(
        Candidate,
        st.uuids().map(str),
        st.none() | st.floats(0, 1),
        st.floats(0.1, 100),
        st.floats(0, 5),
    ),
    max_size=6,
)


def names(found):
    return [cell.name for cell in found]


def test_the_suspicious_come_first_and_then_the_cheap():
    found = order([Candidate("dear", None, 9), Candidate("cheap", None, 1), Candidate("suspect", None, 99, 2.0)])
    assert names(found) == ["suspect", "cheap", "dear"]


def test_the_next_pair_is_the_widest_intervals():
    wide, narrow, unknown = Candidate("wide", 0.05, 2), Candidate("narrow", 0.01, 1), Candidate("new", None, 3)
    assert next_cell([wide, narrow, unknown], 10) == unknown
    assert next_cell([wide, narrow], 10) == wide
    assert next_cell([wide, narrow], 1.5) == narrow
    assert next_cell([wide, narrow], 0.5) is None
    assert next_cell([], 10) is None
    assert next_cell([Candidate("dear", 0.05, 4), Candidate("cheap", 0.05, 2)], 10).name == "cheap"


def test_a_budget_is_spent_where_intervals_are_widest():
    found = allocated([Candidate("wide", 0.06, 1), Candidate("narrow", 0.02, 1)], 18)
    assert sum(found.values()) == 18
    # After 3 k pairs each is as wide as the other where the pairs are in the ratio of the squares.
    assert found["narrow"] == 3
    assert found["wide"] == 15


def test_who_cannot_be_decided_gets_nothing():
    found = allocated([Candidate("cheap", None, 1), Candidate("dear", None, 10)], 29)
    assert found == {"cheap": 29, "dear": 0}
    assert allocated([Candidate("dear", None, 10)], 29.9) == {"dear": 0}
    assert allocated([Candidate("dear", None, 10)], 30) == {"dear": 3}


def test_no_cell_gets_more_than_most():
    assert allocated([Candidate("one", 0.5, 1)], 1e6, most=30) == {"one": 30}


@given(cells, st.floats(0, 1000))
def test_no_budget_is_overdrawn_and_nobody_gets_too_few(found, budget):
    pairs = allocated(found, budget)
    assert set(pairs) == set(names(found))
    assert sum(pairs[cell.name] * cell.pair_s for cell in found) <= budget * (1 + 1e-9)
    assert all(n == 0 or 3 <= n <= 30 for n in pairs.values())


@given(cells, st.floats(0, 100), st.floats(0, 100))
def test_more_budget_never_gives_fewer_pairs_in_all_of_equal_cost(found, budget, more):
    equal = [Candidate(cell.name, cell.half_width, 1.0, cell.suspicion) for cell in found]
    assert sum(allocated(equal, budget + more).values()) >= sum(allocated(equal, budget).values())


@pytest.mark.parametrize("fields", [(0.1, 0.0), (-0.1, 1.0), (float("nan"), 1.0), (0.1, -1.0)])
def test_a_cell_that_cannot_be_is_refused(fields):
    with pytest.raises(DataError, match="above 0 s"):
        Candidate("x", *fields)


def test_what_cannot_be_shared_out_is_refused():
    with pytest.raises(DataError, match="at least 0"):
        allocated([], -1)
    with pytest.raises(DataError, match="one name"):
        allocated([Candidate("x", None, 1), Candidate("x", None, 2)], 10)
