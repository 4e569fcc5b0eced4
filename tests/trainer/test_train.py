"""Training for real, on a tiny model: it learns, goes on exactly where it was killed, and leaves a whole artifact."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from benchgate.core import InvalidOutput, Unavailable
from benchgate.trainer.kept import TOKENIZER, WEIGHTS, read_report
from benchgate.trainer.train import Changes, train
from tests.trainer.tiny import LSTM, T5, TRANSFORMER, partials

pytestmark = pytest.mark.backend("torch")


class Killed(Exception):
    pass


def killed_at(step):
    def watch(recipe, state):
        if state.step == step:
            raise Killed

    return watch


@pytest.mark.parametrize("model", [T5, LSTM], ids=lambda model: model.name)
def test_a_run_that_was_interrupted_ends_with_the_same_weights_and_curve(model, benchgate_cache, tmp_path, monkeypatch):
    whole = train(model, Changes(), "cpu")
    monkeypatch.setenv("BENCHGATE_CACHE", str(tmp_path / "other"))
    for step in (60, 125):
        with pytest.raises(Killed):
            train(model, Changes(), "cpu", killed_at(step))
    assert partials(tmp_path / "other")
    steps = []
    again = train(model, Changes(), "cpu", lambda recipe, state: steps.append(state.step))
    assert steps == list(range(101, 131))
    assert (whole / WEIGHTS).read_bytes() == (again / WEIGHTS).read_bytes()
    assert (whole / TOKENIZER).read_bytes() == (again / TOKENIZER).read_bytes()
    curves = [[{**row, "seconds": None} for row in read_report(folder)["rows"]] for folder in (whole, again)]
    assert curves[0] == curves[1]
    assert [row["step"] for row in curves[0]] == [50, 100, 130]
    assert not partials(tmp_path / "other")


def test_it_learns_and_what_it_leaves_is_the_model(benchgate_cache):
    from benchgate.runtimes.torch.text2text import TorchStepper
    from benchgate.tasks.text2text.decoding import generate

    folder = train(TRANSFORMER, Changes(steps=200), "cpu")
    report = read_report(folder)
    assert report["dev_exact_match"] == 1
    assert report["version"] == TRANSFORMER.version
    module = TRANSFORMER.build()
    assert report["parameters"] == sum(p.numel() for p in module.parameters())
    source = TRANSFORMER.encode(["about rome"], "rome paris")
    (tokens,) = generate(TorchStepper(module, "cpu"), TRANSFORMER, [source], TRANSFORMER.max_target)
    assert TRANSFORMER.decode(tokens) == "rome"
    assert TRANSFORMER.decode(TRANSFORMER.encode_target("kiel lima")) == "kiel lima"


def test_another_seed_makes_another_model_which_takes_the_name(benchgate_cache):
    first = train(LSTM, Changes(steps=3), "cpu")
    before = LSTM.version
    second = train(LSTM, Changes(steps=3, seed=1), "cpu")
    assert LSTM.version != before
    assert (first / WEIGHTS).read_bytes() != (second / WEIGHTS).read_bytes()
    assert train(LSTM, Changes(steps=3), "cpu", killed_at(1)) == first  # found, not trained again
    assert LSTM.version == before


def test_a_model_of_other_data_is_not_scored_on_what_may_have_been_its_training(benchgate_cache):
    train(LSTM, Changes(steps=3), "cpu")

    def other(split):
        return replace(LSTM.data(split), sha256="of other data")

    with pytest.raises(Unavailable, match="tiny-lstm was trained on other data than there is now; benchgate train"):
        replace(LSTM, data=other).build()


def test_weights_of_another_architecture_ask_for_training(benchgate_cache):
    train(LSTM, Changes(steps=3), "cpu")
    changed = replace(LSTM, make=TRANSFORMER.make)
    with pytest.raises(Unavailable, match=r"tiny-lstm has changed since it was trained .*; benchgate train tiny-lstm"):
        changed.build()


def test_no_better_dev_for_a_while_ends_it_with_the_best_weights(benchgate_cache):
    model = replace(LSTM, recipe=replace(LSTM.recipe, steps=500, evaluate_every=10, patience=2, learning_rate=1e-7))
    report = read_report(train(model, Changes(), "cpu"))
    assert report["steps"] == 30  # the first evaluation, and two that were no better
    assert report["dev_exact_match"] == 0
    best = min((row for row in report["rows"] if row["dev_loss"] is not None), key=lambda row: row["dev_loss"])
    assert report["best_step"] == best["step"]


def test_a_loss_that_is_no_number_is_no_model(benchgate_cache):
    with pytest.raises(InvalidOutput, match=r"the loss is (nan|inf) at step 50; train with a lower --lr"):
        train(LSTM, Changes(learning_rate=1e30), "cpu")
    assert LSTM.version == "untrained"


@pytest.mark.parametrize("content", [b"", b"{}", b'\x10\0\0\0\0\0\0\0{"a": 1}      '])
def test_a_damaged_checkpoint_means_from_the_start(benchgate_cache, content, capsys):
    with pytest.raises(Killed):
        train(LSTM, Changes(), "cpu", killed_at(60))
    (path,) = partials(benchgate_cache)
    path.write_bytes(content)
    steps = []
    train(LSTM, Changes(), "cpu", lambda recipe, state: steps.append(state.step))
    assert steps[0] == 1
    assert f"{path}: cannot be read as a checkpoint" in capsys.readouterr().err


def of_optimizer(tensors, state):
    name = next(name for name in tensors if name.endswith("exp_avg"))
    tensors[name] = tensors[name].reshape(-1)[:1]


WRONG = {
    "no random state": lambda tensors, state: tensors.pop("random"),
    "a random state of another type": lambda tensors, state: tensors.update(random=tensors["random"].float()),
    "a moment of another shape": of_optimizer,
    "a moment of no parameter": lambda tensors, state: tensors.update({"optimizer.x.step": tensors["random"].clone()}),
    "no best weights": lambda tensors, state: tensors.update({"best.other": tensors["random"].clone()}),
    "weights of another name": lambda tensors, state: tensors.update({"weights.other": tensors["random"].clone()}),
    "no step": lambda tensors, state: state.pop("step"),
    "a step that is a text": lambda tensors, state: state.update(step="1"),
    "a row that is none": lambda tensors, state: state.update(rows=[{"a": 1}]),
    "a field too many": lambda tensors, state: state.update(other=1),
}


def test_a_checkpoint_with_one_thing_wrong_means_from_the_start(benchgate_cache, capsys):
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    with pytest.raises(Killed):
        train(LSTM, Changes(), "cpu", killed_at(60))
    (path,) = partials(benchgate_cache)
    whole = path.read_bytes()
    assert WRONG
    for change in WRONG.values():
        path.write_bytes(whole)
        with safe_open(path, "pt") as file:
            state = json.loads(file.metadata()["state"])
        tensors = {key: tensor.clone() for key, tensor in load_file(path).items()}
        change(tensors, state)
        save_file(tensors, path, {"state": json.dumps(state)})
        # One that went on from the checkpoint would not come by its first step.
        with pytest.raises(Killed):
            train(LSTM, Changes(), "cpu", killed_at(1))
        assert f"{path}: " in capsys.readouterr().err


def test_a_checkpoint_holds_no_pickle(benchgate_cache):
    with pytest.raises(Killed):
        train(LSTM, Changes(), "cpu", killed_at(60))
    (path,) = partials(benchgate_cache)
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert {name.partition(".")[0] for name in header} == {"__metadata__", "weights", "best", "optimizer", "random"}


@pytest.mark.parametrize("name", ["rewrite-t5", "rewrite-transformer", "rewrite-lstm"])
def test_the_models_of_this_repository_can_be_made(name):
    import torch

    import fixtures.reformulation_models  # noqa: F401
    from benchgate.core import models

    model = models[name]
    module = model.make(vocabulary=40, **model.shape)
    source = torch.full((1, model.max_source), 5)
    target = torch.full((1, model.max_target), 5)
    assert module(source, torch.ones_like(source), target).shape == (1, model.max_target, 40)
    with pytest.raises(Unavailable, match=f"{name} is not trained; benchgate train {name}"):
        model.build()
