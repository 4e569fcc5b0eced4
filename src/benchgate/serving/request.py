"""The text2text operation "request": one query of one client through a running server, beside the model's own time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from benchgate.core import Lapped, Session, Work, add_operation
from benchgate.serving.process import ServerProcess, connect, post
from benchgate.tasks.text2text.rewrites import Rewrites
from benchgate.tasks.text2text.task import Text2TextModel, Text2TextTask


def request(session: Session, model: Text2TextModel, inputs: Rewrites, server: ServerProcess) -> Work:
    """The queries one after the other over one open connection. The session here is not used: the server has its own.

    Laps: `inference_s`, what the server says that its model took, and `overhead_s`, the rest of what the client waited.
    """
    connected = connect(server.url)

    def call(body: Mapping[str, Any]) -> Lapped:
        start = time.perf_counter()
        answer = post(connected, body)
        seconds = time.perf_counter() - start
        inference = answer["model_ms"] / 1000
        return Lapped(answer, {"inference_s": inference, "overhead_s": seconds - inference})

    bodies = [{"context": list(one.context), "query": one.query} for one in inputs]
    return Work(call=call, turns=bodies, laps=("inference_s", "overhead_s"))


add_operation(Text2TextTask.name, "request", request)
