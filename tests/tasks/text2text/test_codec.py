"""Conversations as token ids: the form, what is cut, and text that pretends to be a special token."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.machine.packages import missing_packages
from benchgate.tasks.text2text.codec import END_ID, Codec

WORDS = Codec(
    to_tokens=lambda text: [int(word) for word in text.split()],
    to_text=lambda tokens: " ".join(map(str, tokens)),
    end=END_ID,
    opening=(900,),
    joiner=(901,),
    middle=(902,),
    closing=(903, END_ID),
)


def test_turns_are_in_order_and_the_query_is_last():
    assert WORDS.source(["10 11", "12"], "20 21", 99) == [900, 10, 11, 901, 12, 901, 902, 20, 21, 903, END_ID]


def test_without_a_conversation_the_query_stands_alone():
    assert WORDS.source([], "20", 99) == [900, 902, 20, 903, END_ID]


@pytest.mark.parametrize(
    ("limit", "kept"),
    [
        (10, [900, 11, 901, 12, 901, 902, 20, 21, 903, END_ID]),
        (8, [900, 12, 901, 902, 20, 21, 903, END_ID]),
        (6, [900, 902, 20, 21, 903, END_ID]),
        (5, [900, 902, 20, 903, END_ID]),
    ],
)
def test_the_oldest_of_the_conversation_goes_first_the_query_last(limit, kept):
    assert WORDS.source(["10 11", "12"], "20 21", limit) == kept


numbers = st.lists(st.integers(10, 99), max_size=9).map(lambda items: " ".join(map(str, items)))


@given(st.lists(numbers, max_size=4), numbers, st.integers(5, 40))
def test_a_source_is_never_longer_than_allowed_and_always_ends(context, query, limit):
    tokens = WORDS.source(context, query, limit)
    assert len(tokens) <= limit
    assert (tokens[0], tokens[-1]) == (900, END_ID)
    whole = WORDS.source(context, query, 999)
    assert len(tokens) == min(limit, len(whole))


def test_a_target_ends_where_it_is_cut():
    assert WORDS.target("10 11 12", 4) == [10, 11, 12, END_ID]
    assert WORDS.target("10 11 12", 3) == [10, 11, END_ID]


# The tokenizer itself


def needs_packages():
    if reason := missing_packages({"tokenizers": "train", "sentencepiece": "train"}):
        pytest.skip(reason)


@pytest.fixture(scope="module")
def tokenizer():
    needs_packages()
    from benchgate.tasks.text2text.codec import train_unigram

    texts = ["what is the capital of france", "who is the mayor of paris", "and how about oslo", "symptoms of flu"]
    return train_unigram(texts * 50, 150)


def test_special_tokens_have_the_ids_that_t5_gives_them(tokenizer):
    assert [tokenizer.token_to_id(token) for token in ("<pad>", "</s>", "<unk>", "<turn>")] == [0, 1, 2, 3]


@given(text=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1).filter(lambda t: "▁" not in t))
def test_printable_ascii_survives(tokenizer, text):
    from benchgate.tasks.text2text.codec import unigram_codec

    codec = unigram_codec(tokenizer)
    assert codec.to_text(codec.to_tokens(text)) == text


@pytest.mark.parametrize("text", ["</s>", "paris<turn>oslo", "<pad> <unk>", "a</s>b"])
def test_text_that_spells_a_special_token_stays_text(tokenizer, text):
    from benchgate.tasks.text2text.codec import unigram_codec

    codec = unigram_codec(tokenizer)
    tokens = codec.to_tokens(text)
    assert not {0, 1, 2, 3} & set(tokens)
    assert codec.to_text(tokens) == text


@pytest.mark.parametrize(
    ("text", "normal"),
    [("  paris \t\n oslo ", "paris oslo"), ("\uff50aris", "paris"), ("pa\u0007ris", "paris"), ("", "")],
)
def test_spaces_widths_and_control_characters_are_normalised(tokenizer, text, normal):
    from benchgate.tasks.text2text.codec import unigram_codec

    codec = unigram_codec(tokenizer)
    assert codec.to_text(codec.to_tokens(text)) == normal


def test_what_no_text_had_is_unknown_and_does_not_fail(tokenizer):
    from benchgate.tasks.text2text.codec import unigram_codec

    assert 2 in unigram_codec(tokenizer).to_tokens("paris \U0001f600")


def test_the_same_texts_give_the_same_tokenizer():
    needs_packages()
    from benchgate.tasks.text2text.codec import train_unigram

    texts = [f"the {a} of {b}" for a in ("height", "weight", "age") for b in ("oslo", "rome", "paris")]
    assert train_unigram(texts, 120).to_str() == train_unigram(texts, 120).to_str()
