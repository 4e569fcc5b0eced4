"""Lines of figures over runs with their change points, as a table and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from benchgate.core.units import human
from benchgate.gate.change_points import Course, Step
from benchgate.gate.history import Line
from benchgate.report.grid import Entry, Grid

COLUMNS = ("test", "metric", "runs", "commits", "newest", "scatter", "changes")
NO_CHANGE = "none"


def as_grid(lines: Sequence[Line], courses: Sequence[Course], notes: Sequence[str]) -> Grid:
    """One row a line; what was left out of a line, and why one begins anew, below."""
    rows = tuple(_row(line, course) for line, course in zip(lines, courses, strict=True))
    below = []
    for line in lines:
        name = f"{line.key} {line.row.name}"
        if line.begins:
            below.append(f"{name} from {_first(line)} on: another line: {line.begins}")
        if line.disturbed:
            left = ", ".join(map(str, line.disturbed))
            below.append(f"{name}: disturbed, left out: {len(line.disturbed)} runs: {left}")
    return Grid("history", COLUMNS, rows, (*below, *notes))


def as_json(lines: Sequence[Line], courses: Sequence[Course], notes: Sequence[str]) -> str:
    """Everything, with all digits."""
    found = [_object(line, course) for line, course in zip(lines, courses, strict=True)]
    return json.dumps({"lines": found, "notes": list(notes)}, indent=1) + "\n"


def _row(line: Line, course: Course) -> tuple[Entry, ...]:
    told = "; ".join(_told(line, course, step) for step in course.steps) or course.reason or NO_CHANGE
    if not line.points:
        return line.key, line.row.name, 0, None, None, None, told
    newest = human(line.points[-1].value, line.row.unit)
    scatter = None if course.scatter is None else _amount(course, course.scatter)
    return line.key, line.row.name, len(line.points), f"{_first(line)}..{line.points[-1].run}", newest, scatter, told


def _told(line: Line, course: Course, step: Step) -> str:
    """`+5.2% worse in 1234567890..abcdef1234 (10 ms -> 10.5 ms)`."""
    values = f"{human(step.before, line.row.unit)} -> {human(step.after, line.row.unit)}"
    word = "worse" if step.is_worse else "better"
    return f"{_amount(course, step.change, '+')} {word} {_where(line, step)} ({values})"


def _where(line: Line, step: Step) -> str:
    """The commits among which the change is: after the first, up to the second. Or that it was no commit's."""
    before, after = line.points[step.at - 1].run, line.points[step.at].run
    if before.commit and before.commit == after.commit:
        return f"within {after}: not by a commit"
    return f"in {before}..{after}"


def _amount(course: Course, value: float, sign: str = "") -> str:
    return f"{value:{sign}.3g}" if not course.is_relative else f"{value:{sign}.2%}"


def _first(line: Line) -> str:
    return str(line.points[0].run if line.points else line.disturbed[0])


def _object(line: Line, course: Course) -> dict[str, Any]:
    runs = [point.run for point in line.points]
    return {
        "test": line.key,
        "metric": line.row.name,
        "unit": line.row.unit,
        "better": line.row.better,
        "begins": line.begins or None,
        "points": [
            {
                "time": point.run.time.isoformat(),
                "commit": point.run.commit or None,
                "dirty": point.run.dirty,
                "file": str(point.run.path),
                "value": point.value,
            }
            for point in line.points
        ],
        "disturbed": [run.time.isoformat() for run in line.disturbed],
        "scatter": course.scatter,
        "reason": course.reason or None,
        "changes": [
            {
                "last_before": runs[step.at - 1].commit or None,
                "first_after": runs[step.at].commit or None,
                "time": runs[step.at].time.isoformat(),
                "before": step.before,
                "after": step.after,
                "change": step.change,
                "kind": "relative" if course.is_relative else "difference",
                "worse": step.is_worse,
            }
            for step in course.steps
        ],
    }
