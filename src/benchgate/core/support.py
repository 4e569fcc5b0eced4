"""What a runtime can do with a model: for now the helpers that ask it."""

from __future__ import annotations

from collections.abc import Mapping

from benchgate.core.protocols import Model, Runtime


def all_needs(runtime: Runtime) -> Mapping[str, str]:
    """Import name -> extra of everything that decides what a runtime's figures are: to run and to build."""
    return {**runtime.needs, **getattr(runtime, "build_needs", {})}


def task_of(model: Model, runtime: Runtime) -> str:
    """The name of the task that this runtime does with the model: the model's own, or the runtime's (training)."""
    return getattr(runtime, "task", model.task)
