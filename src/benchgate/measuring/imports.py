"""Modules that loading and calling a cell imports, told to another process by their names."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterable
from pathlib import Path

from benchgate.storage.sources import is_installed


def importable(names: Iterable[str]) -> tuple[str, ...]:
    """The installed modules among these, loaded here, that another process finds by their names."""
    found = []
    for name in names:
        spec = getattr(sys.modules.get(name), "__spec__", None)
        if spec is not None and spec.has_location and spec.name == name and is_installed(Path(spec.origin)):
            found.append(name)
    return tuple(found)


def have(names: Iterable[str]) -> None:
    """Import the modules. One that cannot be imported by itself is left to whoever needs it."""
    for name in names:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
