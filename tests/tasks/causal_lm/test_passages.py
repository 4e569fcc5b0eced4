"""Passages: two forms of a line, one broken line refuses the file, samples are seeded."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.core import DataError
from benchgate.tasks.causal_lm.passages import encode_pair, load, parse

GOOD = {"context": "The cat sat on the", "continuation": "mat"}


def lines(*entries) -> bytes:
    return "".join(json.dumps(e, ensure_ascii=False) + "\n" for e in entries).encode()


def test_a_file_is_named_hashed_and_counted(tmp_path):
    path = tmp_path / "cloze.jsonl"
    path.write_bytes(lines(GOOD, {"text": "To be or not to be"}))
    found = load(path)
    assert found.items == (("The cat sat on the", "mat"), ("To be or not to", "be"))
    assert found.describe() == {
        "dataset": "cloze",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "n": 2,
        "of": 2,
        "seed": None,
        "batch": 8,
    }
    assert load(str(path)) == found


words = st.text(st.characters(codec="utf-8", exclude_characters=" "), min_size=1).filter(str.strip)


@given(st.lists(words, min_size=2, max_size=6))
def test_the_text_form_equals_context_and_continuation(text):
    pair = {"context": " ".join(text[:-1]), "continuation": text[-1]}
    assert parse(lines({"text": " ".join(text)}), "n", "w").items == parse(lines(pair), "n", "w").items


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\r"])
def test_only_a_newline_ends_a_line(separator):
    entry = {"text": f"one{separator}two three"}
    assert parse(lines(entry, GOOD), "n", "w").items[0] == (f"one{separator}two", "three")


@pytest.mark.parametrize(
    "raw", [b"\n\n" + lines(GOOD) + b"  \n\n", lines(GOOD).replace(b"\n", b"\r\n"), lines(GOOD).strip()]
)
def test_empty_lines_and_windows_line_ends_do_not_matter(raw):
    assert parse(raw, "n", "w").items == (("The cat sat on the", "mat"),)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{broken", "not JSON"),
        ('{"context": "a b", "continuation": "c"', "not JSON"),
        ("[]", "got list"),
        ('"text"', "got str"),
        ("7", "got int"),
        ("{}", "must be texts that are not empty"),
        ('{"context": "a"}', "must be texts that are not empty"),
        ('{"context": "", "continuation": "c"}', "must be texts that are not empty"),
        ('{"context": "a", "continuation": " "}', "must be texts that are not empty"),
        ('{"context": "a", "continuation": 7}', "must be texts that are not empty"),
        ('{"context": null, "continuation": "c"}', "must be texts that are not empty"),
        ('{"text": "one"}', "must be texts that are not empty"),
        ('{"text": "ends in space "}', "must be texts that are not empty"),
        ('{"text": ""}', "must be texts that are not empty"),
    ],
)
def test_a_broken_line_refuses_the_file_by_its_number_and_shows_the_form(tmp_path, line, said):
    path = tmp_path / "cloze.jsonl"
    path.write_bytes(lines(GOOD) + b"\n" + line.encode() + b"\n" + lines(GOOD))
    with pytest.raises(DataError, match=said) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}, line 3: ")
    assert 'each line must be {"context": "...", "continuation": "..."} or {"text": "..."}' in str(caught.value)


@pytest.mark.parametrize("raw", [b"", b"\n \n"])
def test_an_empty_file_is_refused_by_name(tmp_path, raw):
    path = tmp_path / "cloze.jsonl"
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"cloze\.jsonl: no passages in it"):
        load(path)


def test_what_is_not_utf8_is_refused_with_the_place(tmp_path):
    path = tmp_path / "cloze.jsonl"
    path.write_bytes(b'{"text": "caf\xe9 noir"}\n')
    with pytest.raises(DataError, match=r"cloze\.jsonl, line 1: not UTF-8 at byte 13; save the file as UTF-8"):
        load(path)


def test_a_file_that_cannot_be_read_is_named_with_what_to_give(tmp_path):
    with pytest.raises(
        DataError, match=r"cannot be read .*give 'cloze', 'lambada-openai', or a JSONL file of passages"
    ):
        load(tmp_path / "absent.jsonl")


MANY = parse(lines(*({"text": f"number {i}"} for i in range(100))), "many", "where")


def test_a_sample_is_the_same_for_the_same_seed_and_keeps_the_order_of_the_file():
    sample = MANY.sample(10, seed=3)
    assert sample == MANY.sample(10, seed=3)
    assert [int(last) for _, last in sample.items] == sorted(int(last) for _, last in sample.items)
    assert len(set(sample.items)) == 10
    assert sample.items != MANY.sample(10, seed=4).items


def test_a_sample_says_of_what_it_is_one():
    about = MANY.sample(10, seed=3).describe()
    assert (about["n"], about["of"], about["seed"], about["sha256"]) == (10, 100, 3, MANY.sha256)


@pytest.mark.parametrize("n", [100, 101])
def test_a_sample_of_everything_is_everything(n):
    assert MANY.sample(n) is MANY


@pytest.mark.parametrize("n", [0, -1])
def test_a_sample_of_nothing_is_refused(n):
    with pytest.raises(DataError, match=f"at least one item, got {n}"):
        MANY.sample(n)


# Tokens


def by_characters(text, add_special_tokens):
    assert add_special_tokens is False
    return {"input_ids": [ord(c) for c in text]}


@pytest.mark.parametrize(("limit", "kept"), [(100, "ab cd ef"), (7, "ab cd ef"), (6, "b cd ef"), (3, "d ef")])
def test_a_pair_is_the_whole_text_cut_on_its_left_to_what_the_model_reads(limit, kept):
    tokens, n_target = encode_pair(by_characters, "ab cd", "ef", limit)
    assert ("".join(map(chr, tokens)), n_target) == (kept, len(" ef"))


def test_a_target_that_the_tokenizer_swallows_is_refused():
    with pytest.raises(DataError, match="'ef': no target tokens left"):
        encode_pair(lambda text, add_special_tokens: {"input_ids": [1]}, "ab", "ef", 10)
