"""How far a compressed language model's next-token distributions are from the full-precision model's.

Both see the same tokens, one passage at a time, and of a passage only sums and histogram counts are kept: memory does
not grow with the number of passages.
KL(P || Q), P the reference, in nat: the expected extra log loss of coding the reference's tokens with the compressed
model. Kullback & Leibler 1951; as llama.cpp's perplexity tool reports it for quantized models.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from benchgate.core import DataError, InvalidOutput, Metric
from benchgate.core.arrays import np
from benchgate.core.metrics import metric
from benchgate.core.stats import student_t
from benchgate.storage.download import progress
from benchgate.tasks.causal_lm.passages import Passages, encode_pair
from benchgate.tasks.causal_lm.session import LMSession

# Rows of logits in one chunk of the arithmetic: 256 of 49,152 in float64 are 100 MB.
ROWS = 256
# Bins of the KL histogram, 1 % apart: the percentile is exact to that, whatever the number of tokens.
LEAST, MOST, STEP = 1e-10, 1e4, 1.01


class Fidelity:
    """Running figures over tokens; feed it with `add`, read it with `metrics`.

    Intervals take passages, not tokens, as the independent observations: tokens of one text are not.
    """

    def __init__(self) -> None:
        self.passages, self.tokens = 0, 0
        # Sums over passages of [tokens, KL, agreements, log-loss change], and of the products of each two of them.
        self._sums = np.zeros(4)
        self._products = np.zeros((4, 4))
        self._edges = np.geomspace(LEAST, MOST, math.ceil(math.log(MOST / LEAST) / math.log(STEP)) + 1)
        self._histogram = np.zeros(len(self._edges) + 1, dtype=np.int64)

    def add(self, reference: np.ndarray, compressed: np.ndarray, following: Sequence[int], where: str) -> None:
        """One passage: logits [tokens, vocabulary] of both models, and the token that follows each position.

        Raises InvalidOutput for NaN or infinite logits, DataError for arrays that are not of one shape.
        """
        if reference.shape != compressed.shape or len(reference) != len(following) or not len(following):
            raise DataError(
                f"{where}: logits {reference.shape} and {compressed.shape} for {len(following)} tokens do not fit "
                "together; both models must have one vocabulary and see the same tokens"
            )
        passage = np.zeros(4)
        for start in range(0, len(following), ROWS):
            part = slice(start, start + ROWS)
            ours, theirs, ids = reference[part], compressed[part], np.asarray(following[part])
            agreed = (ours.argmax(axis=1) == theirs.argmax(axis=1)).sum()
            kl, change = _divergence(ours, theirs, ids, where)
            passage += [len(ids), kl.sum(), agreed, change.sum()]
            np.add.at(self._histogram, np.searchsorted(self._edges, kl), 1)
        self.passages, self.tokens = self.passages + 1, self.tokens + len(following)
        self._sums += passage
        self._products += np.outer(passage, passage)

    def metrics(self, about: str) -> dict[str, Metric]:
        """kl_mean, kl_p99, agreement_top1 and log_perplexity_delta. Raises DataError when nothing was added."""
        if not self.tokens:
            raise DataError(f"{about}: no tokens to compare; give at least one passage")
        method = f"{about}; {self.tokens} tokens of {self.passages} passages, interval over passages"
        kl, agreed, change = (self._ratio(column) for column in (1, 2, 3))
        n = self.passages
        return {
            "kl_mean": _metric("kl_mean", kl, n, method),
            "kl_p99": metric("kl_p99", self._p99(), n=self.tokens, method=f"{about}; 99th percentile, within 1 %"),
            "agreement_top1": _metric("agreement_top1", agreed, n, method),
            "log_perplexity_delta": _metric("log_perplexity_delta", change, n, method),
        }

    def _p99(self) -> float:
        """Upper edge of the bin that holds the 99th percentile by nearest rank."""
        rank = math.ceil(0.99 * self.tokens)
        index = int(np.searchsorted(np.cumsum(self._histogram), rank))
        return float(self._edges[min(index, len(self._edges) - 1)])

    def _ratio(self, column: int) -> tuple[float, float | None, float | None]:
        """Sum of a column over sum of tokens, with the ratio estimator's 95 % t interval over passages (Cochran,
        Sampling Techniques, 6.3); no interval for a single passage."""
        n, tokens = self.passages, self._sums[0]
        ratio = float(self._sums[column] / tokens)
        if n < 2:
            return ratio, None, None
        products = self._products
        residual = products[column, column] - 2 * ratio * products[0, column] + ratio**2 * products[0, 0]
        error = math.sqrt(max(residual, 0.0) / (n - 1) / n) / (tokens / n)
        half = student_t(0.975, n - 1) * error
        return ratio, ratio - half, ratio + half


def _metric(name: str, found: tuple[float, float | None, float | None], passages: int, method: str) -> Metric:
    value, low, high = found
    return metric(name, value, n=passages, low=low, high=high, method=method)


def compare(reference: LMSession, compressed: LMSession, model: Any, data: Passages) -> dict[str, Metric]:
    """Fidelity of `compressed` to `reference` on every token of `data`'s passages, both loaded at once."""
    fidelity = Fidelity()
    with progress(f"comparing on {data.name}", len(data.items)) as advance:
        for where, inputs, following in _sequences(model, data, min(reference.context_limit, compressed.context_limit)):
            keep = [len(inputs)]
            fidelity.add(reference.logits([inputs], keep)[0], compressed.logits([inputs], keep)[0], following, where)
            advance(1)
    return fidelity.metrics(f"KL(reference || compressed) on {data.name} ({len(data.items)} of {data.total} passages)")


def _sequences(model: Any, data: Passages, limit: int) -> Iterator[tuple[str, list[int], list[int]]]:
    """(where, tokens, the token that follows each) of every passage."""
    tokenizer = model.tokenizer()
    for index, (context, continuation) in enumerate(data.items, 1):
        tokens, _ = encode_pair(tokenizer, context, continuation, limit)
        yield f"{data.name}, passage {index}", tokens[:-1], tokens[1:]


def _divergence(reference: np.ndarray, compressed: np.ndarray, ids: np.ndarray, where: str) -> tuple[Any, Any]:
    """(KL of each row, the reference's log probability of its `id` less the compressed model's); both [rows], in nats.

    Over the vocabulary the sum of P (log P - log Q) is that of P (x - y) less log Z_P plus log Z_Q, x and y the logits
    less their peak: one exponential of each logit, and no array beside the four.
    """
    x, p = _exponentials(reference, where)
    y, q = _exponentials(compressed, where)
    z_p, z_q, rows = p.sum(axis=1), q.sum(axis=1), np.arange(len(ids))
    log_z = np.log(z_p) - np.log(z_q)
    x -= y
    # Never negative but for rounding.
    kl = (np.einsum("ij,ij->i", p, x) / z_p - log_z).clip(min=0)
    return kl, x[rows, ids] - log_z


def _exponentials(logits: np.ndarray, where: str) -> tuple[Any, Any]:
    """(logits less their row's peak, the exponentials of those), float64."""
    if not np.isfinite(logits).all():
        raise InvalidOutput(f"{where}: {int((~np.isfinite(logits)).sum())} of {logits.size} logits are NaN or infinite")
    shifted = logits.astype(np.float64)
    shifted -= logits.max(axis=1, keepdims=True)
    return shifted, np.exp(shifted)
