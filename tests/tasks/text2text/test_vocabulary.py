"""Trimmed tokenizers against the real ones of Hugging Face's library."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchgate.core import DataError
from benchgate.tasks.text2text.codec import train_unigram
from benchgate.tasks.text2text.vocabulary import trim
from tests.tasks.text2text.tiny_lm import TEXTS

pytestmark = pytest.mark.backend("torch")
WORDS = sorted({word for text in TEXTS for word in text.split()})
SOME = st.lists(st.sampled_from([*WORDS, "parisian", "romeo", "a", "42"]), min_size=1, max_size=5).map(" ".join)


def byte_level():
    """Byte-level BPE as of GPT-2 and SmolLM2, with an end token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=340, special_tokens=["<s>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS * 9, trainer)
    tokenizer.add_special_tokens(["</s>"])
    end = tokenizer.token_to_id("</s>")
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", end)]),
        ]
    )
    return tokenizer


MADE = {"bpe": byte_level, "unigram": lambda: train_unigram(TEXTS * 9, 160)}


@pytest.fixture(scope="module", params=MADE)
def tokenizer(request):
    if request.param == "unigram":
        pytest.importorskip("sentencepiece", reason="pip install 'benchgate[train]'")
    return MADE[request.param]()


def trimmed(tokenizer, used):
    from tokenizers import Tokenizer

    found = trim(json.loads(tokenizer.to_str()), used)
    return Tokenizer.from_str(json.dumps(found.document)), found.kept


@settings(max_examples=60)
@given(used=st.lists(SOME, max_size=4), other=SOME)
def test_texts_of_the_tokens_that_stay_are_split_as_before_and_others_are_still_spelled(tokenizer, used, other):
    ids = {number for text in used for number in tokenizer.encode(text).ids}
    smaller, kept = trimmed(tokenizer, ids)
    assert ids <= set(kept)
    for text in [*used, other]:
        before, after = tokenizer.encode(text), smaller.encode(text)
        assert smaller.decode(after.ids) == tokenizer.decode(before.ids) == text
        if set(before.ids) <= set(kept):
            assert after.tokens == before.tokens
            assert [kept[number] for number in after.ids] == before.ids


def test_what_is_not_used_goes(tokenizer):
    smaller, kept = trimmed(tokenizer, tokenizer.encode("paris").ids)
    assert smaller.get_vocab_size() == len(kept) < tokenizer.get_vocab_size()
    assert len(smaller.encode("the capital of france").ids) > len(tokenizer.encode("the capital of france").ids)


def test_ids_that_no_token_has_are_no_tokens(tokenizer):
    assert trimmed(tokenizer, [999_999])[1] == trimmed(tokenizer, [])[1]


def test_merges_are_read_as_pairs_and_as_texts():
    document = json.loads(byte_level().to_str())
    used = byte_level().encode("paris").ids
    as_texts = {**document["model"], "merges": [" ".join(pair) for pair in document["model"]["merges"]]}
    assert trim({**document, "model": as_texts}, used) == trim(document, used)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": {"type": "WordPiece", "vocab": {}}}, "unknown kind of tokenizer 'WordPiece'; .*BPE.*Unigram.*whole"),
        ({"model": {"type": "BPE", "continuing_subword_prefix": "##"}}, "prefix of its own within words"),
        ({"post_processor": {"type": "Novel"}}, "unknown post-processor 'Novel'"),
    ],
)
def test_what_is_not_known_is_refused(change, message):
    document = {**json.loads(byte_level().to_str()), **change}
    with pytest.raises(DataError, match=message):
        trim(document, [1])


def test_ends_of_the_older_form_are_renumbered():
    document = json.loads(byte_level().to_str())
    end = byte_level().token_to_id("</s>")
    document["post_processor"] = {"type": "RobertaProcessing", "sep": ["</s>", end], "cls": ["<s>", 0]}
    found = trim(document, byte_level().encode("paris").ids)
    assert found.document["post_processor"]["sep"] == ["</s>", found.kept.index(end)]
    assert found.document["post_processor"]["cls"] == ["<s>", found.kept.index(0)]


def test_added_tokens_have_their_new_ids_in_the_file(tokenizer):
    document = json.loads(tokenizer.to_str())
    found = trim(document, tokenizer.encode("paris").ids)
    before, after = ({e["content"]: e["id"] for e in one["added_tokens"]} for one in (document, found.document))
    assert {text: found.kept[number] for text, number in after.items()} == before


def test_what_was_cut_or_padded_is_cut_and_padded_no_more():
    tokenizer = byte_level()
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(pad_id=tokenizer.token_to_id("</s>"), length=40)
    smaller, _ = trimmed(tokenizer, byte_level().encode("paris").ids)
    assert smaller.decode(smaller.encode("paris paris").ids) == "paris paris"
    assert len(smaller.encode("paris").ids) < 40


def of_pieces(model):
    """A tokenizer without added tokens."""
    return {"version": "1.0", "added_tokens": [], "model": model}


def test_the_unknown_token_of_unigram_stays_where_it_is_found():
    vocabulary = [["gone", -1.0], ["used", -1.0], ["?", -9.0], ["<unk>", -9.0]]
    found = trim(of_pieces({"type": "Unigram", "vocab": vocabulary, "unk_id": 3}), [1])
    assert found.document["model"]["vocab"] == vocabulary[1:]
    assert found.document["model"]["unk_id"] == 2
    assert trim(of_pieces({"type": "Unigram", "vocab": vocabulary, "unk_id": None}), [1]).kept == (1, 2)


def test_bpe_keeps_its_unknown_token_and_its_bytes():
    vocabulary = {"a": 0, "b": 1, "ab": 2, "ba": 3, "<unk>": 4, "<0x41>": 5, "<0xZZ>": 6}
    model = {"type": "BPE", "vocab": vocabulary, "merges": ["a b", "b a"], "unk_token": "<unk>"}
    found = trim(of_pieces(model), [2])
    assert found.kept == (0, 1, 2, 4, 5)
    assert found.document["model"]["merges"] == [["a", "b"]]


def test_an_added_token_that_is_written_otherwise_in_the_vocabulary_moves_no_other():
    vocabulary = [["gone", -1.0], ["<old>", 0.0], ["used", -1.0]]
    entry = {"id": 1, "content": "<new>", "special": True}
    document = {**of_pieces({"type": "Unigram", "vocab": vocabulary, "unk_id": None}), "added_tokens": [entry]}
    found = trim(document, [2])
    assert found.kept == (1, 2)
    assert found.document["model"]["vocab"] == vocabulary[1:]
