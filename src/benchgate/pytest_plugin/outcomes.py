"""What became of a cell: passed, failed, skipped, out of memory, out of time, error. Never mixed."""

from __future__ import annotations

from typing import Any

OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory")


def outcome_of(report: Any, excinfo: Any, waived: bool) -> tuple[str, str]:
    """(outcome, reason) of a pytest report; `waived` when its regressions were accepted by --gate-accept."""
    if report.passed:
        return ("accepted" if waived else "passed"), ""
    if report.skipped and not hasattr(report, "wasxfail"):
        return "skipped", _skip_reason(report)
    error = excinfo.value if excinfo is not None else None
    reason = _one_line(report.longrepr if error is None else error)
    if is_out_of_memory(error):
        return "oom", reason
    if isinstance(error, TimeoutError):
        return "timeout", reason
    return ("error" if report.when == "setup" else "failed"), reason


def is_out_of_memory(error: BaseException | None) -> bool:
    """Python's MemoryError, torch's OutOfMemoryError, and the RuntimeErrors of allocators that say so."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(phrase in str(error).lower() for phrase in OUT_OF_MEMORY)


def _skip_reason(report: Any) -> str:
    longrepr = report.longrepr
    text = longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
    return text.removeprefix("Skipped: ")


def _one_line(error: object) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:500] if lines else type(error).__name__
