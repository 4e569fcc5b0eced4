"""The operations of a task: its own, those that others add to it, and what they run on by default."""

from __future__ import annotations

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


def _call(session: Session, model: Model, inputs: Any, batch: int = 1) -> Work:
    return Work(call=lambda: session(inputs), units=batch)


def _origin(operation: Operation) -> str:
    return f"{operation.__module__}.{operation.__qualname__}"
