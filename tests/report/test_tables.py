"""The tables of the terminal, whole, as text. Changed on purpose: `python -m tests.report.test_tables` writes them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from benchgate.core import Metric
from benchgate.report.tables import HIDDEN, labels, metric_tables
from tests.builders import a_record
from tests.gate.test_compare import compared
from tests.report.drawing import as_drawn

GOLDEN = Path(__file__).parent / "golden"
WIDTHS = (80, 200)

FP32 = {
    "top1": 0.61,
    "top5": 0.83,
    "perplexity": 12.345,
    "first_call_s": 0.9,
    "latency_median_s": 0.0123,
    "latency_mean_s": 0.0125,
    "latency_p90_s": 0.0131,
    "prefill_tokens_per_s": 10406.5,
    "size_bytes": 538_000_000,
    "size_memory_bytes": 538_100_000,
    "peak_native_bytes": 612_000_000,
}
INT8 = {
    **FP32,
    "top1": 0.58,
    "perplexity": 14.9,
    "latency_median_s": 0.0078,
    "latency_p99_s": 0.0099,
    "prefill_tokens_per_s": 16410.0,
    "size_bytes": 164_000_000,
}


def cell(scheme: str) -> dict[str, str]:
    return {"model": "smollm2-135m", "scheme": scheme, "runtime": "torch-compile", "device": "cpu"}


def record(scheme, metrics, **fields):
    params = {"context": 128, "batch": 1}
    return a_record(
        metrics, **{"key": f"t[{scheme}]", "cell": cell(scheme), "operation": "prefill", "params": params, **fields}
    )


def example() -> tuple[list, dict]:
    """Three cells, the second worse in time and accuracy than its baseline and better in size."""
    fp32 = record("fp32", FP32, missing={"energy_j_per_call": "no counters"})
    int8 = record("int8-weight-only", INT8)
    failed = record("int4", {}, outcome="oom", reason="out of memory")
    short = record("bf16", {"latency_median_s": 2.5, "energy_j_per_call": 0.5}, missing={"latency_p90_s": "n=5"})
    before = {**INT8, "latency_median_s": 0.005, "top1": 0.61, "size_bytes": 200_000_000}
    findings = {int8.key: compared(int8, record("int8-weight-only", before))}
    return [fp32, int8, failed, short], findings


def drawn(records, findings, width: int, color: bool = False) -> str:
    def draw(console: Console) -> None:
        for table in metric_tables(records, findings, width):
            console.print(table)
            console.print()

    return as_drawn(draw, width, color)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_tables_are_as_drawn_before(width):
    assert drawn(*example(), width) == (GOLDEN / f"tables_{width}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
def test_no_line_is_wider_than_the_terminal(width):
    text = drawn(*example(), width)
    assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize("width", WIDTHS)
def test_every_figure_is_shown_once_at_any_width_and_hidden_ones_never(width):
    text = drawn(*example(), width)
    for figure in (
        "12.3 ms",
        "13.1 ms",
        "9.9 ms",
        "900 ms",
        "10,406",
        "16,410",
        "0.610",
        "0.580",
        "14.9",
        "612 MB",
        "164 MB",
        "2.5 s",
    ):
        assert figure in text
    assert "latency_mean_s" in HIDDEN
    assert "12.5 ms" not in text


def test_without_colour_there_is_no_escape_and_with_colour_a_regression_is_red():
    records, findings = example()
    assert "\x1b" not in drawn(records, findings, 200)
    coloured = drawn(records, findings, 200, color=True)
    assert "\x1b[1;31m+56.0%" in coloured
    assert "\x1b[32m-18.0%" in coloured


def test_cells_without_figures_make_no_table():
    assert list(metric_tables([], {}, 80)) == []
    assert list(metric_tables([record("int4", {}, outcome="oom")], {}, 80)) == []


def test_columns_keep_the_order_of_the_metric_table_whatever_was_measured_first():
    one = record("fp32", {"top1": 0.5, "first_call_s": 1.0, "latency_median_s": 2.0})
    two = record("int8", {"latency_median_s": 2.0, "first_call_s": 1.0, "top1": 0.5})
    header, other = (drawn([r], {}, 200).splitlines()[2].split() for r in (one, two))
    assert header == other == ["cell", "median", "first", "call", "top-1"]


def test_a_suites_own_metric_has_a_column():
    own = replace(record("fp32", {}), metrics={"spam_index": Metric(3.25, "spam", "lower")})
    assert "spam index" in drawn([own], {}, 80)


def test_a_baseline_of_another_machine_shows_no_change():
    now, before = record("fp32", FP32), record("fp32", {**FP32, "latency_median_s": 1.0}, machine={"cpu": "other"})
    text = drawn([now], {now.key: compared(now, before)}, 200)
    assert "-98" not in text


@pytest.mark.parametrize(
    ("records", "common", "rest"),
    [
        ([], "", []),
        ([record("fp32", {})], "smollm2-135m cpu context=128 batch=1", ["fp32 torch-compile prefill"]),
        (
            [record("fp32", {}), record("int8", {})],
            "smollm2-135m cpu context=128 batch=1",
            ["fp32 torch-compile prefill", "int8 torch-compile prefill"],
        ),
        (
            [record("fp32", {}), record("fp32", {}, params={"context": 512})],
            "smollm2-135m cpu",
            ["fp32 torch-compile prefill context=128 batch=1", "fp32 torch-compile prefill context=512"],
        ),
    ],
)
def test_what_all_rows_share_stands_above_them_once(records, common, rest):
    assert labels(records) == (common, rest)


if __name__ == "__main__":
    for columns in WIDTHS:
        (GOLDEN / f"tables_{columns}.txt").write_text(drawn(*example(), columns), encoding="utf-8")
