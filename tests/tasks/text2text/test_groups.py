"""Rewrites in groups: their own label first, else the kind of change and the length of the conversation."""

from __future__ import annotations

import pytest

from benchgate.tasks.text2text.groups import grouped, kind
from benchgate.tasks.text2text.rewrites import Rewrite


@pytest.mark.parametrize(
    ("query", "meant", "found"),
    [
        ("What is throat cancer?", "what is throat cancer", "no change"),
        ("Is it treatable?", "Is throat cancer treatable?", "pronoun"),
        ("What about their diet", "what about the diet of sharks", "pronoun"),
        ("And the mayor?", "Who is the mayor of Oslo?", "ellipsis"),
        ("An item of italy", "another", "ellipsis"),
    ],
)
def test_the_kind_of_change_is_told_by_the_words(query, meant, found):
    assert kind(Rewrite((), query, meant)) == found


def test_labelled_examples_are_in_their_group_alone():
    examples = [Rewrite(("a",), "x", "x", label) for label in ("clean", "ellipsis", "clean")]
    assert grouped(examples) == {"clean": [0, 2], "ellipsis": [1]}


def test_others_are_grouped_by_change_and_then_by_context():
    examples = [Rewrite(("a",) * turns, "is it", "is a") for turns in (0, 1, 2, 3, 6, 7, 50)]
    assert grouped([*examples, Rewrite(("a",), "x", "x")]) == {
        "pronoun": [0, 1, 2, 3, 4, 5, 6],
        "no change": [7],
        "no context": [0],
        "context of 1-2 turns": [1, 2, 7],
        "context of 3-6 turns": [3, 4],
        "context of 7 turns or more": [5, 6],
    }
