"""Objects by name: the registries of models, schemes, runtimes and tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import is_dataclass
from typing import Any, Generic, TypeVar

from benchgate.core.errors import DuplicateName, UnknownName, unknown_name
from benchgate.core.protocols import Model, Runtime, Task, Transform
from benchgate.core.words import Scheme

Named = TypeVar("Named")


class Registry(Generic[Named]):
    """Objects by name, with errors that help. `kind` is the word used in messages ("model", "runtime")."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._items: dict[str, Named] = {}
        self.resolve: Callable[[str], Named | None] = lambda name: None

    def add(self, item: Any) -> Any:
        """Register an object, or a class (then one instance of it); returns what was given: a decorator.

        Raises DuplicateName when another object has the name; the same class imported twice is no duplicate.
        """
        instance = item() if isinstance(item, type) else item
        known = self._items.get(instance.name)
        if known is not None and _origin(known) != _origin(instance):
            raise DuplicateName(
                f"{self.kind} {instance.name!r} is registered twice: by {_origin(known)} and by {_origin(instance)}; "
                "rename one of them"
            )
        self._items[instance.name] = instance
        return item

    def __getitem__(self, name: str) -> Named:
        found = self._items[name] if name in self._items else self.resolve(name)
        if found is None:
            raise UnknownName(self.unknown(name))
        return found

    def __contains__(self, name: str) -> bool:
        return name in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._items))

    def values(self) -> Sequence[Named]:
        return [self._items[name] for name in self]

    @contextmanager
    def replaced(self, *items: Named) -> Iterator[None]:
        """Have these items and nothing else, nothing resolved either; what was there before is back afterwards."""
        with self._kept():
            self._items, self.resolve = {}, lambda name: None
            for item in items:
                self.add(item)
            yield

    @contextmanager
    def extended(self, *items: Named) -> Iterator[None]:
        """Have these items too, and in place of others of their names; what was there before is back afterwards."""
        with self._kept():
            names = {item.name for item in items}  # type: ignore[attr-defined]
            self._items = {name: item for name, item in self._items.items() if name not in names}
            for item in items:
                self.add(item)
            yield

    @contextmanager
    def _kept(self) -> Iterator[None]:
        before = self._items, self.resolve
        try:
            yield
        finally:
            self._items, self.resolve = before

    def unknown(self, name: str) -> str:
        """The message for a name that is not here."""
        return unknown_name(self.kind, name, list(self))


def _origin(instance: Any) -> str:
    """Where an object was defined, for the duplicate message: module and class, plus its own data."""
    cls = type(instance)
    return f"{cls.__module__}.{cls.__qualname__}" + (f" {instance!r}" if is_dataclass(cls) else "")


models: Registry[Model] = Registry("model")
schemes: Registry[Scheme] = Registry("scheme")
runtimes: Registry[Runtime] = Registry("runtime")
tasks: Registry[Task] = Registry("task")
transforms: Registry[Transform] = Registry("transform")
