"""Memory, size and accuracy of two sides: at the tolerance, one past it, and what cannot be."""

from __future__ import annotations

import math

import pytest

from benchgate.core import DataError
from benchgate.core.metrics import GROUPS, TABLE, Row
from benchgate.gate.side_by_side.beside_time import METHODS, Peaks, accuracy, memory, size

PEAK = Row("peak_rss_bytes", "B", "lower", "memory", "peak RSS", 0.10)
SIZE = Row("weights_bytes", "B", "lower", "size", "weights", 0.01)
TOP1 = Row("top1", "1", "higher", "accuracy", "top-1", 0.02, absolute=True)


def test_each_group_has_a_method():
    assert set(METHODS) == set(GROUPS)


@pytest.mark.parametrize(
    ("baseline", "candidate", "kind"),
    [
        ((100,), (110,), "same"),
        ((100,), (111,), "regressed"),
        ((100,), (90,), "same"),
        ((100,), (89,), "improved"),
        ((100, 104), (113, 114), "inconclusive"),
        ((100, 104), (115, 116), "regressed"),
        ((100, 104), (109, 110), "same"),
        ((100, 130), (100, 130), "inconclusive"),
    ],
)
def test_peaks(baseline, candidate, kind):
    found = memory(PEAK, Peaks(baseline), Peaks(candidate))
    assert found.kind == kind
    assert found.fails() == (kind == "regressed")
    assert bool(found.decide) == (kind == "inconclusive")
    assert " B, allowed 0.1 relative" in str(found)


@pytest.mark.parametrize(
    ("before", "now", "kind"),
    [(150e3, 1.2e6, "same"), (1.2e6, 150e3, "same"), (10e6, 12.2e6, "regressed"), (500e6, 526e6, "regressed")],
)
def test_one_of_pythons_arenas_more_is_no_finding(before, now, kind):
    found = memory(TABLE["peak_native_bytes"], Peaks((before,)), Peaks((now,)))
    assert found.kind == kind
    assert "allowed 0.05 relative, and 2097152 B in any case" in str(found)


def test_peaks_that_stay_apart_are_not_asked_for_again():
    assert memory(PEAK, Peaks((100, 130)), Peaks((100, 130))).decide == "weigh each side once more"
    assert "differ too much" in memory(PEAK, Peaks((100, 130, 100)), Peaks((100, 130, 99))).decide


@pytest.mark.parametrize("values", [(), (0,), (-1,), (math.nan,), (math.inf,), (5, 0)])
def test_no_peak_is_zero_or_absent(values):
    with pytest.raises(DataError, match="absent is never zero"):
        Peaks(values)


@pytest.mark.parametrize(
    ("candidate", "kind"),
    [(10_000, "same"), (10_100, "same"), (10_101, "regressed"), (9_900, "same"), (9_899, "improved")],
)
def test_a_size_is_exact(candidate, kind):
    assert size(SIZE, 10_000, candidate).kind == kind


@pytest.mark.parametrize("sizes", [(0, 1), (1, 0), (math.nan, 1)])
def test_no_size_is_zero(sizes):
    with pytest.raises(DataError, match="never zero"):
        size(SIZE, *sizes)


def hits(right, of):
    return [1.0] * right + [0.0] * (of - right)


@pytest.mark.parametrize(
    ("after", "of", "kind"),
    [(800, 1000, "same"), (700, 1000, "regressed"), (30, 50, "regressed"), (39, 50, "inconclusive")],
)
def test_accuracy_is_paired_by_example(after, of, kind):
    found = accuracy(TOP1, hits(round(0.8 * of), of), hits(after, of))
    assert found.kind == kind, found
    assert bool(found.decide) == (kind == "inconclusive")


@pytest.mark.parametrize("before", [[0.0] * 10, hits(1, 100)])
def test_an_accuracy_with_nothing_to_lose_is_refused(before):
    with pytest.raises(DataError):
        accuracy(TOP1, before, before)


def test_a_size_is_told_in_its_own_unit_and_to_its_digits():
    found = size(Row("bits_per_weight", "bit", "lower", "size", "bits/weight", 0.01), 7.318, 6.923)

    assert "7.318 -> 6.923 bit" in str(found)
