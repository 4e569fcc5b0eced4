"""Scores of rewritten queries: known answers, the limits, what an interval holds, and a missing package."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.core import DataError, Unavailable
from benchgate.core.metrics import TABLE
from benchgate.machine import packages
from benchgate.tasks.text2text.rewrites import Rewrite
from benchgate.tasks.text2text.scores import bootstrap_mean, copied, score_copies, score_texts, token_f1

NAMES = ["exact_match", "token_f1", "chrf", "bleu", "rouge_l"]
REFERENCES = ["how old is marie curie", "weather in paris tomorrow", "what is the capital of peru"]


def values(answers, references) -> dict[str, float]:
    return {name: found.value for name, found in score_texts(answers, references).items()}


def test_right_answers_get_everything_whatever_their_case_and_punctuation():
    answers = ["How old is  Marie Curie?", "weather in Paris, tomorrow", "What is the capital of Peru?!"]
    assert values(answers, REFERENCES) == {"exact_match": 1, "token_f1": 1, "chrf": 100, "bleu": 100, "rouge_l": 1}


def test_wrong_answers_get_nothing():
    assert values(["zzz"] * 3, REFERENCES) == pytest.approx(dict.fromkeys(NAMES, 0.0))


def test_empty_answers_get_nothing_and_a_reference_of_marks_only_is_matched_by_silence():
    assert values([""] * 3, REFERENCES) == pytest.approx(dict.fromkeys(NAMES, 0.0))
    assert values(["", "b"], ["?", "b"])["exact_match"] == 1
    assert values(["", "b"], ["?", "b"])["token_f1"] == 1
    assert values(["", "b"], ["?", "b"])["rouge_l"] == 1


def test_known_answers():
    """Counted by hand: 2 of 3 exact; the third has 3 words of 4 right, against 4: F1 and the longest common run 3/4."""
    answers = ["how old is marie curie", "weather in rome tomorrow", "what is the capital of peru"]
    found = score_texts(answers, REFERENCES)
    assert found["exact_match"].value == pytest.approx(2 / 3)
    assert found["token_f1"].value == pytest.approx((1 + 0.75 + 1) / 3)
    assert found["rouge_l"].value == pytest.approx((1 + 0.75 + 1) / 3)
    assert found["exact_match"].examples == (1, 0, 1)
    assert found["token_f1"].examples == pytest.approx((1, 0.75, 1))


def test_word_order_matters_to_rouge_and_not_to_f1():
    found = values(["d c b a"], ["a b c d"])
    assert (found["token_f1"], found["rouge_l"]) == (1, 0.25)


def test_chrf_and_bleu_are_sacrebleus():
    import sacrebleu

    answers = ["how old is she", "weather in paris", "what is the capital of peru today"]
    found = values(answers, REFERENCES)
    assert found["chrf"] == pytest.approx(sacrebleu.corpus_chrf(answers, [REFERENCES]).score)
    assert found["bleu"] == pytest.approx(sacrebleu.corpus_bleu(answers, [REFERENCES]).score)


@given(st.lists(st.tuples(st.sampled_from(REFERENCES), st.sampled_from(REFERENCES)), min_size=2, max_size=8))
def test_every_interval_holds_its_value_and_stays_in_its_range(pairs):
    for name, found in score_texts(*map(list, zip(*pairs, strict=True))).items():
        assert found.n == len(pairs)
        assert 0 <= found.low <= found.high <= (100 if name in ("chrf", "bleu") else 1)
        assert (found.unit, found.better) == (TABLE[name].unit, TABLE[name].better)
        if name not in ("chrf", "bleu"):
            assert found.low - 1e-12 <= found.value <= found.high + 1e-12


def test_one_example_has_no_interval_but_wilsons():
    found = score_texts(["a"], ["a"])
    assert [name for name in NAMES if found[name].low is None] == ["token_f1", "chrf", "bleu", "rouge_l"]


@pytest.mark.parametrize(("answers", "references"), [([], []), (["a"], []), (["a"], ["a", "b"])])
def test_answers_and_references_must_be_as_many(answers, references):
    with pytest.raises(DataError, match=f"{len(answers)} answers to {len(references)} references"):
        score_texts(answers, references)


def test_a_missing_package_is_told_with_its_extra(monkeypatch):
    monkeypatch.setattr(packages, "_installed", lambda name: name != "sacrebleu")
    with pytest.raises(Unavailable, match=r"sacrebleu is not installed; pip install 'benchgate\[text2text\]'"):
        score_texts(["a"], ["a"])


words = st.text("ab ", max_size=8).map(lambda text: " ".join(text.split()))


@given(words, words)
def test_token_f1_is_symmetric_between_0_and_1_and_1_for_the_same_words(a, b):
    assert token_f1(a, b) == token_f1(b, a)
    assert 0 <= token_f1(a, b) <= 1
    assert (token_f1(a, b) == 1) == (sorted(a.split()) == sorted(b.split()))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30))
def test_the_bootstrap_is_seeded_and_within_the_values(sample):
    found = bootstrap_mean(sample)
    assert found == bootstrap_mean(sample)
    assert min(sample) - 1e-12 <= found.low <= found.high <= max(sample) + 1e-12


def test_the_bootstrap_interval_covers_the_mean_about_as_often_as_it_says():
    """Of 300 samples of 60 coin flips, 95 % should cover; below 89 % or above 99 % something is wrong."""
    import numpy as np

    dice = np.random.default_rng(1)
    covered = 0
    for _ in range(300):
        found = bootstrap_mean(dice.integers(0, 2, 60).astype(float))
        covered += found.low <= 0.5 <= found.high
    assert 0.89 * 300 <= covered <= 0.99 * 300


EXAMPLES = [
    Rewrite((), "paris weather", "paris weather", "clean"),
    Rewrite(("a",), "and rome", "rome weather", "ellipsis"),
    Rewrite((), "Paris weather?", "paris weather", "clean"),
    Rewrite((), "pairs weather", "paris weather"),
]


def test_copying_is_scored_like_an_answer():
    assert score_copies(EXAMPLES)["exact_match"].value == copied(EXAMPLES).value == 0.5
    assert TABLE["exact_match_copy"].tolerance is None
