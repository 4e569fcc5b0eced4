"""Names that would do something in the format they are written in."""

from __future__ import annotations

import csv
import io
import os
import re
import unicodedata
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.table import Table

from benchgate.commands import main as cli
from benchgate.gate.findings import Finding
from benchgate.report.escape import csv_cell, in_figure, latex, markdown, visible
from benchgate.report.grid import Grid, comma_separated, rendered
from benchgate.report.grid import latex as latex_table
from benchgate.report.latency import latency_tables
from benchgate.report.tables import labels
from benchgate.report.terminal import Terminal
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
        (markdown, "_x_ __init__ $y$ ~z~", r"\_x\_ \_\_init\_\_ \$y\$ \~z\~"),
        (markdown, "# 1", r"\# 1"),
        (markdown, "- a", r"\- a"),
        (markdown, "a\r\n\r\n<script>", "a &lt;script&gt;"),
        (latex, "[2cm] * x", "{[}2cm{]} {*} x"),
        (latex, "a\\\\[1em]\nb", r"a\textbackslash{}\textbackslash{}{[}1em{]} b"),
        (csv_cell, "\uff1d1+1", "'\uff1d1+1"),
        (visible, "\x1b]0;title\x07", r"\x1b]0;title\x07"),
        (visible, "a\uffffb\ufdd0", r"a\uffffb\ufdd0"),
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


def test_a_row_that_begins_with_a_bracket_is_no_argument_of_the_line_before():
    text = latex_table(Grid("", ("a",), (("[2cm]",), ("*",))))
    assert not re.search(r"\\\\\s*[\[*]", text)


def test_junit_of_what_xml_has_no_characters_for_is_xml(tmp_path):
    write_junit(tmp_path / "out.xml", [a_record(key="a\uffff\ufffe")], [], [])
    assert ElementTree.parse(tmp_path / "out.xml").getroot().find("testcase").get("name") == r"a\uffff\ufffe"


@pytest.mark.parametrize("show", [lambda c, t: c.print(t), lambda c, t: c.print(table_of(t))], ids=["line", "table"])
def test_the_terminal_is_told_nothing_by_a_name(show):
    console = Terminal(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    show(console, "a\x1b]0;owned\x07\x1b[2J\u202e[bold]b")
    said = console.file.getvalue()
    assert r"a\x1b]0;owned\x07\x1b[2J\u202e[bold]b" in said
    assert not set(said) & {"\x1b", "\x07", "\u202e"}


def table_of(text):
    table = Table("column")
    table.add_row(text)
    return table


def test_an_error_tells_the_terminal_nothing(tmp_path, capsys):
    assert cli.main(["report", str(tmp_path / "a\x1b]0;owned\x07.json")]) == 2
    said = capsys.readouterr().err
    assert r"\x1b]0;owned\x07" in said
    assert "\x1b" not in said


def test_a_cell_of_two_files_is_two_rows_named_by_file():
    record = a_record({"latency_mean_s": 1.0})
    assert labels([record, record], ["a.json", "b.json"])[1] == [
        "fp32 torch call file=a.json",
        "fp32 torch call file=b.json",
    ]
    assert labels([record, record], ["a.json", "a.json"])[1] == labels([record, record])[1]
    (grid,) = latency_tables([record, record], ["a.json", "b.json"])
    assert [row[0] for row in grid.rows] == ["fp32 torch call file=a.json", "fp32 torch call file=b.json"]


ANY = st.text(max_size=40) | st.text("=+-@[]*|\\`$&%#_{}~^<>\"'\n\r\t\x1b\u202e \uff1da1", max_size=20)
FUZZ = settings(max_examples=int(os.environ.get("BENCHGATE_FUZZ", "500")), deadline=10_000, database=None)
HARMFUL = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


@FUZZ
@given(ANY)
def test_no_text_does_anything_in_any_format(text):
    for format_ in (visible, markdown, latex, in_figure, csv_cell):
        harmful = {c for c in format_(text) if unicodedata.category(c) in HARMFUL}
        assert harmful <= ({"\n"} if format_ is csv_cell else set())
    assert not unicodedata.normalize("NFKC", csv_cell(text)).lstrip().startswith(("=", "+", "-", "@"))
    assert not re.search(r"(?<!\\)(?:\\\\)*[|<>`$*]", markdown(text).replace("&lt;", "").replace("&gt;", ""))
    assert not re.search(r"(?<![\\{])[\[*&%$#_]", latex(text).replace(r"\textbackslash{}", ""))


@FUZZ
@given(ANY, ANY)
def test_a_table_of_any_text_keeps_its_columns(one, two):
    grid = Grid(one, (one, "n"), ((two, 1), (one, 2)))
    rows = list(csv.reader(io.StringIO(comma_separated(grid))))
    assert [len(row) for row in rows] == [2, 2, 2]
    body = rendered([Grid("", ("a", "n"), ((one, 1), (two, 2)))], "markdown", 80).splitlines()
    assert [len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in body] == [3, 3, 3, 3]
    comment, _, table = rendered([grid], "latex", 80).partition("\\begin{tabular}")
    assert all(line.startswith("%") for line in comment.splitlines())
    assert table.count("\\\\\n") == 3


@FUZZ
@given(ANY)
def test_junit_of_any_name_is_xml(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.xml"
    write_junit(path, [a_record(key=text)], [Finding("regressed", text, reason=text)], [])
    assert len(ElementTree.parse(path).getroot().findall("testcase")) == 1
