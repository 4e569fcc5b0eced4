"""Train a model, or find it trained: data, tokenizer, loop, artifact."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from benchgate.core import BenchgateError, Unavailable, unknown_name
from benchgate.machine.devices import devices
from benchgate.machine.memory_parts import memory_parts
from benchgate.machine.packages import missing_packages, versions
from benchgate.measuring.meters.memory import resident_high_water
from benchgate.storage import cache
from benchgate.storage.artifacts import build_or_reuse
from benchgate.tasks.text2text.decoding import FixedLimits
from benchgate.tasks.text2text.rewrites import Rewrites
from benchgate.trainer import distillation
from benchgate.trainer.data import Loss, Material, per_epoch
from benchgate.trainer.distillation import Lesson, Teaching
from benchgate.trainer.kept import REPORT, Data, make_current, version_of
from benchgate.trainer.models import TrainedModel
from benchgate.trainer.recipe import Schedule

Watch = Callable[[Schedule, Any], None]


class Trainable(Protocol):
    """A model that `train` can train, from nothing (`TrainedModel`) or from what it can do already (`FineTuned`)."""

    @property
    def name(self) -> str: ...

    @property
    def recipe(self) -> Schedule: ...

    @property
    def data(self) -> Data | None:
        """The examples of "train" and "dev"; None where nobody named any."""

    def key(self, recipe: Schedule, data: Mapping[str, str]) -> dict[str, Any]:
        """Return all that decides the trained weights but for rounding; JSON-ready."""

    def needs(self, recipe: Schedule) -> Mapping[str, str]:
        """Return the packages that training it needs, each with the extra that brings it."""

    def facts(self) -> Mapping[str, Any]:
        """Return what the report says of where it begins; JSON-ready."""

    def material(self, recipe: Schedule, examples: Mapping[str, Rewrites]) -> Material:
        """Return what a run trains on."""

    def start(self, recipe: Schedule, limits: FixedLimits) -> Any:
        """Return the module that is trained, by its parameters that want a gradient."""

    def loss(self, recipe: Schedule) -> Loss | None:
        """Return the loss of a batch, in place of the loop's own; None leaves it."""

    def write(self, module: Any, data: Material, out: Path) -> None:
        """Write weights and tokenizer of the trained module into the folder."""


@dataclass(frozen=True)
class Changes:
    """Settings from the command line instead of the model's own recipe; None leaves it."""

    steps: int | None = None
    epochs: float | None = None
    batch: int | None = None
    learning_rate: float | None = None
    seed: int | None = None
    evaluate_every: int | None = None
    lora: int | None = None
    precision: str | None = None
    checkpointing: bool | None = None

    def applied(self, recipe: Schedule, examples: int) -> Schedule:
        """Raises BenchgateError for values that no recipe can have."""
        given = {name: value for name, value in asdict(self).items() if value is not None and name != "epochs"}
        if other := given.keys() - asdict(recipe).keys():
            raise BenchgateError(f"--{min(other)} is for models that are fine-tuned; leave it out")
        changed = replace(recipe, **given)
        if self.epochs is None:
            return changed
        return replace(changed, steps=round(self.epochs * per_epoch(examples, changed.batch)))


def check_device(name: str) -> None:
    """Raises BenchgateError for a device that is unknown or not here, naming those that are."""
    if name not in devices:
        raise BenchgateError(unknown_name("device", name, list(devices)))
    if reason := devices[name].missing():
        here = ", ".join(device.name for device in devices.values() if device.missing() is None)
        raise BenchgateError(f"cannot train on {name}: {reason}; --device may be {here}")


def train(
    model: Trainable,
    changes: Changes,
    device: str,
    watch: Watch = lambda recipe, state: None,
    teaching: Teaching | None = None,
) -> Path:
    """The trained artifact of this model with these changes, from the cache where it is; it becomes the model's own.

    A run that was interrupted goes on. Raises BenchgateError for a device or package that is missing, and for a teacher
    that cannot teach this model; Unavailable for one that is not trained.
    """
    check_device(device)
    examples = examples_of(model)
    recipe = changes.applied(model.recipe, len(examples["train"]))
    if reason := missing_packages(model.needs(recipe)):
        raise BenchgateError(f"training: {reason}")
    data = {split: found.sha256 for split, found in examples.items()}
    key = model.key(recipe, data)
    if teaching is not None:
        if not isinstance(model, TrainedModel):
            raise BenchgateError(f"{model.name} is fine-tuned on its data; leave out --teacher")
        distillation.check(teaching, model, data)
        key |= {"distillation": distillation.record(teaching)}
    unfinished = cache.root() / "partial" / f"{model.name}-{version_of(key)}.safetensors".replace("/", "--")
    job = Job(model, recipe, key, device, unfinished, watch, teaching)
    trained = build_or_reuse(f"{model.name}-trained".replace("/", "--"), key, lambda out: job.run(out, examples))
    unfinished.unlink(missing_ok=True)
    make_current(model.name, trained)
    return trained


def examples_of(model: Trainable) -> dict[str, Rewrites]:
    """The examples that the model is trained and chosen on. Raises BenchgateError where nobody named data."""
    if model.data is None:
        raise BenchgateError(f"{model.name}: on what is it to be trained? --base MODEL --data FILE")
    return {split: model.data(split) for split in ("train", "dev")}


@dataclass(frozen=True)
class Job:
    """One run: what `build_or_reuse` calls where the trained artifact is not in the cache."""

    model: Trainable
    recipe: Schedule
    key: Mapping[str, Any]
    device: str
    unfinished: Path
    watch: Watch
    teaching: Teaching | None = None

    def run(self, out: Path, examples: Mapping[str, Rewrites]) -> None:
        """Train and write the artifact into the empty folder `out`."""
        import torch

        from benchgate.trainer import loop

        data = self.model.material(self.recipe, examples)
        loss = self.model.loss(self.recipe)
        # `train` has refused a teacher for any other.
        if self.teaching is not None and isinstance(self.model, TrainedModel):
            lesson = Lesson(self.model, data.tokenizer, examples["train"], data.train, self.device)
            data = replace(data, train=self.teaching.pairs(lesson))
            loss = self.teaching.loss(self.device)
        torch.manual_seed(self.recipe.seed)
        module = self.model.start(self.recipe, data.limits)
        count = sum(parameter.numel() for parameter in module.parameters())
        watch = functools.partial(self.watch, self.recipe)
        state = loop.fit(
            loop.Run(module, self.recipe, data.limits, data.train, data.dev, self.device, self.unfinished, watch, loss)
        )
        self.model.write(module, data, out)
        report = self._report(data, state) | {"parameters": count}
        (out / REPORT).write_text(json.dumps(report, indent=1), encoding="utf-8")

    def _report(self, data: Material, state: Any) -> dict[str, Any]:
        import torch

        return {
            "model": self.model.name,
            "version": version_of(self.key),
            "vocabulary": data.limits.vocabulary,
            **self.model.facts(),
            "recipe": asdict(self.recipe),
            "settings": self.recipe.told(),
            "data": self.key["data"],
            "distillation": self.key.get("distillation"),
            "examples": len(data.train),
            "packages": versions(self.model.needs(self.recipe)),
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
    """The high-water mark of this process on a device (resident set on the CPU) and what the device has, in bytes; of
    this process, what is swapped out now and how many page faults waited for a disk.

    None where it is not told.
    """
    found = devices[device]
    try:
        peak = resident_high_water() if found.peak_bytes is None else found.peak_bytes()
    except Unavailable:
        peak = None
    try:
        parts = memory_parts()
    except Unavailable:
        pressure: dict[str, int | None] = {"swap_bytes": None, "major_faults": None}
    else:
        pressure = {"swap_bytes": parts.swap, "major_faults": parts.major_faults}
    return {"peak_bytes": peak, "memory_bytes": found.total_bytes and found.total_bytes(), **pressure}
