"""The suite of a project as its own pytest collects it, in this process and without running a test: for the command.

Collection is registration: what test files, conftests and installed packages define has its name afterwards.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchgate import registration
from benchgate.core import BenchgateError, Cell
from benchgate.executors.collected import ARGUMENTS
from benchgate.pytest_plugin import cell_hooks
from benchgate.pytest_plugin.items import cell_of
from benchgate.pytest_plugin.names import CELLS
from benchgate.storage.project import find_root, told_with_place

# Where a project's benchmarks are, where nothing else is said.
BENCHMARKS = "benchmarks"
# One of these words is in each file that defines something to measure or has a test with the fixture `cell`.
WORDS = (b"benchgate", b"cell")


@dataclass(frozen=True)
class Suite:
    """`asked` are the ids of the tests by cell, `chosen` those of them that a run would have (-k, -m), `impossible`
    counts combinations that make no sense, by reason.

    `failed` has a line for each file that could not be collected and each mark that cannot be understood, `skipped`
    for each file that skips itself.
    """

    root: Path
    asked: Mapping[Cell, Sequence[str]]
    impossible: Mapping[str, int]
    failed: tuple[str, ...]
    skipped: tuple[str, ...]
    chosen: tuple[str, ...] = ()


def collect(folder: Path, tests: Sequence[str] = ()) -> Suite:
    """Collect these tests; without any those in `benchmarks/` of the folder or its project, else what pytest would.

    Raises BenchgateError, with file and line, where a conftest cannot be imported, and for what pytest refuses.
    """
    registration.load_builtin()
    root = find_root(folder)
    seen, said = _Seen(root), io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        code = pytest.main([*ARGUMENTS, "--collect-only", *(tests or _benchmarks(folder, root))], plugins=[seen])
    if seen.interrupted:
        raise KeyboardInterrupt
    if seen.broken:
        raise BenchgateError(seen.broken)
    if not seen.collected or code == pytest.ExitCode.INTERNAL_ERROR:
        lines = [line.strip() for line in said.getvalue().splitlines() if line.strip()]
        raise BenchgateError(
            f"pytest cannot collect this suite ({code!s}): {' | '.join(lines[-3:]) or 'it said nothing'}"
        )
    if (root / "conftest.py").resolve() not in seen.conftests:
        # That of a project without settings of pytest, when called in a folder below it.
        registration.load_project(folder)
    return Suite(root, seen.asked, dict(seen.impossible), tuple(seen.failed), tuple(seen.skipped), tuple(seen.chosen))


def _benchmarks(folder: Path, root: Path) -> list[str]:
    return [str(place / BENCHMARKS) for place in (folder, root) if (place / BENCHMARKS).is_dir()][:1]


# pytest keeps its plugins in sets.
@dataclass(eq=False)
class _Seen:
    """A plugin of one collection, which notes what is there and what goes wrong."""

    root: Path
    asked: dict[Cell, list[str]] = field(default_factory=dict)
    impossible: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    chosen: list[str] = field(default_factory=list)
    conftests: set[Path] = field(default_factory=set)
    broken: str = ""
    collected: bool = False
    interrupted: bool = False

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_load_initial_conftests(self) -> Generator[None, Any, Any]:
        try:
            return (yield)
        except Exception as error:
            self.broken = told_with_place(_users(error), self.root)
            raise

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Leave files out that can have neither cell nor registration: importing all of a large suite takes long."""
        if collection_path.suffix != ".py" or collection_path.name == "__init__.py":
            return None
        with suppress(OSError):
            text = collection_path.read_bytes()
            return None if any(word in text for word in WORDS) else True
        return None

    def pytest_exception_interact(self, call: pytest.CallInfo[Any], report: Any) -> None:
        if isinstance(report, pytest.CollectReport) and call.excinfo is not None:
            self.failed.append(told_with_place(_users(call.excinfo.value), self.root))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped and isinstance(report.longrepr, tuple):
            self.skipped.append(f"{report.nodeid}: {report.longrepr[2].removeprefix('Skipped: ')}")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
    ) -> Generator[None, Any, Any]:
        """Before anything is deselected: the marks ask for that too."""
        self.collected = True
        for item in items:
            cell = cell_of(item)
            if cell is not None:
                self.asked.setdefault(cell, []).append(item.nodeid)
        hooks = config.pluginmanager.getplugin(CELLS)
        if isinstance(hooks, cell_hooks.CellHooks):
            self.failed += hooks.suite.errors
            self.impossible.update(item.reason for item in hooks.suite.left_out)
        files = (p.__file__ for p in config.pluginmanager.get_plugins() if isinstance(p, ModuleType))
        self.conftests.update(Path(file).resolve() for file in files if file and file.endswith("conftest.py"))
        return (yield)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.chosen = [item.nodeid for item in session.items if cell_of(item) is not None]

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        # pytest's own, for errors of the collection, is a class below it.
        self.interrupted = type(excinfo.value) is KeyboardInterrupt


def _users(error: BaseException) -> BaseException:
    """The error of the user's file that pytest tells by one of its own."""
    while type(error).__module__.startswith("_pytest.") and error.__cause__ is not None:
        error = error.__cause__
    return error
