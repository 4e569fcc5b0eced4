"""Real rewrites in parts: no conversation in two of them, and nothing in training that tells a held-out answer."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.core import DataError
from benchgate.tasks.text2text import conversations
from benchgate.tasks.text2text.conversations import PARTS, dropped, split
from benchgate.tasks.text2text.rewrites import Rewrite


def written(path, entries):
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return str(path)


def talk(topic, turns):
    """A conversation as CANARD has it: topic, questions and answers so far."""
    said = [topic]
    for turn in range(turns):
        yield {"context": list(said), "raw": f"q{turn}", "rewrite": f"what is the q{turn} of {topic}"}
        said += [f"q{turn}", f"answer {turn}"]


@pytest.fixture
def many(tmp_path):
    return written(tmp_path / "many.jsonl", [one for n in range(200) for one in talk(f"topic {n}", 3)])


def test_each_conversation_is_in_one_part_as_a_whole(many):
    topics = {part: {example.context[0] for example in split([many], part)} for part in PARTS}
    assert sum(map(len, topics.values())) == 200
    assert len(set().union(*topics.values())) == 200
    assert sum(len(split([many], part)) for part in PARTS) == 600
    assert 10 < len(topics["test"]) < 50
    assert len(topics["dev"]) < len(topics["test"])


def test_a_part_of_a_file_is_the_same_beside_another_file(many, tmp_path):
    other = written(tmp_path / "other.jsonl", talk("something else", 4))
    alone, beside = split([many], "test").items, split([many, other], "test").items
    assert [example for example in beside if example.context[0] != "something else"] == list(alone)


def test_a_query_that_opens_a_conversation_is_with_what_follows_it():
    first, later = Rewrite((), "What is a keto diet?", "x"), Rewrite(("what is a keto diet", "y"), "why", "z")
    assert conversations._part(first) == conversations._part(later)


@pytest.mark.parametrize("where", ["context", "raw", "rewrite"])
def test_training_has_no_example_that_says_a_held_out_answer(many, tmp_path, where):
    told = split([many], "test").items[0].reformulation
    training = split([many], "train").items[0].context[0]
    entry = {"context": [training], "raw": "q", "rewrite": "r"}
    entry[where] = [training, told] if where == "context" else told
    other = written(tmp_path / "telling.jsonl", [entry])
    assert dropped([many]) == 0
    assert dropped([many, other]) == 1
    assert len(split([many, other], "train")) == len(split([many], "train"))


def test_an_answer_of_few_words_is_everybodys(many, tmp_path):
    topic = split([many], "test").items[0].context[0]
    training = split([many], "train").items[0].context[0]
    held = {"context": [topic], "raw": "x", "rewrite": "tell me more"}
    same = {"context": [training], "raw": "x", "rewrite": "tell me more"}
    assert dropped([many, written(tmp_path / "short.jsonl", [held, same])]) == 0


@given(st.text(min_size=1), st.text())
def test_the_part_is_that_of_the_first_turn_alone(first, query):
    assert conversations._part(Rewrite((first,), query, "x")) == conversations._part(Rewrite((first, "y"), "q", "z"))


def test_what_cannot_be_split_is_said(many, tmp_path):
    with pytest.raises(DataError, match="unknown part 'tset'; did you mean 'test'"):
        split([many], "tset")
    alone = written(tmp_path / "one.jsonl", talk("alone", 2))
    with pytest.raises(DataError, match="one: no conversation falls into dev; give files with more"):
        split([alone], "dev")


def test_other_files_are_other_data(many, tmp_path):
    other = written(tmp_path / "other.jsonl", talk("something else", 4))
    assert split([many], "dev").sha256 != split([many, other], "dev").sha256
    assert split([many], "dev").sha256 != split([many], "test").sha256
