"""The figures of one way of loading, with places whose memory and times are given."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from benchgate.core import Unavailable
from benchgate.machine.memory_parts import MemoryParts
from benchgate.measuring import loading
from benchgate.measuring.loading import Plan, Start, calls, measure, own_memory, start, together
from benchgate.report.loading import COLUMNS, row
from tests.measuring.test_resolved import Choosing, _of

MB = 10**6
PARTS = MemoryParts(100 * MB, 50 * MB, 20 * MB, 50 * MB, 60 * MB, 0, 5, 0)
WARM = Start(2.0, 0.5, 10 * MB, 500 * MB, 510 * MB, 0, 540 * MB)


class Fake:
    """A place whose loads take what `seconds` says next; `shared` bytes of its model are shared by all that hold it."""

    open: ClassVar[list[Fake]] = []
    shared, private = 500 * MB, 20 * MB

    def __init__(self, seconds):
        self.seconds, self.loaded, self.closed = seconds, False, False
        Fake.open.append(self)

    def call(self, function, *args):
        if function is start:
            self.loaded = True
            return replace(WARM, load_s=next(self.seconds))
        if function is loading.inputs_of:
            assert not self.loaded, "inputs are made before anything is weighed"
            return None
        if function is own_memory:
            holders = sum(place.loaded for place in Fake.open)
            more = self.shared // holders + self.private if self.loaded else 0
            return replace(PARTS, pss=PARTS.pss + more)
        if args[1] and self.private > self.shared:
            raise Unavailable(loading.COPIED)
        return 4.0 if args[1] else 0.25

    def close(self):
        self.closed = True
        Fake.open.remove(self)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    (tmp_path / "weights").write_bytes(b"w" * 100)
    return Plan(_of(Choosing(), "mmap"), tmp_path, 1)


@pytest.fixture
def evicted(monkeypatch):
    """The files that were taken out of memory."""
    found = []
    monkeypatch.setattr(loading, "evict", found.append)
    yield found
    assert Fake.open == [], "a place was left open"


def test_times_are_medians_of_warm_and_of_cold_loads_and_the_first_load_counts_nowhere(plan, evicted):
    seconds = iter([9.0, 2.0, 1.0, 3.0, 7.0, 6.0, 8.0, *[1.0] * 8])
    found = measure(plan, lambda: Fake(seconds))
    assert (found.warm_load_s, found.cold_load_s) == (2.0, 7.0)
    assert evicted == [plan.path / "weights"] * 3
    assert (found.call_s, found.evicted_call_s) == (0.25, 4.0)
    assert (found.way, found.disk_bytes, found.weights_bytes) == ("mmap", 100, 540 * MB)
    assert found.missing == {}


def test_what_stays_in_memory_has_no_cold_figures_and_says_why(plan, monkeypatch):
    def stays(path):
        raise Unavailable("99% of it stays")

    monkeypatch.setattr(loading, "evict", stays)
    found = measure(plan, lambda: Fake(iter([1.0] * 20)))
    assert (found.cold_load_s, found.cold_first_call_s, found.warm_load_s) == (None, None, 1.0)
    assert found.missing == {"cold": "99% of it stays"}
    assert Fake.open == []


def test_copied_weights_have_no_figure_with_the_file_evicted(plan, evicted, monkeypatch):
    monkeypatch.setattr(Fake, "shared", 0)
    found = measure(plan, lambda: Fake(iter([1.0] * 20)))
    assert found.evicted_call_s is None
    assert found.missing == {"evicted_call_s": loading.COPIED}


@pytest.mark.parametrize(("count", "total"), [(1, 520 * MB), (2, 540 * MB), (4, 580 * MB)])
def test_pages_that_several_processes_share_count_once(plan, evicted, count, total):
    assert together(plan, lambda: Fake(iter([1.0] * 4)), count) == total


def test_the_row_has_a_cell_a_column_and_absent_is_never_zero(plan, evicted):
    found = measure(plan, lambda: Fake(iter([1.0] * 20)))
    shown = dict(zip(COLUMNS, row(replace(found, evicted_call_s=None)), strict=True))
    assert shown["call, evicted"] == "-"
    assert shown["4 share"] == "x1.12"
    assert (shown["load"], shown["private"], shown["disk"]) == ("mmap", "10.0 MB", "100 B")


def test_evicting_is_refused_for_a_file_that_is_not_mapped(plan, monkeypatch):
    class Held:
        subject = type("S", (), {"work": type("W", (), {"prepare": None, "started": lambda self: lambda: None})()})()

    monkeypatch.setattr(loading, "mapped_bytes", lambda files: 49)
    with pytest.raises(Unavailable, match="in memory of its own"):
        calls(Held(), plan, True)
    assert calls(Held(), plan, False) >= 0
