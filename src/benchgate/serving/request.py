"""The text2text operation "request": one query of one client through a running server, beside the model's own time."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any

from benchgate.core import Session, Work
from benchgate.serving.process import ServerProcess, connect, post
from benchgate.tasks.text2text import rewrites

if TYPE_CHECKING:
    from benchgate.tasks.text2text.task import Text2TextModel


def request(session: Session, model: Text2TextModel, server: ServerProcess) -> Work:
    """The queries of "dev" one after the other over one open connection. The session here is not used: the server has
    its own.

    Laps: `inference_s`, what the server says that its model took, and `overhead_s`, the rest of what the client waited.
    """
    bodies = [{"context": list(one.context), "query": one.query} for one in rewrites.load("dev").items]
    following = itertools.cycle(bodies)
    laps: dict[str, list[float]] = {"inference_s": [], "overhead_s": []}
    connected = connect(server.url)

    def call() -> Any:
        start = time.perf_counter()
        answer = post(connected, next(following))
        seconds = time.perf_counter() - start
        inference = answer["model_ms"] / 1000
        laps["inference_s"].append(inference)
        laps["overhead_s"].append(seconds - inference)
        return answer

    return Work(call=call, laps=laps)
