"""The connection that makes room where there is no more: the one that has been silent longest.

As nginx does where its connections run out (`ngx_drain_connections` closes idle ones).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)

# How long a connection may be silent before it makes room: a question is sent at once, also from far away.
GRACE_S = 1.0


class Waiting(Generic[T]):
    """Connections on which no request is under way. Times are seconds of any one clock that does not go back."""

    def __init__(self) -> None:
        # In the order in which they fell silent, as dicts keep it.
        self._never_asked: dict[T, float] = {}
        self._asked: dict[T, float] = {}

    def add(self, connection: T, now: float, asked: bool) -> None:
        """Count it as silent from `now` on; `asked` where it had a request answered before."""
        self.discard(connection)
        (self._asked if asked else self._never_asked)[connection] = now

    def discard(self, connection: T) -> None:
        """Count it no longer: it has asked, or is gone."""
        self._never_asked.pop(connection, None)
        self._asked.pop(connection, None)

    def longest(self, now: float) -> T | None:
        """Return the one that makes room, those that never asked anything first; None where all are within GRACE_S."""
        for silent in (self._never_asked, self._asked):
            first = next(iter(silent), None)
            if first is not None and now - silent[first] >= GRACE_S:
                return first
        return None
