"""Examples as token ids, and the order in which training sees them: seeded, in batches of similar length."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchgate.core import DataError
from benchgate.core.arrays import np
from benchgate.tasks.text2text.codec import PAD_ID, Codec
from benchgate.tasks.text2text.decoding import FixedLimits, pad
from benchgate.tasks.text2text.rewrites import Rewrites

# Batches that are sorted by length among themselves: more wastes less padding and shuffles less.
POOL = 50
IGNORED = -100


@dataclass(frozen=True)
class Pair:
    """One example as token ids, end tokens last."""

    source: tuple[int, ...]
    target: tuple[int, ...]


@dataclass(frozen=True)
class Material:
    """All that a run trains on: the tokenizer as JSON text ("" where the model brings its own), ids and lengths that
    decoding needs, and the pairs of both splits."""

    tokenizer: str
    limits: FixedLimits
    train: Sequence[Pair]
    dev: Sequence[Pair]


@dataclass(frozen=True)
class Batch:
    """int64 arrays: source and mask [batch, source length], target and labels [batch, target length].

    `target` begins with the start token; `labels` is what follows each of its tokens, IGNORED at padding.
    """

    source: np.ndarray
    mask: np.ndarray
    target: np.ndarray
    labels: np.ndarray


# The loss of a module on a batch on a device, in nats a target token: a tensor.
Loss = Callable[[Any, Batch, str], Any]


def encode(codec: Codec, examples: Rewrites, max_source: int, max_target: int) -> list[Pair]:
    """Raises DataError where there are no examples: nothing can be learnt or chosen from none."""
    if not len(examples):
        raise DataError(f"{examples.name} has no examples; generate or name a data set that has some")
    # Turns and queries come again in other conversations.
    codec = replace(codec, to_tokens=functools.cache(codec.to_tokens))
    return [
        Pair(
            tuple(codec.source(example.context, example.query, max_source)),
            tuple(codec.target(example.reformulation, max_target)),
        )
        for example in examples
    ]


def per_epoch(count: int, batch: int) -> int:
    """Batches in one pass over `count` examples; the last may be smaller."""
    return -(-count // batch)


class Order:
    """Batches, decided by seed and step alone, so that a run can go on anywhere."""

    def __init__(self, pairs: Sequence[Pair], batch: int, seed: int) -> None:
        self._pairs, self._batch, self._seed = pairs, batch, seed
        self.batches_per_epoch = per_epoch(len(pairs), batch)
        self._epoch = functools.lru_cache(maxsize=1)(self._shuffled)

    def pairs(self, step: int) -> list[Pair]:
        epoch, index = divmod(step, self.batches_per_epoch)
        return [self._pairs[i] for i in self._epoch(epoch)[index]]

    def _shuffled(self, epoch: int) -> list[list[int]]:
        generator = random.Random(f"{self._seed}-{epoch}")
        order = generator.sample(range(len(self._pairs)), len(self._pairs))
        batches: list[list[int]] = []
        for start in range(0, len(order), self._batch * POOL):
            pool = sorted(order[start : start + self._batch * POOL], key=self._length)
            batches += [pool[i : i + self._batch] for i in range(0, len(pool), self._batch)]
        generator.shuffle(batches)
        return batches

    def _length(self, index: int) -> tuple[int, int]:
        return len(self._pairs[index].source), len(self._pairs[index].target)


def collate(pairs: Sequence[Pair], start: int) -> Batch:
    # Whatever a model pads with: padding is masked in the source and ignored in the target.
    source, mask = pad([pair.source for pair in pairs], PAD_ID)
    labels, used = pad([pair.target for pair in pairs], PAD_ID)
    target = np.concatenate((np.full((len(pairs), 1), start, dtype=np.int64), labels[:, :-1]), axis=1)
    return Batch(source, mask, target, np.where(used == 1, labels, IGNORED))
