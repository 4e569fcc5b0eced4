"""Several results files as one document: what environments and machines measured apart, for readers of one file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchgate.results.record import ResultsError, read_document
from benchgate.results.runs import Run, measured_commit, read_run

# Under this name each benchmark's `extra_info` keeps what the document it came from says of all its benchmarks.
ORIGIN = "merged_from"
ABOUT = ("datetime", "machine_info", "commit_info")
LEFT_OUT, UNTIMED = "left_out", "untimed"


@dataclass(frozen=True)
class Merged:
    """The document, and what a reader of it must know: commits that differ, cells that gave way to newer ones."""

    document: dict[str, Any]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _File:
    run: Run
    document: Mapping[str, Any]


@dataclass(frozen=True)
class _Entry:
    """A benchmark, or a record without times. Two of one `identity`, test and machine, are the same cell."""

    content: dict[str, Any]
    timed: bool
    identity: tuple[str, str]
    skipped: bool
    file: _File


def merge(paths: Sequence[Path], newest: bool = False) -> Merged:
    """Return one document of these files' benchmarks and records; with `newest` the newest of a cell on one machine.

    A cell that one file skipped and another one has is that other's. Raises ResultsError for a file that `read_run`
    refuses, one given twice, and without `newest` for a cell that two files have of one machine.
    """
    files = _files(paths)
    kept, notes = _kept([list(_entries(file)) for file in files], newest)
    latest = files[-1].document
    commits = {measured_commit(file.document) for file in files}
    document = {**latest, "machine_info": _shared([file.document.get("machine_info") for file in files])}
    if len(commits) > 1:
        document["commit_info"] = {}
        notes.append(f"the files are of {len(commits)} commits: the merged one names none")
    document["benchmarks"] = [entry.content for entry in kept if entry.timed]
    untimed = [entry.content for entry in kept if not entry.timed]
    document["benchgate"] = {UNTIMED: untimed, LEFT_OUT: _left_out(files)}
    return Merged(document, tuple(notes))


def _files(paths: Sequence[Path]) -> list[_File]:
    """The files, the oldest first."""
    seen: set[Path] = set()
    for path in paths:
        if path.resolve() in seen:
            raise ResultsError(f"{path}: given twice; give each file once")
        seen.add(path.resolve())
    return sorted((_File(read_run(path), read_document(path)) for path in paths), key=lambda file: file.run.time)


def _entries(file: _File) -> Iterator[_Entry]:
    about = {name: file.document[name] for name in ABOUT if name in file.document}
    for bench in file.document["benchmarks"]:
        if not isinstance(bench, dict):
            raise ResultsError(f"{file.run.path}: a benchmark that is no object: {bench!r:.60}; measure it again")
        extra = bench.get("extra_info")
        info: dict[str, Any] = extra if isinstance(extra, dict) else {}
        origin = {ORIGIN: {"file": file.run.path.name, **about}}
        content = {**bench, "extra_info": {**origin, **info}}
        block = info.get("benchgate")
        if block is None:
            # Somebody's own benchmark beside the cells.
            identity = str(bench.get("fullname")), _text(about.get("machine_info"))
            yield _Entry(content, True, identity, False, file)
        else:
            yield _Entry(content, True, *_of(block), file)
    own = file.document.get("benchgate")
    for block in (own.get(UNTIMED) or ()) if isinstance(own, dict) else ():
        yield _Entry(block, False, *_of(block), file)


def _of(block: Mapping[str, Any]) -> tuple[tuple[str, str], bool]:
    return (block["key"], _text(block.get("machine"))), block.get("outcome") == "skipped"


def _kept(files: Sequence[Sequence[_Entry]], newest: bool) -> tuple[list[_Entry], list[str]]:
    """The entries that are of the document, those of older files first, and notes on those that gave way."""
    had = {entry.identity[0] for entries in files for entry in entries if not entry.skipped}
    kept: dict[tuple[str, str], list[_Entry]] = {}
    notes = []
    for entries in files:
        fresh: dict[tuple[str, str], list[_Entry]] = {}
        for entry in entries:
            if not (entry.skipped and entry.identity[0] in had):
                fresh.setdefault(entry.identity, []).append(entry)
        for identity, found in fresh.items():
            older = kept.pop(identity, [])
            if older and not (found[0].skipped or newest):
                raise ResultsError(
                    f"{identity[0]}: measured on one machine in {older[0].file.run.path} and {found[0].file.run.path}; "
                    "leave one out, or give --newest"
                )
            if older and not found[0].skipped:
                notes.append(f"{identity[0]}: of {found[0].file.run.path}, newer than {older[0].file.run.path}'s")
            kept[identity] = found
    return [entry for found in kept.values() for entry in found], notes


def _shared(infos: Sequence[Any]) -> dict[str, Any]:
    """The entries that all machines have alike; each benchmark keeps its own machine's."""
    first, *others = [info if isinstance(info, dict) else {} for info in infos]
    return {name: value for name, value in first.items() if all(name in o and o[name] == value for o in others)}


def _left_out(files: Sequence[_File]) -> list[Any]:
    """Combinations that make no sense, once each."""
    owns = [own for file in files if isinstance(own := file.document.get("benchgate"), dict)]
    found = {_text(item): item for own in owns for item in (own.get(LEFT_OUT) or ())}
    return list(found.values())


def _text(value: Any) -> str:
    return json.dumps(value or {}, sort_keys=True)
