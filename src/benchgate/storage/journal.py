"""The journal of a run: one fsynced line a finished cell, so that a killed run loses only the cell it was in.

Each run has a file of its own in the folder, locked while the run lives: two runs never share one. A run that ends in
order removes its file, so that what is left belongs to runs that were interrupted, or that still go on (locked).
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchgate.core import BenchgateError
from benchgate.results import PASSED, Record, parse_record

SCHEMA = 1
FOLDER = "benchgate-journals"
MAX_BYTES = 1 << 28
# Journals of interrupted runs that are kept beside the newest.
KEPT = 5
OBJECTS = ("cell", "params", "metrics", "missing", "machine", "packages", "kernel", "details")
TEXTS = ("key", "operation", "outcome", "reason", "version")
# What pytest-benchmark's own commands cannot do without.
BENCHMARK = {"fullname", "name", "group", "params", "param", "extra_info", "options", "stats"}


@dataclass(frozen=True)
class Entry:
    """One finished cell: its record, pytest-benchmark's part (None where nothing was timed), and what it depends on."""

    record: Record
    benchmark: Mapping[str, Any] | None = None
    depends: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        # In pytest-benchmark's part a test's parameters are any objects.
        whole = {"record": self.record.as_dict(), "benchmark": self.benchmark, "depends": self.depends}
        found: dict[str, Any] = json.loads(json.dumps(whole, default=str))
        return found


@dataclass(frozen=True)
class Unfinished:
    """The rest of an interrupted run: the cells that passed, by key. `notes` say what of it cannot be used and why."""

    entries: Mapping[str, Entry] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    paths: tuple[Path, ...] = ()


class Journal:
    """The journal of one run in `folder`; `arguments` are what the run was asked for.

    What cannot be written (a read-only folder, a full disk) is a line in `notes`, once: measuring goes on without.
    """

    def __init__(self, folder: Path, arguments: Sequence[str] = ()) -> None:
        self.folder = folder / FOLDER
        self.arguments = [str(argument) for argument in arguments]
        self.notes: list[str] = []
        self.path: Path | None = None
        self._locks: list[Any] = []
        self._taken: tuple[Path, ...] = ()

    def start(self, keep: Sequence[Entry] = ()) -> None:
        """Begin this run's file, with the entries to keep of the run that is resumed, whose file is then removed."""
        name = f"{time.time_ns():020}-{os.getpid()}-{uuid.uuid4().hex[:8]}.jsonl"
        path = self.folder / name
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock(path)
            self._write(path, keep)
        except OSError as error:
            self._without(error)
            return
        self.path = path
        for old in self._taken:
            _remove(old)
        self._taken = ()
        self._prune()

    def append(self, entry: Entry) -> None:
        """Put one finished cell on disk."""
        if self.path is None:
            return
        try:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(entry.as_dict()) + "\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            self._without(error)

    def end(self, left: Sequence[Entry] = ()) -> None:
        """The run ended in order: nothing to resume but `left`, what was resumed and not asked for this time."""
        if self.path is not None:
            try:
                if left:
                    self._write(self.path, left)
                else:
                    _remove(self.path)
            except OSError as error:
                self._without(error)
        self.close()

    def close(self) -> None:
        """Let go of the locks; what is on disk stays, for another run to resume."""
        for lock in self._locks:
            lock.release()
        self._locks.clear()
        self.path = None

    def unfinished(self) -> Unfinished:
        """Return what the newest interrupted run of the same arguments left; of other arguments where there is none.

        Its file is locked until `close`, so that no other run resumes it as well, and removed by `start`. Odd files
        and lines are passed over with a note: what they held is measured again.
        """
        found = [(path, *_read(path)) for path in self._abandoned()]
        notes = tuple(note for _, _, _, said in found for note in said)
        chosen = next((row for row in found if row[1] == self.arguments), next(iter(found), None))
        if chosen is None:
            return Unfinished(notes=notes)
        self._taken = (chosen[0],)
        return Unfinished({key: e for key, e in chosen[2].items() if e.record.outcome == PASSED}, notes, self._taken)

    def _abandoned(self) -> Iterator[Path]:
        """The files of runs that are no more, the newest first; each is locked."""
        import filelock

        try:
            names = sorted(self.folder.glob("*.jsonl"), reverse=True)
        except OSError as error:
            self._without(error)
            return
        for path in names:
            try:
                self._lock(path)
            except (filelock.Timeout, OSError):
                # A run that goes on, or a folder that cannot be written: nothing of it can be taken over.
                continue
            if path.is_file():
                yield path

    def _lock(self, path: Path) -> None:
        import filelock

        lock = filelock.FileLock(f"{path}.lock")
        lock.acquire(timeout=0)
        self._locks.append(lock)

    def _write(self, path: Path, entries: Sequence[Entry]) -> None:
        temporary = path.with_suffix(".new")
        with temporary.open("w", encoding="utf-8") as stream:
            for line in ({"journal": SCHEMA, "arguments": self.arguments}, *(entry.as_dict() for entry in entries)):
                stream.write(json.dumps(line) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)

    def _without(self, error: OSError) -> None:
        self.path = None
        self.notes.append(
            f"benchgate: no journal in {self.folder} ({error.strerror}): should this run be interrupted, all of it is "
            "measured again; run from a folder that may be written to, or free some space"
        )

    def _prune(self) -> None:
        """Remove the journals of interrupted runs beyond the newest KEPT."""
        for path in list(self._abandoned())[KEPT:]:
            _remove(path)
        while len(self._locks) > 1:
            self._locks.pop().release()


def _remove(path: Path) -> None:
    # Two runs may tidy up at once.
    with suppress(FileNotFoundError):
        path.unlink()
    with suppress(FileNotFoundError):
        path.with_name(path.name + ".lock").unlink()


def _read(path: Path) -> tuple[list[str], dict[str, Entry], list[str]]:
    """(arguments, entries by key, notes) of one file. The last entry of a key counts."""
    again = "what it held is measured again"
    try:
        if path.stat().st_size > MAX_BYTES:
            return [], {}, [f"benchgate: {path}: larger than {MAX_BYTES:,} bytes, no journal; {again}"]
        lines = path.read_bytes().split(b"\n")
        head = _parsed(lines[0])
        if not isinstance(head, dict) or head.get("journal") != SCHEMA or not isinstance(head.get("arguments"), list):
            raise ValueError(f"no journal of this benchgate (schema {SCHEMA})")
    except (OSError, ValueError) as error:
        return [], {}, [f"benchgate: {path}: cannot be resumed ({error}); {again}"]
    entries: dict[str, Entry] = {}
    broken = []
    # A kill cuts the last line: it is no entry, and no surprise.
    for number, line in enumerate(lines[1:-1], 2):
        try:
            entry = parse_entry(_parsed(line), f"{path}, line {number}")
            entries[entry.record.key] = entry
        except (ValueError, BenchgateError):
            broken.append(number)
    places = ", ".join(map(str, broken[:10]))
    notes = [f"benchgate: {path}: {len(broken)} lines are no entries (line {places}); {again}"] if broken else []
    return [str(argument) for argument in head["arguments"]], entries, notes


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def parse_entry(raw: Any, where: str) -> Entry:
    """An entry from its JSON. Raises ValueError or ResultsError for what is no entry."""
    if not isinstance(raw, dict) or not isinstance(raw.get("record"), dict) or not isinstance(raw.get("depends"), dict):
        raise ValueError("no entry")
    block = raw["record"]
    if not all(isinstance(block.get(name), dict) for name in OBJECTS):
        raise ValueError("no record")
    if not all(isinstance(block.get(name), str) for name in TEXTS):
        raise ValueError("no record")
    try:
        record = parse_record(block, where)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError) as error:
        raise ValueError(f"no record ({error})") from error
    return Entry(record, _benchmark(raw.get("benchmark"), record.key), raw["depends"])


def _benchmark(raw: Any, key: str) -> dict[str, Any] | None:
    if raw is None:
        return None
    if not isinstance(raw, dict) or not raw.keys() >= BENCHMARK or raw["fullname"] != key:
        raise ValueError("no benchmark of this record")
    if not (isinstance(raw["extra_info"], dict) and isinstance(raw["options"], dict) and _are_stats(raw["stats"])):
        raise ValueError("no statistics of a benchmark")
    return raw


def _are_stats(raw: Any) -> bool:
    numbers = ("min", "max", "mean", "stddev", "rounds", "median", "iqr", "q1", "q3", "total")
    return isinstance(raw, dict) and all(
        isinstance(raw.get(name), int | float) and not isinstance(raw[name], bool) for name in numbers
    )
