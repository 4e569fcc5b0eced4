"""The journal: what a killed run keeps, and that no file in its place breaks a run."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path

import filelock
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchgate.storage.journal import KEPT, Entry, Journal
from tests.builders import KEY, a_record

# 20,000 were run once; CI runs these.
CASES = int(os.environ.get("BENCHGATE_FUZZ_CASES", "500"))
STATS = dict.fromkeys(("min", "max", "mean", "stddev", "rounds", "median", "iqr", "q1", "q3", "total"), 1.0)


def entry(key: str = KEY, outcome: str = "passed", **depends: object) -> Entry:
    about = {"name": key, "group": None, "params": None, "param": None, "extra_info": {}, "options": {}}
    return Entry(a_record({"top1": 0.5}, key=key, outcome=outcome), {**about, "fullname": key, "stats": STATS}, depends)


def killed(folder: Path, *entries: Entry, arguments: tuple[str, ...] = ()) -> Path:
    """A run that leaves these entries and ends without a word."""
    journal = Journal(folder, arguments)
    journal.start()
    for one in entries:
        journal.append(one)
    path = journal.path
    journal.close()
    assert path is not None
    return path


def left(folder: Path, *arguments: str) -> list[str]:
    journal = Journal(folder, arguments)
    found = list(journal.unfinished().entries)
    journal.close()
    return found


def test_a_killed_run_leaves_its_passed_cells(tmp_path):
    outcomes = (("a", "passed"), ("b", "failed"), ("c", "skipped"), ("d", "oom"), ("e", "passed"))
    killed(tmp_path, *(entry(key, outcome) for key, outcome in outcomes))
    assert left(tmp_path) == ["a", "e"]


def test_an_entry_comes_back_as_it_was(tmp_path):
    record = replace(a_record({"top1": 0.5}), outcome="passed", reason="line\u2028separator\nand newline")
    before = replace(entry(threads=4, options={"x": "1"}), record=record)
    killed(tmp_path, before)
    (found,) = Journal(tmp_path).unfinished().entries.values()
    assert found == before


def test_of_a_cell_that_was_measured_twice_the_last_counts(tmp_path):
    killed(tmp_path, entry("a"), entry("b"), entry("a", "failed"), entry("b", threads=2))
    found = Journal(tmp_path).unfinished().entries
    assert {key: e.depends for key, e in found.items()} == {"b": {"threads": 2}}


def test_a_run_that_ended_in_order_leaves_no_file(tmp_path):
    journal = Journal(tmp_path)
    journal.start()
    journal.append(entry())
    journal.end()
    assert left(tmp_path) == []
    assert list(journal.folder.iterdir()) == []


def test_what_was_not_asked_for_this_time_stays(tmp_path):
    journal = Journal(tmp_path)
    journal.start([entry("a"), entry("b")])
    journal.append(entry("c"))
    journal.end([entry("b")])
    assert left(tmp_path) == ["b"]


def test_without_a_journal_there_is_nothing_to_resume(tmp_path):
    assert left(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kept", range(1, 40, 7))
def test_a_last_line_that_the_kill_cut_is_passed_over_without_a_word(tmp_path, kept):
    path = killed(tmp_path, entry("a"))
    with path.open("ab") as stream:
        stream.write(json.dumps(entry("b").as_dict()).encode()[:kept])
    found = Journal(tmp_path).unfinished()
    assert (list(found.entries), found.notes) == (["a"], ())


def test_a_run_that_still_goes_on_is_not_resumed(tmp_path):
    living = Journal(tmp_path)
    living.start()
    living.append(entry("a"))
    assert left(tmp_path) == []
    living.close()
    assert left(tmp_path) == ["a"]


def test_one_run_is_resumed_by_one(tmp_path):
    killed(tmp_path, entry("a"))
    first = Journal(tmp_path)
    assert list(first.unfinished().entries) == ["a"]
    assert left(tmp_path) == []
    first.start([entry("a")])
    first.close()
    assert left(tmp_path) == ["a"]
    assert len(list(first.folder.glob("*.jsonl"))) == 1, "the one that was resumed is gone"


def test_the_newest_of_the_same_arguments_is_resumed_or_else_the_newest(tmp_path):
    killed(tmp_path, entry("old"), arguments=("x",))
    killed(tmp_path, entry("mine"), arguments=("x",))
    killed(tmp_path, entry("newest"), arguments=("y",))
    assert left(tmp_path, "x") == ["mine"]
    assert left(tmp_path, "z") == ["newest"]


def test_old_journals_do_not_pile_up(tmp_path):
    paths = [killed(tmp_path, entry()) for _ in range(KEPT + 3)]
    assert [path.exists() for path in paths][-KEPT:] == [True] * KEPT
    assert sum(path.exists() for path in paths) <= KEPT + 1


def _killed_by_the_system(folder: str) -> None:
    journal = Journal(Path(folder))
    journal.start()
    journal.append(entry("a"))
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_was_killed_keeps_no_lock(tmp_path):
    process = multiprocessing.get_context("fork").Process(target=_killed_by_the_system, args=(str(tmp_path),))
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    assert left(tmp_path) == ["a"]


@pytest.mark.parametrize("step", ["start", "append", "end"])
def test_what_cannot_be_written_is_said_once_and_the_run_goes_on(tmp_path, step):
    journal = Journal(tmp_path)
    steps = {"start": journal.start, "append": lambda: journal.append(entry()), "end": lambda: journal.end([entry()])}
    for name, take in steps.items():
        if name == step:
            for file in journal.folder.glob("*"):
                file.unlink()
            if journal.folder.exists():
                journal.folder.rmdir()
            journal.folder.write_text("a file where the folder should be")
        take()
    (note,) = journal.notes
    assert note.startswith(f"benchgate: no journal in {journal.folder} (")
    assert "should this run be interrupted, all of it is measured again" in note


def test_a_disk_that_fills_up_for_one_cell_alone_is_said_and_nothing_is_written_after_it(tmp_path, monkeypatch):
    journal = Journal(tmp_path)
    journal.start()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", _full)
        journal.append(entry("a"))
    journal.append(entry("b"))
    journal.end()
    (note,) = journal.notes
    assert "(No space left on device)" in note
    assert left(tmp_path) == ["a"]


def _full(descriptor: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_folder_that_cannot_be_listed_is_said_and_nothing_is_resumed(tmp_path, monkeypatch):
    killed(tmp_path, entry())

    def unlistable(path: Path, pattern: str) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Path, "glob", unlistable)
    journal = Journal(tmp_path)
    assert not journal.unfinished().entries
    (note,) = journal.notes
    assert "(Input/output error)" in note


def test_closing_lets_go_of_the_locks_themselves_and_waits_for_no_garbage_collector(tmp_path, monkeypatch):
    killed(tmp_path, entry("a"))
    locks, lock = [], filelock.FileLock
    monkeypatch.setattr(filelock, "FileLock", lambda path: locks.append(lock(path)) or locks[-1])
    assert left(tmp_path) == ["a"]
    assert [one.is_locked for one in locks] == [False]


# Odd journals

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("9" * 50),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def _paths(value: object, path: tuple = ()) -> list[tuple]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for name, item in inside for found in _paths(item, (*path, name)))]


def _put(value, path: tuple, new):
    if not path:
        return new
    copied = dict(value) if isinstance(value, dict) else list(value)
    copied[path[0]] = _put(value[path[0]], path[1:], new)
    return copied


LINES = [{"journal": 1, "arguments": ["x"]}, entry("a", threads=4).as_dict(), entry("b").as_dict()]


@st.composite
def mutated(draw) -> bytes:
    """A journal with some values of any place replaced, then perhaps some bytes."""
    lines = LINES
    for _ in range(draw(st.integers(0, 3))):
        lines = _put(lines, draw(st.sampled_from(_paths(lines)[1:])), draw(_json))
    raw = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(raw)))
        raw = raw[:at] + draw(st.binary(max_size=4)) + raw[at + draw(st.integers(0, 4)) :]
    return raw


@settings(max_examples=CASES)
@given(raw=mutated() | st.binary(max_size=60))
def test_no_journal_breaks_a_run(tmp_path_factory, raw):
    """Whatever lies there, entries that come back are whole and can be written and judged again."""
    folder = tmp_path_factory.mktemp("journal")
    journal = Journal(folder, ["x"])
    journal.folder.mkdir()
    (journal.folder / "00000000000000000001-1-odd.jsonl").write_bytes(raw)
    found = journal.unfinished()
    for key, one in found.entries.items():
        assert one.record.key == key
        assert one.record.outcome == "passed"
        assert one.benchmark is None or one.benchmark["fullname"] == key
        json.dumps(one.as_dict())
    journal.start(list(found.entries.values()))
    journal.close()
    assert left(folder, "x") == list(found.entries)
