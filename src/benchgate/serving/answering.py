"""From questions to answers within the time limit; work that nobody waits for any more is dropped."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from benchgate.core import BenchgateError, InvalidOutput
from benchgate.serving.batching import Batcher, NotReady, Served
from benchgate.serving.reformulate import BadInput, Question

log = logging.getLogger("benchgate.serving")


class TooSlow(BenchgateError):
    """No answer within the time limit."""


class ClientGone(Exception):
    """Nobody is there to read the answer."""


async def answer(
    batcher: Batcher, questions: Sequence[Question], timeout_s: float, disconnected: Callable[[], Awaitable[object]]
) -> list[Served | Exception]:
    """An answer or the model's failure for each question.

    `disconnected()` returns when the client is gone. Raises QueueFull, NotReady, TooSlow, ClientGone; the questions are
    out of the queue then.
    """
    tickets = batcher.submit(questions)
    answers = asyncio.gather(*(ticket.future for ticket in tickets), return_exceptions=True)
    gone = asyncio.ensure_future(disconnected())
    both: set[asyncio.Future[Any]] = {answers, gone}
    try:
        await asyncio.wait(both, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if answers.done():
            return [_outcome(result) for result in answers.result()]
        if gone.done():
            raise ClientGone
        raise TooSlow(f"no answer within {timeout_s:g} s; try again later")
    finally:
        gone.cancel()
        if not answers.done():
            batcher.cancel(tickets)


def problem(error: Exception) -> tuple[int, str]:
    """The HTTP status and the words for one question's failure; a defect's details go into the log only."""
    if isinstance(error, BadInput):
        return 422, str(error)
    if isinstance(error, InvalidOutput):
        log.error("invalid output: %s", error)
        return 502, "the model's output cannot be used (NaN or infinite)"
    log.error("the model failed", exc_info=error)
    return 500, "the model failed; the server's log says how"


def _outcome(result: Served | BaseException) -> Served | Exception:
    if isinstance(result, Served | Exception):
        return result
    # Only closing the queue cancels a question that somebody still waits for.
    raise NotReady("the server is shutting down")
