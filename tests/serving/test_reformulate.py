"""What is taken for a query and what is not; the way from text to text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.core import InvalidOutput
from benchgate.serving.reformulate import (
    MAX_CHARACTERS,
    MAX_TURNS,
    BadInput,
    Question,
    Reformulator,
    checked,
    parse_question,
)
from tests.serving.fakes import EchoModel, EchoSession, echo


@pytest.mark.parametrize("text", ["a", "😀", "👩‍👩‍👧", "שלום \u200f!", "e\u0301", "\u200b", "x" * MAX_CHARACTERS])
def test_text_stays_as_it_is(text):
    assert checked([text] * MAX_TURNS, text) == Question((text,) * MAX_TURNS, text)


def test_whitespace_becomes_single():
    assert checked(["\ta\u00a0\u3000b\r\n"], " c \n\n d ") == Question(("a b",), "c d")


@pytest.mark.parametrize(
    ("context", "query", "said"),
    [
        ([], "", "query is empty"),
        ([], " \t\n\u00a0", "query is empty"),
        (["a", ""], "b", r"context\[1\] is empty"),
        ([], "x" * (MAX_CHARACTERS + 1), "query has 2001 characters; at most 2000"),
        (["x" * 100_000], "a", r"context\[0\] has 100000 characters"),
        (["a"] * (MAX_TURNS + 1), "a", "context has 33 turns; at most 32"),
        ([], "a\0", r"query holds U\+0000 at 1"),
        ([], "\x1b[2J", r"query holds U\+001B at 0"),
        ([], "a\x7f", r"U\+007F"),
        ([], "a\x85b", r"U\+0085"),
        (["a\ud83d"], "b", r"context\[0\] holds U\+D83D"),
    ],
)
def test_what_is_no_query(context, query, said):
    with pytest.raises(BadInput, match=said):
        checked(context, query)


@given(st.lists(st.text(max_size=30), max_size=4), st.text())
def test_what_passes_can_be_shown_anywhere_and_passes_again(context, query):
    try:
        question = checked(context, query)
    except BadInput:
        return
    for text in (*question.context, question.query):
        text.encode("utf-8")
        assert text == text.strip()
        assert not any(ord(character) < 32 for character in text)
    assert checked(question.context, question.query) == question


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "a JSON object .* is needed, not list"),
        (None, "not NoneType"),
        ({}, "query must be a text, not missing"),
        ({"query": 1}, "query must be a text, not int"),
        ({"query": None}, "query must be a text, not NoneType"),
        ({"query": "a", "context": "b"}, "context must be a list"),
        ({"query": "a", "context": [1]}, "context must be a list"),
        ({"query": "a", "context": None}, "context must be a list"),
        ({"query": "a", "\ud800" + "x" * 100: 1}, r"unknown field .*\.\.\.'; allowed: context, query"),
    ],
)
def test_an_object_that_is_no_question(value, said):
    with pytest.raises(BadInput, match=said) as refused:
        parse_question(value)
    str(refused.value).encode("utf-8")


def test_from_text_to_text_with_the_time():
    answer = echo(EchoSession())(checked(["a"], "b"))
    assert answer.text == "A\nB"
    assert answer.seconds > 0


def test_an_invalid_output_is_raised():
    with pytest.raises(InvalidOutput):
        echo(EchoSession())(checked([], "poison"))


def test_a_session_that_loses_an_answer_is_found_out():
    session = EchoSession()
    session.generate = lambda sources, max_new_tokens, beams=1: [[65]]  # type: ignore[method-assign]
    with pytest.raises(InvalidOutput, match="1 answers to 2 queries"):
        echo(session).batch([checked([], "a"), checked([], "b")])


def test_the_oldest_turns_may_be_cut_and_the_query_never():
    reformulator = Reformulator(EchoModel(max_source=10), EchoSession())  # type: ignore[arg-type]
    assert reformulator(checked(["x" * 50], "nine char")).text == "\nNINE CHAR"
    with pytest.raises(BadInput, match="query has too many tokens for echo; together at most 9"):
        reformulator(checked([], "ten charac"))
