"""The answers of a gate run as files, by suffix, and as annotations of a GitHub job.

`write` is `pytest --gate-report FILE` and `benchgate answers -o FILE`.
"""

# Without `from __future__ import annotations`, whose name a function here has.
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

from benchgate.core import BenchgateError
from benchgate.gate.side_by_side.answers import CellAnswer, GateAnswers
from benchgate.gate.side_by_side.verdict import Verdict
from benchgate.report import junit
from benchgate.report.escape import visible
from benchgate.report.gate_markdown import UNDECIDED, as_markdown, changed, headline, rows
from benchgate.report.grid import Grid

__all__ = ["FORMATS", "annotations", "as_grid", "changed", "check", "write"]

GROUP = "benchgate.gate.side_by_side"
GONE = "the baseline has this test, the candidate has not"
COLUMNS = ("verdict", "test", "metric", "change", "pairs", "what changed, why")


def check(path: Path) -> None:
    """Raises BenchgateError, which names the allowed ones, for a suffix that has no format."""
    if path.suffix.lower() not in FORMATS:
        raise BenchgateError(
            f"{path}: a report ends in {', '.join(FORMATS)}, not in {path.suffix!r}; give it one of these"
        )


def write(answers: GateAnswers, path: Path, strict: bool) -> None:
    """Write the answers in the format of the path's suffix.

    Raises BenchgateError for another suffix and for a place that cannot be written.
    """
    check(path)
    text = FORMATS[path.suffix.lower()](answers, strict)
    try:
        path.write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise BenchgateError(
            f"{path}: cannot be written ({getattr(error, 'strerror', None) or error}); give the report another place"
        ) from error


def as_junit(answers: GateAnswers, strict: bool) -> str:
    """JUnit with a case for each verdict and each test that is gone: failed, skipped where undecided, or passed."""
    cases = [_case(cell, metric, verdict, strict) for cell, metric, verdict in rows(answers.cells)]
    gone = [junit.Case(test, (GONE,) if strict else (), GONE) for test in answers.gone]
    return junit.as_xml("benchgate gate", GROUP, [*cases, *gone])


def _case(cell: CellAnswer, metric: str, verdict: Verdict, strict: bool) -> junit.Case:
    name = f"{cell.test}: {metric}"
    changes = (f"changed: {', '.join(cell.changed)}",) if cell.changed else ()
    if verdict.fails(strict):
        return junit.Case(name, (str(verdict), *changes), seconds=verdict.seconds)
    undecided = str(verdict) if verdict.kind in (*UNDECIDED, "broken") else None
    told = "" if undecided else "; ".join((str(verdict), *changes))
    return junit.Case(name, (), undecided, told, verdict.seconds)


def annotations(answers: GateAnswers, strict: bool = False, folder: str = "") -> list[str]:
    """Workflow commands that GitHub shows beside the changed lines: errors for what fails, else warnings and notices.

    `folder` is where the tests' names begin, seen from the top of the checkout. Cells without a change have none.
    """
    found = []
    for cell, metric, verdict in rows(answers.cells):
        level = "error" if verdict.fails(strict) else LEVELS.get(verdict.kind)
        if level is not None:
            file = str(PurePosixPath(folder, cell.test.partition("::")[0]))
            title = f"{verdict.kind}: {metric}"
            text = f"{cell.test}: {verdict}" + (f" [changed: {', '.join(cell.changed)}]" if cell.changed else "")
            found.append(f"::{level} file={_property(file)},title={_property(title)}::{_data(text)}")
    level = "error" if strict else "warning"
    return [*found, *(f"::{level} title=gone::{_data(f'{test}: {GONE}')}" for test in answers.gone)]


LEVELS: Mapping[str, str] = {
    "broken": "warning",
    "inconclusive": "warning",
    "not comparable": "warning",
    "improved": "notice",
}


def _data(text: str) -> str:
    """The message of a workflow command: one line whose percent signs are not read as escapes."""
    return visible(text).replace("%", "%25")


def _property(text: str) -> str:
    """A value before the message, where a colon and a comma end it."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def as_grid(answers: GateAnswers) -> Grid:
    """One table of all verdicts, for a terminal."""
    entries = tuple(
        (
            verdict.kind,
            cell.test,
            metric,
            str(verdict.change) if verdict.change else None,
            verdict.pairs or None,
            "; ".join([*cell.changed, *filter(None, (verdict.reason, verdict.decide)), *verdict.notes]) or None,
        )
        for cell, metric, verdict in rows(answers.cells)
    )
    gone = tuple(f"gone: {test}" for test in answers.gone)
    sides = f"{answers.candidate} against {answers.baseline}, {answers.seconds:.0f} s"
    return Grid(headline(answers), COLUMNS, entries, (sides, *gone, *answers.notes))


FORMATS: Mapping[str, Callable[[GateAnswers, bool], str]] = {
    ".json": lambda answers, strict: f"{answers.as_json()}\n",
    ".md": as_markdown,
    ".xml": as_junit,
}
