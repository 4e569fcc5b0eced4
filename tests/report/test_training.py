"""The training table in every format, from records; its rows, merged, and what it says of cells that ended early."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from benchgate.commands import main as cli
from benchgate.core import BenchgateError
from benchgate.report.grid import FORMATS, Grid, comma_separated, latex, markdown, rendered, terminal
from benchgate.report.memory_course import plot_memory
from benchgate.report.training import COLUMNS, training_tables
from tests.builders import MACHINE, a_record

GOLDEN = Path(__file__).parent / "golden"


def cell(model="decoder-s", runtime="torch-training", scheme="fp32"):
    return {"model": model, "scheme": scheme, "runtime": runtime, "device": "cpu"}


def record(operation, mean=None, std=None, laps=None, batch=4, context=256, params=None, **fields):
    metrics = {name: v for name, v in (("latency_mean_s", mean), ("latency_std_s", std)) if v is not None}
    return a_record(
        metrics,
        **{
            "key": f"t[{operation}]",
            "cell": cell(),
            "operation": operation,
            "params": {"batch": batch, "context": context, **(params or {})},
            "details": {"threads": 2} | ({"laps": laps} if laps else {}),
            **fields,
        },
    )


LAPS = {"forward_s": [1.0, 2.0, 3.0], "backward_s": [4.0, 4.0, 4.0], "forward_backward_s": [5.0, 6.0, 7.0]}


def example():
    """Merged operations, laps of a step, compiled, one round, and every way to end early."""
    return [
        record("forward", 0.125, 0.01),
        record("backward", 0.25, 0.02),
        record("forward_backward", 0.37512345, 0.03, laps={"forward_s": [9.0], "backward_s": [9.0]}),
        record("step", 18.5, 1.0, laps=LAPS, cell=cell("decoder-m", "torch-training-compile"), batch=1, context=128),
        record("forward", 2.5, cell=cell("tiny_100%|x"), params={"timeout_s": 600.0}),
        record("", cell=cell("decoder-l"), outcome="oom", reason="can't allocate", params={"memory_limit": "1GB"}),
        record("step", cell=cell("decoder-xl"), outcome="timeout", reason="not done within 600 s"),
        record("step", batch=0, outcome="failed", reason="batch 0 and\ncontext 256 must be at least 1"),
        record("step", cell=cell("decoder-s", "torch-training-compile"), outcome="skipped", reason="no compiler"),
        a_record({"top1": 0.5}),
    ]


@pytest.mark.parametrize("style", FORMATS)
def test_the_table_is_as_drawn_before(style):
    """After a change on purpose: `python -m tests.report.test_training` writes them."""
    text = rendered(training_tables(example()), style, 200)
    assert text == (GOLDEN / f"training.{style}.txt").read_text(encoding="utf-8")


def table(records):
    (only,) = training_tables(records)
    return [dict(zip(only.columns, row, strict=True)) for row in only.rows]


def test_the_columns_are_exactly_those():
    assert training_tables(example())[0].columns == COLUMNS == (
        "device", "batch_size", "compile", "model", "context_length", "fwd avg", "fwd std", "back avg", "back std",
        "fwd & back avg", "fwd & back std", "status",
    )  # fmt: skip


def test_operations_of_one_setting_are_one_row_and_their_own_times_go_before_laps():
    first, second, *_ = table(example())
    assert (first["fwd avg"], first["back avg"], first["fwd & back avg"]) == (0.125, 0.25, 0.37512345)
    assert (first["compile"], second["compile"], first["status"]) == (False, True, "ok")
    assert (second["fwd avg"], second["fwd std"], second["back std"]) == (2.0, 1.0, 0.0)
    assert (second["fwd & back avg"], second["batch_size"], second["context_length"]) == (6.0, 1, 128)


def test_what_was_not_measured_is_absent_never_zero():
    (row,) = table([record("forward", 2.5)])
    assert (row["fwd avg"], row["fwd std"], row["back avg"], row["fwd & back avg"]) == (2.5, None, None, None)


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        (["passed", "accepted"], "ok"),
        (["passed", "oom"], "oom"),
        (["timeout", "passed"], "timeout"),
        (["oom", "timeout"], "oom"),
        (["failed", "oom"], "error: why"),
        (["error"], "error: why"),
        (["skipped", "passed"], "ok"),
    ],
)
def test_a_row_has_the_worst_status_of_its_operations(outcomes, status):
    records = [record(f"operation {i}", outcome=o, reason="why") for i, o in enumerate(outcomes)]
    assert [row["status"] for row in table(records)] == [status]


def test_a_cell_under_a_memory_limit_is_a_row_of_its_own_and_a_timeout_is_not():
    limited = record("step", outcome="oom", params={"memory_limit": "1GB"})
    patient = record("forward", 1.0, params={"timeout_s": 5.0})
    rows = table([record("backward", 2.0), limited, patient])
    assert [(row["fwd avg"], row["back avg"], row["status"]) for row in rows] == [(1.0, 2.0, "ok"), (None, None, "oom")]


def test_precision_and_attention_are_columns_where_they_differ():
    both = [
        record("forward", 1.0),
        record("forward", 0.5, cell=cell(scheme="bf16-autocast"), params={"attention": "math"}),
    ]
    assert [(row["precision"], row["attention"]) for row in table(both)] == [
        ("fp32", "default"),
        ("bf16-autocast", "math"),
    ]
    assert "precision" not in table(both[:1])[0]


def test_other_threads_are_another_row():
    one, two = (record("forward", 1.0 / n, details={"threads": n}) for n in (1, 2))
    ended = record("step", outcome="oom", details={"threads": 2})
    rows = table([one, two, ended])
    assert [(row["threads"], row["fwd avg"], row["status"]) for row in rows] == [(1, 1.0, "ok"), (2, 0.5, "oom")]
    assert "threads" not in table([two, ended, record("step", outcome="oom", details={}, batch=8)])[0]


def test_each_machine_has_its_table():
    here, there = record("forward", 1.0), record("forward", 2.0, machine={**MACHINE, "cpu": "Loud CPU"})
    tables = training_tables([here, there])
    assert [t.title for t in tables] == ["Quiet CPU 9000, 4 cores", "Loud CPU, 4 cores"]
    assert [t.rows[0][5] for t in tables] == [1.0, 2.0]


def test_a_cell_that_ended_before_it_had_a_machine_is_with_the_only_one():
    assert len(training_tables([record("forward", 1.0), record("forward", outcome="oom", machine={}, batch=8)])) == 1


def test_results_without_a_training_step_say_how_to_get_some():
    with pytest.raises(BenchgateError, match=r"pytest benchmarks/test_training_step\.py"):
        training_tables([a_record({"top1": 0.5})])


# The formats

ODD = Grid("a | b_%", ("model & co", "n"), (("x_1|\\{~^}<$#%\nnext", 0.000123456789), (None, 2)), ("note | 1",))


def test_markdown_keeps_its_columns():
    lines = markdown(ODD).splitlines()
    assert lines[2:6] == [
        "| model & co | n |",
        "| --- | ---: |",
        r"| x_1\|\\{\~^}&lt;\$#% next | 0.0001235 |",
        "| - | 2 |",
    ]


def test_csv_has_all_digits_and_reads_back():
    rows = list(csv.reader(io.StringIO(comma_separated(ODD))))
    assert rows == [["model & co", "n"], ["x_1|\\{~^}<$#%\nnext", "0.000123456789"], ["", "2"]]


def test_latex_is_escaped():
    text = latex(ODD)
    assert r"model \& co & n \\" in text
    assert r"x\_1|\textbackslash{}\{\textasciitilde{}\textasciicircum{}\}\textless{}\$\#\% next & 0.0001235 \\" in text
    assert text.splitlines()[:2] == [r"% \usepackage{booktabs}", "% a | b_%"]
    assert text.count(r"\begin{tabular}{lr}") == text.count(r"\end{tabular}") == 1


def test_the_terminals_lines_fit():
    assert max(map(len, terminal(Grid("", ("a", "b"), (("x" * 50, "y" * 50),)), 40).splitlines())) <= 40


# The command


@pytest.fixture
def results(tmp_path):
    path = tmp_path / "t.json"
    blocks = [{"extra_info": {"benchgate": r.as_dict()}} for r in example()]
    path.write_text(json.dumps({"benchmarks": blocks}), encoding="utf-8")
    return path


def test_the_command_prints_and_writes_the_table(results, tmp_path, capsys):
    assert cli.main(["report", str(results), "--table", "training", "--format", "csv"]) == 0
    printed = capsys.readouterr().out
    out = tmp_path / "table.csv"
    assert cli.main(["report", str(results), "--table", "training", "--format", "csv", "--out", str(out)]) == 0
    assert out.read_text(encoding="utf-8") == printed
    assert printed.startswith(",".join(COLUMNS))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "t.csv"], "else give a --format of markdown, "),
        (["--table", "training", "--out", "/no/such/folder/t.csv"], "cannot write /no/such/folder/t.csv"),
    ],
)
def test_what_the_command_cannot_do_is_a_message(results, arguments, message, capsys):
    assert cli.main(["report", str(results), *arguments]) == 2
    assert message in capsys.readouterr().err


# The picture

TIMELINE = {"seconds": [0.0, 0.1, 0.3], "parts": {"parameters": [8, 8, 8], "gradients": [0, 0, 8], "other": [0, 0, 0]}}


def test_the_course_of_memory_is_a_picture(tmp_path):
    pytest.importorskip("matplotlib")
    shown = record("step", 1.0, details={"memory_timeline": TIMELINE})
    files = plot_memory([shown, record("step", 1.0)], tmp_path / "plots")
    assert [file.name for file in files] == ["memory-decoder-s-fp32-torch-training-cpu-step-batch=4-context=256.svg"]
    text = files[0].read_text(encoding="utf-8")
    assert "<svg" in text
    assert "<!-- parameters -->" in text
    # A part that takes nothing has no place in the legend.
    assert "<!-- other -->" not in text
    with pytest.raises(BenchgateError, match="cannot write"):
        plot_memory([shown], tmp_path, "exe")


if __name__ == "__main__":
    for name in FORMATS:
        text = rendered(training_tables(example()), name, 200)
        (GOLDEN / f"training.{name}.txt").write_text(text, encoding="utf-8")
