"""`benchgate report -o report.html`: one file that is whole, asks nobody for anything, and shows names as text."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from benchgate.commands import main as cli
from benchgate.report.page import embedded, render
from benchgate.report.page_content import read_content
from benchgate.results import ResultsError
from tests.report.pages import EVIL, FORMULA, a_cell, rounds, saved

LIBRARY = "window.Plotly = {};"


class Parsed(HTMLParser):
    """Elements with their attributes, and the text of each script and of the rest."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.scripts, self.text, self._inside = [], [], "", ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append((dict(attrs), []))

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts[-1][1].append(data)
        else:
            self.text += data

    def script(self, name):
        return next("".join(parts) for attrs, parts in self.scripts if attrs.get("id") == name)


@pytest.fixture
def page(tmp_path):
    old = saved(tmp_path / "old.json", [a_cell(), a_cell("int8", size=100.0)], day=1)
    new = saved(
        tmp_path / "new.json", [a_cell(), a_cell("int8", size=200.0), a_cell(model=EVIL), a_cell(model=FORMULA)], day=2
    )
    return Parsed(render(read_content([old, new]), LIBRARY, "benchgate"))


def test_nothing_of_the_page_comes_from_outside(page):
    assert len(page.elements) > 50
    for tag, attrs in page.elements:
        assert tag not in ("img", "link", "iframe", "object", "embed", "base")
        assert "src" not in attrs
        assert attrs.get("href", "#").startswith("#")
        assert not [name for name in attrs if name.startswith("on")]


def test_the_policy_allows_the_two_scripts_and_no_request(page):
    said = next(attrs["content"] for _, attrs in page.elements if attrs.get("http-equiv") == "Content-Security-Policy")
    script = next("".join(parts) for attrs, parts in page.scripts if not attrs)
    for text in (script, LIBRARY):
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in said
    assert said.startswith("default-src 'none';")
    assert "http" not in said
    assert "script-src 'sha256-" in said
    assert "unsafe" not in said.partition("script-src")[2].partition(";")[0]


def test_the_library_is_packed_and_comes_out_as_it_was(page):
    assert gzip.decompress(base64.b64decode(page.script("library"))).decode() == LIBRARY


def test_names_are_text(page):
    data = json.loads(page.script("data"))
    assert EVIL in {row["a"][0] for row in data["table"]["rows"]}
    assert EVIL in page.text
    assert FORMULA in page.text


def test_no_name_can_end_the_data():
    text = embedded({"name": "</script><script>alert(1)</script><!-- & \u2028"})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text)["name"].startswith("</script>")


def test_the_verdict_is_first_and_names_what_is_worse(page):
    assert "Worse. new.json is worse than old.json" in page.text
    assert page.text.index("Worse.") < page.text.index("All cells and metrics")
    assert "size_bytes regressed: 100 B -> 200 B, +100 %, allowed 1 %" in page.text


def test_one_file_says_that_there_is_nothing_to_compare(tmp_path):
    content = read_content([saved(tmp_path / "a.json", [a_cell()])])
    assert "Open. 1 passed. Nothing to compare with" in Parsed(render(content, LIBRARY, "")).text


def test_a_failed_cell_is_said(tmp_path):
    failed = replace(a_cell("int8"), outcome="oom", reason="killed", metrics={})
    text = Parsed(render(read_content([saved(tmp_path / "a.json", [a_cell(), failed])]), LIBRARY, "")).text
    assert "Failed. 1 passed, 1 oom" in text
    assert "int8-torch-cpu]: oom: killed" in text


def test_skipped_cells_and_surroundings_are_there(tmp_path):
    skipped = replace(a_cell("int4"), outcome="skipped", reason="no <gpu> here", metrics={})
    record = replace(a_cell(), packages={"torch": "2.13"}, kernel={"threads": 3}, details={"data": {"sha256": "feed"}})
    text = Parsed(render(read_content([saved(tmp_path / "a.json", [record, skipped])]), LIBRARY, "")).text
    for said in ("skipped: 1 cell: no <gpu> here", "torch: 2.13", "threads: 3", "sha256: feed"):
        assert said in text


def test_table_headings_and_figures_have_names_for_a_screen_reader(page):
    regions = [attrs for _, attrs in page.elements if attrs.get("role") == "region"]
    assert regions
    assert all(attrs.get("aria-label") and attrs.get("tabindex") == "0" for attrs in regions)
    titles = {attrs.get("id") for _, attrs in page.elements}
    labelled = [attrs["aria-labelledby"] for _, attrs in page.elements if "aria-labelledby" in attrs]
    assert labelled
    assert set(labelled) <= titles


def test_thinned_rounds_are_said_to_be(tmp_path):
    record = a_cell()
    path = saved(tmp_path / "a.json", [record], rounds={record.key: rounds(5000)})
    assert re.search(
        r"Thinned out: 1 of 1 cells have more rounds than the 2000",
        Parsed(render(read_content([path]), LIBRARY, "")).text,
    )


@pytest.mark.parametrize("name", ["report.pdf", "report"])
def test_an_unknown_ending_names_the_allowed_ones(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "a.json", [a_cell()])
    assert cli.main(["report", "a.json", "-o", name]) == 2
    assert ".html" in capsys.readouterr().err
    assert not (tmp_path / name).exists()


def test_no_file_is_left_where_the_results_are_broken(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.json").write_text("{}")
    assert cli.main(["report", "a.json", "-o", "r.html"]) == 2
    assert "a.json" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_file_given_twice_is_refused(tmp_path):
    path = saved(tmp_path / "a.json", [a_cell()])
    with pytest.raises(ResultsError, match="given twice"):
        read_content([path, path])


def test_the_command_writes_a_page_with_plotly_below_six_megabytes(tmp_path, monkeypatch, capsys):
    pytest.importorskip("plotly", reason="plotly is not installed; pip install 'benchgate[report]'")
    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "a.json", [a_cell()])
    assert cli.main(["report", "a.json", "-o", "r.html"]) == 0
    assert capsys.readouterr().out == "r.html\n"
    assert 1_000_000 < (tmp_path / "r.html").stat().st_size < 6_000_000
