"""Text to text: a conversation and a query in, a clean self-contained query out.

Two seams, so that any architecture runs on any runtime:

- *Model to runtime*: `build()` returns a module with `begin(source, mask) -> (memory, cache)`,
  `step(tokens, memory, cache) -> (logits, cache)` and `forward(source, mask, target) -> logits`, see `Seq2SeqModule`.
  A runtime traces, exports or compiles these two functions and knows nothing of LSTM or attention.
- *Runtime to task*: a loaded model is a `Text2TextSession`: token ids in, token ids out. Nothing here knows of torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from benchgate.core import Model, Session

State = tuple[Any, ...]


class Seq2SeqModule(Protocol):
    """What a text2text model's `build()` returns (a `torch.nn.Module`).

    `memory` and `cache` are flat tuples of tensors whose first dimension is the batch, so that beams are
    `index_select(0)`. `memory` does not change from step to step (encoder keys and values, mask); `cache` does.
    """

    def begin(self, source: Any, mask: Any) -> tuple[State, State]:
        """Encode source token ids, int64 [batch, length], mask int64 [batch, length] (1 token, 0 padding)."""

    def step(self, tokens: Any, memory: State, cache: State) -> tuple[Any, State]:
        """Logits float [batch, vocabulary] of what follows `tokens`, int64 [batch]; and the longer cache."""

    def forward(self, source: Any, mask: Any, target: Any) -> Any:
        """Teacher forcing: logits [batch, target length, vocabulary]; `target`, int64, begins with the start token."""


class Text2TextModel(Model, Protocol):
    """A model of this task. `max_source` and `max_target` are in tokens."""

    start_token: int
    end_token: int
    pad_token: int
    vocabulary: int
    max_source: int
    max_target: int

    def encode(self, context: Sequence[str], query: str) -> list[int]:
        """Source token ids of a query after the turns of its conversation, oldest first; the oldest are cut to fit."""

    def encode_target(self, text: str) -> list[int]:
        """Target token ids, end token last, without the start token."""

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of target token ids, without special tokens."""


class Text2TextSession(Session, Protocol):
    """What a runtime provides for this task."""

    def generate(self, sources: Sequence[Sequence[int]], max_new_tokens: int, beams: int = 1) -> list[list[int]]:
        """Target token ids, without start and end token, for each source (any lengths, padded inside).

        Greedy where `beams` is 1, else beam search of that width. Raises InvalidOutput for NaN or infinite logits.
        """
