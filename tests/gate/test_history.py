"""Lines over runs: what is joined, what is left out, which are chosen; and the files that they are read from."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from benchgate.core import UnknownName
from benchgate.core.metrics import Row, metric
from benchgate.gate.history import lines
from benchgate.results import Record, ResultsError
from benchgate.results.runs import Run, read_run, read_runs
from tests.builders import KEY, MACHINE, a_record

TIME = {"latency_median_s": 1.0}


def a_run(index: int, *records: Record) -> Run:
    return Run(Path(f"{index}.json"), datetime(2026, 1, 1 + index, tzinfo=UTC), f"{index:040x}", False, records)


def runs(*records: Record) -> list[Run]:
    return [a_run(index, record) for index, record in enumerate(records)]


def test_comparable_runs_are_one_line_in_their_order() -> None:
    (line,) = lines(runs(*(a_record({"latency_median_s": value}) for value in (1.0, 2.0, 3.0))))
    assert (line.key, line.row.name, line.begins) == (KEY, "latency_median_s", "")
    assert line.values == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"machine": {**MACHINE, "cores": 64}}, "other machine: cores 4 -> 64"),
        ({"packages": {"torch": "3.0"}}, "other packages: torch 2.9 -> 3.0"),
        ({"details": {"threads": 1}}, "other threads: 4 -> 1"),
        ({"version": "2"}, "model version '1' -> '2'"),
    ],
)
def test_another_machine_is_another_line_and_the_first_one_goes_on(fields: dict[str, Any], reason: str) -> None:
    both = {"latency_median_s": 1.0, "size_bytes": 5.0}
    found = lines(runs(a_record(both), a_record(both, **fields), a_record(both)))
    times = [line for line in found if line.row.name == "latency_median_s"]

    assert [(len(line.points), line.begins) for line in times] == [(2, ""), (1, reason)]
    if "version" not in fields:
        assert [len(line.points) for line in found if line.row.name == "size_bytes"] == [3], "a size needs no machine"


def test_disturbed_figures_take_no_part_and_are_named() -> None:
    both = {"latency_median_s": 1.0, "size_bytes": 5.0}
    disturbed = a_record(both, details={"threads": 4, "disturbed": ["throttled"]})
    found = {line.row.name: line for line in lines(runs(a_record(both), disturbed))}

    assert len(found["latency_median_s"].points) == 1
    assert [run.path.name for run in found["latency_median_s"].disturbed] == ["1.json"]
    assert len(found["size_bytes"].points) == 2


def test_a_line_of_disturbed_figures_alone_takes_in_no_other_machines() -> None:
    disturbed = a_record(TIME, details={"threads": 4, "disturbed": ["throttled"]})
    found = lines(runs(disturbed, a_record(TIME, machine={"cpu": "other"})))
    assert [(len(line.points), len(line.disturbed)) for line in found] == [(0, 1), (1, 0)]


@pytest.mark.parametrize(
    ("outcome", "counts"),
    [("passed", True), ("accepted", True), ("failed", True), ("crash", False), ("running", False)],
)
def test_a_failed_floor_has_measured_and_a_crash_has_not(outcome: str, counts: bool) -> None:
    (line,) = lines(runs(a_record(TIME), a_record({"latency_median_s": 2.0}, outcome=outcome)))
    assert (2.0 in line.values) is counts


def test_gated_metrics_are_shown_unless_others_are_named() -> None:
    record = a_record({"latency_median_s": 1.0, "latency_min_s": 0.9, "size_bytes": 3.0})
    assert [line.row.name for line in lines(runs(record))] == ["latency_median_s", "size_bytes"]
    assert [line.row.name for line in lines(runs(record), ["latency_min_s"])] == ["latency_min_s"]


def test_a_projects_own_row_is_in_its_record() -> None:
    row = Row("spam", "1", "higher", "accuracy", "spam", tolerance=0.1, absolute=True)
    record = replace(a_record(), metrics={"spam": metric("top1", 0.5)}, rows={"spam": row})
    assert [line.row for line in lines(runs(record))] == [row]


@pytest.mark.parametrize("glob", [KEY, "*[spam-fp32-torch-cpu]", "spam-*-cpu", "*"])
def test_cells_are_chosen_by_id_or_name(glob: str) -> None:
    other = a_record(TIME, key="t[eggs]", cell={"model": "eggs", "scheme": "s", "runtime": "r", "device": "d"})
    found = lines([a_run(0, a_record(TIME), other)], cell=glob)
    assert [line.key for line in found] == ([KEY, "t[eggs]"] if glob == "*" else [KEY])


def test_what_is_not_there_is_named_with_what_is() -> None:
    with pytest.raises(UnknownName, match=r"unknown metric 'latency'.*latency_median_s"):
        lines(runs(a_record(TIME)), ["latency"])
    with pytest.raises(UnknownName, match=r"unknown cell 'eggs'.*spam-fp32"):
        lines(runs(a_record(TIME)), cell="eggs")


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, time: Any = "2026-01-01T00:00:00+00:00", commit: Any = "c" * 40, **fields: Any) -> Path:
        block = {"fullname": KEY, "extra_info": {"benchgate": a_record(TIME).as_dict()}}
        document = {"datetime": time, "commit_info": {"id": commit, "dirty": False}, "benchmarks": [block], **fields}
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document))
        return path

    return write


def test_runs_are_in_the_order_of_their_times_wherever_they_lie(write: Write, tmp_path: Path) -> None:
    write("a/0002.json", "2026-01-02T00:30:00+02:00", "b" * 40)
    write("a/deep/0001.json", "2026-01-01T23:00:00")
    last = write("z.json", "2026-01-03T00:00:00+00:00", "d" * 40)
    write("a/settings.json", benchmarks=None)
    write("a/copy.json", "2026-01-01T23:00:00")

    found, notes = read_runs([last, tmp_path / "a", tmp_path / "a" / "deep" / "0001.json"])

    assert [run.commit[0] for run in found] == ["b", "c", "d"]
    assert [note[:20] for note in notes] == ["1 files passed over:", "1 files hold a run t"]


@pytest.mark.parametrize("time", [None, 7, "yesterday", "9999-12-31T23:59:59-14:00", [], ""])
def test_a_run_without_a_time_has_no_place_in_an_order(write: Write, time: Any) -> None:
    with pytest.raises(ResultsError, match=r"x\.json: does not say when .*--benchmark-json"):
        read_run(write("x.json", time))


@pytest.mark.parametrize("info", [None, [], {}, {"id": None}, {"id": "unversioned", "time": None}, {"id": 7}])
def test_a_run_outside_any_repository_is_named_by_its_time(write: Write, info: Any) -> None:
    found = read_run(write("x.json", commit_info=info))
    assert (found.commit, str(found)) == ("", "2026-01-01 00:00")


def test_a_commit_with_changes_beside_it_is_marked(write: Write) -> None:
    assert str(read_run(write("x.json", commit_info={"id": "a" * 40, "dirty": True}))) == "aaaaaaaaaa+"


@pytest.mark.parametrize("name", ["none.json", "empty"])
def test_no_run_at_all_is_an_error_with_the_way_to_one(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ResultsError, match=name):
        read_runs([tmp_path / name])


def test_a_named_file_must_be_a_run(write: Write) -> None:
    good = write("good.json")
    with pytest.raises(ResultsError, match="has no benchgate records"):
        read_runs([good, write("bad.json", benchmarks=[])])
