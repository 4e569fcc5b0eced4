"""Greedy and beam search over any model that gives the logits of the next token. Numpy only.

Every text2text runtime decodes with these two functions (but for those that bring a decoder of their own), so that a
difference in text or time between two runtimes is the model's, not the loop's.

Beam search is that of transformers' `generate(num_beams=..., early_stopping=True, length_penalty=1.0)`: the 2 x beams
best continuations of a source are ranked by their summed log probability; of the first `beams` of them those that end
become hypotheses, scored by log probability / length (generated tokens, end token included); the best `beams` that do
not end go on. A source is done when it has `beams` hypotheses; at `max_new_tokens` the first `beams` continuations all
count as hypotheses, ended or not. Greedy is the same with one beam, without the bookkeeping.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Protocol

from benchgate.core import DataError, InvalidOutput
from benchgate.core.arrays import np


class Decoding(Protocol):
    """The state of one batch, one row a sequence."""

    def step(self, tokens: np.ndarray) -> np.ndarray:
        """Append one token to each row, int64 [rows]; float32 logits of the next ones, [rows, vocabulary]."""

    def reorder(self, rows: np.ndarray) -> None:
        """Go on with these rows, int64, in this order: some dropped, some repeated."""


class Stepper(Protocol):
    """The two steps that a runtime gives to be decoded with."""

    def begin(self, source: np.ndarray, mask: np.ndarray) -> Decoding:
        """Encode source token ids, int64 [batch, length], mask int64 [batch, length] (1 token, 0 padding)."""


class Limits(Protocol):
    """Limits and ids of a model that the search needs, in tokens and token ids; a `Text2TextModel` has it all."""

    @property
    def start_token(self) -> int: ...

    @property
    def end_token(self) -> int: ...

    @property
    def pad_token(self) -> int: ...

    @property
    def vocabulary(self) -> int: ...

    @property
    def max_source(self) -> int: ...

    @property
    def max_target(self) -> int: ...


@dataclass(frozen=True)
class FixedLimits:
    """The limits of a model, read once: a trained model looks some of them up in its files."""

    start_token: int
    end_token: int
    pad_token: int
    vocabulary: int
    max_source: int
    max_target: int

    @classmethod
    def of(cls, model: Limits) -> FixedLimits:
        return cls(*(int(getattr(model, field.name)) for field in fields(cls)))


def generate(
    stepper: Stepper, limits: Limits, sources: Sequence[Sequence[int]], max_new_tokens: int, beams: int = 1
) -> list[list[int]]:
    """Target token ids, without start and end token, for each source, in order.

    Raises DataError for what `check` refuses, InvalidOutput for logits that are NaN or infinite.
    """
    check(limits, sources, max_new_tokens, beams)
    if not sources:
        return []
    decoding = stepper.begin(*pad(sources, limits.pad_token))
    if beams == 1:
        return _greedy(decoding, limits, len(sources), max_new_tokens)
    return _beam(decoding, limits, len(sources), max_new_tokens, beams)


def check(limits: Limits, sources: Sequence[Sequence[int]], max_new_tokens: int, beams: int) -> None:
    """Raise DataError for a source that is empty, too long or of another vocabulary, and for limits below 1."""
    if beams < 1 or not 1 <= max_new_tokens <= limits.max_target:
        raise DataError(
            f"beams {beams} must be at least 1, max_new_tokens {max_new_tokens} must be 1 to {limits.max_target}"
        )
    for index, source in enumerate(sources):
        if not 1 <= len(source) <= limits.max_source:
            raise DataError(f"source {index} has {len(source)} tokens; allowed are 1 to {limits.max_source}")
        if min(source) < 0 or max(source) >= limits.vocabulary:
            raise DataError(
                f"source {index} has token ids {min(source)} to {max(source)}; allowed are 0 to "
                f"{limits.vocabulary - 1}: was it encoded by this model?"
            )


def pad(sources: Sequence[Sequence[int]], pad_token: int) -> tuple[np.ndarray, np.ndarray]:
    """Sources on the left of an int64 [batch, longest], and their mask of the same shape."""
    longest = max(map(len, sources))
    source = np.full((len(sources), longest), pad_token, dtype=np.int64)
    mask = np.zeros((len(sources), longest), dtype=np.int64)
    for row, tokens in enumerate(sources):
        source[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    return source, mask


def _logits(decoding: Decoding, tokens: np.ndarray, limits: Limits) -> np.ndarray:
    found = decoding.step(tokens)
    if found.shape != (len(tokens), limits.vocabulary):
        raise InvalidOutput(f"logits of shape {list(found.shape)} for {len(tokens)} rows of {limits.vocabulary} tokens")
    # NaN compares as false and would win or lose unseen.
    if not np.isfinite(found).all():
        raise InvalidOutput(f"{int((~np.isfinite(found)).sum())} of {found.size} logits are NaN or infinite")
    return found


def _greedy(decoding: Decoding, limits: Limits, count: int, max_new_tokens: int) -> list[list[int]]:
    """The most probable token each time, the lowest id of equals. Rows that have ended are dropped from the batch."""
    found: list[list[int]] = [[] for _ in range(count)]
    running = list(range(count))
    tokens = np.full(count, limits.start_token, dtype=np.int64)
    for _ in range(max_new_tokens):
        tokens = _logits(decoding, tokens, limits).argmax(axis=1)
        going = np.flatnonzero(tokens != limits.end_token)
        if not going.size:
            break
        if going.size < tokens.size:
            decoding.reorder(going)
            tokens, running = tokens[going], [running[i] for i in going]
        for source, token in zip(running, tokens.tolist(), strict=True):
            found[source].append(token)
    return found


def _beam(decoding: Decoding, limits: Limits, count: int, max_new_tokens: int, beams: int) -> list[list[int]]:
    searches = [_Search(beams, limits.end_token) for _ in range(count)]
    # One row a source at first: all its beams would be the same.
    tokens = np.full(count, limits.start_token, dtype=np.int64)
    for length in range(1, max_new_tokens + 1):
        scores = _log_softmax(_logits(decoding, tokens, limits))
        rows: list[int] = []
        following: list[int] = []
        offset = 0
        for search in searches:
            width = len(search.beams)
            parents, chosen = search.advance(scores[offset : offset + width], length, last=length == max_new_tokens)
            rows += [offset + parent for parent in parents]
            following += chosen
            offset += width
        if not rows:
            break
        if rows != list(range(offset)):
            decoding.reorder(np.array(rows, dtype=np.int64))
        tokens = np.array(following, dtype=np.int64)
    return [search.best for search in searches]


class _Search:
    """The beams of one source. `beams` are the token lists that go on, none when it is done; `best` the answer."""

    def __init__(self, width: int, end_token: int) -> None:
        self._width, self._end = width, end_token
        self.beams: list[list[int]] = [[]]
        self._scores = np.zeros(1)
        self.best: list[int] = []
        self._best_score = -np.inf
        self._hypotheses = 0

    def advance(self, log_probabilities: np.ndarray, length: int, last: bool) -> tuple[list[int], list[int]]:
        """Take the next step's log probabilities, [beams, vocabulary]; the parent and new token of each beam that goes
        on. `length` counts generated tokens with the new one."""
        if not self.beams:
            return [], []
        totals = self._scores[:, None] + log_probabilities
        going: list[tuple[int, int]] = []
        kept: list[float] = []
        for rank, place in enumerate(_largest(totals.ravel(), 2 * self._width)):
            parent, token = divmod(int(place), totals.shape[1])
            total = float(totals[parent, token])
            if token == self._end or last:
                if rank < self._width:
                    self._finish(self.beams[parent], token, total / length)
            elif len(going) < self._width:
                going.append((parent, token))
                kept.append(total)
        if self._hypotheses >= self._width:
            going, kept = [], []
        self.beams = [[*self.beams[parent], token] for parent, token in going]
        self._scores = np.array(kept)
        return [parent for parent, _ in going], [token for _, token in going]

    def _finish(self, tokens: list[int], token: int, score: float) -> None:
        self._hypotheses += 1
        if score > self._best_score:
            self._best_score = score
            self.best = list(tokens) if token == self._end else [*tokens, token]


def _largest(values: np.ndarray, count: int) -> np.ndarray:
    """Places of the `count` largest values (all where there are fewer), falling; of equals the first place first."""
    if count >= values.size:
        return np.argsort(-values, kind="stable")
    places = np.sort(np.argpartition(-values, count - 1)[:count])
    return places[np.argsort(-values[places], kind="stable")]


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    """Row by row, float64: sums of many rounded float32 would decide between near-equal beams."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted
