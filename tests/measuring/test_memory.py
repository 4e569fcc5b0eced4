"""The two passes of peak memory: side by side where there is memory for both, and what becomes of one that fails."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchgate.core import Unavailable
from benchgate.machine.budget import Room
from benchgate.machine.workers import WorkerDied
from benchgate.measuring import run as running
from benchgate.measuring.meters import memory
from benchgate.measuring.meters.base import Apart

MB = 2**20


def cell(resident: int | None = 100 * MB, peak_bytes: Callable[[], int] | None = None) -> Apart:
    of: Any = SimpleNamespace(device=SimpleNamespace(name="cpu", peak_bytes=peak_bytes))
    asked: Any = None
    return Apart(of, Path("artifact"), 2, asked, resident)


class Elsewhere:
    """Answers of the two passes in their order: a value, or an error that is raised. `asked` are the ways it was."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.asked = list(answers), []

    def __call__(self, function: Callable[..., Any], *args: Any, timeout_s: float | None = None) -> Any:
        self.asked.append("alone")
        return self._next()

    def side_by_side(
        self, functions: Sequence[Callable[..., Any]], *args: Any, timeout_s: float | None = None
    ) -> list[Callable[[], Any]]:
        self.asked.append(f"{len(functions)} at once")
        return [partial(self._next) for _ in functions]

    def _next(self) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    return lambda count: monkeypatch.setattr(memory, "room", lambda: Room(count, "this test"))


@pytest.mark.parametrize(
    ("found", "left", "asked"),
    [
        (cell(), 301 * MB, ["2 at once"]),
        (cell(), 300 * MB, ["alone", "alone"]),
        (cell(resident=None), 301 * MB, ["alone", "alone"]),
        (cell(peak_bytes=lambda: 1), 301 * MB, ["alone", "alone"]),
    ],
    ids=["room", "one byte too few", "size unknown", "an allocator of the device's own"],
)
def test_both_at_once_only_where_there_is_memory_for_both(free, found, left, asked):
    free(left)
    elsewhere = Elsewhere(({"peak_rss_bytes": 5}, {}), 4)
    reading = memory.Memory().measure_apart(found, elsewhere)
    assert elsewhere.asked == asked
    assert {name: one.value for name, one in reading.metrics.items()} == {"peak_rss_bytes": 5, "peak_native_bytes": 4}


def test_one_by_one_where_the_system_does_not_tell_what_is_free(monkeypatch):
    def untold() -> Room:
        raise Unavailable("no")

    monkeypatch.setattr(memory, "room", untold)
    assert not memory.fit_together(cell())


@pytest.mark.parametrize("left", [0, 301 * MB], ids=["alone", "at once"])
def test_a_pass_under_memray_that_died_leaves_the_other_figure(free, left):
    free(left)
    reading = memory.Memory().measure_apart(cell(), Elsewhere(({"peak_rss_bytes": 5}, {}), WorkerDied("gone")))
    assert set(reading.metrics) == {"peak_rss_bytes"}
    assert reading.missing == {"peak_native_bytes": "gone"}


@pytest.mark.parametrize("left", [0, 301 * MB], ids=["alone", "at once"])
def test_without_the_first_pass_there_is_no_reading(free, left):
    free(left)
    with pytest.raises(Unavailable, match="the measuring process: gone"):
        memory.Memory().measure_apart(cell(), Elsewhere(WorkerDied("gone"), 4))


def test_what_imports_allocate_is_not_the_models(monkeypatch, tmp_path):
    pytest.importorskip("memray", reason="memray is not installed; pip install memray")
    (tmp_path / "large_to_import.py").write_text(f"KEPT = bytes({50 * MB})\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(memory, "_load_and_call", lambda cell: importlib.import_module("large_to_import"))
    assert memory._allocated(replace(cell(), imports=("there_is_no_such_module", "large_to_import"))) < 10 * MB
    del sys.modules["large_to_import"]
    assert memory._allocated(cell()) > 50 * MB
    del sys.modules["large_to_import"]


def test_the_process_that_weighs_is_told_what_the_timed_one_imported():
    loaded: Any = SimpleNamespace(of=None, path=Path("artifact"), threads=2)
    asked: Any = None
    told = running._apart(loaded, asked).imports
    # One that is installed, and this one, which is the project's and found by no name elsewhere.
    assert "pytest" in told
    assert __name__ not in told
