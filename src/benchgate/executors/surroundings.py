"""The surroundings in which another version of the project is started: its own sources first, its own caches."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from benchgate.storage import cache
from benchgate.storage.checkout import Tree

INSTALLED = ("site-packages", "dist-packages")
# Folders of what frameworks compile, by the variable that moves them.
COMPILED = {"TORCHINDUCTOR_CACHE_DIR": "inductor", "TRITON_CACHE_DIR": "triton"}
KEPT_NAMESPACES = 4


def environment(ours: Tree, theirs: Tree, modules: Iterable[ModuleType], path: Sequence[str]) -> dict[str, str]:
    """Variables for a side: its own sources come first, where ours are on `path` or imported from."""
    roots = dict.fromkeys([*_on_path(ours.root, path), *_imported_from(ours.root, modules)])
    own = [str(theirs.root / root.relative_to(ours.root)) for root in roots]
    given = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    own += [entry for entry in given if not Path(entry).resolve().is_relative_to(ours.root)]
    return {"PYTHONPATH": os.pathsep.join(own), "PYTHONDONTWRITEBYTECODE": "1"}


def _on_path(root: Path, path: Sequence[str]) -> list[Path]:
    places = [Path(entry or os.getcwd()).resolve() for entry in path]
    return [place for place in places if place.is_relative_to(root) and not _is_installed(place)]


def _imported_from(root: Path, modules: Iterable[ModuleType]) -> list[Path]:
    """Folders from which top-level modules below the root were imported, by whatever finder."""
    found = []
    for module in modules:
        name, file = getattr(module, "__name__", "."), getattr(module, "__file__", None)
        if "." in name or not isinstance(file, str):
            continue
        place = Path(file).resolve()
        folder = place.parent.parent if place.stem == "__init__" else place.parent
        if folder.is_relative_to(root) and not _is_installed(folder):
            found.append(folder)
    return found


def _is_installed(place: Path) -> bool:
    return any(part in INSTALLED for part in place.parts)


def namespace(tree: Tree, python: str) -> Mapping[str, str]:
    """Variables that give a version its own caches of what is built and compiled; the oldest of others' are removed."""
    key = hashlib.sha256(f"{tree.commit or tree.root} {python}".encode()).hexdigest()[:12]
    root = cache.root() / "against"
    place = root / key
    with cache.explained(place):
        place.mkdir(parents=True, exist_ok=True)
        place.touch()
    _prune(root)
    return {
        "BENCHGATE_ARTIFACTS": str(place / "artifacts"),
        # The other side's must not come in by a store that both have.
        "BENCHGATE_SHARED": "",
        **{variable: str(place / name) for variable, name in COMPILED.items()},
    }


def _prune(root: Path) -> None:
    for old in sorted(root.iterdir(), key=lambda path: path.stat().st_mtime)[:-KEPT_NAMESPACES]:
        shutil.rmtree(old, ignore_errors=True)


def loaded_modules() -> list[ModuleType]:
    return [module for module in list(sys.modules.values()) if isinstance(module, ModuleType)]
