"""A model that answers every query with itself, upper case, and can be told to be slow, to stop, or to fail."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchgate.core import InvalidOutput
from benchgate.serving.reformulate import Reformulator

SEPARATOR = "\n"
TOKEN = "a-token-of-enough-length"


@dataclass(frozen=True)
class EchoModel:
    """Tokens are code points; the context's turns and the query are joined by line ends."""

    name: str = "echo"
    version: str = "1"
    task: str = "text2text"
    max_source: int = 100_000
    max_target: int = 10_000

    def build(self) -> None:
        return None

    def encode(self, context: Sequence[str], query: str) -> list[int]:
        return [ord(character) for character in SEPARATOR.join([*context, query])][-self.max_source :]

    def decode(self, tokens: Sequence[int]) -> str:
        return "".join(map(chr, tokens))


@dataclass
class EchoSession:
    """`seconds` is what a call takes; while `gate` is not set it waits. A source with "poison" raises, alone or not."""

    seconds: float = 0.0
    kernel: Mapping[str, Any] = field(default_factory=dict)
    weights_bytes: int | None = None
    identity: str = ""
    batches: list[int] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)
    closed: bool = False

    def __post_init__(self) -> None:
        self.gate.set()

    def generate(self, sources: Sequence[Sequence[int]], max_new_tokens: int, beams: int = 1) -> list[list[int]]:
        self.batches.append(len(sources))
        self.entered.set()
        assert self.gate.wait(10)
        time.sleep(self.seconds)
        texts = ["".join(map(chr, source)) for source in sources]
        if any("poison" in text for text in texts):
            raise InvalidOutput("logits are NaN")
        if any("crash" in text for text in texts):
            raise RuntimeError("a secret of the inside")
        return [[ord(character) for character in text.upper()] for text in texts]

    def __call__(self, inputs: Any) -> Any:
        return self.generate(inputs, 10_000)

    def close(self) -> None:
        self.closed = True


def echo(session: EchoSession) -> Reformulator:
    return Reformulator(EchoModel(), session)  # type: ignore[arg-type]
