"""A clock that tells what it was told to."""

from __future__ import annotations


class Clock:
    """Every call takes the next of `seconds`, and the last one for ever."""

    def __init__(self, *seconds):
        self.now, self.seconds, self.calls = 0.0, list(seconds), 0

    def __call__(self):
        return self.now

    def call(self):
        self.now += self.seconds[min(self.calls, len(self.seconds) - 1)]
        self.calls += 1
