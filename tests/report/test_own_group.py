"""A metric in a group of the suite's own is in every output: groups are open."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchgate.core import Metric
from benchgate.core.metrics import TABLE, Row, add_row, in_table_order
from benchgate.report.page import render
from benchgate.report.page_content import read_content
from benchgate.report.stored_formats import FORMATS, formatted
from benchgate.results import Record
from tests.builders import a_record
from tests.report.pages import saved
from tests.report.test_summary import drawn

ROW = Row("carbon_g", "g", "lower", "footprint", "carbon", 0.1)


@pytest.fixture
def record(monkeypatch: pytest.MonkeyPatch) -> Record:
    monkeypatch.setattr("benchgate.core.metrics.TABLE", {**TABLE})
    add_row(ROW)
    return replace(a_record(), metrics={"carbon_g": Metric(12.5, "g", "lower")}, operation="of nobody")


# MLPerf's summary has times only, and refuses results without any.
@pytest.mark.parametrize("style", sorted(FORMATS.keys() - {"mlperf"}))
def test_it_is_in_each_format(record, style):
    assert "carbon" in formatted(style, [record], ())


def test_it_is_in_the_summary(record):
    assert "carbon" in drawn([record, replace(record, cell={**record.cell, "scheme": "int8"})], 80)


def test_it_is_in_the_page(record, tmp_path):
    assert "carbon" in render(read_content([saved(tmp_path / "a.json", [record])]), "", "")


def test_its_column_is_after_those_of_known_groups():
    size = TABLE["size_bytes"]
    assert in_table_order([ROW, size, TABLE["latency_median_s"]]) == [TABLE["latency_median_s"], size, ROW]
