"""The session that text2text runtimes share: a stepper, the model's limits, and `decoding` between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchgate.core import Model, Scheme
from benchgate.core.protocols import HasArchitecture
from benchgate.tasks.text2text import decoding
from benchgate.tasks.text2text.task import Text2TextModel


class SteppedSession:
    """A `Text2TextSession` over a `decoding.Stepper`, which holds the loaded model.

    `kernel` and `weights_bytes` are the stepper's to tell.
    """

    def __init__(self, stepper: Any, model: Text2TextModel) -> None:
        self.stepper, self.limits = stepper, decoding.FixedLimits.of(model)
        self.identity = ""

    def __call__(self, inputs: Sequence[Sequence[int]]) -> list[list[int]]:
        """Greedy answers to source token ids, as long as the model allows."""
        return self.generate(inputs, self.limits.max_target)

    def generate(self, sources: Sequence[Sequence[int]], max_new_tokens: int, beams: int = 1) -> list[list[int]]:
        return decoding.generate(self.stepper, self.limits, sources, max_new_tokens, beams)

    @property
    def kernel(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.stepper.kernel
        return found

    @property
    def weights_bytes(self) -> int | None:
        found: int | None = self.stepper.weights_bytes
        return found

    def close(self) -> None:
        del self.stepper


def other_than_t5(model: Model, scheme: Scheme, runtime: str) -> str | None:
    """Why a runtime that knows only the T5 architecture refuses `model`, or None. `model.architecture` names it."""
    architecture = model.architecture if isinstance(model, HasArchitecture) else None
    return (
        None
        if architecture == "t5"
        else f"{runtime} runs the T5 architecture, {model.name} has another ({architecture})"
    )
