"""The session of causal language models, as a runtime provides it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from benchgate.core import Session
from benchgate.core.arrays import np


class LMSession(Session, Protocol):
    """The session that a runtime provides for this task. Token arrays are int64."""

    context_limit: int
    vocabulary: int
    identity: str

    def prefill(self, tokens: np.ndarray) -> np.ndarray:
        """Read prompts of equal length, [batch, length], into a new cache; returns the greedy next tokens, [batch]."""

    def step(self, tokens: np.ndarray) -> np.ndarray:
        """Append one token to each sequence, [batch]; returns the greedy next tokens, [batch]."""

    def rewind(self, length: int) -> None:
        """Cut the cache back to its first `length` positions."""

    def logits(self, sequences: Sequence[Sequence[int]], keep: Sequence[int]) -> list[np.ndarray]:
        """For each sequence the float32 logits [keep[i], vocabulary] after its last keep[i] positions; no cache."""
