"""`benchgate compare`: which figures stand beside each other, which are related, which are marked, what is refused."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace

import pytest

from benchgate.commands import main as cli
from benchgate.core import Metric
from benchgate.report.comparison import compare
from benchgate.report.relations import Column
from benchgate.results import ResultsError
from tests.builders import MACHINE, a_record

DATA = {"dataset": "cloze", "sha256": "ab" * 32, "n": 40, "of": 293, "seed": 0, "batch": 8}
BEFORE = [1] * 20 + [0] * 20
SAME = [1] * 19 + [0] * 21
WORSE = [1] * 5 + [0] * 35


def scored(scheme, runtime, hits, test="test_language_model", metrics=None, **fields):
    """A record of prefill with top-1 from `hits` and a perplexity whose log losses are as bad as the hits."""
    cell = {"model": "lm", "scheme": scheme, "runtime": runtime, "device": "cpu"}
    values = {"size_bytes": 400.0, "latency_median_s": 0.2, **(metrics or {})}
    defaults = {
        "key": f"benchmarks/t.py::{test}[lm-{scheme}-{runtime}-cpu]",
        "cell": cell,
        "operation": "prefill",
        "details": {"threads": 2, "data": DATA},
    }
    record = a_record(values, **{**defaults, **fields})
    losses = tuple(3.0 - 2 * hit + 0.01 * i for i, hit in enumerate(hits))
    own = {
        "top1": Metric(sum(hits) / len(hits), "1", "higher", len(hits), examples=tuple(map(float, hits))),
        "perplexity": Metric(10.0 + 5 * (hits != BEFORE), "1", "lower", len(hits), examples=losses),
    }
    return replace(record, metrics={**record.metrics, **own})


FULL = scored("fp32", "torch", BEFORE)
INT8 = scored("int8", "torch", SAME, metrics={"size_bytes": 100.0, "latency_median_s": 0.1})
GGUF = scored("gguf-q2_k", "ggml", WORSE, metrics={"size_bytes": 50.0}, packages={"xllamacpp": "1"})


def decoded(record, tokens):
    """The same cell's decode test."""
    key = record.key.replace("test_language_model", "test_decode")
    fields = {"key": key, "cell": record.cell, "operation": "decode", "details": {"threads": 2}}
    return a_record({"latency_median_s": 1 / tokens, "decode_tokens_per_s": tokens}, **fields)


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def written(name, *records):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        benchmarks = [{"fullname": r.key, "extra_info": {"benchgate": r.as_dict()}} for r in records]
        path.write_text(json.dumps({"benchmarks": benchmarks}))
        return path

    return written


def figures(comparison, scheme):
    (line,) = (line for line in comparison.lines if line.cell["scheme"] == scheme)
    return {(c.metric, c.operation): f for c, f in line.figures.items()}


def printed(capsys, *arguments):
    code = cli.main(["compare", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_cell_of_another_files_environment_is_held_against_torch_fp32(write):
    found = compare([write("torch.json", FULL, INT8), write("ggml.json", GGUF)])
    int8, gguf = figures(found, "int8"), figures(found, "gguf-q2_k")
    assert int8["size_bytes", ""].relation.change == 0.25
    assert gguf["size_bytes", ""].relation.change == 0.125
    assert gguf["latency_median_s", "prefill"].relation.change == 1.0
    assert gguf["top1", ""].relation.change == pytest.approx(-0.375)
    assert gguf["top1", ""].relation.kind == "difference"
    assert gguf["perplexity", ""].relation.change == 1.5
    assert all(f.relation is None for f in figures(found, "fp32").values())


def test_paired_significance_comes_from_the_single_results(write):
    found = compare([write("torch.json", FULL, INT8, GGUF)])
    near, far = (figures(found, s)["top1", ""].relation for s in ("int8", "gguf-q2_k"))
    assert (near.significant, far.significant) == (False, True)
    assert "1 lost, 0 gained of 40, exact McNemar p=1" in near.test
    assert "15 lost" in far.test
    assert figures(found, "gguf-q2_k")["perplexity", ""].relation.significant is True
    assert "paired bootstrap" in figures(found, "gguf-q2_k")["perplexity", ""].relation.test
    bare = replace(GGUF, metrics={"top1": replace(GGUF.metrics["top1"], examples=())})
    unpaired = figures(compare([write("bare.json", FULL, bare)]), "gguf-q2_k")["top1", ""].relation
    assert (unpaired.significant, unpaired.change) == (None, pytest.approx(-0.375))


def test_a_cells_operations_are_one_line_and_its_times_apart(write):
    found = compare([write("torch.json", FULL, decoded(FULL, 20.0), INT8, decoded(INT8, 50.0))])
    assert len(found.lines) == 2
    int8 = figures(found, "int8")
    assert int8["decode_tokens_per_s", ""].relation.change == 2.5
    assert int8["latency_median_s", "decode"].relation.change == pytest.approx(0.4)
    assert int8["latency_median_s", "prefill"].relation.change == 0.5


def test_what_two_tests_of_a_cell_measured_alike_is_one_line(write):
    """Sizes do not depend on the operation; throughput and memory do."""
    own = {"throughput_per_s": 5.0, "peak_rss_bytes": 9.0, "size_bytes": 400.0}
    other = a_record(own, key="t.py::test_stages[x]", cell=FULL.cell, operation="end_to_end")
    full = replace(FULL, metrics={**FULL.metrics, "throughput_per_s": Metric(7.0, "1/s", "higher")})
    (line,) = compare([write("torch.json", full, other)]).lines
    values = {(c.metric, c.operation): f.metric.value for c, f in line.figures.items()}
    assert values["throughput_per_s", "prefill"] == 7
    assert values["throughput_per_s", "end_to_end"] == 5
    assert values["peak_rss_bytes", "end_to_end"] == 9
    assert values["size_bytes", ""] == 400


def test_other_parameters_and_a_second_test_of_the_cell_are_lines_of_their_own(write):
    batch = replace(decoded(FULL, 30.0), key="t.py::test_batch[x]", params={"batch": 4})
    timed_again = {**FULL.metrics, "latency_median_s": Metric(0.3, "s", "lower")}
    again = replace(FULL, key="benchmarks/t.py::test_size[lm-fp32-torch-cpu]", metrics=timed_again)
    found = compare([write("torch.json", FULL, batch, again)])
    assert [(dict(line.params), line.test) for line in found.lines] == [({}, ""), ({"batch": 4}, ""), ({}, "test_size")]


@pytest.mark.parametrize(
    ("change", "metric", "said"),
    [
        ({"machine": {**MACHINE, "cores": 8}}, ("latency_median_s", "prefill"), "other machine: cores 4 -> 8"),
        ({"details": {"threads": 1, "data": DATA}}, ("latency_median_s", "prefill"), "other threads: 2 -> 1"),
        ({"details": {"threads": 2, "data": {**DATA, "n": 9}}}, ("top1", ""), "other data: n 40 -> 9"),
        ({"details": {"threads": 2, "data": {**DATA, "sha256": "cd"}}}, ("perplexity", ""), "other data"),
        ({"details": {"threads": 2}}, ("top1", ""), "other data: .*n 40.* -> not told"),
        ({"version": "2"}, ("size_bytes", ""), "model version '1' -> '2'"),
    ],
)
def test_what_is_not_comparable_is_marked_and_not_related(write, capsys, change, metric, said):
    paths = write("a.json", FULL), write("b.json", replace(GGUF, **change))
    relation = figures(compare(paths), "gguf-q2_k")[metric].relation
    assert relation.change is None
    assert re.search(said, relation.why_not)
    code, out, _ = printed(capsys, *paths)
    assert code == 0
    assert re.search(r"\[1\] not compared: (other|model version)", out)


def test_the_batch_of_scoring_and_the_packages_do_not_part_two_cells(write):
    other = replace(GGUF, details={"threads": 2, "data": {**DATA, "batch": 1}}, packages={"xllamacpp": "9"})
    found = figures(compare([write("a.json", FULL), write("b.json", other)]), "gguf-q2_k")
    assert not any(f.relation.why_not for f in found.values())


def test_a_divergence_on_other_passages_or_from_another_reference_is_marked(write):
    def diverging(record, reference="lm-fp32-torch-cpu", n=15):
        about = {"reference": reference, "data": {**DATA, "n": n}, "metrics": ["kl_mean"]}
        metrics = {**record.metrics, "kl_mean": Metric(0.1, "nat", "lower", n)}
        return replace(record, metrics=metrics, details={**record.details, "fidelity": about})

    for change, marked in (({}, False), ({"n": 9}, True), ({"reference": "lm-fp32-ggml-cpu"}, True)):
        path = write("a.json", FULL, diverging(INT8), diverging(GGUF, **change))
        relation = figures(compare([path]), "gguf-q2_k")["kl_mean", ""].relation
        assert (relation is not None and "other data" in relation.why_not) is marked


def test_without_a_full_precision_cell_nothing_is_related_but_strangers_are_marked(write, capsys):
    elsewhere = replace(INT8, machine={**MACHINE, "cores": 8})
    path = write("a.json", GGUF), write("b.json", elsewhere)
    found = figures(compare(path), "int8")
    assert found["size_bytes", ""].relation is None
    assert found["latency_median_s", "prefill"].relation.why_not.startswith("other machine")
    assert "lm: no fp32 cell in these files" in printed(capsys, *path)[1]


# Several machines


def test_by_machine_each_has_its_columns_and_its_own_reference(write, capsys):
    big = {**MACHINE, "cores": 64}
    fast = [replace(r, machine=big, metrics={**r.metrics, "latency_median_s": Metric(t, "s", "lower")})
            for r, t in ((FULL, 0.02), (INT8, 0.005))]  # fmt: skip
    paths = write("a.json", FULL, INT8), write("b.json", *fast)
    found = compare(paths, by="machine")
    assert list(found.places) == ["machine 1", "machine 2"]
    (line,) = (line for line in found.lines if line.cell["scheme"] == "int8")
    changes = [line.figures[Column("latency_median_s", "prefill", place)].relation.change for place in found.places]
    assert changes == [0.5, 0.25]
    code, out, _ = printed(capsys, *paths, "--by", "machine", "--format", "markdown")
    assert code == 0
    assert "time prefill median machine 1 | time prefill median machine 2" in out
    assert "machine 2: cpu Quiet CPU 9000, cores 64" in out


def test_by_machine_two_files_of_one_machine_are_one(write):
    found = compare([write("a.json", FULL, INT8), write("b.json", GGUF)], by="machine")
    assert list(found.places) == ["machine 1"]


def test_by_environment_each_file_has_its_columns_named_apart(write):
    paths = write("one/out.json", FULL), write("two/out.json", replace(FULL, packages={"torch": "9"}))
    found = compare(paths, by="environment")
    assert list(found.places) == ["out", str(paths[1])]
    assert {c.place for line in found.lines for c in line.figures} == set(found.places)


# Formats


def test_the_table_marks_reference_and_significance(write, capsys):
    code, out, err = printed(capsys, write("torch.json", FULL, INT8), write("ggml.json", GGUF))
    assert (code, err) == (0, "")
    assert "fp32 torch (reference)" in out
    for words in ("-0.375 *", "-0.025 ns", "0.125x", "1.5x *"):
        assert words in out
    assert max(map(len, out.split("below a figure")[0].splitlines())) <= 80


def test_markdown_is_one_table_a_model_with_all_columns(write, capsys):
    _, out, _ = printed(capsys, write("torch.json", FULL, INT8, GGUF), "--format", "markdown")
    rows = [line for line in out.splitlines() if line.startswith("|")]
    assert len(rows) == 5
    assert len({row.count("|") for row in rows}) == 1
    assert "| gguf-q2_k ggml | 200 ms 1x |" in rows[4]
    assert r"0.125 -0.375 \*" in rows[4]


def test_csv_and_json_hold_every_figure(write, capsys):
    path = write("torch.json", FULL, INT8)
    rows = list(csv.DictReader(io.StringIO(printed(capsys, path, "--format", "csv")[1])))
    document = json.loads(printed(capsys, path, "--format", "json")[1])
    assert len(rows) == len(document["figures"]) == 8
    (row,) = (r for r in rows if (r["scheme"], r["metric"]) == ("int8", "top1"))
    assert (row["value"], row["change_kind"], row["significant"], row["file"]) == (
        "0.475", "difference", "False", str(path),
    )  # fmt: skip
    assert float(row["change"]) == pytest.approx(-0.025)
    (entry,) = (f for f in document["figures"] if (f["scheme"], f["metric"]) == ("int8", "size_bytes"))
    assert (entry["change"], entry["unit"], entry["params"], entry["not_compared"]) == (0.25, "B", {}, None)


def test_a_failed_cell_is_shown_as_failed_and_a_skip_only_where_nobody_measured_it(write, capsys):
    failed = replace(INT8, outcome="failed")
    skipped = [replace(r, metrics={}, outcome="skipped", reason="no xllamacpp") for r in (GGUF,)]
    lost = replace(skipped[0], key="other", reason="no gptqmodel")
    out = printed(capsys, write("torch.json", FULL, failed, *skipped, lost), write("ggml.json", GGUF))[1]
    assert "int8 torch (failed)" in " ".join(out.split())
    assert "no xllamacpp" not in out
    assert "skipped: 1 cell: no gptqmodel" in out


# What is refused


def test_bad_input_is_one_message_and_exit_code_2(write, tmp_path, capsys):
    good = write("good.json", FULL)
    (tmp_path / "text.json").write_text("not json")
    (tmp_path / "none.json").write_text('{"benchmarks": []}')
    cases = [
        ([good, tmp_path / "lost.json"], "lost.json: cannot be read"),
        ([good, tmp_path / "text.json"], "text.json: not valid JSON"),
        ([good, tmp_path / "none.json"], "none.json: has no benchgate records"),
        ([good, tmp_path / "." / "good.json"], "given twice"),
        ([good, write("again.json", FULL)], r"again.json and .*good.json; leave one out, or give --by machine or --by"),
        ([good, write("again.json", FULL), "--by", "machine"], "measured in"),
        ([write("skips.json", replace(FULL, metrics={}, outcome="skipped"))], "no measured cell in it"),
    ]
    for arguments, said in cases:
        code, out, err = printed(capsys, *arguments)
        assert (code, out) == (cli.UNUSABLE, "")
        assert re.search(said, err), err
        assert "Traceback" not in err


def test_two_files_of_one_machine_are_kept_apart_by_environment(write):
    compare([write("a.json", FULL), write("b.json", FULL)], by="environment")
    with pytest.raises(ResultsError, match="measured in"):
        compare([write("a.json", FULL), write("b.json", FULL)])
