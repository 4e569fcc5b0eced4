"""Several sessions at a time."""

from __future__ import annotations

import threading

import pytest

from benchgate.core import InvalidOutput, Work
from benchgate.measuring.together import together


def test_one_is_as_it_was():
    work = Work(call=lambda: 1)
    with together([work]) as found:
        assert found is work


def test_all_are_called_at_the_same_time_and_their_units_are_added():
    meet = threading.Barrier(3, timeout=10)
    begun = []
    works = [
        Work(call=lambda: meet.wait(), units=2, throughput="items_per_s", begin=lambda i=i: begun.append(i))
        for i in range(3)
    ]
    with together(works) as work:
        work.begin()
        assert sorted(work.call()) == [0, 1, 2]
    assert (work.units, begun) == (6, [0, 1, 2])


def test_every_output_is_checked():
    def refuse(output):
        raise InvalidOutput(f"bad {output}")

    works = [Work(call=lambda: 1), Work(call=lambda: 2, check=refuse)]
    with together(works) as work, pytest.raises(InvalidOutput, match="bad 2"):
        work.check(work.call())
