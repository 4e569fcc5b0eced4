"""`benchgate report --format`: every figure in each format, and names that do nothing in any of them."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchgate.commands import main as cli
from benchgate.core.metrics import metric
from benchgate.report.stored_formats import FORMATS, formatted
from benchgate.results import Record, write_records
from tests.builders import CELL, a_record

HOSTILE = [
    "=cmd()",
    "a|b",
    "two\nlines",
    "\x1b[31mred",
    "</td><script>x</script>",
    "\x00\x0b\ufffe",
    "\uff1dcmd()",
    "$x$ & \\x",
]


def a_run(scheme: str = "fp32", **fields) -> Record:
    found = {
        "latency_median_s": metric("latency_median_s", 0.5, low=0.4, high=0.6, n=20),
        "top1": metric("top1", 0.25, n=100, low=0.2, high=0.3),
    }
    details = {"threads": 2, "data": {"name": "cloze", "n": 100, "sha256": "a" * 64}}
    record = replace(a_record(cell={**CELL, "scheme": scheme}, details=details), metrics=found, **fields)
    return replace(record, missing={"latency_p90_s": "n=20: a 99 % bound for P90 needs n >= 64"})


def hostile(text: str) -> Record:
    record = a_run(text, key=f"test[{text}]", reason=text, params={text: text}, machine={"cpu": text})
    data = {"threads": 2, "data": {"name": text, "n": 3, "sha256": text}}
    return replace(record, missing={"latency_p90_s": text}, details=data, cell={**record.cell, "model": text})


@pytest.mark.parametrize("style", [*FORMATS])
@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_name_is_only_shown(style, text):
    made = formatted(style, [hostile(text)], ())
    assert made.strip()
    assert not {c for c in made if ord(c) < 32 and c != "\n"}
    assert "\ufffe" not in made
    # Within the quotes of CSV a line break is text.
    if style != "csv":
        assert "two\nlines" not in made


@pytest.mark.parametrize("text", HOSTILE)
def test_no_cell_of_a_csv_is_a_formula(text):
    rows = list(csv.reader(io.StringIO(formatted("csv", [hostile(text)], [text]))))
    assert len({len(row) for row in rows}) == 1
    cells = [cell for row in rows for cell in row]
    assert len(cells) > 30
    assert not [cell for cell in cells if cell.lstrip().startswith(("=", "+", "-", "@", "\uff1d"))]


@pytest.mark.parametrize("text", HOSTILE)
def test_junit_is_xml_and_tells_the_failure(text):
    records = [hostile(text), replace(hostile(text), outcome="failed"), replace(hostile(text), outcome="skipped")]
    suite = ElementTree.fromstring(formatted("junit", records, ()))
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "1")
    assert [[child.tag for child in case] for case in suite] == [
        ["system-out"], ["failure", "system-out"], ["skipped", "system-out"],
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["a|b", "</td><script>x</script>", "two\nlines"])
def test_a_markdown_row_keeps_its_cells(text):
    made = formatted("markdown", [hostile(text), a_run()], ())
    rows = [line.replace("\\|", "") for line in made.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {4}
    assert "<" not in made


def test_csv_and_json_hold_every_figure_and_what_is_missing():
    rows = list(csv.DictReader(io.StringIO(formatted("csv", [a_run()], ()))))
    assert [row["metric"] for row in rows] == ["latency_median_s", "top1", "latency_p90_s"]
    assert (rows[0]["value"], rows[0]["low"], rows[0]["high"], rows[0]["n"]) == ("0.5", "0.4", "0.6", "20")
    assert (rows[2]["value"], rows[2]["missing"]) == ("", "n=20: a 99 % bound for P90 needs n >= 64")
    (table,) = json.loads(formatted("json", [a_run()], ()))
    assert [row["value"] for row in table["rows"]] == [0.5, 0.25, None]


def test_disturbed_and_skipped_are_told():
    loud = replace(a_run(), details={"disturbed": ["a neighbour"]})
    out = replace(a_run(), metrics={}, missing={}, outcome="skipped", reason="no such package")
    rows = list(csv.DictReader(io.StringIO(formatted("csv", [loud, out], ()))))
    assert [row["disturbed"] for row in rows] == ["a neighbour", "", "", ""]
    assert (rows[3]["outcome"], rows[3]["missing"]) == ("skipped", "no such package")
    assert "500 ms\\~" in formatted("markdown", [loud], ())


def test_the_command_writes_to_a_file_and_refuses_what_a_table_has_not(tmp_path: Path, capsys) -> None:
    path = tmp_path / "a.json"
    write_records(path, [a_run()])
    assert cli.main(["report", str(path), "--format", "csv", "--out", str(tmp_path / "a.csv")]) == 0
    assert (tmp_path / "a.csv").read_text().startswith("test,model,")
    assert cli.main(["report", str(path), "--table", "latency", "--format", "junit"]) == 2
    assert "--table has no --format junit" in capsys.readouterr().err
    assert cli.main(["report", str(path), "--out", str(tmp_path / "b.csv")]) == 2
    assert cli.main(["report", str(path), "--format", "csv", "--out", str(tmp_path / "no" / "a.csv")]) == 2
