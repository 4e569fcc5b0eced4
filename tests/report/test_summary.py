"""The terminal summary, whole, as text. Changed on purpose: `python -m tests.report.test_summary` writes the files.

All figures are made up: they are there to be drawn, and were measured nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from benchgate import registration
from benchgate.core import Metric
from benchgate.gate.findings import Finding
from benchgate.report.notes import notes
from benchgate.report.summary import print_sheets
from benchgate.results import Record
from tests.builders import a_record, records
from tests.gate.test_compare import compared
from tests.report.drawing import as_drawn

registration.load_builtin()

GOLDEN = Path(__file__).parent / "golden"
WIDTHS = (60, 80, 120, 200)
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
COSTS = {"size_bytes": 538e6, "peak_rss_bytes": 949e6, "top1": 0.36, "perplexity": 25.8}
# scheme -> prefill tok/s, decode tok/s, and factors of COSTS
SCHEMES = {
    "fp32": (417.0, 17.2, (1.0, 1.0, 1.0, 1.0)),
    "bf16": (653.0, 17.1, (0.5, 0.78, 1.0, 1.02)),
    "int8-weight-only": (543.0, 21.8, (0.3, 0.67, 1.05, 1.03)),
    "int8-dynamic": (319.0, 7.3, (0.3, 0.68, 1.05, 1.07)),
    "int4-weight-only": (402.0, 37.6, (0.22, 0.62, 0.8, 2.2)),
}


def measured(scheme: str, operation: str, metrics: Mapping[str, float], runtime: str = "torch", **fields) -> Record:
    sizes = fields.get("params", {})
    cell = {"model": "smollm2-135m", "scheme": scheme, "runtime": runtime, "device": "cpu"}
    data = {"dataset": "made up", "n": 100, "sha256": "0"}
    details = {"threads": 2, "task": "causal-lm", "data": data, **fields.pop("details", {})}
    key = f"test_{operation}[{scheme}-{runtime}-{'-'.join(map(str, sizes.values()))}]"
    found = a_record(metrics, key=key, cell=cell, operation=operation, details=details, **fields)
    # A rate as it is after many rounds, and scores without an interval: exact.
    rates = {
        name: replace(m, low=0.99 * m.value, high=1.01 * m.value)
        for name, m in found.metrics.items()
        if name.endswith("_per_s")
    }
    return replace(found, metrics={**found.metrics, **rates})


def example() -> list[Record]:
    """A run of a language model: five schemes, one disturbed, one undecided, one compiled; other sizes; a second
    model of one cell; cells that were skipped."""
    found = []
    for scheme, (prefill, decode, factors) in SCHEMES.items():
        costs = {name: value * by for (name, value), by in zip(COSTS.items(), factors, strict=True)}
        doubtful = {"floors": [{"answer": "undecidable", "metric": "top1", "text": "too few"}]}
        details = doubtful if scheme == "int8-weight-only" else {}
        found.append(measured(scheme, "prefill", {**costs, "prefill_tokens_per_s": prefill}, details=details))
        noise = {"disturbed": ["steal"]} if scheme == "bf16" else {}
        found.append(measured(scheme, "decode", {"decode_tokens_per_s": decode}, details=noise))
    found.append(measured("fp32", "prefill", {"prefill_tokens_per_s": 517.0}, "torch-compile", params={"context": 128}))
    found.append(measured("fp32", "prefill", {"prefill_tokens_per_s": 531.0}, params={"context": 512}))
    found.append(measured("fp32", "decode", {"decode_tokens_per_s": 40.5}, params={"batch": 4}))
    step = {"model": "decoder-s", "scheme": "fp32", "runtime": "torch-training", "device": "cpu"}
    trained = {"training_tokens_per_s": 148.0, "latency_median_s": 6.91, "mfu": 0.72}
    found.append(a_record(trained, cell=step, operation="step", details={"threads": 2, "task": "training"}))
    absent = {"outcome": "skipped", "reason": "xllamacpp is not installed; pip install 'benchgate[ggml]'"}
    found.append(measured("gguf-q8_0", "", {}, "ggml", **absent))
    return found


def against_a_baseline() -> dict[str, Sequence[Finding]]:
    """The findings where the decode of int4 was faster before, and its file larger."""
    now = next(r for r in example() if r.cell["scheme"] == "int4-weight-only" and r.operation == "decode")
    before = replace(now, metrics={"decode_tokens_per_s": replace(now.metrics["decode_tokens_per_s"], value=80.0)})
    return {now.key: compared(now, before)}


def drawn(found, width: int, color: bool = False, in_full: bool = False, findings=None, files=()) -> str:
    return as_drawn(lambda console: print_sheets(console, found, findings or {}, in_full, files), width, color)


def versions(width: int) -> dict[str, str]:
    """What is in the golden files of a width, by their names."""
    return {
        f"summary_{width}.txt": drawn(example(), width),
        f"summary_{width}_colour.txt": drawn(example(), width, color=True),
        f"summary_{width}_compared.txt": drawn(example(), width, findings=against_a_baseline()),
        f"summary_{width}_full.txt": drawn(example(), width, in_full=True),
    }


@pytest.mark.parametrize("width", WIDTHS)
def test_the_summary_is_as_drawn_before(width):
    for name, text in versions(width).items():
        assert text == (GOLDEN / name).read_text(encoding="utf-8"), name


def tables_of(text: str) -> list[str]:
    """Lines but those of words below a table, which wrap where they must."""
    return [ESCAPE.sub("", line) for line in text.splitlines()]


@pytest.mark.parametrize("width", [20, 37, 60, 79, 80, 81, 101, 150])
@pytest.mark.parametrize("in_full", [False, True])
def test_no_line_is_wider_than_the_terminal_and_no_figure_is_cut(width, in_full):
    lines = tables_of(drawn(example(), width, in_full=in_full))
    assert lines
    assert max(map(cell_len, lines)) <= width
    assert not any("\u2026" in word and word[0].isdigit() for line in lines for word in line.split())


@given(st.lists(records, max_size=6), st.integers(16, 220), st.booleans())
@settings(max_examples=30, deadline=None)
def test_whatever_is_in_the_records_no_line_is_wider_than_the_terminal(found, width, in_full):
    for line in tables_of(drawn(found, width, in_full=in_full)):
        assert cell_len(line) <= width


def test_the_default_runs_decision_needs_no_scrolling():
    shown = [*drawn(example(), 80).splitlines(), *notes(example(), in_full=False)]
    assert len(shown) <= 22


def row_of(text: str, name: str) -> str:
    return next(line for line in text.splitlines() if re.match(rf"[. ]*{re.escape(name)}\b", line))


def test_a_row_has_the_figures_of_all_operations_and_how_they_are_to_fp32():
    text = drawn(example(), 120)
    assert re.search(r"543\s+1.30x\s+21.8\s+1.27x", row_of(text, "int8-weight-only torch"))
    assert "vs fp32 torch" in text
    assert "1.24x" in row_of(text, "fp32 torch-compile"), "context=128 is what a prefill reads where nothing is said"


def test_what_a_run_without_fp32_is_held_against_is_its_first_row():
    found = [record for record in example() if record.cell["scheme"] != "fp32"]
    text = drawn(found, 80)
    assert "vs bf16 torch" in text


def test_other_sizes_are_counted_and_shown_in_full():
    assert "2 more rows (context, batch): -v" in drawn(example(), 120)
    assert "more row" not in drawn(example(), 120, in_full=True)
    assert "40.5" in drawn(example(), 120, in_full=True)
    assert "40.5" not in drawn(example(), 120)


def test_a_cell_that_was_measured_at_another_size_only_is_no_hidden_row():
    only = [*example(), measured("int2", "decode", {"decode_tokens_per_s": 50.0}, params={"batch": 8})]
    assert "50" in row_of(drawn(only, 120), "int2 torch batch=8")


def test_when_comparing_the_changed_columns_have_their_change_and_the_rest_is_named():
    text = drawn(example(), 80, findings=against_a_baseline())
    assert "-53.0 %" in row_of(text, "int4-weight-only torch")
    assert "unchanged: perplexity, disk" in text
    assert "vs the baseline" in text
    assert "1.27x" not in text


def test_names_are_shown_and_not_obeyed():
    evil = {"model": "m\x1b[31m", "scheme": "s\x07\u202e", "runtime": "r\nr", "device": "cpu"}
    own = {"own\x1b": Metric(1.0, "u\x1b", "lower")}
    found = [a_record(cell=evil), a_record(cell={**evil, "scheme": "t"})]
    text = drawn([replace(record, metrics=own) for record in found], 120, files=["a\x1b", "a\x1b"])
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", text)


def test_a_task_of_somebody_elses_has_a_summary():
    own = {"spam_index": Metric(3.25, "spam", "lower")}
    found = [
        replace(a_record({"latency_median_s": 0.5}, cell={**example()[0].cell, "scheme": scheme}), operation="sort")
        for scheme in ("fp32", "int8")
    ]
    text = drawn([replace(r, metrics={**r.metrics, **own}) for r in found], 80)
    assert "spam index" in text
    assert "median" in text


def test_several_files_are_several_tables():
    found = [measured("fp32", "decode", {"decode_tokens_per_s": 10.0})] * 2
    text = drawn(found, 80, files=["a.json", "b.json"])
    assert "a.json" in text
    assert "b.json" in text


def test_without_records_there_is_nothing():
    assert drawn([], 80) == ""


if __name__ == "__main__":
    for columns in WIDTHS:
        for file, text in versions(columns).items():
            (GOLDEN / file).write_text(text, encoding="utf-8")
