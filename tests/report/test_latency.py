"""The performance log: its columns, its unit, and what it says of a figure that is absent."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest

from benchgate.core import BenchgateError
from benchgate.measuring.meters.latency import latency_metrics
from benchgate.report.grid import rendered
from benchgate.report.latency import latency_tables
from tests.builders import CELL, a_record

MILLISECONDS = [float(i) for i in range(1, 701)]


def record(samples, **fields):
    metrics, missing = latency_metrics([ms / 1000 for ms in samples])
    return replace(a_record(**fields), metrics=metrics, missing=missing)


def row(samples):
    (table,) = json.loads(rendered(latency_tables([record(samples)]), "json", 0))
    return table["rows"][0], table["notes"]


def test_the_figures_are_those_of_the_samples_in_milliseconds():
    found, notes = row(MILLISECONDS)
    assert (found["calls"], notes) == (700, [])
    assert found["average ms"] == pytest.approx(350.5)
    assert found["median ms"] == pytest.approx(350.5)
    assert found["std ms"] == pytest.approx(202.217, abs=1e-3)
    assert [found[f"P{q} ms"] for q in (90, 95, 99)] == pytest.approx([630, 665, 693])


def test_absent_figures_are_absent_with_their_reason():
    found, notes = row([3.0])
    assert [name for name, value in found.items() if value is None] == ["std ms", "P90 ms", "P95 ms", "P99 ms"]
    assert notes[0] == "std of 1 cell: one round has no deviation"
    assert notes[-1] == "P99 of 1 cell: n=1: a 99 % bound for P99 needs n >= 662"


@pytest.mark.parametrize("style", ["terminal", "markdown", "csv", "latex", "json"])
def test_every_format_has_every_column(style):
    text = rendered(latency_tables([record(MILLISECONDS)]), style, 120)
    for column in ("cell", "calls", "average ms", "median ms", "std ms", "P90 ms", "P95 ms", "P99 ms"):
        assert column in text


def test_models_have_tables_of_their_own_and_cells_their_rows():
    cells = [{**CELL, "scheme": scheme} for scheme in ("fp32", "int8")] + [{**CELL, "model": "ham"}]
    tables = latency_tables([record([1.0, 2.0], cell=cell) for cell in cells])
    assert [[r[0] for r in table.rows] for table in tables] == [
        ["fp32 torch call", "int8 torch call"],
        ["fp32 torch call"],
    ]


def test_items_a_second_stand_there_where_they_were_measured():
    with_rate = a_record({"latency_mean_s": 0.2, "throughput_per_s": 5.0})
    without = a_record({"latency_mean_s": 0.1}, cell={**CELL, "scheme": "int8"})
    (table,) = latency_tables([with_rate, without])
    rows = list(csv.DictReader(io.StringIO(rendered([table], "csv", 0))))
    assert [r["items/s"] for r in rows] == ["5.0", ""]
    assert "items/s" not in latency_tables([without])[0].columns


def test_results_without_times_are_refused():
    with pytest.raises(BenchgateError, match="no times in these results"):
        latency_tables([a_record({"size_bytes": 1.0})])
