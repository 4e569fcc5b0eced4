"""The figures of a page: nothing rare is thinned away, and bars and curves have what the records say."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.core import Metric
from benchgate.report import page_curves, page_facts, page_figures
from benchgate.report.page import payload
from benchgate.report.page_content import read_content
from benchgate.report.page_rounds import Block, Rounds, as_data, course, distribution, rounds_of
from benchgate.report.page_table import table
from tests.builders import MACHINE
from tests.report.pages import a_cell, rounds, saved

times = st.lists(st.floats(1e-9, 1e3), min_size=1, max_size=400)


@given(times, st.integers(2, 100))
def test_thinned_rounds_keep_their_order_the_fastest_and_the_slowest(seconds, kept):
    found = course(seconds, kept)
    assert len(found) <= max(kept, 2)
    assert [place for place, _ in found] == sorted({place for place, _ in found})
    assert all(seconds[place] == value for place, value in found)
    assert {min(seconds), max(seconds)} <= {value for _, value in found}


@given(times, st.integers(2, 100))
def test_the_distribution_is_of_all_rounds_and_keeps_its_ends(seconds, kept):
    found = distribution(seconds, kept)
    assert len(found) <= kept
    assert found[0][0] == min(seconds)
    assert found[-1] == (max(seconds), 1.0)
    for value, share in found:
        assert sum(s < value for s in seconds) < share * len(seconds) + 1e-6 <= sum(s <= value for s in seconds) + 2e-6


def test_few_rounds_are_all_there_and_not_said_twice():
    assert as_data(Rounds((0.1, 0.2)), 10) == {"n": 2, "y": [0.1, 0.2], "b": []}


@pytest.mark.parametrize(
    ("raw", "n", "expected"),
    [
        # All kept, also the disturbed ones.
        ([(2, ["busy"]), (1, [])], 3, (Block(0, 1, "busy"), Block(2, 2, ""))),
        # Those that were disturbed were measured again: the rounds are of the quiet ones.
        ([(2, ["busy"]), (2, [])], 2, (Block(0, 1, ""),)),
        # Nobody knows which rounds are which.
        ([(2, ["busy"]), (2, [])], 3, ()),
        ([], 3, ()),
    ],
)
def test_blocks_are_laid_on_the_rounds_that_were_kept(raw, n, expected):
    blocks = [{"rounds": count, "disturbed": why} for count, why in raw]
    bench = {"stats": {"data": [0.1] * n}, "extra_info": {"benchgate": {"key": "t", "details": {"blocks": blocks}}}}
    assert rounds_of({"benchmarks": [bench]})["t"].blocks == expected


@pytest.mark.parametrize("bench", ["x", {}, {"stats": {"data": ["a"]}, "extra_info": {"benchgate": {}}}, {"stats": 3}])
def test_rounds_of_foreign_benchmarks_are_passed_over(bench):
    assert rounds_of({"benchmarks": [bench]}) == {}


def test_the_table_has_each_figure_with_interval_reference_change_and_why_it_is_absent(tmp_path):
    size = Metric(200.0, "B", "lower", 1, 190.0, 210.0)
    int8 = a_cell("int8", metrics={"size_bytes": 100.0})
    missing = {"peak_rss_bytes": "no counter"}
    now = replace(int8, metrics={**int8.metrics, "size_bytes": size}, missing=missing)
    fp32 = a_cell(metrics={"peak_rss_bytes": 5e8})
    content = read_content(
        [saved(tmp_path / "a.json", [a_cell(), int8], 1), saved(tmp_path / "b.json", [fp32, now], 2)]
    )
    found = table(content)
    place = next(str(i) for i, c in enumerate(found["columns"]) if c["title"] == "disk")
    rss = next(str(i) for i, c in enumerate(found["columns"]) if c["title"] == "peak RSS")
    row = next(row for row in found["rows"] if row["a"][1] == "int8")
    entry = {str(k): v for k, v in row["m"].items()}[place]
    assert entry[:6] == [200.0, "200 B", "190 B to 210 B", "0.5x", "+100.0%", "regressed"]
    assert {str(k): v for k, v in row["x"].items()}[rss] == "no counter"


def test_two_machines_stand_beside_each_other_and_are_not_held_together(tmp_path):
    other = replace(a_cell(metrics={"latency_median_s": 9.0}), machine={"cpu": "other", "cores": 1})
    content = read_content([saved(tmp_path / "a.json", [a_cell()], 1), saved(tmp_path / "b.json", [other], 2)])
    assert [dict(row.record.machine) for row in content.rows] == [MACHINE, {"cpu": "other", "cores": 1}]
    assert any(heading.startswith("not compared") for heading, _ in page_facts.findings(content))
    assert next(page_figures.workload(content.measured)).ticks == [
        "fp32 torch prefill file=a.json", "fp32 torch prefill file=b.json",
    ]  # fmt: skip


def test_bars_keep_the_best_and_say_what_they_leave_out(tmp_path):
    records = [a_cell(f"s{n:03}", size=1000.0 - n) for n in range(page_figures.MOST_BARS + 5)]
    content = read_content([saved(tmp_path / "a.json", records)])
    disk = next(f for f in page_figures.workload(content.measured) if f.title == "lm: disk")
    assert len(disk.ticks) == page_figures.MOST_BARS
    assert disk.note == "the 60 best of 65 cells; the table has all"
    assert max(disk.series[0].x) == 995.0


def test_trade_offs_fill_what_nothing_beats(tmp_path):
    records = [a_cell(), a_cell("good", size=100.0), a_cell("bad", size=500.0, metrics={"top1": 0.1})]
    content = read_content([saved(tmp_path / "a.json", records)])
    (figure,) = page_figures.trade_offs(content.measured)
    assert dict(zip(figure.series[0].labels, figure.series[0].hollow, strict=True)) == {
        "fp32": True, "good": False, "bad": True,
    }  # fmt: skip


def test_a_runtime_has_one_colour_in_all_figures(tmp_path):
    order = [("lm", "onnx"), ("lm", "torch"), ("other", "torch"), ("other", "onnx")]
    cells = [{"model": m, "scheme": "fp32", "runtime": runtime, "device": "cpu"} for m, runtime in order]
    records = [a_cell(cell=cell, key=f"t.py::test_it[{'-'.join(cell.values())}]") for cell in cells]
    content = read_content([saved(tmp_path / "a.json", records)])
    drawn = [*page_figures.workload(content.measured), *page_figures.trade_offs(content.measured)]
    assert {figure.group for figure in drawn} == {"lm", "other"}
    assert {(one.name, one.colour) for figure in drawn for one in figure.series} == {("onnx", 1), ("torch", 2)}


def test_scaling_joins_what_differs_in_one_number_only(tmp_path):
    records = [
        a_cell(test=f"t{n}_{c}", params={"batch": n, "context": c}, metrics={"latency_median_s": n / 10})
        for n, c in ((1, 8), (2, 8), (4, 8), (4, 16))
    ]
    content = read_content([saved(tmp_path / "a.json", records)])
    found = {f.title: f for f in page_figures.scaling(content.measured)}
    batch = found["lm prefill: median by batch"]
    assert [(list(s.x), list(s.y)) for s in batch.series] == [([1.0, 2.0, 4.0], [100.0, 200.0, 400.0])]
    assert [(list(s.x)) for s in found["lm prefill: median by context"].series] == [[8.0, 16.0]]


def test_a_search_shows_its_ceiling_and_fails_nothing(tmp_path):
    def trial(n, outcome):
        metrics = {} if outcome == "oom" else {"latency_median_s": n / 10}
        record = a_cell(key=f"benchgate limits::prefill[lm-batch={n}]", params={"batch": n}, outcome=outcome)
        return replace(record, metrics={k: v for k, v in record.metrics.items() if k in metrics}, reason="too large")

    records = [trial(1, "passed"), trial(2, "passed"), trial(8, "oom"), trial(4, "passed")]
    content = read_content([saved(tmp_path / "a.json", records)])
    figure = next(iter(page_curves.ceilings(content.results)))
    assert list(figure.series[0].x) == [1.0, 2.0, 4.0]
    assert figure.note == "batch 4 fits, batch 8 does not (oom: too large)".replace("batch 8", "8")
    assert [mark.value for mark in figure.marks] == [4.0, 8.0]
    assert page_facts.verdict(content)[0] == "open"


def test_a_step_of_the_history_is_marked_where_it_is(tmp_path):
    pytest.importorskip("ruptures", reason="ruptures is not installed; pip install 'benchgate[history]'")
    sizes = [100.0] * 4 + [200.0] * 4
    paths = [saved(tmp_path / f"{n}.json", [a_cell(size=size)], day=n) for n, size in enumerate(sizes)]
    figures, notes = page_curves.history(read_content(paths))
    disk = figures[0]
    assert disk.title.endswith("disk")
    assert [(mark.value, mark.label.split()[0]) for mark in disk.marks] == [(3.5, "worse")]
    assert notes == []


def test_rounds_of_many_cells_are_thinned_until_they_fit(tmp_path, monkeypatch):
    records = [a_cell(f"s{n}") for n in range(20)]
    path = saved(tmp_path / "a.json", records, rounds={record.key: rounds(3000) for record in records})
    monkeypatch.setattr("benchgate.report.page.ROUNDS_BYTES", 60_000)
    found = payload(read_content([path]), [])["rounds"]
    assert found["thinned"] == 20
    assert found["kept"] < 600
    assert all(max(cell["y"]) == 0.1 and cell["n"] == 3000 for cell in found["cells"])
