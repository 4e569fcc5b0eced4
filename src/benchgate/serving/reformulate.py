"""Query reformulation, text in and text out: what chat, server and load generator share.

Untrusted text is checked here once (`checked`), so that a model sees only what it can read.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchgate.core import BenchgateError, Cell
from benchgate.tasks.text2text.task import Answer, Text2TextModel, Text2TextSession, generate_tokens

MAX_TURNS = 32
MAX_CHARACTERS = 2000
# Control characters (Unicode Cc) but tab and line ends, and lone surrogates (Cs), which no encoding can carry.
NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


class BadInput(BenchgateError):
    """A query or context that is not reformulated; the message names the field, what it holds and what is allowed."""


@dataclass(frozen=True)
class Question:
    """A query after the turns of its conversation, oldest first; made by `checked`."""

    context: tuple[str, ...]
    query: str


def checked(context: Sequence[str], query: str) -> Question:
    """The question, whitespace made single. Raises BadInput for what is empty, too long, or no text.

    Emoji, right-to-left text and its marks are text; control characters (Unicode Cc) and lone surrogates are not.
    """
    if len(context) > MAX_TURNS:
        raise BadInput(f"context has {len(context)} turns; at most {MAX_TURNS} are taken, leave out the oldest")
    turns = tuple(_clean(turn, f"context[{index}]") for index, turn in enumerate(context))
    return Question(turns, _clean(query, "query"))


def parse_question(value: Any) -> Question:
    """The question that a JSON object `{"context": [...], "query": ...}` is. Raises BadInput."""
    if not isinstance(value, Mapping):
        raise BadInput(f'a JSON object with "query" and "context" is needed, not {type(value).__name__}')
    unknown = sorted(map(str, set(value) - {"context", "query"}))
    if unknown:
        raise BadInput(f"unknown field {_shown(unknown[0])}; allowed: context, query")
    context, query = value.get("context", []), value.get("query")
    if not isinstance(query, str):
        raise BadInput(f"query must be a text, not {'missing' if 'query' not in value else type(query).__name__}")
    if not isinstance(context, list) or not all(isinstance(turn, str) for turn in context):
        raise BadInput("context must be a list of texts, oldest first")
    return checked(context, query)


def _clean(text: str, field: str) -> str:
    if len(text) > MAX_CHARACTERS:
        raise BadInput(f"{field} has {len(text)} characters; at most {MAX_CHARACTERS} are allowed")
    strange = NO_TEXT.search(text)
    if strange:
        raise BadInput(f"{field} holds U+{ord(strange[0]):04X} at {strange.start()}, which is no text; remove it")
    single = " ".join(text.split())
    if not single:
        raise BadInput(f"{field} is empty")
    return single


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}...").encode("ascii", "backslashreplace").decode()


class Reformulator:
    """A model with its loaded session. Not for two threads at once: sessions are not."""

    def __init__(self, model: Text2TextModel, session: Text2TextSession) -> None:
        self.model, self.session = model, session

    def __call__(self, question: Question) -> Answer:
        """One question. Raises InvalidOutput for an answer of the model that must not be used."""
        start = time.perf_counter()
        (text,) = self.batch([question])
        return Answer(text, time.perf_counter() - start)

    def batch(self, questions: Sequence[Question]) -> list[str]:
        """The reformulations in the order of the questions, decoded greedily in one call of the session.

        Raises BadInput for a query that the model would read only in part.
        """
        return self.answers([self.source(question) for question in questions])

    def answers(self, sources: Sequence[Sequence[int]]) -> list[str]:
        """The reformulations of sources that `source` gave, in their order, in one call of the session."""
        answers = generate_tokens(self.session, self.model, sources, beams=1)
        return [self.model.decode(tokens) for tokens in answers]

    def source(self, question: Question) -> list[int]:
        """The question as the model reads it. Raises BadInput for a query that it would read only in part."""
        source, limit = self.model.encode(question.context, question.query), self.model.max_source
        # A source that fills the limit was cut. That may cost the oldest turns, but never a part of the query itself.
        if len(source) >= limit and len(self.model.encode((), question.query)) >= limit:
            raise BadInput(f"query has too many tokens for {self.model.name}; together at most {limit - 1}")
        return source


def load_reformulator(cell: Cell, threads: int) -> Reformulator:
    """Build or reuse the cell's artifact and load it. Raises whatever the runtime raises."""
    from benchgate.measuring.resolved import resolve

    loaded = resolve(cell).load(threads)
    return Reformulator(loaded.of.model, loaded.session)  # type: ignore[arg-type]
