"""Memory that calls leave behind: private memory that goes on growing after each round."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import combinations

# With fewer rounds a cache that fills looks like a leak; more tell nothing new.
LEAST_ROUNDS, MOST_ROUNDS = 12, 60
# Shares of the memory: an allocator's own scatter over all rounds is below it.
LEAST_SHARE = 0.002
LEAST_BYTES = 512 * 1024
# Growth that slows down to less than this share of what it was is a cache or an allocator that fills.
STEADY = 0.5


def growth(private: Sequence[int]) -> float | None:
    """Return the bytes that each round leaves behind, 0 for none; None with too few rounds to tell.

    The slope is Theil and Sen's (the median of all pairs' slopes), so that one large step is no leak. A leak goes on:
    the second half grows at least half as fast as the first, and by more than an allocator's scatter.
    """
    if len(private) < LEAST_ROUNDS:
        return None
    middle = len(private) // 2
    early, late = slope(private[:middle]), slope(private[middle:])
    least = max(LEAST_BYTES, LEAST_SHARE * private[0])
    is_steady = late >= STEADY * early
    return late if late > 0 and is_steady and late * (len(private) - 1) >= least else 0.0


def slope(values: Sequence[int]) -> float:
    """Return the median of the slopes between any two of at least two values."""
    return statistics.median((values[j] - values[i]) / (j - i) for i, j in combinations(range(len(values)), 2))
