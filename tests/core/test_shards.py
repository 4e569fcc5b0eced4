"""Parts of data: each item in exactly one of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.core import DataError
from benchgate.core.shards import WHOLE, Shard


@given(st.lists(st.integers()), st.integers(1, 12))
def test_each_item_is_in_one_shard(items, of):
    parts = [Shard(number, of).takes(items) for number in range(of)]
    assert sorted(item for part in parts for item in part) == sorted(items)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert WHOLE.takes(items) == items


@pytest.mark.parametrize(("number", "of"), [(-1, 2), (2, 2), (0, 0)])
def test_a_part_that_there_is_not_is_refused(number, of):
    with pytest.raises(DataError, match=f"shard {number} of {of}: its number must be at least 0 and below {of}"):
        Shard(number, of)
