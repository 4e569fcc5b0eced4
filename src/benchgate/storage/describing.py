"""Walk over an object: a JSON-ready description of all it holds, the modules its code is in, the files it names."""

from __future__ import annotations

import contextlib
import enum
import functools
import hashlib
import json
import os
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from dataclasses import fields as dataclass_fields
from pathlib import Path
from typing import Any, Protocol

from benchgate.storage.digests import tree_digest
from benchgate.storage.sources import OWN, has_file, is_installed, module_file
from benchgate.storage.weights import state_digest, tensor_digest

PLAIN = (type(None), bool, int, float, complex, str, bytes)
MAX_DEPTH = 40
MAX_PATH = 4096


def digest(value: Any) -> str:
    """SHA-256 of a JSON-ready value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def fields_of(thing: Any) -> dict[str, Any]:
    """An object's own values by name; without what a dataclass does not compare by."""
    if isinstance(thing, type):
        return {}
    skipped = (
        {f.name for f in dataclass_fields(thing) if not f.compare} if hasattr(thing, "__dataclass_fields__") else ()
    )
    names = [name for cls in thing.__class__.__mro__ for name in cls.__dict__.get("__slots__", ())]
    slots = {name: getattr(thing, name) for name in names if hasattr(thing, name) and name != "__dict__"}
    found = {**slots, **getattr(thing, "__dict__", {})}
    # What functools.cached_property put there is made from the rest.
    cached = {n for n, v in _members(thing.__class__) if isinstance(v, functools.cached_property)}
    return {name: value for name, value in found.items() if name not in skipped and name not in cached}


def _members(cls: type) -> Iterator[tuple[str, Any]]:
    for base in cls.__mro__:
        yield from vars(base).items()


@dataclass
class Walk:
    """One walk over an object: `describe` gives each value a JSON-ready text; modules and files are collected."""

    modules: set[str] = field(default_factory=set)
    files: dict[str, str] = field(default_factory=dict)
    used: dict[str, Any] = field(default_factory=dict)
    opaque: str | None = None
    _in_globals: bool = False
    _seen: dict[int, Any] = field(default_factory=dict)

    def describe(self, value: Any, where: str, depth: int = 0) -> Any:
        """A JSON-ready description of `value`; what cannot be described makes the walk opaque, naming `where`."""
        if isinstance(value, enum.Enum):
            return self._named(value.__class__, str(value))
        if isinstance(value, str):
            known = self._file(value)
            return ["str", value] if known is None else ["path", known]
        if isinstance(value, PLAIN):
            return [value.__class__.__name__, repr(value)]
        if id(value) in self._seen:
            return ["again", self._seen[id(value)][0]]
        # The object too: its id must not be given to another while the walk goes on.
        self._seen[id(value)] = (len(self._seen), value)
        if depth > MAX_DEPTH:
            return self._unknown(where, "is nested too deep")
        return self._compound(value, where, depth + 1)

    def _compound(self, value: Any, where: str, depth: int) -> Any:
        for kinds, describe in _KINDS:
            if isinstance(value, kinds):
                return describe(self, value, where, depth)
        wrapped = getattr(value, "__wrapped__", None)
        if callable(value) and wrapped is not None:
            return ["wrapped", self.describe(wrapped, where, depth)]
        return self._object(value, where, depth)

    def _path(self, value: os.PathLike[str], where: str, depth: int) -> Any:
        known = self._file(os.fspath(value))
        if known is None and self._in_globals and Path(value).is_dir():
            return ["folder"]
        return ["path", os.fspath(value) if known is None else known]

    def _map(self, value: Mapping[Any, Any], where: str, depth: int) -> Any:
        pairs = [[self.describe(k, where, depth), self.describe(v, where, depth)] for k, v in value.items()]
        return ["map", sorted(pairs, key=json.dumps)]

    def _sequence(self, value: Any, where: str, depth: int) -> Any:
        return [value.__class__.__name__, *(self.describe(item, where, depth) for item in value)]

    def _set(self, value: Any, where: str, depth: int) -> Any:
        return ["set", *sorted((self.describe(item, where, depth) for item in value), key=json.dumps)]

    def _module(self, value: types.ModuleType, where: str, depth: int) -> Any:
        self.modules.add(value.__name__)
        return ["module", value.__name__]

    def _partial(self, value: functools.partial[Any], where: str, depth: int) -> Any:
        return ["partial", *(self.describe(v, where, depth) for v in (value.func, value.args, value.keywords))]

    def _method(self, value: types.MethodType, where: str, depth: int) -> Any:
        return ["method", *(self.describe(part, where, depth) for part in (value.__func__, value.__self__))]

    def _class(self, value: type, where: str, depth: int) -> Any:
        self.use(value, depth)
        return ["class", f"{value.__module__}.{value.__qualname__}"]

    def _builtin(self, value: Any, where: str, depth: int) -> Any:
        return ["builtin", f"{getattr(value, '__module__', '')}.{value.__qualname__}"]

    def _function(self, function: types.FunctionType, where: str, depth: int) -> Any:
        name = f"{function.__module__}.{function.__qualname__}"
        path = Path(function.__code__.co_filename)
        if module_file(function.__module__) is None or not path.is_file():
            # Methods that dataclasses and namedtuples make of text, and whatever else exec made.
            if function.__code__.co_filename.startswith("<string>"):
                return ["generated", name, _as_text(function.__code__)]
            return self._unknown(where, f"is or uses {name}, whose source is in no file")
        self.modules.add(function.__module__)
        if is_installed(path) or function.__module__.partition(".")[0] == OWN:
            return ["function", name, self.describe(_closed_over(function), where, depth)]
        for used in sorted(_names_in(function.__code__)):
            if used in function.__globals__:
                self._global(f"{function.__module__}.{used}", function.__globals__[used], depth)
        # Several lambdas of one module have one name and one source: the place tells them apart.
        place = function.__code__.co_firstlineno if "<lambda>" in name else 0
        bound = {
            "defaults": function.__defaults__,
            "keywords": function.__kwdefaults__,
            "cells": _closed_over(function),
        }
        return ["function", name, place, self.describe(bound, where, depth)]

    def _global(self, name: str, value: Any, depth: int) -> None:
        """A module-level value that code uses: plain data and code count; loggers, locks, registries do not."""
        if name in self.used:
            return
        if isinstance(value, type | types.FunctionType | types.ModuleType | functools.partial) or _is_data(value):
            self.used[name] = None
            before, self._in_globals = self._in_globals, True
            self.used[name] = self.describe(value, name, depth)
            self._in_globals = before

    def use(self, cls: type, depth: int = 0) -> None:
        """Count a class's source, and what its methods use."""
        for base in cls.__mro__:
            path = module_file(base.__module__)
            if base.__module__ == "builtins" or base in (object, Protocol):
                continue
            if path is None and not has_file(base.__module__):
                self._unknown(f"class {base.__qualname__!r}", "is defined in no file")
            self.modules.add(base.__module__)
            if path is None or is_installed(path) or base.__module__.partition(".")[0] == OWN or id(base) in self._seen:
                continue
            self._seen[id(base)] = (len(self._seen), base)
            for name, member in sorted(vars(base).items()):
                for part in _code_of(member):
                    self.describe(part, f"{base.__qualname__}.{name}", depth + 1)
                if _is_data(member) and not name.startswith("__"):
                    self.used[f"{base.__qualname__}.{name}"] = self.describe(member, name, depth + 1)

    def _object(self, value: Any, where: str, depth: int) -> Any:
        if hasattr(value, "state_dict"):
            self.use(value.__class__, depth)
            return ["state", _class_name(value), state_digest(value)]
        if hasattr(value, "dtype") and hasattr(value, "shape"):
            return ["array", tensor_digest(value)]
        if not hasattr(value, "__dict__") and not hasattr(value.__class__, "__slots__"):
            return self._unknown(where, f"is a {_class_name(value)}")
        if value.__class__.__module__.partition(".")[0] in ("threading", "_thread", "socket", "io", "_io", "weakref"):
            return self._unknown(where, f"is a {_class_name(value)}")
        self.use(value.__class__, depth)
        inside = [[name, self.describe(v, where, depth)] for name, v in sorted(fields_of(value).items())]
        return ["object", _class_name(value), inside]

    def _named(self, cls: type, text: str) -> Any:
        self.use(cls)
        return [f"{cls.__module__}.{cls.__qualname__}", text]

    def _file(self, text: str | bytes) -> str | None:
        """The digest of the file or folder that a text names, wherever it lies; a bare word is no folder's name."""
        if not isinstance(text, str) or not text or len(text) > MAX_PATH or "\n" in text or "\0" in text:
            return None
        path = Path(text)
        try:
            counts = path.is_file() or (os.sep in text and path.is_dir() and self._is_of_a_model(path))
        except OSError:
            return None
        if not counts:
            return None
        known = tree_digest(path)
        self.files[path.name if self.files.get(path.name, known) == known else f"{path.name} {known[:8]}"] = known
        return known

    def _is_of_a_model(self, folder: Path) -> bool:
        """False for the working folder and those above it, and for what a module's constants name (`HERE`): their
        files come and go with each run. What a build reads of them is recorded when it opens it."""
        return not self._in_globals and not Path.cwd().is_relative_to(folder.resolve())

    def _unknown(self, where: str, what: str) -> Any:
        self.opaque = self.opaque or f"{where} {what}"
        return ["unknown", what]


def _class_name(value: Any) -> str:
    return f"{value.__class__.__module__}.{value.__class__.__qualname__}"


def _as_text(code: types.CodeType) -> list[Any]:
    """Return what code does, whatever text it was compiled from."""
    inner = [_as_text(c) if isinstance(c, types.CodeType) else digest(_plain(c)) for c in code.co_consts]
    return [code.co_code.hex(), list(code.co_names), list(code.co_varnames), inner]


def _plain(constant: Any) -> Any:
    # The order of a set of strings is another in each process.
    return sorted(map(repr, constant)) if isinstance(constant, frozenset) else repr(constant)


def _closed_over(function: types.FunctionType) -> dict[str, Any]:
    """The values that a function holds of the functions around it, by name; without what is not assigned yet."""
    found = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with contextlib.suppress(ValueError):
            found[name] = cell.cell_contents
    return found


def _is_data(value: Any) -> bool:
    """True for plain values and for lists, tuples, sets and dicts of them."""
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(_is_data, value))
    if isinstance(value, dict):
        return all(_is_data(item) for pair in value.items() for item in pair)
    return isinstance(value, (*PLAIN, Path))


def _names_in(code: types.CodeType) -> set[str]:
    inner = (constant for constant in code.co_consts if isinstance(constant, types.CodeType))
    return set(code.co_names).union(*map(_names_in, inner))


def _code_of(member: Any) -> list[Callable[..., Any]]:
    """The functions in a class's member: methods, properties, class and static methods."""
    if isinstance(member, property):
        return [part for part in (member.fget, member.fset) if part is not None]
    if isinstance(member, functools.cached_property):
        return [member.func]
    if isinstance(member, classmethod | staticmethod):
        member = member.__func__
    return [member] if isinstance(member, types.FunctionType | functools.partial) else []


# How values of a type are described; the first that fits.
_KINDS: tuple[tuple[Any, Callable[[Walk, Any, str, int], Any]], ...] = (
    (os.PathLike, Walk._path),
    (Mapping, Walk._map),
    (list | tuple, Walk._sequence),
    (set | frozenset, Walk._set),
    (bytearray | range | slice, lambda walk, value, where, depth: [value.__class__.__name__, repr(value)]),
    (types.ModuleType, Walk._module),
    (functools.partial, Walk._partial),
    (types.MethodType, Walk._method),
    (type, Walk._class),
    (types.FunctionType, Walk._function),
    (types.BuiltinFunctionType | types.MethodDescriptorType | types.WrapperDescriptorType, Walk._builtin),
)
