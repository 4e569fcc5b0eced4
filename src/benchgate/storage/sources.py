"""The source code that something depends on: its modules and what they import, within the project, by hash.

"Within the project" is all that is not installed: neither in the standard library nor in site-packages. Installed code
counts by version and by the hash of its RECORD, which holds a hash of each installed file.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.metadata
import os
import sys
import sysconfig
import types
import weakref
from collections.abc import Iterable, Iterator, Mapping
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from benchgate.machine.packages import owners

OWN = "benchgate"


@functools.cache
def _installed_places() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return tuple(dict.fromkeys(Path(paths[name]).resolve() for name in names if name in paths))


@functools.lru_cache(maxsize=8192)
def is_installed(path: Path) -> bool:
    """True for a file of the standard library or of an installed package, False for one of a project."""
    resolved = path.resolve()
    return any(place in resolved.parents for place in _installed_places()) or "site-packages" in resolved.parts


def module_file(name: str) -> Path | None:
    """Return the source file of a module, without importing it or its packages; None where it has none."""
    loaded = sys.modules.get(name)
    origin = getattr(loaded, "__file__", None) or getattr(_spec(name), "origin", None)
    path = Path(origin) if origin else None
    return path if path is not None and path.suffix == ".py" and path.is_file() else None


def has_file(name: str) -> bool:
    """True for a module that another session finds again: of the standard library, or with a file of whatever kind."""
    known = name.partition(".")[0] in sys.stdlib_module_names and name != "__main__"
    return known or getattr(sys.modules.get(name), "__file__", None) is not None


def _spec(name: str) -> ModuleSpec | None:
    """The module's spec found on the import path by its packages' folders; nothing is executed."""
    # An empty entry is the working folder.
    places = tuple(entry or os.getcwd() for entry in sys.path)
    spec: ModuleSpec | None = None
    for part in _with_packages(name):
        spec = _found(part, places)
        if spec is None:
            return None
        places = tuple(spec.submodule_search_locations or ())
    return spec


@functools.lru_cache(maxsize=65536)
def _found(name: str, places: tuple[str, ...]) -> ModuleSpec | None:
    """The spec in these folders, looked for once: a test module names a thousand that are most often none."""
    return PathFinder.find_spec(name, places)


def sources(modules: Iterable[str]) -> Mapping[str, str]:
    """SHA-256 of the source by module name: the modules given and, of project code, all that they import."""
    found: dict[str, str] = {}
    waiting = list(dict.fromkeys(modules))
    seen = set(waiting)
    while waiting:
        name = waiting.pop()
        path = module_file(name)
        if path is None:
            continue
        found[name], imported = _read(path, name)
        if _is_project(name, path):
            new = [other for other in imported if other not in seen]
            seen.update(new)
            waiting += [other for other in new if is_project(other)]
    return dict(sorted(found.items()))


def packages_imported(modules: Iterable[str]) -> Mapping[str, str]:
    """Installed versions by distribution of what these project modules import: `2.9.0 1a2b3c4d5e6f`, hash of RECORD."""
    names: set[str] = set()
    for name in modules:
        path = module_file(name)
        if path is None:
            continue
        if not _is_project(name, path):
            names.add(name.partition(".")[0])
        elif name.partition(".")[0] != OWN:
            names |= {imported.partition(".")[0] for imported in _read(path, name)[1]}
    distributions = {distribution for name in names for distribution in owners().get(name, [])[:1]}
    return {distribution: _release(distribution) for distribution in sorted(distributions)}


@functools.cache
def _release(distribution: str) -> str:
    found = importlib.metadata.distribution(distribution)
    record = found.read_text("RECORD") or ""
    return f"{found.version} {hashlib.sha256(record.encode()).hexdigest()[:12]}"


def package_modules(module: str) -> list[str]:
    """The modules of the package folder that `module` lies in; `module` alone where it lies in none."""
    package = module.rpartition(".")[0]
    start = module_file(module)
    if not package or start is None:
        return [module]
    below = (path.relative_to(start.parent) for path in sorted(start.parent.rglob("*.py")))
    return [".".join((package, *path.with_suffix("").parts)).removesuffix(".__init__") for path in below]


def is_project(name: str) -> bool:
    """True for a module whose source counts: of the project, or of benchgate."""
    path = module_file(name)
    return path is not None and _is_project(name, path)


def _is_project(name: str, path: Path) -> bool:
    return name.partition(".")[0] == OWN or not is_installed(path)


# What was read of a loaded module, and its spec then: reloading gives it another.
_pinned: weakref.WeakKeyDictionary[types.ModuleType, tuple[Any, str, tuple[str, ...]]] = weakref.WeakKeyDictionary()


def _read(path: Path, name: str) -> tuple[str, tuple[str, ...]]:
    """The source's digest and the modules that it imports anywhere.

    Of a loaded module once: its file may be edited while it runs, and what runs is what was loaded.
    """
    loaded = sys.modules.get(name)
    spec = getattr(loaded, "__spec__", None)
    if loaded is not None and spec is not None and loaded in _pinned and _pinned[loaded][0] is spec:
        return _pinned[loaded][1:]
    raw = path.read_bytes()
    digest = hashlib.sha256(raw).hexdigest()
    imported = _imports(raw, name, path.name == "__init__.py")
    if loaded is not None:
        _pinned[loaded] = (spec, digest, imported)
    return digest, imported


@functools.lru_cache(maxsize=4096)
def _imports(raw: bytes, name: str, is_package: bool) -> tuple[str, ...]:
    try:
        tree = ast.parse(raw)
    except (SyntaxError, ValueError, RecursionError):
        # Nobody can import it either; its digest counts all the same.
        return ()
    package = name if is_package else name.rpartition(".")[0]
    return tuple(dict.fromkeys(found for node in ast.walk(tree) for found in _names(node, package)))


def _names(node: ast.AST, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield from _with_packages(alias.name)
    elif isinstance(node, ast.ImportFrom):
        above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        base = ".".join([*above, *([node.module] if node.module else [])])
        if base:
            yield from _with_packages(base)
            yield from (f"{base}.{alias.name}" for alias in node.names if alias.name != "*")
        else:
            yield from (alias.name for alias in node.names)


def _with_packages(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[:depth]) for depth in range(1, len(parts) + 1))
