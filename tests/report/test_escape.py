"""Names that would do something in the format they are written in."""

from __future__ import annotations

import csv
import io
from xml.etree import ElementTree

import pytest

from benchgate.gate.findings import Finding
from benchgate.report.escape import csv_cell, in_figure, latex, markdown, visible
from benchgate.report.grid import Grid, comma_separated
from benchgate.report.latency import latency_tables
from benchgate.report.tables import labels
from benchgate.report.verdicts import write_junit
from tests.builders import a_record

EVIL = "a\x1b[2Jb\x00c\nd\u202ee\ud800"
SHOWN = r"a\x1b[2Jb\x00c d\u202ee\ud800"


@pytest.mark.parametrize(
    ("written", "text", "expected"),
    [
        (visible, EVIL, SHOWN),
        (visible, "größer 10 %", "größer 10 %"),
        (markdown, "a|b <i> [x](y) *z* `c` &lt; R&D", r"a\|b &lt;i&gt; \[x\](y) \*z\* \`c\` &amp;lt; R&D"),
        (markdown, "snake_case", "snake_case"),
        (latex, r"50 % of $x_1$ \input{f}", r"50 \% of \$x\_1\$ \textbackslash{}input\{f\}"),
        (csv_cell, "=HYPERLINK(1)", "'=HYPERLINK(1)"),
        (csv_cell, "\t@SUM", "'\\t@SUM"),
        (csv_cell, "+1", "'+1"),
        (csv_cell, "int8-dynamic", "int8-dynamic"),
        (in_figure, "$\\frac{", "\\$\\frac{"),
    ],
)
def test_a_name_is_shown_as_it_is(written, text, expected):
    assert written(text) == expected


def test_numbers_in_csv_stay_numbers():
    grid = Grid("", ("=a", "n"), (("=1+1", -0.5), ("b", True)))
    assert list(csv.reader(io.StringIO(comma_separated(grid)))) == [["'=a", "n"], ["'=1+1", "-0.5"], ["b", "true"]]


def test_junit_of_a_name_with_control_characters_is_xml(tmp_path):
    record, finding = a_record(key=EVIL), Finding("regressed", EVIL, reason=EVIL)
    write_junit(tmp_path / "out.xml", [record, a_record(key="s", outcome="skipped", reason=EVIL)], [finding], [finding])
    cases = ElementTree.parse(tmp_path / "out.xml").getroot().findall("testcase")
    assert [case.get("name") for case in cases] == [SHOWN, "s"]
    assert SHOWN in (cases[0].find("failure").text or "")


def test_a_cell_of_two_files_is_two_rows_named_by_file():
    record = a_record({"latency_mean_s": 1.0})
    assert labels([record, record], ["a.json", "b.json"])[1] == [
        "fp32 torch call file=a.json",
        "fp32 torch call file=b.json",
    ]
    assert labels([record, record], ["a.json", "a.json"])[1] == labels([record, record])[1]
    (grid,) = latency_tables([record, record], ["a.json", "b.json"])
    assert [row[0] for row in grid.rows] == ["fp32 torch call file=a.json", "fp32 torch call file=b.json"]
