"""Workers are as the process that asks: environment, folder, spinning; and import before what loading took."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchgate.core.metrics import TABLE, Row
from benchgate.executors.local import Local, Settings
from benchgate.machine.workers import WorkerDied
from benchgate.measuring.held import Held

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="zygotes are Linux's")
CELL: Any = SimpleNamespace(
    runtime=SimpleNamespace(name="null", needs={}), device=SimpleNamespace(name="cpu"), model=SimpleNamespace()
)


@pytest.fixture
def local() -> Iterator[Local]:
    made = Local(Settings(spin="short"))
    yield made
    made.close()


def state(held: Held) -> tuple[str | None, str, str | None]:
    return os.environ.get("GIVEN"), os.getcwd(), os.environ.get("GOMP_SPINCOUNT")


def loads(held: Held) -> bool:
    """As loading a cell that imports a module; True where it was there already."""
    known = "wsgiref.util" in sys.modules
    import wsgiref.util  # noqa: F401

    held.imported = ("wsgiref.util",)
    return known


def test_environment_and_folder_are_those_of_each_call(local: Local, monkeypatch: Any, tmp_path: Path) -> None:
    for name in ("GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_WAIT_POLICY", "GIVEN"):
        monkeypatch.delenv(name, raising=False)
    place = local.place(CELL, Held())
    assert place.call(state) == (None, os.getcwd(), "1000")
    monkeypatch.setenv("GIVEN", "yes")
    monkeypatch.chdir(tmp_path)
    assert place.call(state) == ("yes", str(tmp_path), "1000")
    place.close()


def unit_of_words(held: Held) -> str | None:
    row = TABLE.get("words")
    return row and row.unit


def test_rows_of_metrics_come_along(local: Local, monkeypatch: Any) -> None:
    """A test file calls `metric_row`, and no worker runs a test file."""
    monkeypatch.setitem(TABLE, "words", Row("words", "word", "higher", "accuracy", "words", 0.1))
    place = local.place(CELL, Held())
    assert place.call(unit_of_words) == "word"
    place.close()


def test_what_the_first_of_a_kind_imported_is_there_for_the_next(local: Local) -> None:
    found = []
    for _ in range(2):
        place = local.place(CELL, Held())
        found.append(place.call(loads))
        place.close()
    assert found == [False, True]


def own_pid() -> int:
    return os.getpid()


def end_badly() -> None:
    os._exit(3)


def test_functions_side_by_side_have_a_process_each_and_one_may_die(local: Local) -> None:
    elsewhere = local.place(CELL, Held()).elsewhere
    first, dead, last = elsewhere.side_by_side([own_pid, end_badly, own_pid])
    assert len({first(), last(), os.getpid()}) == 3
    with pytest.raises(WorkerDied, match="exit code 3"):
        dead()
    # All of them are gone.
    assert not any(Path(f"/proc/{pid}").exists() for pid in (first(), last()))
