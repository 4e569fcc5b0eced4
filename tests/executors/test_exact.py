"""Size, memory and accuracy of two versions of a cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from benchgate.core import Metric
from benchgate.executors.exact import METERS, exact
from benchgate.results import Record
from tests.executors.sides import record

PASSAGES = {"name": "passages", "sha256": "1", "n": 200}


def scored(hits: Sequence[float]) -> Record:
    made = record(size_bytes=1000.0)
    mean = sum(hits) / len(hits)
    top1 = Metric(mean, "1", "higher", len(hits), 0.0, 1.0, "made", examples=tuple(hits))
    return replace(made, metrics={"top1": top1}, details={"data": PASSAGES})


def hits(right: int, of: int = 200) -> list[float]:
    return [1.0] * right + [0.0] * (of - right)


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [(160, 160, "same"), (160, 80, "regressed"), (160, 158, "inconclusive")],
)
def test_accuracy_is_paired_by_example(old: int, new: int, kind: str) -> None:
    found = exact(lambda meters: (scored(hits(old)), scored(hits(new))), METERS)["top1"]

    assert found.kind == kind, str(found)
    assert ("the same 200 answers" in str(found)) == (kind == "same")


@pytest.mark.parametrize(
    ("peaks", "kind", "weighed"),
    [
        ([(100, 105)], "same", 1),
        ([(100, 80)], "improved", 1),
        ([(100, 150), (100, 150)], "regressed", 2),
        ([(100, 150), (100, 101), (100, 102)], "inconclusive", 3),
    ],
)
def test_one_odd_peak_fails_no_run(peaks: list[tuple[float, float]], kind: str, weighed: int) -> None:
    asked: list[tuple[str, ...]] = []

    def records(meters: Sequence[str]) -> tuple[Record, Record]:
        old, new = peaks[len(asked)]
        asked.append(tuple(meters))
        return record(peak_rss_bytes=old * 1e6), record(peak_rss_bytes=new * 1e6)

    assert exact(records, METERS)["peak_rss_bytes"].kind == kind
    assert asked == [METERS, ("memory",), ("memory",)][:weighed]


@pytest.mark.parametrize("part", [{"packages": {"torch": "2.14"}}, {"machine": {"python": "3.13"}}])
def test_other_packages_are_what_is_asked_about(part: dict[str, dict[str, str]]) -> None:
    new = replace(record(peak_rss_bytes=100e6), **part)  # type: ignore[arg-type]

    assert exact(lambda meters: (record(peak_rss_bytes=100e6), new), METERS)["peak_rss_bytes"].kind == "same"
