"""Distillation: the loss against torch's own, runs of tiny models in both ways, and the teachers that cannot teach."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace

import numpy as np
import pytest

from benchgate.core import BenchgateError, Unavailable
from benchgate.storage.digests import file_digest
from benchgate.trainer import distillation
from benchgate.trainer.data import IGNORED
from benchgate.trainer.distillation import WAYS, OwnAnswers, SoftTargets, answers, soft_target_loss
from benchgate.trainer.kept import WEIGHTS, read_report
from benchgate.trainer.train import Changes, train
from tests.trainer.test_train import Killed, killed_at
from tests.trainer.tiny import LSTM, T5, TRANSFORMER, partials

pytestmark = pytest.mark.backend("torch")
SHORT = Changes(steps=3)
STUDENT = replace(TRANSFORMER, name="tiny-student")


@pytest.fixture(scope="module")
def trained_teacher(tmp_path_factory):
    """A cache with the tiny transformer, trained until it knows its task."""
    folder = tmp_path_factory.mktemp("teacher") / "cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCHGATE_CACHE", str(folder))
        train(TRANSFORMER, Changes(steps=200), "cpu")
    return folder


@pytest.fixture
def teacher(trained_teacher, benchgate_cache):
    """The trained teacher, in a cache of the test's own."""
    shutil.copytree(trained_teacher, benchgate_cache)
    return TRANSFORMER


def logits_and_labels():
    import torch

    drawn = torch.Generator().manual_seed(3)
    ours, theirs = (torch.randn(2, 3, 5, generator=drawn) for _ in range(2))
    labels = torch.tensor([[1, 4, 0], [2, IGNORED, IGNORED]])
    return ours, theirs, labels


@pytest.mark.parametrize(("temperature", "weight"), [(1.0, 1.0), (2.0, 0.9), (4.0, 0.25)])
def test_the_loss_is_that_of_the_formula_and_of_torch(temperature, weight):
    import torch
    from torch.nn import functional

    ours, theirs, labels = logits_and_labels()
    found = float(soft_target_loss(ours, theirs, labels, temperature, weight))
    rows = [(0, 0), (0, 1), (0, 2), (1, 0)]
    distances, entropies = [], []
    for row in rows:
        taught = functional.softmax(theirs[row] / temperature, -1)
        said = functional.log_softmax(ours[row] / temperature, -1)
        distances.append(float(functional.kl_div(said, taught, reduction="sum")))
        entropies.append(float(functional.cross_entropy(ours[row], labels[row])))
        # And torch's own divergence is the sum that Hinton et al. mean.
        p, q = taught.double().numpy(), np.exp(said.double().numpy())
        assert distances[-1] == pytest.approx(sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)), rel=1e-5)
    expected = weight * temperature**2 * np.mean(distances) + (1 - weight) * np.mean(entropies)
    assert found == pytest.approx(expected, rel=1e-5)
    assert float(soft_target_loss(theirs, theirs, labels, temperature, 1.0)) == pytest.approx(0, abs=1e-6)
    changed = theirs.clone()
    changed[1, 1:] = torch.inf  # of padding nothing counts
    assert float(soft_target_loss(ours, changed, labels, temperature, weight)) == found


def test_gradients_reach_the_student_and_not_the_teacher(teacher):
    from benchgate.trainer.data import Pair, collate

    student = LSTM.make(vocabulary=teacher.vocabulary, **LSTM.shape)
    loss = SoftTargets(teacher).loss("cpu")
    taught = loss.args[0]
    before = {name: parameter.clone() for name, parameter in taught.named_parameters()}
    loss(student, collate([Pair((5, 6, 1), (7, 1))], teacher.start_token), "cpu").backward()
    assert not taught.training
    assert any(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in student.parameters())
    assert all(parameter.grad is None for parameter in taught.parameters())
    assert all((before[name] == parameter).all() for name, parameter in taught.named_parameters())


@pytest.mark.parametrize("way", list(WAYS))
def test_a_student_learns_from_its_teacher_and_its_record_says_how(teacher, way):
    teaching = WAYS[way](teacher)
    report = read_report(train(STUDENT, Changes(steps=200, seed=1), "cpu", teaching=teaching))
    assert report["dev_exact_match"] > 0.5
    told = report["distillation"]
    assert told.pop("tokenizer_sha256")
    assert told == {
        "teacher": "tiny-transformer",
        "version": teacher.version,
        "sha256": file_digest(teacher.folder() / WEIGHTS),
        **{"soft": {"way": "soft", "temperature": 2.0, "weight": 0.9},
           "sequence": {"way": "sequence", "temperature": None, "weight": None}}[way],
    }  # fmt: skip


def test_teacher_way_and_numbers_make_another_version(teacher):
    plain = read_report(train(LSTM, SHORT, "cpu"))
    assert plain["distillation"] is None
    ways = [SoftTargets(teacher), SoftTargets(teacher, 3.0), SoftTargets(teacher, 2.0, 0.5), OwnAnswers(teacher)]
    versions = [read_report(train(LSTM, SHORT, "cpu", teaching=way))["version"] for way in ways]
    train(TRANSFORMER, Changes(steps=201), "cpu")
    versions.append(read_report(train(LSTM, SHORT, "cpu", teaching=SoftTargets(TRANSFORMER)))["version"])
    assert len({plain["version"], *versions}) == 6


@pytest.mark.parametrize("way", list(WAYS))
def test_a_distillation_that_was_interrupted_ends_with_the_same_weights(teacher, benchgate_cache, way):
    whole = train(T5, Changes(steps=60), "cpu", teaching=WAYS[way](teacher))
    expected = (whole / WEIGHTS).read_bytes()
    shutil.rmtree(whole)
    with pytest.raises(Killed):
        train(T5, Changes(steps=60), "cpu", killed_at(55), WAYS[way](teacher))
    assert partials(benchgate_cache)
    steps = []
    again = train(T5, Changes(steps=60), "cpu", lambda recipe, state: steps.append(state.step), WAYS[way](teacher))
    assert steps[0] == 51
    assert (again / WEIGHTS).read_bytes() == expected


def test_answers_are_the_teachers_and_are_made_once(teacher, monkeypatch):
    examples = teacher.data("train")
    found = answers(teacher, examples, "cpu")
    assert len(found) == len(examples)
    right = [text == example.reformulation for text, example in zip(found, examples, strict=True)]
    assert sum(right) / len(right) > 0.9
    monkeypatch.setattr(distillation, "_answered", None)  # would be an error if it were called again
    assert answers(teacher, examples, "cpu") == found


def test_sequence_level_trains_on_the_answers_and_not_on_the_data(teacher, monkeypatch):
    from benchgate.trainer import loop

    monkeypatch.setattr(distillation, "answers", lambda teacher, examples, device: ["oslo oslo"] * len(examples))
    seen = []
    fit = loop.fit
    monkeypatch.setattr(loop, "fit", lambda run: seen.append(run) or fit(run))
    train(LSTM, SHORT, "cpu", teaching=OwnAnswers(teacher))
    (run,) = seen
    assert {pair.target for pair in run.train} == {tuple(LSTM.encode_target("oslo oslo"))}
    assert {pair.target for pair in run.dev} > {tuple(LSTM.encode_target("oslo"))}


def test_a_teacher_that_cannot_teach_is_refused(teacher):
    with pytest.raises(Unavailable, match="tiny-t5 is not trained; benchgate train tiny-t5"):
        train(LSTM, SHORT, "cpu", teaching=SoftTargets(T5))
    with pytest.raises(BenchgateError, match="tiny-transformer cannot be its own teacher"):
        train(TRANSFORMER, SHORT, "cpu", teaching=SoftTargets(TRANSFORMER))

    def other(split):
        found = LSTM.data(split)
        return replace(found, sha256=f"other {found.sha256}", items=found.items[8:]) if split == "train" else found

    with pytest.raises(BenchgateError, match="tiny-transformer was trained on other data than tiny-lstm; benchgate tr"):
        train(replace(LSTM, data=other), SHORT, "cpu", teaching=SoftTargets(teacher))


def test_soft_targets_need_one_vocabulary_and_texts_as_long_and_answers_do_not(teacher):
    small = replace(LSTM, recipe=replace(LSTM.recipe, vocabulary=100))
    with pytest.raises(BenchgateError, match=r"another vocabulary \(\d+ pieces\) than tiny-lstm, .* --distill seq"):
        train(small, SHORT, "cpu", teaching=SoftTargets(teacher))
    assert read_report(train(small, SHORT, "cpu", teaching=OwnAnswers(teacher)))["vocabulary"] < teacher.vocabulary
    long = replace(LSTM, max_source=33)
    with pytest.raises(BenchgateError, match="reads 32 and writes 16 tokens, tiny-lstm 33 and 16"):
        train(long, SHORT, "cpu", teaching=SoftTargets(teacher))


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({"temperature": 0.0}, "--temperature 0 must be above 0"),
        ({"temperature": math.inf}, "--temperature inf must be above 0"),
        ({"temperature": math.nan}, "--temperature nan must be above 0"),
        ({"weight": 0.0}, "--soft-weight 0 must be above 0 and at most 1"),
        ({"weight": 1.01}, "--soft-weight 1.01 must be above 0 and at most 1"),
        ({"weight": math.nan}, "--soft-weight nan must be"),
    ],
)
def test_numbers_that_no_loss_can_have_are_refused(numbers, said):
    with pytest.raises(BenchgateError, match=said):
        SoftTargets(TRANSFORMER, **numbers)
