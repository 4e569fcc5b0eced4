"""Rewrites: two forms of a line, one broken line refuses the file, samples are seeded, texts have one normal form."""

from __future__ import annotations

import hashlib
import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.core import DataError
from benchgate.storage import reading
from benchgate.tasks.text2text.rewrites import Rewrite, load, normalise, parse, to_jsonl

GOOD = {"context": ["who is ada"], "query": "how old is she", "reformulation": "how old is ada"}


def lines(*entries) -> bytes:
    return "".join(json.dumps(e) + "\n" for e in entries).encode()


def test_a_file_is_named_hashed_and_counted(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_bytes(lines(GOOD, {**GOOD, "phenomenon": "pronoun", "id": "7"}))
    found = load(path)
    example = Rewrite(("who is ada",), "how old is she", "how old is ada")
    assert list(found) == [example, Rewrite(*list(vars(example).values())[:3], "pronoun", "7")]
    assert found.describe() == {
        "dataset": "mine",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "n": 2,
        "of": 2,
        "seed": None,
    }
    assert load(str(path)) == found


def test_the_form_of_cast_and_canard_means_the_same():
    real = {"set": "cast2019", "id": "31_2", "context": ["What?"], "raw": "Is it treatable?", "rewrite": "Is cancer?"}
    assert parse(lines(real), "n", "w").items == (Rewrite(("What?",), "Is it treatable?", "Is cancer?", "", "31_2"),)


characters = st.characters(codec="utf-8")
texts = st.text(characters, max_size=9).filter(str.strip)
examples = st.builds(
    Rewrite, st.lists(st.text(characters, max_size=9), max_size=3).map(tuple), texts, texts, st.text("ab")
)


@given(st.lists(examples, min_size=1, max_size=4))
def test_what_is_written_is_read_back(items):
    assert parse(to_jsonl(items), "n", "w").items == tuple(items)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{broken", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "got list"),
        ("7", "got int"),
        ("{}", "has nothing"),
        ('{"context": [], "query": "a"}', "has context, query"),
        ('{"query": "a", "reformulation": "b"}', "context must be a list of texts, got NoneType"),
        ('{"context": "a", "query": "a", "reformulation": "b"}', "context must be a list of texts, got str"),
        ('{"context": ["a", 7], "query": "a", "reformulation": "b"}', r"context\[1\] must be a text, got int"),
        ('{"context": [], "query": 7, "reformulation": "b"}', "query must be a text, got int"),
        ('{"context": [], "query": " ", "reformulation": "b"}', "query and reformulation must not be empty"),
        ('{"context": [], "raw": "a", "rewrite": ""}', "raw and rewrite must not be empty"),
        ('{"context": [], "query": "a", "reformulation": "b", "phenomenon": 1}', "phenomenon must be a text"),
        ('{"context": [], "query": "\\ud800", "reformulation": "b"}', "a text has half a surrogate pair"),
    ],
)
def test_a_broken_line_refuses_the_file_by_its_number(tmp_path, line, said):
    path = tmp_path / "mine.jsonl"
    path.write_bytes(lines(GOOD) + b"\n" + line.encode() + b"\n" + lines(GOOD))
    with pytest.raises(DataError, match=said) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}, line 3: ")


@pytest.mark.parametrize("raw", [b"", b"\n \n"])
def test_an_empty_file_is_refused_by_name(tmp_path, raw):
    path = tmp_path / "mine.jsonl"
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"mine\.jsonl: no rewrites in it"):
        load(path)


def test_what_is_not_utf8_is_refused_with_the_place(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_bytes(lines(GOOD) + b'{"query": "caf\xe9"}\n')
    with pytest.raises(DataError, match=r"line 2: not UTF-8 at byte 14; save the file as UTF-8"):
        load(path)


@pytest.mark.parametrize(
    ("limit", "said"), [("MAX_LINE_BYTES", "line 1: .* a line may have"), ("MAX_FILE_BYTES", "split")]
)
def test_sizes_are_bounded(tmp_path, monkeypatch, limit, said):
    path = tmp_path / "mine.jsonl"
    path.write_bytes(lines(GOOD).strip())
    size = path.stat().st_size
    monkeypatch.setattr(reading, limit, size)
    assert len(load(path)) == 1
    monkeypatch.setattr(reading, limit, size - 1)
    with pytest.raises(DataError, match=said):
        load(path)


def test_a_file_that_cannot_be_read_is_named_with_what_to_give(tmp_path):
    with pytest.raises(DataError, match=r"cannot be read .*or a JSONL file of rewrites"):
        load(tmp_path / "absent.jsonl")


MANY = parse(lines(*({**GOOD, "id": str(i)} for i in range(100))), "many", "where")


def test_a_sample_is_the_same_for_the_same_seed_keeps_the_order_and_says_of_what_it_is_one():
    sample = MANY.sample(10, seed=3)
    assert sample == MANY.sample(10, seed=3)
    assert [int(e.id) for e in sample] == sorted({int(e.id) for e in sample})
    assert sample.items != MANY.sample(10, seed=4).items
    about = sample.describe()
    assert (about["n"], about["of"], about["seed"], about["sha256"]) == (10, 100, 3, MANY.sha256)


@pytest.mark.parametrize("n", [100, 101])
def test_a_sample_of_everything_is_everything(n):
    assert MANY.sample(n) is MANY


@pytest.mark.parametrize("n", [0, -1])
def test_a_sample_of_nothing_is_refused(n):
    with pytest.raises(DataError, match=f"at least one item, got {n}"):
        MANY.sample(n)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("What's  the\tCAPITAL of Côte d\u2019Ivoire?", "whats the capital of côte divoire"),
        ("co\u0302te", "c\u00f4te"),
        ("STRASSE straße", "strasse strasse"),
        ("state-of-the-art, e.g. U.S.", "state of the art e g u s"),
        ("\uff11\uff12 \u00bd", "12 1 2"),
        ("a\x00b\u200bc", "a b c"),
        ("?!\U0001f600", ""),
        ("\u0645\u0631\u062d\u0628\u0627", "\u0645\u0631\u062d\u0628\u0627"),
    ],
)
def test_the_normal_form(text, normal):
    assert normalise(text) == normal


@given(st.text())
def test_the_normal_form_is_stable_and_has_only_words(text):
    once = normalise(text)
    assert normalise(once) == once
    assert all(c == " " or unicodedata.category(c)[0] in "LMN" for c in once)
    assert once == " ".join(once.split())
