"""Durations as people write them."""

from __future__ import annotations

import re

from benchgate.core.errors import DataError

UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def spoken(seconds: float) -> str:
    """Return a duration as one says it, to the second: `41 s`, `3 min 20 s`, `1 h 5 min`."""
    whole = max(1, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def parse_seconds(text: str, what: str) -> float:
    """Return the seconds of `200ms`, `90s`, `10m` or `1.5h`.

    Raises DataError, in which it is called `what`, for anything else and for nothing at all.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(us|ms|s|m|h)\s*", text)
    seconds = float(match[1]) * UNITS[match[2]] if match else 0.0
    if not 0 < seconds < float("inf"):
        raise DataError(f"{what} {text!r} is no time; write for example 200ms, 90s, 10m or 1h")
    return seconds
