"""Causal language models: prefill, decode, streamed generation; last-word accuracy and perplexity.

Written against `LMSession`, which every runtime that serves this task provides; nothing here knows of torch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from benchgate.core import DataError, InvalidOutput, Lapped, Metric, TooLarge, Work, stats, tasks
from benchgate.core.arrays import np
from benchgate.core.metrics import metric
from benchgate.core.shards import WHOLE, Answers, Shard
from benchgate.storage.download import progress
from benchgate.storage.resumable import Resumable
from benchgate.tasks.causal_lm import fidelity
from benchgate.tasks.causal_lm.passages import Passages, encode_pair
from benchgate.tasks.causal_lm.session import LMSession

# Prompts for timing are this text over and over: real tokens, the same for every model and machine.
PROMPT = (
    "The harbour lay quiet under the first light while the crew carried crates of apples, rope and lamp oil from the "
    "carts to the deck. Nobody spoke much. The captain counted everything twice, wrote the numbers into a small green "
    "book and looked now and then at the sky, where a thin line of cloud was growing in the west. "
)
NO_PASSAGES = (
    "no passages: give the test the fixture `passages` and write cell.measure(data=passages); --cell-passages=FILE "
    "scores your own"
)


def prompt_tokens(model: Any, batch: int, length: int, text: str = PROMPT) -> np.ndarray:
    """[batch, length] token ids of the text repeated; all rows equal."""
    once = model.tokenizer()(text, add_special_tokens=False)["input_ids"]
    row = (once * math.ceil(length / len(once)))[:length]
    return np.tile(np.asarray(row, dtype=np.int64), (batch, 1))


def prefill(session: LMSession, model: Any, inputs: str, batch: int = 1, context: int = 128) -> Work:
    """Reading a prompt of `context` tokens of the text `inputs` and choosing the next one."""
    tokens = _prompt(session, model, inputs, batch, context, 0)
    return Work(
        call=lambda: session.prefill(tokens),
        units=batch * context,
        throughput="prefill_tokens_per_s",
        check=_check_tokens(session),
    )


def decode(session: LMSession, model: Any, inputs: str, batch: int = 1, context: int = 128) -> Work:
    """One token more for each of `batch` sequences, after a prompt of `context` tokens, read as the work begins."""
    tokens = _prompt(session, model, inputs, batch, context, 1)
    following: list[np.ndarray] = []
    return Work(
        begin=lambda: following.append(session.prefill(tokens)),
        call=lambda: session.step(following[-1]),
        prepare=lambda: session.rewind(context),
        units=batch,
        throughput="decode_tokens_per_s",
        check=_check_tokens(session),
    )


def generate(
    session: LMSession, model: Any, inputs: str, batch: int = 1, context: int = 128, new_tokens: int = 16
) -> Work:
    """Streamed greedy generation by the session's own loop: time to first token, then time per output token."""
    if new_tokens < 2:
        raise DataError(f"new_tokens is {new_tokens}; a time per output token needs at least 2")
    tokens = _prompt(session, model, inputs, batch, context, new_tokens)

    def call() -> Lapped:
        start = time.perf_counter()
        following = session.prefill(tokens)
        first = time.perf_counter()
        for _ in range(new_tokens - 1):
            following = session.step(following)
        rest = time.perf_counter() - first
        return Lapped(following, {"ttft_s": first - start, "tpot_s": rest / (new_tokens - 1)})

    return Work(call=call, units=batch * new_tokens, laps=("ttft_s", "tpot_s"), check=_check_tokens(session))


def _prompt(session: LMSession, model: Any, text: str, batch: int, context: int, following: int) -> np.ndarray:
    """[batch, context] token ids of the text, after which `following` more must still fit."""
    if batch < 1 or context < 1:
        raise DataError(f"batch {batch} and context {context} must be at least 1")
    if context + following > session.context_limit:
        more = f" + {following} new tokens" if following else ""
        raise TooLarge(
            f"context {context}{more} does not fit into {model.name}'s {session.context_limit}; give a shorter one",
            context + following - session.context_limit,
        )
    return prompt_tokens(model, batch, context, text)


def _check_tokens(session: LMSession) -> Any:
    def check(tokens: np.ndarray) -> None:
        if not ((tokens >= 0) & (tokens < session.vocabulary)).all():
            raise InvalidOutput(f"next tokens {tokens!r} are not all in the vocabulary of {session.vocabulary}")

    return check


@dataclass(frozen=True)
class Score:
    """One passage: its target tokens' summed log loss (nat) and the worst of their ranks (1 = greedy)."""

    nll: float
    rank: int


def score_logits(logits: np.ndarray, targets: Sequence[int], where: str) -> Score:
    """Score float32 logits [len(targets), vocabulary].

    The rank is the place in a stable sort by falling logit, so that rank 1 is exactly argmax and constant logits earn
    nothing. Raises InvalidOutput for NaN or infinite logits: they compare as false and would otherwise win.
    """
    if not np.isfinite(logits).all():
        raise InvalidOutput(f"{where}: {int((~np.isfinite(logits)).sum())} of {logits.size} logits are NaN or infinite")
    ids = np.asarray(targets)
    own = logits[np.arange(len(ids)), ids]
    before = np.arange(logits.shape[1])[None, :] < ids[:, None]
    ranks = 1 + ((logits > own[:, None]) | ((logits == own[:, None]) & before)).sum(axis=1)
    peak = logits.max(axis=1)
    # The peak's distance first: added to a huge peak, the logarithm would vanish and the loss with it.
    log_sum = np.log(np.exp(logits - peak[:, None], dtype=np.float64).sum(axis=1))
    return Score(float((peak.astype(np.float64) - own + log_sum).sum()), int(ranks.max()))


def score_passages(session: LMSession, model: Any, data: Passages, shard: Shard = WHOLE) -> dict[int, Score]:
    """A Score for each passage of the shard, by its place in the data; longest batches first, so that a lack of memory
    shows at once. A shard takes whole batches: what is padded beside a passage is in its last digits."""
    limit = session.context_limit
    # Asked once: a model looks its folder up for it, files, packages and sources, which takes as long as a passage.
    tokenizer = model.tokenizer()
    pairs = [encode_pair(tokenizer, context, continuation, limit) for context, continuation in data.items]
    order = sorted(range(len(pairs)), key=lambda i: -len(pairs[i][0]))
    chunks = shard.takes(_chunks(order, data.batch))
    scores: dict[int, Score] = {}
    with (
        Resumable([session.identity, data.describe(), [shard.number, shard.of]]) as saved,
        progress(f"scoring {data.name}", sum(map(len, chunks))) as advance,
    ):
        for chunk in chunks:
            if not all(str(i) in saved for i in chunk):
                for i, score in zip(chunk, _score_chunk(session, [pairs[i] for i in chunk], chunk, data), strict=True):
                    saved[str(i)] = [score.nll, score.rank]
                saved.sync()
            scores.update({i: Score(*saved[str(i)]) for i in chunk})
            advance(len(chunk))
        saved.discard()
    return dict(sorted(scores.items()))


def _score_chunk(
    session: LMSession, pairs: Sequence[tuple[list[int], int]], indices: Sequence[int], data: Passages
) -> Iterator[Score]:
    inputs = [tokens[:-1] for tokens, _ in pairs]
    rows = session.logits(inputs, [n_target for _, n_target in pairs])
    for (tokens, n_target), logits, index in zip(pairs, rows, indices, strict=True):
        yield score_logits(logits, tokens[-n_target:], f"{data.name}, passage {index + 1}")


def _chunks(order: Sequence[int], size: int) -> list[Sequence[int]]:
    if size < 1:
        raise DataError(f"batch {size} must be at least 1")
    return [order[i : i + size] for i in range(0, len(order), size)]


def summarize(scores: Sequence[Score], data: Passages) -> dict[str, Metric]:
    """Top-k accuracies with Wilson intervals; the target's perplexity exp(mean nll) as lm-evaluation-harness has it.

    The metrics' examples are hits, and log losses for the perplexity.
    """
    about = f"{data.name} ({len(scores)} of {data.total} passages)"
    found: dict[str, Metric] = {}
    for k in data.top_k:
        hits = tuple(float(score.rank <= k) for score in scores)
        share = stats.proportion(int(sum(hits)), len(hits))
        method = f"all target tokens within the top {k}, {about}; Wilson interval"
        # Any k has what the table says of k = 1.
        found[f"top{k}"] = metric(
            "top1", share.value, n=share.n, low=share.low, high=share.high, method=method, examples=hits
        )
    nll = stats.mean([score.nll for score in scores])
    found["perplexity"] = metric(
        "perplexity",
        _exp(nll.value),
        n=nll.n,
        low=None if nll.low is None else _exp(nll.low),
        high=None if nll.high is None else _exp(nll.high),
        method=f"exp of the mean target log loss, {about}; t interval on the log",
        examples=tuple(score.nll for score in scores),
    )
    return found


def _exp(value: float) -> float:
    """exp, held below the largest float: a broken 2-bit model's perplexity is huge but a number."""
    return math.exp(min(value, 700.0))


class CausalLMTask:
    """Registered as "causal-lm"."""

    name = "causal-lm"
    unit = "tokens"
    stepwise = True
    operations: ClassVar[Mapping[str, Any]] = {"prefill": prefill, "decode": decode, "generate": generate}
    without_data: ClassVar[Mapping[str, str]] = dict.fromkeys(("top1", "perplexity"), NO_PASSAGES)
    pipeline_tag = "text-generation"
    headline = (
        *("decode_tokens_per_s", "perplexity", "size_bytes", "prefill_tokens_per_s", "peak_rss_bytes"),
        *("top1", "kl_mean", "ttft_s"),
    )

    def inputs(self, model: Any, params: Mapping[str, Any]) -> str:
        """The text that prompts are cut from, the same for every model."""
        return PROMPT

    def sample(self, model: Any, batch: int) -> np.ndarray:
        return prompt_tokens(model, batch, 128)

    def score(self, session: LMSession, model: Any, data: Passages) -> Mapping[str, Metric]:
        """Top-k accuracy and perplexity on `data`."""
        return self.summed(session, model, data, self.answers(session, model, data, WHOLE))

    def answers(self, session: LMSession, model: Any, data: Passages, shard: Shard) -> Answers:
        """[log loss, rank] of each passage of the shard, by its place in the data."""
        found = score_passages(session, model, data, shard)
        return {str(place): [score.nll, score.rank] for place, score in found.items()}

    def summed(self, session: LMSession, model: Any, data: Passages, answers: Answers) -> Mapping[str, Metric]:
        """Top-k accuracy and perplexity by the answers to all passages."""
        return summarize([Score(*answers[str(place)]) for place in range(len(data.items))], data)

    def fidelity(self, reference: LMSession, session: LMSession, model: Any, data: Passages) -> Mapping[str, Metric]:
        """KL divergence, top-1 agreement and change of log perplexity on every token of `data`."""
        return fidelity.compare(reference, session, model, data)


tasks.add(CausalLMTask)
