"""What a runtime can do with a model: for now the helpers that ask it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchgate.core.protocols import Model, Runtime, Session, Task
from benchgate.core.registry import tasks
from benchgate.core.words import Work


def all_needs(runtime: Runtime) -> Mapping[str, str]:
    """Import name -> extra of everything that decides what a runtime's figures are: to run and to build."""
    return {**runtime.needs, **getattr(runtime, "build_needs", {})}


def task_of(model: Model, runtime: Runtime) -> str:
    """The name of the task that this runtime does with the model: the model's own, or the runtime's (training)."""
    return getattr(runtime, "task", model.task)


def operations(task: Task) -> Mapping[str, Callable[..., Work]]:
    """The task's operations, default first; a task without any has one, `call`."""
    return getattr(task, "operations", None) or {"call": _call_operation}


def _call_operation(session: Session, model: Model, batch: int = 1) -> Work:
    inputs = tasks[model.task].sample(model, batch)
    return Work(call=lambda: session(inputs), units=batch)
