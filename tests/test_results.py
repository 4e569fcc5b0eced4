"""Records on disk: what is written is read, what is not ours or not whole is refused by name; the crash journal."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchgate.core import MAX_EXAMPLES, Cell, Metric
from benchgate.results import SCHEMA, Record, ResultsError, Shared, parse_record, read_records
from benchgate.results import record as results
from tests.builders import CELL, a_record, records


def document(*blocks, untimed=()) -> dict:
    timed = [{"fullname": f"test{i}", "extra_info": {"benchgate": block}} for i, block in enumerate(blocks)]
    return {"benchmarks": timed, "benchgate": {"untimed": list(untimed)}}


def written(tmp_path, content):
    path = tmp_path / "out.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@given(records)
def test_a_record_survives_json(record):
    assert parse_record(json.loads(json.dumps(record.as_dict())), "here") == record


@settings(max_examples=20)
@given(records, records)
def test_a_shared_part_is_kept_once_and_no_record_changes_by_it(one, other):
    shared = Shared()
    first, second, again = (shared.of(record) for record in (one, other, replace(one, key="again")))
    assert (first.as_dict(), second.as_dict()) == (one.as_dict(), other.as_dict())
    assert (again.machine, again.rows) == (first.machine, first.rows)
    assert again.machine is first.machine
    assert again.as_dict()["packages"] is first.packages


def test_parts_that_are_equal_and_written_otherwise_are_not_shared():
    shared = Shared()
    machines = [{"turbo": True}, {"turbo": 1}, {"turbo": 1.0}]
    found = [shared.of(replace(a_record(), machine=machine)).machine for machine in machines]
    assert json.dumps(found) == json.dumps(machines)


@given(records, st.dictionaries(st.text(min_size=12), st.integers(), max_size=2))
def test_fields_that_are_not_known_are_passed_over(record, extra):
    assert parse_record({**extra, **json.loads(json.dumps(record.as_dict()))}, "here") == record


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_single_results_are_one_text_in_json_and_numbers_again(values):
    record = replace(a_record(), metrics={"top1": Metric(0.5, "1", "higher", examples=tuple(values))})
    block = json.loads(json.dumps(record.as_dict()))
    assert isinstance(block["metrics"]["top1"]["examples"], str)
    assert parse_record(block, "here").metrics["top1"].examples == pytest.approx(values, rel=1e-5, abs=1e-12)


def test_hits_survive_exactly_and_take_two_bytes_each():
    hits = tuple(float(i % 3 == 0) for i in range(5153))
    block = replace(a_record(), metrics={"top1": Metric(0.3, "1", "higher", examples=hits)}).as_dict()
    assert len(json.dumps(block["metrics"]["top1"]["examples"])) < 2 * 5153 + 2
    assert parse_record(block, "here").metrics["top1"].examples == hits


def test_more_single_results_than_a_file_should_hold_are_left_out():
    record = replace(a_record(), metrics={"top1": Metric(0.3, "1", "higher", examples=(1.0,) * (MAX_EXAMPLES + 1))})
    assert "examples" not in record.as_dict()["metrics"]["top1"]


def test_a_document_gives_its_timed_and_untimed_records_and_passes_foreign_benchmarks_over(tmp_path):
    timed, untimed = a_record({"top1": 0.5}), a_record(key="other", outcome="oom", reason="no memory")
    content = document(timed.as_dict(), untimed=[untimed.as_dict()])
    content["benchmarks"] += [{"fullname": "foreign", "extra_info": {}}, {"fullname": "foreign too"}]
    assert read_records(written(tmp_path, content)) == [timed, untimed]


def test_an_unmeasured_cell_has_a_record_without_metrics():
    record = Record.unmeasured("key", Cell(**CELL))
    assert (record.cell, record.metrics, record.is_baseline) == (CELL, {}, False)


@pytest.mark.parametrize("outcome", [*results.OUTCOMES, "running"])
def test_only_what_passed_or_was_accepted_is_a_baseline(outcome):
    assert a_record(outcome=outcome).is_baseline is (outcome in ("passed", "accepted"))


def block(**changes) -> dict:
    return {**a_record({"top1": 0.5}).as_dict(), **changes}


def metric_block(**changes) -> dict:
    whole = block()
    whole["metrics"]["top1"] |= changes
    return whole


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("text", "not a benchgate record"),
        ({}, "not a benchgate record .*'schema'.*measure it again"),
        (block(schema="1"), "not a benchgate record"),
        (block(schema=SCHEMA + 1), f"schema {SCHEMA + 1} is newer .* {SCHEMA}; pip install --upgrade benchgate"),
        (block(schema=0), "schema 0 is too old; measure it again"),
        ({k: v for k, v in block().items() if k != "metrics"}, "broken benchgate record .*metrics"),
        ({k: v for k, v in block().items() if k != "key"}, "broken benchgate record .*key"),
        (block(metrics=[]), "broken benchgate record"),
        (block(metrics={"top1": 0.5}), r"broken benchgate record \(metrics.top1: .*, got 0.5\); measure it again"),
        (block(key=None), r"\(key: Input should be a valid string, got None\)"),
        (block(params=None), "params: "),
        (block(details=[]), "details: "),
        (block(details={"warm_up": None}), "details.warm_up: "),
        (block(details={"floors": [1]}), "details.floors.0: "),
        (block(details={"laps": {"ttft_s": ["x"]}}), "details.laps.ttft_s.0: "),
        (block(details={"fidelity": {"reference": "a", "metrics": None}}), "details.fidelity.metrics: "),
        (block(machine=[]), "machine: "),
        (block(packages={"torch": 2}), "packages.torch: "),
        (block(rows={"top1": {"better": "up"}}), "rows.top1"),
        (block(outcome=["passed"]), "outcome: "),
        (metric_block(value=-1, unit="1"), "top1 is -1 1, which cannot be below 0"),
        (metric_block(value=True), "metrics.top1.value: .*, got True"),
        (metric_block(n="5"), "metrics.top1.n: .*, got '5'"),
        (metric_block(unit=None), "metrics.top1.unit: "),
        (block(cell={"model": "spam"}), "broken benchgate record .*scheme"),
        (block(cell="spam-fp32-torch-cpu"), "broken benchgate record"),
        (block(outcome="splendid"), "unknown outcome 'splendid'; allowed: passed, failed"),
        (metric_block(value=float("nan")), r"broken benchgate record \(metrics.top1.value: .*, got nan\)"),
        (metric_block(value=float("inf")), "metrics.top1.value: .* got inf"),
        (metric_block(value="fast"), "broken benchgate record .*fast"),
        (metric_block(value=None), "broken benchgate record"),
        (metric_block(low=float("nan")), "metrics.top1.low: .* got nan"),
        (metric_block(high="fast"), "broken benchgate record .*fast"),
        (metric_block(examples="1 0 nan"), "broken benchgate record .*examples"),
        (metric_block(examples="1 zero"), "broken benchgate record .*zero"),
        (metric_block(examples=[1, 0]), "broken benchgate record"),
        (metric_block(examples="1 " * (MAX_EXAMPLES + 1)), "broken benchgate record .*at most 20000"),
        (metric_block(better="faster"), "metrics.top1.better: .*'lower' or 'higher', got 'faster'"),
    ],
)
def test_a_block_that_is_no_record_is_refused_by_place(broken, said, tmp_path):
    path = written(tmp_path, document(block(), broken))
    with pytest.raises(ResultsError, match=said) as caught:
        read_records(path)
    assert str(caught.value).startswith(f"{path}[1]: ")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "not valid JSON"),
        ('{"benchmarks": [', "not valid JSON .*make it again with `pytest .*--benchmark-json="),
        ("[" * 100_000, "not valid JSON"),
        ("[" * 500 + "]" * 500, "nested deeper than 100"),
        ('{"benchmarks": [' + "9" * 5000 + "]}", "not valid JSON .*4300"),
        ('{"benchmarks": [' + "9" * 400 + "]}", "not valid JSON .*400 digits"),
        (r'{"benchmarks": ["\ud800"]}', "not valid JSON .*surrogates"),
        ("\ufeff{}", "not valid JSON .*BOM"),
        ("[]", "not a pytest-benchmark document"),
        ('"text"', "not a pytest-benchmark document"),
        ('{"version": 3}', "not a pytest-benchmark document"),
        ('{"benchmarks": {}}', "not a pytest-benchmark document"),
        ('{"benchmarks": []}', "has no benchgate records"),
        ('{"benchmarks": [1, null, "x", {"extra_info": null}]}', "has no benchgate records"),
        ('{"benchmarks": [], "benchgate": null}', "has no benchgate records"),
        ('{"benchmarks": [], "benchgate": [1]}', "has no benchgate records"),
        ('{"benchmarks": [], "benchgate": {"untimed": null}}', "has no benchgate records"),
        ('{"benchmarks": [{"extra_info": ["benchgate"]}, {"extra_info": 3}]}', "has no benchgate records"),
    ],
)
def test_a_file_that_is_something_else_is_refused_by_name(tmp_path, content, said):
    path = written(tmp_path, content)
    with pytest.raises(ResultsError, match=said) as caught:
        read_records(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_file_that_is_not_utf8_is_refused_by_name(tmp_path):
    path = tmp_path / "out.json"
    path.write_bytes(b'{"benchmarks": "\xff"}')
    with pytest.raises(ResultsError, match=r"out\.json: not valid JSON"):
        read_records(path)


def test_a_file_that_is_too_large_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "MAX_BYTES", 100)
    with pytest.raises(ResultsError, match=r"out\.json: larger than 100 bytes"):
        read_records(written(tmp_path, " " * 101))


def test_what_could_not_be_read_again_is_not_written(tmp_path):
    broken = replace(a_record(), metrics={"top1": Metric(0.5, "1", "higher", low=float("nan"))})
    with pytest.raises(ResultsError, match="top1 low is nan; it is not written"):
        results.write_records(tmp_path / "out.json", [broken])


def test_a_missing_file_is_refused_with_what_to_look_at(tmp_path):
    with pytest.raises(ResultsError, match=r"gone\.json: cannot be read \(No such file or directory\); `ls "):
        read_records(tmp_path / "gone.json")


def test_an_older_block_is_upgraded_step_by_step(monkeypatch):
    monkeypatch.setattr(results, "SCHEMA", 3)
    steps = {
        1: lambda b: {**b, "schema": 2, "reason": "1"},
        2: lambda b: {**b, "schema": 3, "reason": b["reason"] + "2"},
    }
    monkeypatch.setattr(results, "UPGRADES", steps)
    assert parse_record(block(schema=1), "here").reason == "12"
