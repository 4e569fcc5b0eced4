"""Scoring in parts: data that are split over machines or processes, one answer an item, and one sum of all answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

from benchgate.core.errors import DataError
from benchgate.core.words import Metric

T = TypeVar("T")
# One answer an item of the data, as JSON holds it, by a name of the item that is the same in each process.
Answers = Mapping[str, Any]


@dataclass(frozen=True)
class Shard:
    """Part `number` (from 0) of `of` parts of data. Raises DataError for a part that there is not."""

    number: int = 0
    of: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.number < self.of:
            raise DataError(f"shard {self.number} of {self.of}: its number must be at least 0 and below {self.of}")

    def takes(self, items: Sequence[T]) -> Sequence[T]:
        """The items of this part: each `of`-th, so that what grows along the data is spread evenly."""
        return items[self.number :: self.of]


WHOLE = Shard()


@runtime_checkable
class ScoresInParts(Protocol):
    """A task whose accuracy is made of one answer an item: its `score` is `summed` of the answers to all.

    An answer must not depend on the shard that it is in, to the last digit: where items share a batch, a shard takes
    whole batches.
    """

    def answers(self, session: Any, model: Any, data: Any, shard: Shard) -> Answers:
        """Return the answers to the items of one shard."""

    def summed(self, session: Any, model: Any, data: Any, answers: Answers) -> Mapping[str, Metric]:
        """Return the metrics of `session` by the answers to all items of `data`."""
