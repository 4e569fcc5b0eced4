"""The bodies of the API: what is taken, what is answered. Unknown fields are refused."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from benchgate.serving.batching import Served
from benchgate.serving.reformulate import MAX_CHARACTERS, MAX_TURNS
from benchgate.serving.settings import MAX_QUERIES

Text = Annotated[str, Field(min_length=1, max_length=MAX_CHARACTERS)]


class QueryIn(BaseModel):
    """One query with the turns of its conversation, oldest first."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"context": ["who wrote Dune"], "query": "when was he born"}]},
    )

    query: Text
    context: Annotated[list[Text], Field(max_length=MAX_TURNS)] = []


class QueriesIn(BaseModel):
    """Several queries; their answers come in the same order."""

    model_config = ConfigDict(extra="forbid", strict=True)

    queries: Annotated[list[QueryIn], Field(min_length=1, max_length=MAX_QUERIES)]


def _kind(value: Any) -> str:
    return "several" if isinstance(value, dict) and "queries" in value else "one"


Body = Annotated[Annotated[QueryIn, Tag("one")] | Annotated[QueriesIn, Tag("several")], Discriminator(_kind)]


class AnswerOut(BaseModel):
    """One reformulation. Times in milliseconds: the wait in the queue, and the model's for the whole batch."""

    reformulation: str
    queue_ms: float
    model_ms: float
    batch: Annotated[int, Field(description="queries that the model answered together, of whatever requests")]

    @classmethod
    def of(cls, served: Served) -> AnswerOut:
        return cls(
            reformulation=served.text,
            queue_ms=round(1000 * served.queue_s, 3),
            model_ms=round(1000 * served.model_s, 3),
            batch=served.batch,
        )


class FailureOut(BaseModel):
    """A query of several whose own answer could not be had; its neighbours have theirs."""

    detail: str


class AnswersOut(BaseModel):
    """The answers in the order of the queries."""

    answers: list[AnswerOut | FailureOut]


class ProblemOut(BaseModel):
    """Every answer that is no success: the reason, in words."""

    detail: str


class StateOut(BaseModel):
    status: str
