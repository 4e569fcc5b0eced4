"""What became of a cell, from what pytest reports."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from benchgate.machine.limits import is_out_of_memory
from benchgate.pytest_plugin.outcomes import outcome_of


class OutOfMemoryError(RuntimeError):
    """Named like torch's."""


def report(outcome="failed", when="call", longrepr=None, **more):
    kinds = {kind: outcome == kind for kind in ("passed", "skipped", "failed")}
    return SimpleNamespace(when=when, longrepr=longrepr, **kinds, **more)


def raised(error):
    return SimpleNamespace(value=error)


@pytest.mark.parametrize(
    ("given_report", "error", "waived", "expected"),
    [
        (report("passed"), None, False, ("passed", "")),
        (report("passed"), None, True, ("accepted", "")),
        (report("skipped", "setup", ("file", 1, "Skipped: no CUDA")), None, False, ("skipped", "no CUDA")),
        (report("skipped", "call", "no data"), None, False, ("skipped", "no data")),
        # pytest counts an expected failure as skipped; it ran, and its figures did not pass
        (report("skipped", "call", "text", wasxfail="known"), AssertionError("fell"), False, ("failed", "fell")),
        (report(), AssertionError("top1 fell\nmore"), False, ("failed", "top1 fell")),
        (report(), AssertionError(), False, ("failed", "AssertionError")),
        (report(when="setup"), ValueError("no file"), False, ("error", "no file")),
        (report(), ValueError("no file"), True, ("failed", "no file")),
        (report(), MemoryError(), False, ("oom", "MemoryError")),
        (report(when="setup"), MemoryError("8 GiB"), False, ("oom", "8 GiB")),
        (report(), OutOfMemoryError("Tried to allocate 2 GiB"), False, ("oom", "Tried to allocate 2 GiB")),
        (report(), TimeoutError("not done within 5 s"), False, ("timeout", "not done within 5 s")),
        (report(), ValueError("x" * 1000), False, ("failed", "x" * 500)),
    ],
)
def test_outcome_and_reason(given_report, error, waived, expected):
    assert outcome_of(given_report, raised(error) if error else None, waived) == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (OutOfMemoryError("anything"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 8 bytes"), True),
        (RuntimeError("MPS backend Out Of Memory (allocated 3 GB)"), True),
        (RuntimeError("Cannot allocate memory"), True),
        (RuntimeError("shape mismatch"), False),
        (ValueError("the sample is about being out of memory"), False),
        (None, False),
    ],
)
def test_only_allocators_failures_are_out_of_memory(error, expected):
    assert is_out_of_memory(error) is expected
