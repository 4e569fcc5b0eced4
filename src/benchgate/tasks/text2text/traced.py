"""Means to trace and export a `Seq2SeqModule`: example inputs of both functions, and which dimensions change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchgate.tasks.text2text.task import State


@dataclass(frozen=True)
class Example:
    """Inputs of `begin` and of the third `step`: no size is 0 or 1, which tracing could take for broadcasting."""

    source: Any
    mask: Any
    tokens: Any
    memory: State
    cache: State

    @property
    def begin(self) -> tuple[Any, ...]:
        return self.source, self.mask

    @property
    def extend(self) -> tuple[Any, ...]:
        """The source once more, after all that is in the cache."""
        import torch

        seen = self.mask.new_ones(self.mask.shape[0], self.cache[0].shape[2])
        return self.source, torch.cat((self.mask, seen), 1), self.cache

    @property
    def step(self) -> tuple[Any, ...]:
        return self.tokens, self.memory, self.cache


def example(module: Any, batch: int, length: int, steps: int, vocabulary: int) -> Example:
    """After `steps` steps; random source tokens [batch, length], the last of them padding in all rows but the first."""
    import torch

    generator = torch.Generator().manual_seed(batch)
    source = torch.randint(vocabulary, (batch, length), generator=generator)
    mask = torch.ones_like(source)
    mask[1:, -1] = 0
    with torch.inference_mode():
        memory, cache = module.begin(source, mask)
        for _ in range(steps):
            _, cache = module.step(source[:, 0], memory, cache)
    return Example(source, mask, source[:, 0], memory, cache)


def moving(first: Any, second: Any) -> list[int]:
    """The dimensions in which two tensors of the same role differ."""
    return [d for d, (a, b) in enumerate(zip(first.shape, second.shape, strict=True)) if a != b]
