"""Seeded samples of the data sets that models are scored on."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any, TypeVar

from benchgate.core import DataError

DataSet = TypeVar("DataSet", bound=Any)


def sample(data: DataSet, n: int, seed: int, option: str) -> DataSet:
    """A random sample of n of `data.items`, in file order, with its seed; `data` itself when there are not more.

    `data` is a frozen dataclass with `items` and `seed`; `option` is what the message says to give a larger number.
    Raises DataError for n < 1.
    """
    if n < 1:
        raise DataError(f"a sample needs at least one item, got {n}; give {option} a number >= 1")
    if n >= len(data.items):
        return data
    chosen = sorted(random.Random(seed).sample(range(len(data.items)), n))
    found: DataSet = replace(data, items=tuple(data.items[i] for i in chosen), seed=seed)
    return found
