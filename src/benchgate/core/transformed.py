"""A model as a scheme's transforms leave it: what runtimes are given, so that none of them knows of transforms.

`for_build` is what `runtime.build` gets, `for_load` what `runtime.load` gets. Both are picklable where the model is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from benchgate.core.errors import UnknownName
from benchgate.core.protocols import (
    Calibrated,
    HasArchitecture,
    Model,
    ReplacesLayers,
    Reshapes,
    ReshapesByShape,
    Structured,
    TellsFigures,
    Transform,
)
from benchgate.core.registry import transforms
from benchgate.core.words import Scheme

_AMOUNT = re.compile(r"(?P<name>.+)-(?P<amount>\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Step:
    """A transform and the number it was named with: "prune-50" is prune and 50."""

    name: str
    transform: Transform
    amount: float | None = None

    @property
    def reshapes(self) -> bool:
        return isinstance(self.transform, Reshapes) and self.transform.reshapes

    @property
    def by_shape(self) -> bool:
        """Do the shapes it leaves follow from those before alone?"""
        return not self.reshapes or (isinstance(self.transform, ReshapesByShape) and self.transform.by_shape)

    @property
    def replaces_layers(self) -> bool:
        return isinstance(self.transform, ReplacesLayers) and self.transform.replaces_layers


def find_step(name: str) -> Step | None:
    """The step of this name, or None where no transform has it. A number has one spelling: `prune-50`, not `-50.0`."""
    if name in transforms:
        return Step(name, transforms[name])
    match = _AMOUNT.fullmatch(name)
    if match is None or match["name"] not in transforms or f"{float(match['amount']):.10g}" != match["amount"]:
        return None
    return Step(name, transforms[match["name"]], float(match["amount"]))


def for_build(model: Model, scheme: Scheme) -> Model:
    """The model that `scheme` is built from: `build()` returns the module that its steps make."""
    return Transformed(model, steps_of(scheme)) if scheme.steps else model


def for_load(model: Model, scheme: Scheme) -> Model:
    """The model whose module the weights go into: changed only where a step changes more than values."""
    steps = steps_of(scheme)
    return Transformed(model, steps) if any(step.reshapes for step in steps) else model


def steps_of(scheme: Scheme) -> tuple[Step, ...]:
    """The transforms of a scheme, in order. Raises UnknownName."""
    found = []
    for name in scheme.steps:
        step = find_step(name)
        if step is None:
            raise UnknownName(transforms.unknown(name))
        found.append(step)
    return tuple(found)


def figures_of(model: Model, module: Any) -> dict[str, float]:
    """The figures that the steps of a model tell of `module`, which its `build` returned; by metric."""
    steps = model.steps if isinstance(model, Transformed) else ()
    told = (step.transform.figures(module) for step in steps if isinstance(step.transform, TellsFigures))
    return {name: value for figures in told for name, value in figures.items()}


@dataclass(frozen=True)
class Transformed:
    """The model, but for `build` and what does not belong to its module any more; everything else is the model's.

    Its version has the steps, so that a runtime that keeps something of its own for a model keeps one for each. Other
    ways to have the model (`path`, `build_keras()`) are hidden, as they lead past the steps. `structure()` is that
    after the steps, hidden where its shapes cannot be known without the weights.
    """

    model: Model
    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        # In the instance itself: isinstance() of a protocol does not ask __getattr__ (from Python 3.12 on).
        if isinstance(self.model, Calibrated):
            self._give("calibration", self.model.calibration)
        if isinstance(self.model, HasArchitecture):
            self._give("architecture", self.model.architecture)
        if isinstance(self.model, Structured) and all(step.by_shape for step in self.steps):
            self._give("structure", self._structure)

    def _give(self, name: str, member: Any) -> None:
        object.__setattr__(self, name, member)

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def task(self) -> str:
        return self.model.task

    @property
    def version(self) -> str:
        return "+".join((self.model.version, *(step.name for step in self.steps)))

    def build(self) -> Any:
        """Return the model's module after all steps, in evaluation mode."""
        module = self.model.build().eval()
        for step in self.steps:
            module = step.transform.apply(module, step.amount)
        return module

    def _structure(self) -> Any:
        assert isinstance(self.model, Structured)
        module = self.model.structure()
        for step in self.steps:
            if step.reshapes:
                module = step.transform.apply(module, step.amount)
        return module

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("__", "build_")) or name in ("model", "path", "structure"):
            raise AttributeError(f"{type(self).__name__} has no {name}")
        return getattr(self.model, name)

    def __reduce__(self) -> tuple[Any, ...]:
        return Transformed, (self.model, self.steps)
