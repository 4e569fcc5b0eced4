"""Charts: which files there are, what they show of what was measured, and what cannot be drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchgate import registration
from benchgate.commands import main as cli
from benchgate.core import BenchgateError, Metric
from benchgate.core.units import scale
from benchgate.report.pareto import LARGEST, SMALLEST, pictures
from benchgate.report.plots import plot
from benchgate.results import Record

pytest.importorskip("matplotlib")
registration.load_builtin()


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


# Size, accuracy and speed in one picture


def cells(*rows, data="ab", **fields):
    """(scheme, size, top-1, tokens/s) as the records of two tests each."""
    for scheme, size, top1, speed in rows:
        task, about = "causal-lm", {"dataset": "cloze", "n": 100, "sha256": data}
        scored = record(scheme, size_bytes=Metric(size, "B", "lower"), top1=Metric(top1, "1", "higher", 100, 0.1, 0.9))
        yield replace(scored, details={"data": about, "task": task}, **fields)
        if speed:
            yield replace(record(scheme, decode_tokens_per_s=Metric(speed, "tokens/s", "higher")), **fields)


ROWS = [("fp32", 400, 0.40, 10), ("int8", 100, 0.39, 30), ("int4", 60, 0.30, 40), ("bad", 120, 0.20, 5)]


def front(*records):
    (picture,) = pictures(records)
    return [point.scheme for point in picture.front()]


def test_the_front_is_what_no_cell_beats_in_everything():
    assert front(*cells(*ROWS)) == ["int4", "int8", "fp32"]
    assert front(*cells(*ROWS, ("fast", 500, 0.10, 99))) == ["int4", "int8", "fp32", "fast"]
    # The same in everything: neither beats the other.
    assert front(*cells(("a", 100, 0.3, 5), ("b", 100, 0.3, 5))) == ["a", "b"]


def test_a_speed_that_not_all_cells_have_from_one_machine_decides_nothing():
    (picture,) = pictures([*cells(*ROWS[:3]), *cells(("slow", 500, 0.10, None))])
    assert (picture.speed, [p.speed for p in picture.points]) == (None, [None] * 4)
    assert "slow" not in [p.scheme for p in picture.front()]
    elsewhere = cells(("other", 500, 0.10, 99), machine={"cores": 64})
    (picture,) = pictures([*cells(*ROWS), *elsewhere])
    assert picture.speed is None


def test_what_was_scored_on_other_data_is_another_picture(tmp_path: Path):
    records = [*cells(*ROWS), *cells(("x", 10, 0.9, 1), ("y", 20, 0.95, 2), data="cd")]
    assert [len(picture.points) for picture in pictures(records)] == [4, 2]
    assert [f.name for f in plot(records, tmp_path)][-2:] == ["pareto-m.svg", "pareto-m-2.svg"]


def test_one_cell_other_parameters_and_failed_cells_make_no_picture():
    (one, *_) = cells(ROWS[0])
    assert list(pictures([one])) == []
    assert list(pictures([one, replace(one, params={"batch": 4})])) == []
    assert list(pictures([one, replace(next(cells(ROWS[1])), outcome="failed")])) == []


def test_the_picture_shows_names_speeds_intervals_and_the_front(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from matplotlib.axes import Axes

    areas, faces, bars = [], [], []
    scatter, errorbar = Axes.scatter, Axes.errorbar
    monkeypatch.setattr(
        Axes, "scatter",
        lambda self, *a, **k: (areas.append(k["s"]), faces.append(k["facecolors"])) and scatter(self, *a, **k),
    )  # fmt: skip
    monkeypatch.setattr(Axes, "errorbar", lambda self, *a, **k: bars.append(k["yerr"]) or errorbar(self, *a, **k))
    path = plot(list(cells(*ROWS)), tmp_path)[-1]
    assert path.name == "pareto-m.svg"
    assert areas == [pytest.approx(max(SMALLEST, LARGEST * speed / 40)) for *_, speed in ROWS]
    assert [face != "none" for face in faces] == [True, True, True, False]
    assert bars[-4] == [[pytest.approx(0.3)], [pytest.approx(0.5)]]
