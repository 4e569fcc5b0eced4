"""The journal line by line: each thing that makes an entry no entry, what is said of it, and what stands on disk."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from benchgate.storage import journal as module
from benchgate.storage.journal import FOLDER, KEPT, Entry, Journal
from tests.builders import KEY, a_record
from tests.storage.test_journal import STATS, entry, killed, left

HEAD = {"journal": 1, "arguments": ["x"]}
AGAIN = "what it held is measured again"


def written(folder: Path, *lines: object) -> Path:
    """A journal of these lines: bytes as they are, anything else as JSON."""
    path = folder / FOLDER / "00000000000000000001-1-odd.jsonl"
    path.parent.mkdir()
    raw = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    path.write_bytes(b"".join(line + b"\n" for line in raw))
    return path


def test_the_place_and_the_format_are_those_of_runs_that_were_interrupted_before_an_update(tmp_path):
    path = killed(tmp_path, entry("a"), arguments=("x", "y"))
    assert path.parent == tmp_path / "benchgate-journals"
    head, line = path.read_text().splitlines()
    assert json.loads(head) == {"journal": 1, "arguments": ["x", "y"]}
    assert json.loads(line) == entry("a").as_dict()
    assert [file.suffix for file in sorted(path.parent.iterdir())] == [".jsonl", ".lock"]


@pytest.mark.parametrize(
    "head",
    [b"", b"{", b"[]", b"5", {}, {"journal": 2, "arguments": []}, {"journal": 1}, {"journal": 1, "arguments": "x"}],
)
def test_a_file_without_our_first_line_is_no_journal(tmp_path, head):
    path = written(tmp_path, head, entry("a").as_dict())
    found = Journal(tmp_path, ["x"]).unfinished()
    assert not found.entries
    (note,) = found.notes
    assert note.startswith(f"benchgate: {path}: cannot be resumed (")
    assert note.endswith(f"); {AGAIN}")


def test_a_journal_of_another_schema_is_named(tmp_path):
    path = written(tmp_path, {**HEAD, "journal": 2})
    said = f"benchgate: {path}: cannot be resumed (no journal of this benchgate (schema 1)); {AGAIN}"
    assert Journal(tmp_path).unfinished().notes == (said,)


@pytest.mark.parametrize(("limit", "taken"), [(-1, False), (0, True)])
def test_a_file_above_the_limit_is_not_read(tmp_path, monkeypatch, limit, taken):
    path = written(tmp_path, HEAD, entry("a").as_dict())
    size = path.stat().st_size
    monkeypatch.setattr(module, "MAX_BYTES", size + limit)
    found = Journal(tmp_path, ["x"]).unfinished()
    assert list(found.entries) == (["a"] if taken else [])
    said = f"benchgate: {path}: larger than {size + limit:,} bytes, no journal; {AGAIN}"
    assert found.notes == (() if taken else (said,))


def test_the_limit_is_a_quarter_of_a_gibibyte():
    assert module.MAX_BYTES == 2**28


def without(name: str) -> dict:
    return {key: value for key, value in entry("b").as_dict().items() if key != name}


def record_with(**values: object) -> dict:
    whole = entry("b").as_dict()
    return {**whole, "record": {**whole["record"], **values}}


def benchmark_with(**values: object) -> dict:
    whole = entry("b").as_dict()
    return {**whole, "benchmark": {**whole["benchmark"], **values}}


def stats_with(**values: object) -> dict:
    return benchmark_with(stats={**STATS, **values})


ODD = {
    "nothing": b"",
    "half of a line": b'{"record": {',
    "nested too deep": b"[" * 20_000,
    "no object": [],
    "no record": without("record"),
    "a record that is a text": {**entry("b").as_dict(), "record": "x"},
    "no dependencies": without("depends"),
    "dependencies that are a list": {**entry("b").as_dict(), "depends": []},
    **{f"{name} that is no object": record_with(**{name: []}) for name in module.OBJECTS},
    **{f"{name} that is no text": record_with(**{name: 1}) for name in module.TEXTS},
    "an unknown outcome": record_with(outcome="splendid"),
    "a newer schema": record_with(schema=99),
    "a metric that is no metric": record_with(metrics={"top1": {"value": "much"}}),
    "a benchmark that is a list": {**entry("b").as_dict(), "benchmark": []},
    "a benchmark of another test": benchmark_with(fullname="c"),
    "extra_info that is a list": benchmark_with(extra_info=[]),
    "options that are a list": benchmark_with(options=[]),
    "stats that are a list": benchmark_with(stats=[]),
    **{f"{name} that is a text": stats_with(**{name: "1"}) for name in sorted(STATS)},
    "a flag for a number": stats_with(mean=True),
    **{
        f"a benchmark without {name}": {
            **entry("b").as_dict(),
            "benchmark": {key: value for key, value in entry("b").as_dict()["benchmark"].items() if key != name},
        }
        for name in sorted(module.BENCHMARK)
    },
}


@pytest.mark.parametrize("row", ODD)
def test_an_odd_line_is_passed_over_and_told_by_its_number(tmp_path, row):
    path = written(tmp_path, HEAD, entry("a").as_dict(), ODD[row], entry("c").as_dict())
    found = Journal(tmp_path, ["x"]).unfinished()
    assert list(found.entries) == ["a", "c"]
    assert found.notes == (f"benchgate: {path}: 1 lines are no entries (line 3); {AGAIN}",)


def test_of_many_odd_lines_the_first_ten_are_named(tmp_path):
    path = written(tmp_path, HEAD, *[b"x"] * 12)
    named = ", ".join(str(number) for number in range(2, 12))
    said = f"benchgate: {path}: 12 lines are no entries (line {named}); {AGAIN}"
    assert Journal(tmp_path, ["x"]).unfinished().notes == (said,)


def test_what_was_not_timed_has_no_benchmark(tmp_path):
    killed(tmp_path, Entry(a_record({"top1": 0.5})))
    (found,) = Journal(tmp_path).unfinished().entries.values()
    assert (found.benchmark, found.depends) == (None, {})


def test_numbers_of_either_kind_are_statistics(tmp_path):
    written(tmp_path, HEAD, stats_with(rounds=5, mean=0.5))
    assert left(tmp_path, "x") == ["b"]


def test_parameters_that_no_json_has_are_kept_as_text(tmp_path):
    found = Entry(a_record(), {"param": Path("somewhere")}).as_dict()
    assert found["benchmark"] == {"param": "somewhere"}


@pytest.mark.parametrize("step", ["start", "append", "end"])
def test_each_line_is_on_disk_before_the_next_cell_begins(tmp_path, monkeypatch, step):
    """What is synced is the whole file: a kill of the machine loses the cell that runs, no more."""
    journal, synced = Journal(tmp_path), []
    steps = {
        "start": journal.start,
        "append": lambda: journal.append(entry("a")),
        "end": lambda: journal.end([entry()]),
    }
    for name, take in steps.items():
        if name == step:
            monkeypatch.setattr(os, "fsync", lambda number: synced.append(os.fstat(number).st_size))
        take()
        if name == step:
            break
    (path,) = journal.folder.glob("*.jsonl")
    assert synced == [path.stat().st_size]


def test_a_run_that_cannot_write_says_where_and_what_to_do(tmp_path):
    journal = Journal(tmp_path)
    journal.folder.write_text("a file where the folder should be")
    journal.start()
    assert journal.notes == [
        f"benchgate: no journal in {journal.folder} (File exists): should this run be interrupted, all of it is "
        "measured again; run from a folder that may be written to, or free some space"
    ]


@pytest.mark.parametrize("end", [Journal.end, Journal.close])
def test_after_its_end_a_journal_takes_nothing(tmp_path, end):
    journal = Journal(tmp_path)
    journal.start()
    end(journal)
    files = {path: path.read_bytes() for path in journal.folder.glob("*.jsonl")}
    journal.append(entry("late"))
    assert journal.notes == []
    assert journal.path is None
    assert {path: path.read_bytes() for path in journal.folder.glob("*.jsonl")} == files


def test_a_journal_may_be_started_below_a_folder_that_is_not_there_yet(tmp_path):
    killed(tmp_path / "a" / "b", entry("a"))
    killed(tmp_path / "a" / "b", entry("b"))
    assert left(tmp_path / "a" / "b") == ["b"]


def test_of_runs_at_once_none_is_abandoned_until_it_ends(tmp_path):
    """A run holds its own lock from before its file is there, and no other's after it began."""
    killed(tmp_path, entry("old"))
    first, second = Journal(tmp_path), Journal(tmp_path)
    first.start()
    second.start()
    assert left(tmp_path) == ["old"]
    first.close()
    second.close()


def test_the_newest_five_beside_the_one_that_goes_on_are_kept(tmp_path):
    assert KEPT == 5
    paths = [killed(tmp_path, entry(KEY)) for _ in range(9)]
    assert [path.exists() for path in paths] == [False] * 3 + [True] * 6
