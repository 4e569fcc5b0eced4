"""Modules that loading and calling a cell imports, told to another process by their names."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchgate.storage.sources import is_installed


def importable(names: Iterable[str]) -> tuple[str, ...]:
    """The installed modules among these, loaded here, that another process finds by their names."""
    found = []
    for name in names:
        spec = getattr(sys.modules.get(name), "__spec__", None)
        if spec is not None and spec.has_location and spec.name == name and is_installed(Path(spec.origin)):
            found.append(name)
    return tuple(found)


def added(function: Callable[..., Any], *args: Any) -> tuple[str, ...]:
    """The modules that `function(*args)` imports, as `importable` tells them. Raises what it raises."""
    before = set(sys.modules)
    function(*args)
    return importable([name for name in sys.modules if name not in before])


def have(names: Iterable[str]) -> None:
    """Import the modules. One that cannot be imported by itself is left to whoever needs it."""
    for name in names:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
