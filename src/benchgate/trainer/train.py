"""Train a model, or find it trained: data, tokenizer, loop, artifact."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchgate.core import BenchgateError, Unavailable, unknown_name
from benchgate.machine.devices import devices
from benchgate.machine.packages import missing_packages, versions
from benchgate.measuring.meters.memory import resident_high_water
from benchgate.storage import cache
from benchgate.storage.artifacts import build_or_reuse
from benchgate.tasks.text2text.codec import END_ID, PAD_ID, train_unigram, unigram_codec
from benchgate.tasks.text2text.rewrites import Rewrites
from benchgate.trainer import distillation
from benchgate.trainer.data import Pair, encode, per_epoch
from benchgate.trainer.distillation import Lesson, Teaching
from benchgate.trainer.models import REPORT, TOKENIZER, WEIGHTS, TrainedModel, make_current, version_of
from benchgate.trainer.recipe import Recipe

Watch = Callable[[Recipe, Any], None]
NEEDS = {"torch": "train", "safetensors": "train", "sentencepiece": "train", "tokenizers": "train"}


@dataclass(frozen=True)
class Changes:
    """Settings from the command line instead of the model's own recipe; None leaves it."""

    steps: int | None = None
    epochs: float | None = None
    batch: int | None = None
    learning_rate: float | None = None
    seed: int | None = None

    def applied(self, recipe: Recipe, examples: int) -> Recipe:
        """Raises BenchgateError for values that no recipe can have."""
        given = {name: value for name, value in asdict(self).items() if value is not None and name != "epochs"}
        changed = replace(recipe, **given)
        if self.epochs is None:
            return changed
        return replace(changed, steps=round(self.epochs * per_epoch(examples, changed.batch)))


@dataclass(frozen=True)
class Material:
    """Data that a run trains on: the tokenizer as JSON text, and the pairs of both splits."""

    tokenizer: str
    vocabulary: int
    train: Sequence[Pair]
    dev: Sequence[Pair]


@dataclass(frozen=True)
class Limits:
    """Settings for decoding of a model that has no artifact yet."""

    vocabulary: int
    max_source: int
    max_target: int
    start_token: int = PAD_ID
    end_token: int = END_ID
    pad_token: int = PAD_ID


def check_device(name: str) -> None:
    """Raises BenchgateError for a device that is unknown or not here, naming those that are."""
    if name not in devices:
        raise BenchgateError(unknown_name("device", name, list(devices)))
    if reason := devices[name].missing():
        here = ", ".join(device.name for device in devices.values() if device.missing() is None)
        raise BenchgateError(f"cannot train on {name}: {reason}; --device may be {here}")


def train(
    model: TrainedModel,
    changes: Changes,
    device: str,
    watch: Watch = lambda recipe, state: None,
    teaching: Teaching | None = None,
) -> Path:
    """The trained artifact of this model with these changes, from the cache where it is; it becomes the model's own.

    A run that was interrupted goes on. Raises BenchgateError for a device or package that is missing, and for a teacher
    that cannot teach this model; Unavailable for one that is not trained.
    """
    if reason := missing_packages(NEEDS):
        raise BenchgateError(f"training: {reason}")
    check_device(device)
    examples = {split: model.data(split) for split in ("train", "dev")}
    recipe = changes.applied(model.recipe, len(examples["train"]))
    data = {split: found.sha256 for split, found in examples.items()}
    key = model.key(recipe, data)
    if teaching is not None:
        distillation.check(teaching, model, data)
        key |= {"distillation": distillation.record(teaching)}
    unfinished = cache.root() / "partial" / f"{model.name}-{version_of(key)}.safetensors".replace("/", "--")
    job = Job(model, recipe, key, device, unfinished, watch, teaching)
    trained = build_or_reuse(f"{model.name}-trained".replace("/", "--"), key, lambda out: job.run(out, examples))
    unfinished.unlink(missing_ok=True)
    make_current(model.name, trained)
    return trained


def material(model: TrainedModel, recipe: Recipe, examples: Mapping[str, Rewrites]) -> Material:
    """Tokenizer from the training split alone, and both splits as token ids."""
    texts = (text for e in examples["train"] for text in (*e.context[-1:], e.query, e.reformulation))
    tokenizer = train_unigram(texts, recipe.vocabulary)
    codec = unigram_codec(tokenizer)
    train_pairs = encode(codec, examples["train"], model.max_source, model.max_target)
    dev_pairs = encode(codec, examples["dev"].sample(recipe.dev_samples), model.max_source, model.max_target)
    return Material(tokenizer.to_str(), tokenizer.get_vocab_size(), train_pairs, dev_pairs)


@dataclass(frozen=True)
class Job:
    """One run: what `build_or_reuse` calls where the trained artifact is not in the cache."""

    model: TrainedModel
    recipe: Recipe
    key: Mapping[str, Any]
    device: str
    unfinished: Path
    watch: Watch
    teaching: Teaching | None = None

    def run(self, out: Path, examples: Mapping[str, Rewrites]) -> None:
        """Train and write the artifact into the empty folder `out`."""
        import torch
        from safetensors.torch import save_file

        from benchgate.trainer import loop
        from benchgate.trainer.checkpoint import weights

        data = material(self.model, self.recipe, examples)
        loss = None
        if self.teaching is not None:
            lesson = Lesson(self.model, data.tokenizer, examples["train"], data.train, self.device)
            data = replace(data, train=self.teaching.pairs(lesson))
            loss = self.teaching.loss(self.device)
        torch.manual_seed(self.recipe.seed)
        module = self.model.make(vocabulary=data.vocabulary, **self.model.shape)
        limits = Limits(data.vocabulary, self.model.max_source, self.model.max_target)
        watch = functools.partial(self.watch, self.recipe)
        state = loop.fit(
            loop.Run(module, self.recipe, limits, data.train, data.dev, self.device, self.unfinished, watch, loss)
        )
        save_file(weights(module), out / WEIGHTS)
        (out / TOKENIZER).write_text(data.tokenizer, encoding="utf-8")
        (out / REPORT).write_text(json.dumps(self._report(data, module, state), indent=1), encoding="utf-8")

    def _report(self, data: Material, module: Any, state: Any) -> dict[str, Any]:
        import torch

        return {
            "model": self.model.name,
            "version": version_of(self.key),
            "vocabulary": data.vocabulary,
            "shape": dict(self.model.shape),
            "recipe": asdict(self.recipe),
            "data": self.key["data"],
            "distillation": self.key.get("distillation"),
            "examples": len(data.train),
            "parameters": sum(parameter.numel() for parameter in module.parameters()),
            "packages": versions(NEEDS),
            "device": self.device,
            "threads": torch.get_num_threads(),
            "steps": state.step,
            "seconds": state.seconds,
            "batches_per_epoch": per_epoch(len(data.train), self.recipe.batch),
            "best_step": state.best_step,
            "dev_exact_match": state.best_dev.exact_match,
            "dev_samples": len(data.dev),
            **peak_memory(self.device),
            "rows": [asdict(row) for row in state.rows],
        }


def peak_memory(device: str) -> dict[str, Any]:
    """The high-water mark of this process on a device (resident set on the CPU) and what the device has, in bytes.

    None where it is not told.
    """
    found = devices[device]
    try:
        peak = resident_high_water() if found.peak_bytes is None else found.peak_bytes()
    except Unavailable:
        peak = None
    return {"peak_bytes": peak, "memory_bytes": found.total_bytes and found.total_bytes()}
