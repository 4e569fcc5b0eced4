"""The generated data: nothing of test and dev is in training, every rule has one answer, the same on every machine."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.core import DataError
from benchgate.storage import cache
from benchgate.tasks.text2text import reformulation, reformulation_lexicon, reformulation_noise, reformulation_phrases
from benchgate.tasks.text2text.reformulation_grammar import SEED, SIZES, Grammar, all_texts, generate
from benchgate.tasks.text2text.rewrites import load, normalise, to_jsonl

GOLDEN = Path(__file__).parent / "golden_reformulations.txt"
GRAMMAR = Grammar(SEED)
PHENOMENA = list(GRAMMAR.rules)


@pytest.fixture(scope="module")
def splits():
    """All of dev and test, and a third of training: the rest could hold nothing else, see the test by construction."""
    return {name: generate(name, n=min(n, 20_000)) for name, n in SIZES.items()}


def known(examples) -> set[str]:
    """Everything that a model could have seen whole: targets and turns."""
    return {normalise(text) for e in examples for text in (e.reformulation, *e.context)}


@pytest.mark.parametrize("held_out", ["dev", "test"])
def test_no_held_out_target_is_a_target_or_a_turn_of_training(splits, held_out):
    targets = {normalise(e.reformulation) for e in splits[held_out]}
    assert len(targets) > 400
    assert not targets & known(splits["train"])


def test_no_training_text_can_be_a_held_out_target_whatever_the_seed_of_the_examples():
    """By construction: all texts of the facts of a split, not a sample of them."""
    texts = {
        name: {
            normalise(f"{form[0].format(x=fact.entity)} {extra}")
            for fact in facts
            for form in fact.intent.forms()
            for extra in ("", *fact.intent.slot)
        }
        for name, facts in GRAMMAR.splits.facts.items()
    }
    assert not texts["train"] & (texts["dev"] | texts["test"])
    assert not texts["dev"] & texts["test"]


def test_every_entity_and_every_intent_is_in_training():
    kinds = reformulation_lexicon.KINDS
    assert GRAMMAR.splits.by_entity.keys() == {entity for kind in kinds for entity in kind.entities}
    assert GRAMMAR.splits.by_intent.keys() == {
        f"{kind.name} {intent.name}" for kind in kinds for intent in kind.intents
    }


@pytest.mark.parametrize("name", ["dev", "test"])
def test_a_split_has_its_size_no_example_twice_and_all_phenomena_alike(splits, name):
    examples = splits[name]
    assert len({(e.context, e.query) for e in examples}) == len(examples) == SIZES[name]
    counts = Counter(e.phenomenon for e in examples)
    assert counts.keys() == set(PHENOMENA)
    assert min(counts.values()) > 0.9 * len(examples) / len(PHENOMENA)


def test_no_conversation_and_query_has_two_answers(splits):
    answers: dict[tuple[tuple[str, ...], str], set[str]] = {}
    for example in [e for examples in splits.values() for e in examples]:
        answers.setdefault((example.context, example.query), set()).add(example.reformulation)
    assert [key for key, found in answers.items() if len(found) > 1] == []


def test_texts_are_in_normal_form_already(splits):
    for example in splits["test"]:
        assert [normalise(t) for t in (*example.context, example.query, example.reformulation)] == [
            *example.context,
            example.query,
            example.reformulation,
        ]


examples = st.tuples(
    st.sampled_from(["train", "dev", "test"]), st.integers(0, 2**32), st.integers(0, len(PHENOMENA) - 1)
)


def example_of(split, seed, place):
    made = GRAMMAR.examples(split, seed)
    return [next(made) for _ in range(place + 1)][-1]


@given(examples)
def test_an_example_is_what_its_phenomenon_says(chosen):
    example = example_of(*chosen)
    said, entities = example.phenomenon, [entity for kind in reformulation_lexicon.KINDS for entity in kind.entities]
    (meant,) = {entity for entity in entities if re.search(rf"\b{entity}\b", example.reformulation)} or {None}
    if said in ("clean", "topic_switch"):
        assert example.query == example.reformulation
    if said == "topic_switch":
        assert not re.search(rf"\b{meant}\b", example.context[-1])
    if said.startswith("pronoun"):
        assert not re.search(rf"\b{meant}\b", example.query)
        assert any(re.search(rf"\b{meant}\b", turn) for turn in example.context)
    if said.startswith("ellipsis"):
        assert example.context
    if "typo" in said or "abbreviation" in said or "filler" in said:
        assert example.query != example.reformulation
    if said == "filler":
        assert example.reformulation in example.query


@given(examples)
def test_a_pronoun_means_the_last_entity_that_it_can_stand_for(chosen):
    split, seed, _ = chosen
    example = example_of(split, seed, PHENOMENA.index("pronoun"))
    mentioned = [
        (kind.pronouns, entity)
        for turn in example.context
        for kind in reformulation_lexicon.KINDS
        for entity in kind.entities
        if re.search(rf"\b{entity}\b", turn)
    ]
    (pronouns,) = {
        kind.pronouns
        for kind in reformulation_lexicon.KINDS
        for entity in kind.entities
        if re.search(rf"\b{entity}\b", example.reformulation)
    }
    last = [entity for found, entity in mentioned if found == pronouns][-1]
    assert re.search(rf"\b{last}\b", example.reformulation)


def test_a_misspelling_belongs_to_one_word_and_is_no_word_itself():
    typos = GRAMMAR.noise.typos
    words = {word for text in all_texts() for word in text.split()}
    makers = Counter(form for forms in typos.values() for form in forms)
    assert len(typos) > 300
    assert set(makers.values()) == {1}
    assert not makers.keys() & words


def test_short_forms_can_be_undone():
    shorts = Counter(reformulation_phrases.ABBREVIATIONS.values())
    assert set(shorts.values()) == {1}
    words = {word for form in forms() for word in form.split()}
    assert not words & shorts.keys()
    unused = [p for p in reformulation_phrases.ABBREVIATIONS if not any(re.search(rf"\b{p}\b", f) for f in forms())]
    assert unused == []


def forms():
    for kind in reformulation_lexicon.KINDS:
        yield from kind.entities
        for intent in kind.intents:
            yield from (text for form in intent.forms() for text in form)
            yield from intent.slot


def test_names_belong_to_one_entity_and_none_holds_another():
    names = [entity for kind in reformulation_lexicon.KINDS for entity in kind.entities]
    assert [a for a in names for b in names if a is not b and re.search(rf"\b{a}\b", b)] == []


@given(st.text("abcdefghijklmnopqrstuvwxyz", min_size=2, max_size=8))
def test_a_slip_keeps_the_first_letter_and_changes_the_length_by_at_most_one(word):
    for form in reformulation_noise.slips(word):
        assert form[0] == word[0]
        assert abs(len(form) - len(word)) <= 1


def test_the_examples_are_the_golden_ones():
    """Another text means other data: all models are to be trained anew. Then rewrite the file from `shown`."""
    shown = [
        f"{e.phenomenon} | {' / '.join(e.context)} | {e.query} | {e.reformulation}" for e in generate("test", n=15)
    ]
    assert shown == GOLDEN.read_text(encoding="utf-8").splitlines()


def test_the_splits_come_from_the_cache_the_second_time(monkeypatch):
    monkeypatch.setattr(reformulation, "SIZES", {"train": 30, "dev": 20, "test": 10})
    monkeypatch.setattr(reformulation, "generate", lambda name: generate(name, n=10))
    made = reformulation.load_split("dev")
    assert (made.name, len(made)) == ("reformulation-dev", 10)
    assert reformulation.data_folder().is_relative_to(cache.root())
    monkeypatch.setattr(reformulation, "generate", None)
    assert reformulation.load_split("dev") == made
    assert load("dev") == made


def test_a_split_that_there_is_not_is_refused_with_the_ones_there_are():
    with pytest.raises(DataError, match="unknown data split 'tset'; did you mean 'test'"):
        reformulation.load_split("tset")


def test_a_suite_scores_a_sample_of_the_test_split_or_what_it_names(monkeypatch, tmp_path):
    monkeypatch.setattr(reformulation, "SIZES", {"dev": 20, "test": 400})
    monkeypatch.setattr(reformulation, "generate", lambda name: generate(name, n={"dev": 20, "test": 400}[name]))
    found = reformulation.chosen()
    assert (found.name, len(found), found.total) == ("reformulation-test", 300, 400)
    assert len(reformulation.chosen("dev", 7)) == 7
    path = tmp_path / "mine.jsonl"
    path.write_bytes(to_jsonl(generate("dev", n=5)))
    assert reformulation.chosen(str(path)).name == "mine"
    with pytest.raises(DataError, match=r"none\.jsonl: cannot be read .* or a JSONL file of rewrites"):
        reformulation.chosen("none.jsonl")
