"""Results files with one or more things wrong in them: refused as ResultsError, or read, reported and gated.

500 cases here; `BENCHGATE_FUZZ=20000 pytest tests/test_results_fuzz.py` for more.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from benchgate.commands import main as cli
from benchgate.core import BenchgateError, Metric
from benchgate.gate.baselines import Baselines
from benchgate.gate.compare import compare_sessions
from benchgate.gate.findings import failing
from benchgate.gate.policy import Policy, resolved
from benchgate.gate.saved import as_text, gathered
from benchgate.gate.shelf import Shelf
from benchgate.report import comparison, pareto
from benchgate.report.comparison_formats import show
from benchgate.report.escape import visible
from benchgate.report.grid import rendered
from benchgate.report.latency import latency_tables
from benchgate.report.notes import notes
from benchgate.report.tables import metric_tables
from benchgate.report.training import training_tables
from benchgate.report.verdicts import print_findings, write_junit
from benchgate.results import read_records
from tests.builders import CELL, a_record

CASES = int(os.environ.get("BENCHGATE_FUZZ", "500"))
HUGE = "@5000 digits@"
DATA = {"dataset": "d", "sha256": "ab" * 32, "n": 3, "of": 9, "seed": 0}
DETAILS = {
    "threads": 2,
    "timer": "time.perf_counter",
    "data": DATA,
    "fidelity": {"reference": "r", "data": DATA, "metrics": ["kl_mean"]},
    "floors": [{"answer": "undecidable", "text": "needs more"}],
    "warm_up": {"steady": False},
    "laps": {"forward_s": [0.1, 0.2]},
    "memory_timeline": {"seconds": [0.0, 1.0], "parts": {"weights": [1.0, 2.0]}},
}
FIGURES = {"latency_mean_s": 0.1, "latency_median_s": 0.1, "size_bytes": 9.0, "kl_mean": 0.1, "throughput_per_s": 3.0}


def whole(scheme: str, runtime: str = "torch") -> dict[str, Any]:
    record = a_record(FIGURES, key=scheme, cell={**CELL, "scheme": scheme, "runtime": runtime}, details=DETAILS)
    hits = Metric(0.5, "1", "higher", 3, 0.1, 0.9, examples=(1.0, 0.0, 1.0), resamples=(0.4, 0.6))
    record = replace(record, metrics={**record.metrics, "top1": hits}, missing={"power_w": "no meter"})
    return resolved(record, Policy()).as_dict()


BLOCKS = [whole("fp32"), whole("int8"), whole("bf16", "torch-training")]
DOCUMENT = {
    "benchmarks": [{"fullname": b["key"], "stats": {}, "extra_info": {"benchgate": b}} for b in BLOCKS[:2]],
    "benchgate": {"untimed": [BLOCKS[2]]},
}
ODD = st.sampled_from(
    [None, [], {}, [None], {"a": None}, "", "x", "\x1b[2J", "=1+1", "$\\frac{$", "\ud800", "\x00", True, 0, -1, 1.5,
     10**400, 2**64, float("nan"), float("inf"), -float("inf"), 1e308, HUGE, [[]], "1 nan", {"": {"": []}}]
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [found for key, below in inner for found in places(below, (*path, key))]


PLACES = places(DOCUMENT)


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    document = copy.deepcopy(DOCUMENT)
    for path in draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=3)):
        _change(document, path, draw(ODD), draw(st.sampled_from(["replace", "replace", "delete", "rename"])))
    text = json.dumps(document).replace(f'"{HUGE}"', "9" * 5000)
    encoding = draw(st.sampled_from(["utf-8"] * 30 + ["utf-16", "utf-8-sig", "utf-32"]))
    end = draw(st.sampled_from([None] * 30 + [0.5, 0.9]))
    content = text.encode(encoding)
    return content if end is None else content[: int(len(content) * end)]


def _change(document: Any, path: tuple[Any, ...], value: Any, how: str) -> None:
    """Change what is at `path`; nothing where an earlier change took it away."""
    *outer, last = path
    for key in outer:
        if not (isinstance(document, dict) and key in document) and not (
            isinstance(document, list) and key == 0 and document
        ):
            return
        document = document[key]
    if isinstance(document, dict) and last in document:
        found = document.pop(last) if how != "replace" else None
        if how == "rename":
            document[str(value)] = found
        elif how == "replace":
            document[last] = value
    elif isinstance(document, list) and isinstance(last, int) and last < len(document):
        document[last] = value


def used(path: Path, folder: Path) -> None:
    """Everything that a command does with a file, but for drawing."""
    records = read_records(path)
    console = Console(file=io.StringIO(), width=100, markup=False)
    findings = compare_sessions(records, Baselines(records))
    print_findings(console, findings, failing(findings, strict=True))
    write_junit(folder / "junit.xml", records, findings, failing(findings))
    for table in metric_tables(records, {}, 100, [str(path)] * len(records)):
        console.print(table)
    for line in notes(records):
        console.print(visible(line))
    list(pareto.named(pareto.pictures(records)))
    for tables in (latency_tables, training_tables):
        for style in ("terminal", "markdown", "csv", "latex", "json"):
            _unless_refused(lambda tables=tables, style=style: rendered(tables(records), style, 100))
    for form in ("table", "markdown", "csv", "json"):
        _unless_refused(lambda form=form: show(comparison.compare([path], "machine"), form, console))
    assert "\x1b" not in console.file.getvalue()  # type: ignore[attr-defined]
    _saved(path, Shelf(folder / "baselines"))


def _saved(path: Path, shelf: Shelf) -> None:
    """Save it as a baseline, promote it and read it again: what was taken must be readable."""
    try:
        saved, records, _ = gathered("v1", [path], "2026-01-01")
    except BenchgateError:
        return
    shelf.add(saved, records)
    shelf.promote("v1")
    again = shelf.promoted()
    assert again is not None
    assert as_text(saved, again.records) == as_text(saved, records)


def _unless_refused(act: Any) -> None:
    with contextlib.suppress(BenchgateError):
        act()


@settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck))
@given(documents())
def test_a_damaged_file_is_refused_or_used_without_a_traceback(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "out.json")
        path.write_bytes(content)
        _unless_refused(lambda: used(path, Path(folder)))


def test_the_whole_document_is_used(tmp_path):
    """Else the test above would be content with refusals."""
    path = tmp_path / "out.json"
    path.write_text(json.dumps(DOCUMENT))
    used(path, tmp_path)
    assert len(read_records(path)) == 3
    assert len(PLACES) > 100


BAD = {
    "null.json": '{"benchmarks": [{"extra_info": {"benchgate": {"schema": 2, "metrics": null}}}]}',
    "digits.json": '{"benchmarks": [' + "1" * 5000 + "]}",
    "deep.json": "[" * 200_000,
    "text.json": "hello",
}


@pytest.mark.parametrize("name", [*BAD, "no such file.json"])
@pytest.mark.parametrize("verb", ["gate", "report", "compare", "plot", "baseline save v1"])
def test_every_command_says_one_line_and_ends_with_2(tmp_path, capsys, monkeypatch, verb, name):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    if name in BAD:
        path.write_text(BAD[name])
    assert cli.main([*verb.split(), str(path), *([str(path)] if verb == "gate" else [])]) == cli.UNUSABLE
    captured = capsys.readouterr()
    assert captured.err.startswith(f"benchgate: {path}")
    assert len(captured.err.splitlines()) == 1
    assert captured.out == ""


def test_a_place_that_cannot_be_written_and_a_folder_that_is_gone_are_2_not_worse(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good = tmp_path / "good.json"
    good.write_text(json.dumps(DOCUMENT))
    for junit in (tmp_path / "no folder" / "out.xml", tmp_path):
        assert cli.main(["gate", str(good), str(good), "--junit", str(junit)]) == cli.UNUSABLE
        assert f"{junit}: cannot be written" in capsys.readouterr().err
    assert cli.main(["report", "~nouser/out.json"]) == cli.UNUSABLE
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert cli.main(["gate", str(good), str(good)]) == cli.UNUSABLE
    assert "the working folder no longer exists" in capsys.readouterr().err


def test_a_mistake_of_ours_is_2_too(tmp_path, capsys, monkeypatch):
    def broken(*args: object) -> bool:
        raise TypeError("broken")

    monkeypatch.setattr("benchgate.commands.gate.judge_files", broken)
    assert cli.main(["gate", "a.json", "b.json"]) == cli.UNUSABLE
    assert "unexpected TypeError: broken" in capsys.readouterr().err
