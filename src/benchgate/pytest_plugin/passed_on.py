"""The command line and the surroundings of a run, as another version of the project is started with them."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from benchgate.storage import cache
from benchgate.storage.checkout import Tree

# Options of a run that are not for its sides: with a value, and without.
WITH_VALUE = (
    "--gate-against", "--gate-against-python", "--gate-budget", "--gate-report", "--gate-confirm",
    "--benchmark-json", "--benchmark-compare", "--benchmark-compare-fail", "--benchmark-save", "--junitxml",
    "--junit-xml", "--maxfail", "--cov-report", "--color", "--durations", "--tb", "--capture", "-r",
)  # fmt: skip
FLAGS = (
    "--gate-strict", "--gate-accept", "--benchmark-autosave", "--cell-resume", "-x", "--exitfirst", "--lf",
    "--last-failed", "--ff", "--failed-first", "--nf", "--sw", "--stepwise", "--pdb", "--trace", "-s", "-v", "-vv",
    "-q",
)  # fmt: skip
# These may stand without a value, and then what follows is another argument.
MAY_BE_ALONE = ("--benchmark-compare",)
ALWAYS = ("-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:xdist", "-q")
INSTALLED = ("site-packages", "dist-packages")
# Folders of what frameworks compile, by the variable that moves them.
COMPILED = {"TORCHINDUCTOR_CACHE_DIR": "inductor", "TRITON_CACHE_DIR": "triton"}
KEPT_NAMESPACES = 4


def arguments(given: Sequence[str], ours: Tree, theirs: Tree, folder: Path) -> list[str]:
    """The command line `given` in `folder` for a side: without options of the run itself, paths in its own tree."""
    found: list[str] = []
    rest = iter(given)
    for argument in rest:
        name, has_value, _ = argument.partition("=")
        if name in FLAGS or (name in WITH_VALUE and has_value):
            continue
        if name in WITH_VALUE:
            if name not in MAY_BE_ALONE:
                next(rest, None)
            continue
        found.append(_in_tree(argument, ours, theirs, folder))
    return [*ALWAYS, *found]


def _in_tree(argument: str, ours: Tree, theirs: Tree, folder: Path) -> str:
    """An absolute path below our tree as the same path of theirs; relative ones mean the same in both folders."""
    path, separator, inside = argument.partition("::")
    if not Path(path).is_absolute():
        return argument
    absolute = Path(os.path.normpath(folder / path))
    if not absolute.is_relative_to(ours.root):
        return argument
    return str(theirs.root / absolute.relative_to(ours.root)) + separator + inside


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
        **{variable: str(place / name) for variable, name in COMPILED.items()},
    }


def _prune(root: Path) -> None:
    import shutil

    for old in sorted(root.iterdir(), key=lambda path: path.stat().st_mtime)[:-KEPT_NAMESPACES]:
        shutil.rmtree(old, ignore_errors=True)


def loaded_modules() -> list[ModuleType]:
    return [module for module in list(sys.modules.values()) if isinstance(module, ModuleType)]
