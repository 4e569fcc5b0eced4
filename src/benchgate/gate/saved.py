"""A saved baseline: several runs of one commit under one name, of cells that passed and that no neighbour disturbed.

Its file is a pytest-benchmark document like any results file: `benchgate report` and `gate` read it. What it holds
beside the records stands in its benchgate part as "baseline".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchgate.core import BenchgateError, DataError
from benchgate.gate.disturbed import told
from benchgate.results import Record, ResultsError, read_document, records_of
from benchgate.results.runs import measured_commit

SCHEMA = 1
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
NO_COMMIT = "unversioned"
SHORT = 12


@dataclass(frozen=True)
class Run:
    """One results file that went into a baseline: its name, when it was measured, cells that were taken."""

    file: str
    datetime: str
    cells: int


@dataclass(frozen=True)
class Saved:
    """A baseline without its records. `saved` is the time in UTC as ISO 8601, `commit` the git id of its runs."""

    schema: int
    name: str
    saved: str
    commit: str
    dirty: bool
    runs: tuple[Run, ...]

    @property
    def shown_commit(self) -> str:
        return _shown(self.commit, self.dirty)


def check_name(name: str) -> str:
    """Return `name`. Raises BenchgateError for one that could be a path, or be hidden or an option."""
    if not NAME.fullmatch(name):
        raise BenchgateError(
            f"baseline name {name!r}: letters, digits, '.', '_' and '-', at most 64, the first a letter or digit; "
            "write for example v1.2"
        )
    return name


def refusal(record: Record) -> str | None:
    """The reason why a record is no part of a baseline, or None: it must be green and undisturbed."""
    if not record.passed:
        return record.outcome + (f": {record.reason}" if record.reason else "")
    if not record.is_baseline:
        return "it passed only when it was run again"
    if (reasons := told(record.details.get("disturbed"))) is not None:
        return f"disturbed: {reasons}"
    return None if record.metrics else "nothing was measured"


def gathered(name: str, files: Sequence[Path], saved: str) -> tuple[Saved, list[Record], list[str]]:
    """A new baseline, its records, and a line for each cell that is left out.

    Raises BenchgateError for a bad name, a file that is given twice or broken, runs of several commits, and where
    nothing is left.
    """
    check_name(name)
    if len({file.resolve() for file in files}) < len(files):
        raise BenchgateError(f"a file is given twice: {', '.join(map(str, files))}; each run counts once")
    documents = {file: read_document(file) for file in files}
    commits = {file: _commit(document) for file, document in documents.items()}
    if len(set(commits.values())) > 1:
        said = ", ".join(f"{file} {_shown(*commit)}" for file, commit in commits.items())
        raise BenchgateError(f"runs of several commits: {said}; save each commit's under a name of its own")
    records: list[Record] = []
    left_out, runs = [], []
    for file, document in documents.items():
        found = records_of(document, str(file))
        refused = {id(record): reason for record in found if (reason := refusal(record)) is not None}
        left_out += [
            f"left out: {file}: {record.key}: {refused[id(record)]}" for record in found if id(record) in refused
        ]
        taken = [record for record in found if id(record) not in refused]
        runs.append(Run(file.name, str(document.get("datetime", "")), len(taken)))
        records += taken
    if not records:
        reasons = "".join(f"\n  {line}" for line in left_out) or " there is no benchgate record"
        raise ResultsError(
            f"no green, undisturbed cell in {', '.join(map(str, files))}:{reasons}; "
            "measure again: `pytest ... --benchmark-json=FILE`"
        )
    commit, dirty = next(iter(commits.values()))
    return Saved(SCHEMA, name, saved, commit, dirty, tuple(run for run in runs if run.cells)), records, left_out


def _commit(document: Mapping[str, Any]) -> tuple[str, bool]:
    name, dirty = measured_commit(document)
    return name or NO_COMMIT, dirty


def _shown(commit: str, dirty: bool) -> str:
    return commit[:SHORT] + (" with uncommitted changes" if dirty else "")


def as_text(saved: Saved, records: Sequence[Record]) -> str:
    """The file's text, as `parse` reads it."""
    document = {
        "machine_info": {},
        "commit_info": {"id": saved.commit, "dirty": saved.dirty},
        "datetime": saved.saved,
        "benchmarks": [],
        "benchgate": {"baseline": asdict(saved), "untimed": [record.as_dict() for record in records]},
    }
    return json.dumps(document, indent=1) + "\n"


def parse(path: Path, name: str) -> tuple[Saved, list[Record]]:
    """The baseline in a file and its records. Raises DataError with the next command for one that is broken."""
    from pydantic import TypeAdapter, ValidationError

    again = f"remove the file and save it again: `benchgate baseline save {name} FILES...`"
    try:
        document = read_document(path)
        raw = (document.get("benchgate") or {}).get("baseline")
        saved = TypeAdapter(Saved).validate_json(json.dumps(raw), strict=True)
        records = records_of(document, str(path))
    except (BenchgateError, AttributeError) as error:
        raise DataError(f"baseline {name!r} is broken: {str(error).partition(';')[0]}; {again}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "baseline"
        raise DataError(f"baseline {name!r} is broken: {path}: {place}: {first['msg']}; {again}") from error
    if saved.schema > SCHEMA:
        raise DataError(f"baseline {name!r}: {path}: schema {saved.schema} is newer; pip install --upgrade benchgate")
    if saved.name != name or not records or any(refusal(record) for record in records):
        what = (
            f"it says that it is {saved.name!r}" if saved.name != name else "it has cells that are none of a baseline"
        )
        raise DataError(f"baseline {name!r} is broken: {path}: {what}; {again}")
    return replace(saved, schema=SCHEMA), records
