"""Optional packages: one fact, import name -> extra, gives availability, the skip's reason and the install hint."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
from collections.abc import Iterable, Mapping


def missing_packages(needs: Mapping[str, str]) -> str | None:
    """`onnxruntime is not installed; pip install 'benchgate[onnx]'`, or None when all are there. Imports nothing."""
    absent = [name for name in needs if not _installed(name)]
    if not absent:
        return None
    extras = ",".join(sorted({needs[name] for name in absent}))
    verb = "is" if len(absent) == 1 else "are"
    return f"{', '.join(absent)} {verb} not installed; pip install 'benchgate[{extras}]'"


def _installed(import_name: str) -> bool:
    try:
        return importlib.util.find_spec(import_name) is not None
    except ModuleNotFoundError:
        return False


@functools.cache
def owners() -> Mapping[str, list[str]]:
    """Import name -> distributions; reading every installed package's file list takes most of a second."""
    return importlib.metadata.packages_distributions()


def versions(import_names: Iterable[str]) -> dict[str, str]:
    """Installed versions by import name; what is not there is left out."""
    known = owners()
    found = {}
    for name in sorted(set(import_names)):
        for distribution in known.get(name.partition(".")[0], [])[:1]:
            found[name] = importlib.metadata.version(distribution)
    return found
