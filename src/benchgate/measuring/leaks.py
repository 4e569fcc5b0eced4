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
# Of any two rounds of a leak the later has more: Kendall's tau of 0.6 and above. Scatter alone reaches that in both
# halves and in the whole in fewer than one of a thousand.
RISING = 0.8


def growth(private: Sequence[int]) -> float | None:
    """Return the bytes that each round leaves behind, 0 for none; None with too few rounds to tell.

    The slope is Theil and Sen's (the median of all pairs' slopes), so that one large step is no leak. A leak goes on:
    the second half grows at least half as fast as the first, by more than an allocator's scatter, and in both halves
    and in the whole of nearly any two rounds the later has more.
    """
    if len(private) < LEAST_ROUNDS:
        return None
    middle = len(private) // 2
    early, late = slope(private[:middle]), slope(private[middle:])
    least = max(LEAST_BYTES, LEAST_SHARE * private[0])
    goes_on = all(rising(part) >= RISING for part in (private, private[:middle], private[middle:]))
    is_leak = goes_on and late >= STEADY * early and late * (len(private) - 1) >= least
    return late if is_leak else 0.0


def rising(values: Sequence[int]) -> float:
    """Return the share of the pairs, of at least two values, whose later one is larger."""
    return statistics.fmean(later > earlier for earlier, later in combinations(values, 2))


def slope(values: Sequence[int]) -> float:
    """Return the median of the slopes between any two of at least two values."""
    return statistics.median((values[j] - values[i]) / (j - i) for i, j in combinations(range(len(values)), 2))
