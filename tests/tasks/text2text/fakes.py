"""A text2text model whose tokens are characters, and sessions that answer as they are told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchgate.core import Model, Scheme, support
from benchgate.tasks.text2text.rewrites import Rewrite, Rewrites

FIRST = 3


@dataclass(frozen=True)
class FakeModel:
    """`answer(context, query)` is what its sessions say, "" nothing."""

    answer: Callable[[Sequence[str], str], str] = lambda context, query: query
    name: str = "fake-rewriter"
    version: str = "1"
    task: str = "text2text"
    start_token: int = 0
    end_token: int = 1
    pad_token: int = 0
    vocabulary: int = 0x110000 + FIRST
    max_source: int = 1000
    max_target: int = 200

    def build(self) -> None:
        """Nothing is needed."""

    def encode(self, context: Sequence[str], query: str) -> list[int]:
        return [FIRST + ord(c) for c in "\n".join([*context, query])]

    def decode(self, tokens: Sequence[int]) -> str:
        return "".join(chr(token - FIRST) for token in tokens)


@dataclass
class FakeSession:
    """Answers by the model's own rule; `asked` keeps (number of sources, most tokens, beams) of every call."""

    model: Any
    asked: list[tuple[int, int, int]] = field(default_factory=list)
    kernel: Mapping[str, Any] = field(default_factory=dict)
    weights_bytes: int | None = None
    identity: str = "fake"
    closed: bool = False

    def __call__(self, inputs: Sequence[Sequence[int]]) -> list[list[int]]:
        return self.generate(inputs, self.model.max_target)

    def generate(self, sources: Sequence[Sequence[int]], max_new_tokens: int, beams: int = 1) -> list[list[int]]:
        self.asked.append((len(sources), max_new_tokens, beams))
        return [self._answer(self.model.decode(source).split("\n")) for source in sources]

    def _answer(self, turns: Sequence[str]) -> list[int]:
        return [FIRST + ord(c) for c in self.model.answer(turns[:-1], turns[-1])]

    def close(self) -> None:
        self.closed = True


@dataclass(frozen=True)
class FakeRuntime:
    name: str = "fake-runtime"
    format: str = "none"
    needs: Mapping[str, str] = field(default_factory=dict)

    def missing(self, device: str) -> str | None:
        return None

    def build(self, model: Model, scheme: Scheme, out: Path) -> None:
        (out / "fake").write_bytes(b"1")

    def load(self, path: Path, model: Model, device: str, threads: int) -> FakeSession:
        return FakeSession(model)


support.session("fake-runtime", "text2text", "tests.tasks.text2text.fakes:FakeSession", builder="")
support.compressor("fake-runtime", support.ANY)


def a_set(*items: Rewrite, name: str = "handmade") -> Rewrites:
    return Rewrites(name, "0" * 64, items, len(items))
