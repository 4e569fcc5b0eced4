"""The operations of a task: its own, those that others add to it, and what they run on by default."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from benchgate.core.errors import DuplicateName
from benchgate.core.protocols import Model, Session, Task
from benchgate.core.words import Work

Operation = Callable[..., Work]
_added: dict[tuple[str, str], Operation] = {}


@runtime_checkable
class HasInputs(Protocol):
    """A task whose operations run on something else than `sample(model, batch)`."""

    def inputs(self, model: Any, params: Mapping[str, Any]) -> Any:
        """Return what an operation with these parameters runs on where a test gives nothing."""


@runtime_checkable
class FillsInputs(Protocol):
    """A task that can make inputs of any size, for a search of how large they may be; by default `default_inputs`."""

    def filling(self, model: Any, params: Mapping[str, Any]) -> Any:
        """Return inputs that are as many and as long as an operation with these parameters takes."""


@runtime_checkable
class HasSizes(Protocol):
    """A task with sizes, by name with the default, that the signatures of its operations do not show."""

    sizes: Mapping[str, int]


def add_operation(task: str, name: str, operation: Operation) -> None:
    """Give the task of this name an operation more, `f(session, model, inputs, **params) -> Work`, from any module.

    Called at import, like a registration::

        benchgate.add_operation("text2text", "first-token", first_token)

    Raises DuplicateName where another function has the name already.
    """
    known = _added.setdefault((task, name), operation)
    # A module that is imported twice is no duplicate.
    if _origin(known) != _origin(operation):
        raise DuplicateName(
            f"operation {name!r} of {task} is there already, by {_origin(known)}; choose another name for that of "
            f"{_origin(operation)}"
        )


def operations(task: Task) -> Mapping[str, Operation]:
    """Return the task's operations, the default one first; a task without any has one, `call`."""
    own: Mapping[str, Operation] = getattr(task, "operations", None) or {"call": _call}
    added = {name: function for (to, name), function in _added.items() if to == task.name}
    return {**own, **added}


def default_inputs(task: Task, model: Model, params: Mapping[str, Any]) -> Any:
    """Return what an operation runs on where the test does not say: the task's inputs, else a sample of its batch."""
    if isinstance(task, HasInputs):
        return task.inputs(model, params)
    return task.sample(model, params.get("batch", 1))


def filling_inputs(task: Task, model: Model, params: Mapping[str, Any]) -> Any:
    """Return inputs that an operation with these parameters is filled with, however large these are."""
    return task.filling(model, params) if isinstance(task, FillsInputs) else default_inputs(task, model, params)


def axes(task: Task, operation: Operation) -> dict[str, int]:
    """Return the sizes that can be raised, with their defaults: an operation's parameters that are whole numbers."""
    parameters = inspect.signature(operation).parameters.values()
    shown = {p.name: p.default for p in parameters if type(p.default) is int}
    return {**(task.sizes if isinstance(task, HasSizes) else {}), **shown}


def _call(session: Session, model: Model, inputs: Any, batch: int = 1) -> Work:
    return Work(call=lambda: session(inputs), units=batch)


def _origin(operation: Operation) -> str:
    return f"{operation.__module__}.{operation.__qualname__}"
