"""Fine-tuning for real, on a tiny language model: what is trained, what it leaves, and how it is found again."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from benchgate.core import BenchgateError, Unavailable, models
from benchgate.registration import by_place
from benchgate.tasks.text2text.prompted import PLAIN, Prompted
from benchgate.tasks.text2text.trimmed import Trimmed
from benchgate.trainer import finetuned
from benchgate.trainer.distillation import SoftTargets
from benchgate.trainer.finetuned import FineTuned
from benchgate.trainer.kept import WEIGHTS, read_report
from benchgate.trainer.recipe import PRECISIONS, Recipe, Tuning
from benchgate.trainer.sweep import measure
from benchgate.trainer.train import Changes, train
from tests.tasks.text2text import tiny_lm
from tests.trainer.tiny import T5, examples, partials

pytestmark = pytest.mark.backend("torch")
RECIPE = Tuning(steps=60, learning_rate=1e-2, batch=8, warmup_steps=5, evaluate_every=30, patience=9, dev_samples=8)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_lm.saved(tmp_path_factory.mktemp("lm") / "tiny", hidden_size=32)


@pytest.fixture
def model(base, benchgate_cache):
    return FineTuned("tiny-rewriter", base, RECIPE, examples, max_source=64, max_target=12)


def weights(folder):
    from safetensors.torch import load_file

    return load_file(folder / WEIGHTS)


def test_a_base_with_fewer_tokens_is_trained_as_any_other(base, benchgate_cache):
    fewer = Trimmed("fewer", Prompted("whole", base, PLAIN, max_source=64, max_target=12), examples)
    model = FineTuned("tiny-fewer", fewer, RECIPE, examples, max_source=64, max_target=12)
    rows = read_report(train(model, Changes(), "cpu"))["rows"]
    assert rows[-1]["dev_loss"] < rows[0]["loss"] / 2
    assert model.vocabulary == fewer.vocabulary < 176
    assert model.decode(model.encode_target("rome oslo")) == "rome oslo"


def test_it_learns_and_leaves_a_folder_that_transformers_reads(model):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = train(model, Changes(), "cpu")
    report = read_report(folder)
    rows = report["rows"]
    assert rows[-1]["dev_loss"] < rows[0]["loss"] / 2
    assert report["base"]["name"] == "tiny-lm"
    module = AutoModelForCausalLM.from_pretrained(folder)
    assert sum(parameter.numel() for parameter in module.parameters()) == report["parameters"]
    assert AutoTokenizer.from_pretrained(folder).eos_token == "</s>"
    assert "eager" not in (folder / "config.json").read_text(), "the attention of training is not that of measuring"
    assert module.config._attn_implementation == "sdpa"
    source = model.encode(["about rome"], "paris rome")
    assert model.version == report["version"]
    assert model.build().begin is not None
    assert model.decode(source).startswith("about rome")


@pytest.mark.parametrize("lora", [0, 4], ids=["all weights", "adapters"])
def test_a_run_that_was_interrupted_ends_with_the_same_weights(model, tmp_path, monkeypatch, lora):
    pytest.importorskip("peft")
    from safetensors import safe_open

    class Killed(Exception):
        pass

    def killed(recipe, state):
        if state.step == 55:
            raise Killed

    changes = Changes(lora=lora)
    whole = weights(train(model, changes, "cpu"))
    monkeypatch.setenv("BENCHGATE_CACHE", str(tmp_path / "other"))
    with pytest.raises(Killed):
        train(model, changes, "cpu", killed)
    (unfinished,) = partials(tmp_path / "other")
    with safe_open(unfinished, "pt") as file:
        kept = [name for name in file.keys() if name.startswith("weights.")]  # noqa: SIM118
    assert all("lora_" in name for name in kept) == bool(lora), "frozen weights are not kept"
    again = weights(train(model, changes, "cpu"))
    assert whole.keys() == again.keys()
    assert all((whole[name] == again[name]).all() for name in whole)


def test_adapters_change_the_linear_layers_and_nothing_else(model, base):
    pytest.importorskip("peft")
    before, after = weights(base.folder()), weights(train(model, Changes(lora=4, steps=10), "cpu"))
    changed = {name for name in before if not before[name].equal(after[name])}
    assert changed == {name for name in before if "_proj." in name}
    assert before.keys() == after.keys()


def test_the_folder_of_the_base_is_not_looked_up_for_every_example(base, benchgate_cache):
    asked = []

    class Asked(tiny_lm.Folder):
        def folder(self):
            asked.append(self)
            return super().folder()

    model = FineTuned("tiny-rewriter", Asked(base.path), RECIPE, examples, max_source=64, max_target=12)
    data = model.material(RECIPE, {part: examples(part) for part in ("train", "dev")})
    assert len(asked) == 1 < len(data.train)


def test_what_looking_the_base_up_reads_is_no_input_of_the_training(base, benchgate_cache, tmp_path):
    """Else a line changed in a checkout would train an hour's model again."""
    code = tmp_path / "code.py"
    code.write_text("x = 1")

    class Reading(tiny_lm.Folder):
        def folder(self):
            assert code.read_text()
            return super().folder()

    model = FineTuned("tiny-rewriter", Reading(base.path), RECIPE, examples, max_source=64, max_target=12)
    folder = train(model, Changes(steps=2), "cpu")
    inputs = json.loads((folder / "benchgate.json").read_text())["inputs"]
    assert str(base.path / "model.safetensors") in inputs
    assert str(code) not in inputs


def test_only_the_answer_counts_in_the_loss(model):
    from benchgate.trainer.data import Pair, collate

    data = model.material(RECIPE, {part: examples(part) for part in ("train", "dev")})
    module, loss = model.start(RECIPE, data.limits).eval(), model.loss(replace(RECIPE, precision="fp32"))
    (pair,) = data.train[:1]
    batch = collate([pair], data.limits.start_token)
    longer = collate([pair, Pair(pair.source, pair.target[:2])], data.limits.start_token)
    one = loss(module, batch, "cpu").item()
    short = loss(module, collate([Pair(pair.source, pair.target[:2])], data.limits.start_token), "cpu").item()
    mean = (one * len(pair.target) + short * 2) / (len(pair.target) + 2)
    assert loss(module, longer, "cpu").item() == pytest.approx(mean, rel=1e-5)


def test_bf16_rounds_the_arithmetic_and_fp32_does_not(model):
    from benchgate.trainer.data import collate
    from benchgate.trainer.loop import batch_loss

    data = model.material(RECIPE, {part: examples(part) for part in ("train", "dev")})
    module, batch = model.start(RECIPE, data.limits).eval(), collate(data.train[:8], data.limits.start_token)
    exact = batch_loss(module, batch, "cpu").item()
    fp32, bf16 = (model.loss(replace(RECIPE, precision=name))(module, batch, "cpu").item() for name in PRECISIONS)
    assert fp32 == exact
    assert 0 < abs(bf16 - exact) < 0.02 * exact


def test_dev_is_decoded_in_batches_whose_logits_fit(model, monkeypatch):
    from benchgate.trainer import loop

    seen, own = [], loop.generate
    monkeypatch.setattr(loop, "generate", lambda *args: seen.append(len(args[2])) or own(*args))
    monkeypatch.setattr(loop, "DECODE_LOGITS", 3 * 12 * 176)
    train(model, Changes(steps=2), "cpu")
    assert seen == [3, 3, 2]


def test_recomputed_activations_give_the_same_gradients(model):
    data = model.material(RECIPE, {part: examples(part) for part in ("train", "dev")})
    from benchgate.trainer.data import collate

    batch, found = collate(data.train[:4], data.limits.start_token), []
    for checkpointing in (False, True):
        recipe = replace(RECIPE, precision="fp32", checkpointing=checkpointing)
        module = model.start(recipe, data.limits).train()
        model.loss(recipe)(module, batch, "cpu").backward()
        found.append([parameter.grad for parameter in module.parameters()])
    assert all(one.allclose(two, atol=1e-6) for one, two in zip(*found, strict=True))


def test_the_recipe_prompt_and_base_are_part_of_the_version(model, base):
    data = {"train": "a", "dev": "b"}
    others = [
        model.key(replace(RECIPE, lora=4), data),
        model.key(replace(RECIPE, precision="fp32"), data),
        replace(model, prompt="chat").key(RECIPE, data),
        replace(model, base=replace(base, version="2")).key(RECIPE, data),
    ]
    assert all(model.key(RECIPE, data) != other for other in others[:3])
    assert model.key(RECIPE, data) == others[3], "a base is known by its content"


def test_a_model_that_was_made_by_its_name_alone_is_found_by_it(model):
    with pytest.raises(Unavailable, match="tiny-rewriter is not trained; benchgate train tiny-rewriter"):
        model.build()
    assert finetuned.by_name("tiny-rewriter") is None
    train(model, Changes(steps=5), "cpu")
    with models.replaced():
        found = by_place("tiny-rewriter")
    assert isinstance(found, FineTuned)
    assert (found.version, found.max_source, found.prompt) == (model.version, 64, "plain")
    assert found.encode(["about rome"], "oslo") == model.encode(["about rome"], "oslo")
    assert found.build() is not None
    with pytest.raises(BenchgateError, match=r"tiny-rewriter: on what is it to be trained\? --base MODEL --data FILE"):
        train(found, Changes(), "cpu")


def test_a_model_that_is_trained_from_nothing_has_no_adapters():
    with pytest.raises(BenchgateError, match="--lora is for models that are fine-tuned; leave it out"):
        train(T5, Changes(lora=4), "cpu")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lora": -1}, "lora -1 must be at least 0"),
        ({"precision": "fp61"}, "unknown precision 'fp61'; did you mean 'fp16'|unknown precision 'fp61'"),
        ({"steps": 0}, "steps 0 must be above 0"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(model, changes, said):
    with pytest.raises(BenchgateError, match=said):
        train(model, Changes(**changes), "cpu")


def test_a_recipe_for_training_from_nothing_is_refused(model):
    with pytest.raises(BenchgateError, match=r"Recipe is a recipe for training from nothing; give a Tuning"):
        train(replace(model, recipe=Recipe(steps=5, learning_rate=1e-3)), Changes(), "cpu")


def test_a_recipe_for_fine_tuning_is_refused_by_a_model_that_is_trained_from_nothing(benchgate_cache):
    with pytest.raises(BenchgateError, match=r"Tuning is for models that are fine-tuned; give a Recipe"):
        train(replace(T5, recipe=RECIPE), Changes(), "cpu")


def test_a_recipe_has_no_setting_that_means_nothing(model):
    assert "vocabulary" not in model.key(RECIPE, {})["recipe"]


@pytest.mark.parametrize(("recipe", "kept", "stale"), [(RECIPE, 20, 0), (Recipe(steps=5, learning_rate=1e-3), 10, 1)])
def test_a_pretrained_model_is_chosen_by_its_loss_another_by_its_exact_match(recipe, kept, stale):
    import torch

    from benchgate.trainer import loop

    state, module = loop.State(), torch.nn.Linear(1, 1)
    for step, dev in ((10, loop.Dev(0.5, -1.0)), (20, loop.Dev(0.4, -0.8))):
        state.step = step
        loop._keep_best(state, dev, module, recipe.judged)
    assert (state.best_step, state.stale) == (kept, stale)


def test_a_teacher_is_refused(model):
    with pytest.raises(BenchgateError, match="is fine-tuned on its data; leave out --teacher"):
        train(model, Changes(), "cpu", teaching=SoftTargets(T5))


def test_the_sweep_measures_it_in_a_process_of_its_own(model):
    (row,) = measure(model, Changes(lora=2, checkpointing=True), [4], ["cpu"], 2)
    assert row.status == "ok"
    assert row.settings == "lora 2, bf16, checkpointing"
    assert row.timed_steps == 2
    assert row.peak_bytes > 50e6
    assert row.swap_bytes >= 0
    assert row.major_faults >= 0
