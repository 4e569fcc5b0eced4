"""Objects by name: the registries of models, schemes, runtimes and tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any, Generic, TypeVar

from benchgate.core.errors import BenchgateError, DuplicateName, UnknownName, unknown_name
from benchgate.core.protocols import Model, Runtime, Task, Transform
from benchgate.core.words import Scheme

Named = TypeVar("Named")


class Registry(Generic[Named]):
    """Objects by name, with errors that help. `kind` is the word used in messages ("model", "runtime").

    `members` are the names that a registered object must have; what is registered as `data`, a dataclass, may be any
    object that has those of its fields that have no default.
    """

    def __init__(self, kind: str, members: Sequence[str] = (), data: type[Named] | None = None) -> None:
        self.kind, self.members, self.data = kind, ("name", *members), data
        self._items: dict[str, Named] = {}
        self.resolve: Callable[[str], Named | None] = lambda name: None

    def add(self, item: Any) -> Any:
        """Register an object, or a class (then one instance of it).

        Args:
            item: The object or class; a class is made without arguments.

        Returns:
            What was given, so that it is a decorator.

        Raises:
            DuplicateName: When another object has the name; the same class imported twice is no duplicate.
            BenchgateError: For a class that cannot be made, and for what lacks a member; it says which.

        Example::

            @benchgate.model
            class Net: ...

            benchgate.scheme(benchgate.Scheme("int4-g16", 4, "int4-weight-only", {"group_size": 16}))
        """
        self._keep(self._checked(self._made(item), item))
        return item

    def _keep(self, instance: Any) -> None:
        known = self._items.get(instance.name)
        if known is not None and _origin(known) != _origin(instance):
            raise DuplicateName(
                f"{self.kind} {instance.name!r} is registered twice: by {_origin(known)} and by {_origin(instance)}; "
                "rename one of them"
            )
        self._items[instance.name] = instance

    def _made(self, item: Any) -> Any:
        if not isinstance(item, type):
            return item
        try:
            return item()
        except TypeError as error:
            raise BenchgateError(
                f"{self.kind} {item.__qualname__}: the class cannot be made without arguments ({error}); register an "
                f"object: benchgate.{self.kind}({item.__qualname__}(...))"
            ) from error

    def _checked(self, instance: Any, item: Any) -> Any:
        """The instance where it has all members, as `data` where that is asked for. Raises BenchgateError."""
        lacking = [member for member in self.members if not hasattr(instance, member)]
        name = getattr(instance, "name", "")
        if lacking or not isinstance(name, str) or not name:
            problem = f"it has no {', '.join(lacking)}" if lacking else f"its name is {name!r}, not a text"
            raise BenchgateError(
                f"{_given(item)} is no {self.kind}: {problem}; a {self.kind} is a class or an object with "
                f"{', '.join(self.members)}"
            )
        if self.data is None or isinstance(instance, self.data):
            return instance
        known = [field.name for field in fields(self.data)]  # type: ignore[arg-type]
        return self.data(**{name: getattr(instance, name) for name in known if hasattr(instance, name)})

    def __getitem__(self, name: str) -> Named:
        if not isinstance(name, str):
            raise UnknownName(
                f"a {self.kind} is asked for by its name, which is a text; got {_given(name)}: register it with "
                f"benchgate.{self.kind}(...) and give its name"
            )
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
        """Have these items and nothing else, nothing resolved either; what was there before is back afterwards.

        For tests: their members are not asked for.
        """
        with self._kept():
            self._items, self.resolve = {}, lambda name: None
            for item in items:
                self._keep(self._made(item))
            yield

    @contextmanager
    def extended(self, *items: Named) -> Iterator[None]:
        """Have these items too, and in place of others of their names; what was there before is back afterwards."""
        with self._kept():
            names = {item.name for item in items}  # type: ignore[attr-defined]
            self._items = {name: item for name, item in self._items.items() if name not in names}
            for item in items:
                self._keep(self._made(item))
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


def _given(item: Any) -> str:
    """The item in a message: its class's or its own name and kind, never an address."""
    if isinstance(item, type):
        return f"class {item.__qualname__}"
    return repr(item) if isinstance(item, str | int | float | None) else f"an object of class {type(item).__qualname__}"


def _origin(instance: Any) -> str:
    """Where an object was defined, for the duplicate message: module and class, plus its own data."""
    cls = type(instance)
    return f"{cls.__module__}.{cls.__qualname__}" + (f" {instance!r}" if is_dataclass(cls) else "")


models: Registry[Model] = Registry("model", ("version", "task"))
schemes: Registry[Scheme] = Registry("scheme", ("bits", "method"), Scheme)
runtimes: Registry[Runtime] = Registry("runtime", ("format", "needs", "missing", "build", "load"))
tasks: Registry[Task] = Registry("task", ("unit", "sample", "score"))
transforms: Registry[Transform] = Registry("transform", ("apply",))
