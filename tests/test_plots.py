"""Charts: which files there are, what they show of what was measured, and what cannot be drawn."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchgate import cli
from benchgate.core import BenchgateError, Metric
from benchgate.report.plots import plot
from benchgate.report.units import scale
from benchgate.results import Record

pytest.importorskip("matplotlib")


def record(scheme: str, outcome: str = "passed", **metrics: Metric) -> Record:
    cell = {"model": "m", "scheme": scheme, "runtime": "torch", "device": "cpu"}
    return Record(f"test_x[{scheme}]", cell, "call", metrics=metrics, outcome=outcome)


SIZE = Metric(35.4e6, "B", "lower")
AP = Metric(0.19, "1", "higher", 188, 0.17, 0.21)


def test_one_file_for_each_metric_that_any_cell_has(tmp_path: Path):
    files = plot([record("fp32", size_bytes=SIZE, ap=AP), record("int8", size_bytes=SIZE)], tmp_path / "new")
    assert [f.name for f in files] == ["size_bytes.svg", "ap.svg"]
    assert all(f.stat().st_size > 1000 for f in files)


def test_the_same_records_give_the_same_file(tmp_path: Path):
    records = [record("fp32", ap=AP)]
    (first,), (second,) = plot(records, tmp_path / "a"), plot(records, tmp_path / "b")
    assert strip_ids(first.read_text()) == strip_ids(second.read_text())


def strip_ids(svg: str) -> list[str]:
    return [line for line in svg.splitlines() if 'id="' not in line and "#" not in line]


def test_bars_have_the_values_and_the_intervals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from matplotlib.axes import Axes

    drawn = []
    original = Axes.barh
    monkeypatch.setattr(Axes, "barh", lambda self, *a, **k: drawn.append((a, k["xerr"])) or original(self, *a, **k))
    plot([record("fp32", ap=AP, size_bytes=SIZE)], tmp_path)
    (position, value), no_errors = drawn[0]
    assert (position, value, no_errors) == (0, pytest.approx(35.4), None)
    assert drawn[1][1] == [[pytest.approx(0.02)], [pytest.approx(0.02)]]


@pytest.mark.parametrize(
    ("records", "suffix", "said"),
    [
        ([], "svg", "nothing to plot"),
        ([record("fp32", outcome="failed", ap=AP)], "svg", "nothing to plot"),
        ([record("fp32", ap=AP)], "doc", "cannot write ap.doc"),
    ],
)
def test_what_cannot_be_drawn_says_so(tmp_path: Path, records, suffix, said):
    with pytest.raises(BenchgateError, match=said):
        plot(records, tmp_path, suffix)


def test_the_command_tells_a_missing_file(tmp_path: Path, capsys):
    assert cli.main(["plot", str(tmp_path / "none.json")]) == cli.UNUSABLE
    assert "none.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "unit", "expected"),
    [
        ([0.002, 0.03], "s", (1e-3, "ms")),
        ([35e6, 1.0], "B", (1e6, "MB")),
        ([0.5], "1", (1.0, "")),
        ([5.0], "tokens/s", (1.0, "tokens/s")),
        ([0.0], "s", (1e-9, "ns")),
    ],
)
def test_axes_have_a_unit_that_fits(values, unit, expected):
    assert scale(values, unit) == expected
