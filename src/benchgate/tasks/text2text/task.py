"""Text to text: a conversation and a query in, a clean self-contained query out.

Two seams, so that any architecture runs on any runtime:

- *Model to runtime*: `build()` returns a module with `begin(source, mask) -> (memory, cache)`,
  `step(tokens, memory, cache) -> (logits, cache)` and `forward(source, mask, target) -> logits`, see `Seq2SeqModule`.
  A runtime traces, exports or compiles these two functions and knows nothing of LSTM or attention.
- *Runtime to task*: a loaded model is a `Text2TextSession`: token ids in, token ids out. Nothing here knows of torch.

What is timed are the queries that the test gives (`cell.measure(inputs=...)`), one call after another in whole passes,
so that the percentiles are over the same queries everywhere: "reformulate" from text to text, "generate" from token ids
to token ids.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, TypeVar

from benchgate.core import DataError, InvalidOutput, Metric, Model, Session, Work, tasks, unknown_name
from benchgate.core.shards import WHOLE, Answers, Shard
from benchgate.storage.download import progress
from benchgate.tasks.text2text.rewrites import Rewrite, Rewrites
from benchgate.tasks.text2text.scores import copied, score_texts

State = tuple[Any, ...]
Item = TypeVar("Item")


class Seq2SeqModule(Protocol):
    """The module that a text2text model's `build()` returns (a `torch.nn.Module`).

    `memory` and `cache` are flat tuples of tensors whose first dimension is the batch, so that beams are
    `index_select(0)`. `memory` does not change from step to step (encoder keys and values, mask); `cache` does.
    """

    def begin(self, source: Any, mask: Any) -> tuple[State, State]:
        """Encode source token ids, int64 [batch, length], mask int64 [batch, length] (1 token, 0 padding)."""

    def step(self, tokens: Any, memory: State, cache: State) -> tuple[Any, State]:
        """Logits float [batch, vocabulary] of what follows `tokens`, int64 [batch]; and the longer cache."""

    def forward(self, source: Any, mask: Any, target: Any) -> Any:
        """Teacher forcing: logits [batch, target length, vocabulary]; `target`, int64, begins with the start token."""


class ExtendingModule(Seq2SeqModule, Protocol):
    """A module whose source goes the way of its target, as in a decoder-only language model.

    A runtime that keeps a graph for each function needs one for `extend` alone, and the weights once. `memory` is the
    source's mask, `cache` is [batch, heads, past, width] each.
    """

    def extend(self, tokens: Any, mask: Any, cache: State) -> tuple[Any, State]:
        """Logits float [batch, vocabulary] after the last of `tokens`, int64 [batch, length]; and the longer cache.

        `mask` is int64 [batch, past + length]; an empty `cache` is nothing in the past.
        """


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
    """The session that a runtime provides for this task."""

    def generate(self, sources: Sequence[Sequence[int]], max_new_tokens: int, beams: int = 1) -> list[list[int]]:
        """Target token ids, without start and end token, for each source (any lengths, padded inside).

        Greedy where `beams` is 1, else beam search of that width. Raises InvalidOutput for NaN or infinite logits.
        """


# The thirds of the queries by source tokens, for timing by input length.
LENGTHS = ("short", "medium", "long")
NO_REWRITES = (
    "no rewrites: give the test the fixture `reformulations` and write cell.measure(data=reformulations); "
    "--cell-rewrites=FILE scores your own"
)
SAMPLE = Rewrite(("who wrote hamlet",), "when was it written", "when was hamlet written")


@dataclass(frozen=True)
class Answer:
    """A model's answer to one query, and the seconds from text to text."""

    text: str
    seconds: float


def encode(model: Text2TextModel, examples: Sequence[Rewrite]) -> list[list[int]]:
    """Source token ids of each example."""
    return [model.encode(example.context, example.query) for example in examples]


def generate_tokens(
    session: Text2TextSession, model: Text2TextModel, sources: Sequence[Sequence[int]], beams: int
) -> list[list[int]]:
    """The session's answers, as long as the model allows. Raises InvalidOutput where they are not one each."""
    answers = session.generate(sources, model.max_target, beams)
    if len(answers) != len(sources):
        raise InvalidOutput(f"{len(answers)} answers to {len(sources)} queries; this is a defect of the runtime")
    return answers


def rewrite(session: Text2TextSession, model: Text2TextModel, examples: Sequence[Rewrite], beams: int = 1) -> list[str]:
    """The reformulation of each example's query, decoded in one call of the session."""
    answers = generate_tokens(session, model, encode(model, examples), beams)
    return [model.decode(tokens) for tokens in answers]


def ask(session: Text2TextSession, model: Text2TextModel, data: Rewrites, beams: int = 1) -> list[Answer]:
    """Every query on its own, in the data's order: what is in a batch beside it may change an int8 model's answer."""
    answers = []
    with progress(f"scoring {data.name}", len(data)) as advance:
        for example in data:
            start = time.perf_counter()
            (text,) = rewrite(session, model, [example], beams)
            answers.append(Answer(text, time.perf_counter() - start))
            advance(1)
    return answers


def reformulate(
    session: Text2TextSession,
    model: Text2TextModel,
    inputs: Rewrites,
    batch: int = 1,
    beams: int = 1,
    length: str | None = None,
) -> Work:
    """Text to text: `batch` queries a call, of all of `inputs` or of its third with short, medium or long sources."""
    return Work(
        call=lambda queries: rewrite(session, model, queries, beams),
        turns=in_turn(_queries(model, inputs, length), batch),
        units=batch,
        check=_not_all_empty(model.name),
    )


def generate(
    session: Text2TextSession,
    model: Text2TextModel,
    inputs: Rewrites,
    batch: int = 1,
    beams: int = 1,
    length: str | None = None,
) -> Work:
    """The same without the tokenizer: token ids to token ids."""
    return Work(
        call=lambda sources: generate_tokens(session, model, sources, beams),
        turns=in_turn(encode(model, _queries(model, inputs, length)), batch),
        units=batch,
        check=_not_all_empty(model.name),
    )


def _queries(model: Text2TextModel, data: Rewrites, length: str | None) -> Sequence[Rewrite]:
    examples = data.items
    if length is None:
        return examples
    if length not in LENGTHS:
        raise DataError(unknown_name("length", length, LENGTHS))
    tokens = [len(source) for source in encode(model, examples)]
    ranked = sorted(range(len(examples)), key=lambda i: tokens[i])
    place, third = LENGTHS.index(length), len(examples) / len(LENGTHS)
    # In the data's order again, which has the phenomena in turn.
    return [examples[i] for i in sorted(ranked[round(place * third) : round((place + 1) * third)])]


def in_turn(items: Sequence[Item], batch: int) -> list[list[Item]]:
    """Return the items in runs of `batch`, going round until every one has been in as many as any other.

    Raises DataError for a batch below 1 or above the number of items.
    """
    if not 1 <= batch <= len(items):
        raise DataError(f"batch {batch}: must be at least 1 and at most the {len(items)} queries that there are")
    endless = itertools.cycle(items)
    return [list(itertools.islice(endless, batch)) for _ in range(len(items) // math.gcd(len(items), batch))]


def _not_all_empty(name: str) -> Callable[[Sequence[Any]], None]:
    """A model that says nothing at all is quick, and its time worth nothing."""

    def check(answers: Sequence[Any]) -> None:
        if not any(answers):
            raise InvalidOutput(f"{name} answered nothing to any of {len(answers)} queries; its time is not counted")

    return check


class Text2TextTask:
    """Registered as "text2text"."""

    name = "text2text"
    unit = "queries"
    stepwise = True
    operations: ClassVar[Mapping[str, Callable[..., Work]]] = {"reformulate": reformulate, "generate": generate}
    without_data: ClassVar[Mapping[str, str]] = {"exact_match": NO_REWRITES}
    pipeline_tag = "text2text-generation"
    headline = (
        *("exact_match", "latency_p95_s", "size_bytes", "throughput_per_s", "latency_mean_s"),
        *("peak_rss_bytes", "token_f1", "latency_p99_s"),
    )

    def inputs(self, model: Text2TextModel, params: Mapping[str, Any]) -> Rewrites:
        raise DataError(
            f"{model.name}: no queries to time it on; give some: cell.measure(inputs=rewrites.load('queries.jsonl'))"
        )

    def filling(self, model: Text2TextModel, params: Mapping[str, Any]) -> Rewrites:
        """One short conversation, as often as a batch has queries."""
        batch = params.get("batch", 1)
        sha256 = hashlib.sha256(repr(SAMPLE).encode()).hexdigest()
        return Rewrites("one short conversation, repeated", sha256, (SAMPLE,) * batch, batch)

    def sample(self, model: Text2TextModel, batch: int) -> list[list[int]]:
        """Source token ids of one short conversation, `batch` times."""
        return encode(model, [SAMPLE] * batch)

    def score(self, session: Text2TextSession, model: Text2TextModel, data: Rewrites) -> Mapping[str, Metric]:
        """The quality of the answers to `data`, each query asked alone, and what copying the query would have got."""
        return self.summed(session, model, data, self.answers(session, model, data, WHOLE))

    def answers(self, session: Text2TextSession, model: Text2TextModel, data: Rewrites, shard: Shard) -> Answers:
        """The text of each answer, by the query's place in the data."""
        places = shard.takes(range(len(data)))
        asked = ask(session, model, replace(data, items=tuple(shard.takes(data.items))))
        return {str(place): answer.text for place, answer in zip(places, asked, strict=True)}

    def summed(
        self, session: Text2TextSession, model: Text2TextModel, data: Rewrites, answers: Answers
    ) -> Mapping[str, Metric]:
        """The quality of the answers to all queries, and what copying the query would have got."""
        texts = [answers[str(place)] for place in range(len(data))]
        found = score_texts(texts, [example.reformulation for example in data])
        return {**found, "exact_match_copy": copied(data.items)}


tasks.add(Text2TextTask)
