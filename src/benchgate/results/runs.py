"""Runs: results files in the order in which they were measured, each with its commit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchgate.results.record import Record, ResultsError, read_document, records_of

SHORT = 10
# pytest-benchmark's words for no commit.
NO_COMMIT = ("unversioned", "unknown", "")


@dataclass(frozen=True)
class Run:
    """One results file. `commit` is "" where it was measured outside any repository; `dirty` with changes beside it."""

    path: Path
    time: datetime
    commit: str
    dirty: bool
    records: tuple[Record, ...]

    def __str__(self) -> str:
        """Its commit, with a + where there were changes beside it; the time of a run without one."""
        return f"{self.commit[:SHORT]}{'+' * self.dirty}" if self.commit else f"{self.time:%Y-%m-%d %H:%M}"


def read_run(path: Path) -> Run:
    """Return one file's run. Raises ResultsError for one without records, or that does not say when it was made."""
    return run_of(read_document(path), path)


def run_of(document: Mapping[str, Any], path: Path) -> Run:
    """Return the run that a results document holds; `path` names it. Raises ResultsError as `read_run` does."""
    records = tuple(records_of(document, str(path)))
    if not records:
        raise ResultsError(f"{path}: has no benchgate records; a run is what `pytest --benchmark-json={path}` writes")
    return Run(path, _time(document.get("datetime"), path), *measured_commit(document), records)


def measured_commit(document: Mapping[str, Any]) -> tuple[str, bool]:
    """The git id of what a results document measured, "" for none, and True where there were changes beside it."""
    info = document.get("commit_info")
    commit: Mapping[str, Any] = info if isinstance(info, dict) else {}
    name = commit.get("id")
    return name if isinstance(name, str) and name not in NO_COMMIT else "", commit.get("dirty") is True


def _time(raw: Any, path: Path) -> datetime:
    try:
        time = datetime.fromisoformat(raw)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError) as error:
        raise ResultsError(
            f"{path}: does not say when it was measured (datetime {raw!r:.60}), so it has no place in an order; "
            "give files that `pytest --benchmark-json` or `--benchmark-autosave` wrote"
        ) from error


def read_runs(paths: Iterable[Path]) -> tuple[list[Run], list[str]]:
    """Return the runs of these files and folders, oldest first, and notes on what was passed over.

    A file that is named must be a run; what lies in a folder may be something else. A run that is stored twice counts
    once. Raises ResultsError where there is none.
    """
    found: dict[tuple[datetime, str], Run] = {}
    foreign: list[str] = []
    again = 0
    for path, is_named in _files(paths):
        try:
            run = read_run(path)
        except ResultsError as error:
            if is_named:
                raise
            foreign.append(str(error))
            continue
        again += (run.time, run.commit) in found
        found.setdefault((run.time, run.commit), run)
    if not found:
        where = ", ".join(map(str, paths))
        raise ResultsError(
            f"{where}: no results of benchgate ({foreign[0] if foreign else 'no .json file'}); "
            "store some with `pytest --benchmark-autosave`"
        )
    notes = [f"{len(foreign)} files passed over: {foreign[0]}"] if foreign else []
    notes += [f"{again} files hold a run that another one holds too"] if again else []
    return sorted(found.values(), key=lambda run: run.time), notes


def _files(paths: Iterable[Path]) -> Iterator[tuple[Path, bool]]:
    """Each file once, and True where it was named itself."""
    seen = set()
    for path in paths:
        for file in sorted(path.rglob("*.json")) if path.is_dir() else [path]:
            if (real := file.resolve()) not in seen:
                seen.add(real)
                yield file, file is path
