"""The server's log on standard error, so many lines a minute: whoever can cause a line can cause a million."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable

# Records, tracebacks included, of one level in one stretch of PERIOD_S seconds.
MOST, PERIOD_S = 20, 60.0


class RateLimit(logging.Filter):
    """Lets the first MOST records of each level and PERIOD_S pass; the next one that passes tells how many did not."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._seen: dict[int, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now = self._clock()
        began, count = self._seen.get(record.levelno, (now, 0))
        if now - began >= PERIOD_S:
            if count > MOST:
                record.msg, record.args = f"{record.getMessage()} ({count - MOST:,} lines before it left out)", ()
            began, count = now, 0
        self._seen[record.levelno] = (began, count + 1)
        return count < MOST


def log_within_limits() -> None:
    """Log warnings and worse of all libraries to standard error, within the limit."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("benchgate: %(levelname)s: %(message)s"))
    handler.addFilter(RateLimit())
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
