"""Outcomes of a cell: passed, failed, skipped, out of memory, out of time, crashed, error. Never mixed."""

from __future__ import annotations

from typing import Any

import pytest

from benchgate.machine.limits import is_out_of_memory
from benchgate.machine.workers import WorkerDied


class Ended(BaseException):
    """Ends a test at `cell.measure()` where another answer than its own is wanted: it passes, or fails for `reason`.

    No Exception: a test's own `except Exception` must not take it for the cell's.
    """

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


def outcome_of(report: Any, excinfo: Any, waived: bool) -> tuple[str, str]:
    """(outcome, reason) of a pytest report; `waived` when its regressions were accepted by --gate-accept."""
    if report.passed:
        return ("accepted" if waived else "passed"), ""
    if report.skipped and not hasattr(report, "wasxfail"):
        return "skipped", _skip_reason(report)
    error = excinfo.value if excinfo is not None else None
    if isinstance(error, pytest.xfail.Exception) and error.__context__ is not None:
        # Of a cell that may end so: what happened is what its test was stopped for.
        error = error.__context__
    reason = _one_line(report.longrepr if error is None else error)
    if early := ended_early(error):
        return early, reason
    return ("error" if report.when == "setup" else "failed"), reason


def ended_early(error: BaseException | None) -> str:
    """The outcome of a cell that ended before it was measured: oom, timeout or crash; "" for any other error."""
    if is_out_of_memory(error):
        return "oom"
    if isinstance(error, TimeoutError):
        return "timeout"
    return "crash" if isinstance(error, WorkerDied) else ""


def _skip_reason(report: Any) -> str:
    longrepr = report.longrepr
    text = longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
    return text.removeprefix("Skipped: ")


def _one_line(error: object) -> str:
    if isinstance(error, pytest.FixtureLookupError):
        # Its own text is its arguments, an object among them.
        return f"fixture {error.argname!r} not found; pytest --fixtures lists what there is"
    lines = str(error).strip().splitlines()
    return lines[0][:500] if lines else type(error).__name__
