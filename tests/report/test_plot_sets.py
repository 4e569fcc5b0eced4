"""The figures of what compression buys: which there are, and which bars stand where."""

from __future__ import annotations

import json

import pytest

from benchgate import registration
from benchgate.commands import main as cli
from benchgate.core import BenchgateError
from benchgate.report import plot_sets
from tests.builders import a_record

pytest.importorskip("matplotlib")
registration.load_builtin()

SPEEDS = {"fp32": 2.0, "int4-weight-only": 4.0, "bf16": 3.0}


def language_models(**more):
    return [
        a_record(
            {"decode_tokens_per_s": speed, "perplexity": 20.0, "size_bytes": 1e8 / speed},
            key=f"t[{scheme}]",
            cell={"model": "lm", "scheme": scheme, "runtime": "torch", "device": "cpu"},
            operation="decode",
            details={"task": "causal-lm"},
            **more,
        )
        for scheme, speed in SPEEDS.items()
    ]


def alone():
    cell = {"model": "net", "scheme": "fp32", "runtime": "torch", "device": "cpu"}
    return a_record({"latency_median_s": 1.0, "size_bytes": 3.0}, key="u", cell=cell, details={"task": "pictures"})


def test_a_figure_for_each_question_of_a_task_with_two_schemes(tmp_path):
    files = plot_sets.compression([*language_models(), alone()], tmp_path / "new")
    assert [file.name for file in files] == ["causal-lm-size.svg", "causal-lm-accuracy.svg", "causal-lm-speed.svg"]
    text = files[2].read_text(encoding="utf-8")
    assert all(f"<!-- {word} -->" in text for word in (*SPEEDS, "lm", "decode tok/s, higher is better"))


def test_the_reference_is_first_and_the_others_follow_by_their_bits():
    ((_, row, (group,)), *_) = [found for found in plot_sets._figures(language_models()) if found[0].endswith("speed")]
    assert row.name == "decode_tokens_per_s"
    assert list(group.bars) == ["fp32", "bf16", "int4-weight-only"]
    assert [figure.metric.value for figure in group.bars.values()] == [2.0, 3.0, 4.0]


def test_the_speed_is_what_most_cells_have():
    """A detector's stages are timed for some schemes, its inference for all."""

    def detector(scheme, operation, metrics):
        cell = {"model": "net", "scheme": scheme, "runtime": "torch", "device": "cpu"}
        return a_record(
            metrics, key=f"{operation}[{scheme}]", cell=cell, operation=operation, details={"task": "detection"}
        )

    medians = [detector(scheme, "inference", {"latency_median_s": 0.1}) for scheme in ("fp32", "fp16", "int8-static")]
    stages = [detector(scheme, "end_to_end", {"inference_s": 0.2}) for scheme in ("fp32", "int8-static")]
    ((_, row, (group,)),) = plot_sets._figures([*stages, *medians])
    assert row.name == "latency_median_s"
    assert list(group.bars) == ["fp32", "fp16", "int8-static"]


def test_failed_cells_are_left_out_and_one_scheme_is_no_comparison(tmp_path):
    with pytest.raises(BenchgateError, match="no task has passed cells of two schemes"):
        plot_sets.compression([*language_models(outcome="failed"), alone()], tmp_path)


def test_the_command(tmp_path, capsys):
    found = [{"fullname": r.key, "extra_info": {"benchgate": r.as_dict()}} for r in language_models()]
    results = tmp_path / "r.json"
    results.write_text(json.dumps({"benchmarks": found}), encoding="utf-8")
    assert cli.main(["plot", str(results), "--set", "compression", "--out", str(tmp_path), "--format", "png"]) == 0
    assert (tmp_path / "causal-lm-speed.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(SystemExit):
        cli.main(["plot", str(results), "--set", "speed"])
    assert "invalid choice: 'speed'" in capsys.readouterr().err
