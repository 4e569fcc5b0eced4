"""The content of a page: the files it was asked for, read once, and what they say of each other."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchgate.gate.baselines import Baselines
from benchgate.gate.compare import compare_sessions
from benchgate.gate.findings import Finding
from benchgate.gate.side_by_side.answers import GateAnswers, read_answers
from benchgate.report.page_rounds import Rounds, rounds_of
from benchgate.results import Record, ResultsError, read_document, records_of
from benchgate.results.runs import Run, run_of

# A git id in a file's name, as --benchmark-autosave gives it.
GIT_ID = re.compile(r"([0-9a-f]{10})[0-9a-f]{30}")
# How the records of `benchgate limits` begin: trials, of which some are expected to fail.
TRIAL = "benchgate limits::"


@dataclass(frozen=True)
class Results:
    """One results file. `run` is None for a file that does not say when it was measured."""

    path: Path
    records: tuple[Record, ...]
    rounds: Mapping[str, Rounds]
    run: Run | None

    @property
    def name(self) -> str:
        """The file's name, a git id in it cut to ten digits."""
        return GIT_ID.sub(r"\1", self.path.name)

    @property
    def about(self) -> str:
        """The file with its commit and time, as far as they are known."""
        if self.run is None:
            return f"{self.name} (time not recorded)"
        return f"{self.name}: {self.run.commit[:10] or 'no commit'}, {self.run.time:%Y-%m-%d %H:%M} UTC"


@dataclass(frozen=True)
class Row:
    """One measured cell of the page with its file, and its findings against earlier files by metric."""

    record: Record
    results: Results
    findings: Mapping[str, Finding] = field(default_factory=dict)

    @property
    def rounds(self) -> Rounds | None:
        return self.results.rounds.get(self.record.key)


@dataclass(frozen=True)
class Content:
    """`rows` are the newest record of each test on each machine.

    `findings` are of `current`, the last file that has a test of `earlier` ones, against those; None without any.
    """

    results: tuple[Results, ...]
    answers: tuple[tuple[str, GateAnswers], ...]
    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]
    current: Results | None
    earlier: tuple[Results, ...]

    @property
    def records(self) -> list[Record]:
        """The rows' records."""
        return [row.record for row in self.rows]

    @property
    def suite(self) -> list[Record]:
        """The records of tests, without the trials of a search for a limit."""
        return [record for record in self.records if not is_trial(record)]

    @property
    def measured(self) -> list[Row]:
        """The rows with figures of cells that passed."""
        return [row for row in self.rows if row.record.is_baseline and row.record.metrics]


def read_content(paths: Sequence[Path]) -> Content:
    """Read results files, oldest first, and files of `--gate-report`. Raises ResultsError for what is neither."""
    results, answers = [], []
    seen: set[Path] = set()
    for path in paths:
        if path.resolve() in seen:
            raise ResultsError(f"{path}: given twice; leave one out")
        seen.add(path.resolve())
        if _holds_answers(path):
            answers.append((path.name, read_answers(path)))
        else:
            results.append(_results(path))
    current, earlier = _held(results)
    before = Baselines([record for one in earlier for record in one.records])
    findings = compare_sessions(current.records, before) if current else []
    return Content(tuple(results), tuple(answers), _rows(results, current, findings), tuple(findings), current, earlier)


def is_trial(record: Record) -> bool:
    """True for a trial of `benchgate limits`: what it ran was chosen by a search, not by the suite."""
    return record.key.startswith(TRIAL)


def _holds_answers(path: Path) -> bool:
    """True for JSON as `pytest --gate-report` writes it."""
    try:
        with path.open("rb") as stream:
            # A results file names its benchmarks; that of the gate is short and begins with its schema.
            if b'"schema"' not in stream.read(200):
                return False
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        # `read_document` says what is wrong with it.
        return False
    return isinstance(raw, dict) and "candidate" in raw and "benchmarks" not in raw


def _results(path: Path) -> Results:
    document = read_document(path)
    run = run_of(document, path) if document.get("datetime") else None
    records = run.records if run is not None else tuple(records_of(document, str(path)))
    if not records:
        raise ResultsError(f"{path}: has no benchgate records; write some with `pytest --benchmark-json={path}`")
    return Results(path, records, rounds_of(document), run)


def _held(results: Sequence[Results]) -> tuple[Results | None, tuple[Results, ...]]:
    """The last file that has a test in common with files before it, and those."""
    for place in range(len(results) - 1, 0, -1):
        keys = {record.key for record in results[place].records}
        earlier = tuple(one for one in results[:place] if any(record.key in keys for record in one.records))
        if earlier:
            return results[place], earlier
    return None, ()


def _rows(results: Sequence[Results], current: Results | None, findings: Sequence[Finding]) -> tuple[Row, ...]:
    by_key: dict[str, dict[str, Finding]] = {}
    for finding in findings:
        by_key.setdefault(finding.key, {})[finding.metric] = finding
    found: dict[tuple[str, str], Row] = {}
    for one in results:
        for record in one.records:
            machine = json.dumps(dict(record.machine), sort_keys=True, default=str)
            held = by_key.get(record.key, {}) if one is current else {}
            found[record.key, machine] = Row(record, one, held)
    return tuple(found.values())


def plain(value: Any) -> str:
    """A parameter or detail as one short text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {plain(part)}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(plain, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
