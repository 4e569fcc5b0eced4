"""Answers of pytest's items: their cell, their other parameters, the modules that they come from."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchgate.core import Cell, runtimes
from benchgate.pytest_plugin.names import AXES


def own_modules(session: pytest.Session) -> list[ModuleType]:
    """The test modules and conftests of a run: what a worker must not import by name."""
    tests = (item.getparent(pytest.Module) for item in session.items)
    plugins = session.config.pluginmanager.get_plugins()
    conftests = (p for p in plugins if isinstance(p, ModuleType) and Path(p.__file__ or "").name == "conftest.py")
    return list(dict.fromkeys([*(test.obj for test in tests if test is not None), *conftests]))


def own_files(item: pytest.Item, root: Path) -> dict[str, str]:
    """SHA-256 of a test's module and of the conftests above it, by path below `root`."""
    test = item.path
    folders = [folder for folder in (test.parent, *test.parent.parents) if folder.is_relative_to(root)]
    files = [test, *(folder / "conftest.py" for folder in folders)]
    return {
        file.relative_to(root).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if file.is_file() and file.is_relative_to(root)
    }


def cell_of(item: pytest.Item) -> Cell | None:
    """The cell of a collected test, or None for a test without one."""
    params = getattr(getattr(item, "callspec", None), "params", {})
    if "cell" not in getattr(item, "fixturenames", ()) or not set(AXES) <= set(params):
        return None
    if item.get_closest_marker("cells") is None:
        return None
    cell = Cell(*(params[axis] for axis in AXES))
    return cell if cell.runtime in runtimes else None


def params_of(item: Any) -> dict[str, Any]:
    """The test's parameters beside the axes."""
    return {name: value for name, value in item.callspec.params.items() if name not in AXES}
