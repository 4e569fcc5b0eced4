"""Models that are trained already and learn to rewrite: a causal language model or a T5 by any folder or hub id.

    benchgate.model(FineTuned("rewrite-smollm2", base=models["smollm2-135m"], recipe=Tuning(...), data=load_part))

`benchgate train rewrite-smollm2` leaves a transformers folder with `training.json` beside: other tools read it too.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchgate import registration
from benchgate.core import BenchgateError
from benchgate.tasks.file_models import load_tokenizer, quiet
from benchgate.tasks.text2text.decoding import FixedLimits
from benchgate.tasks.text2text.models import TASK, HubT5
from benchgate.tasks.text2text.over_folder import OverFolder, Place, over
from benchgate.tasks.text2text.prompted import PLAIN, Prompted
from benchgate.tasks.text2text.rewrites import Rewrites
from benchgate.trainer.data import Batch, Loss, Material, Pair
from benchgate.trainer.kept import Data, Kept, current, read_report
from benchgate.trainer.recipe import Schedule, Tuning

# Grows when the same recipe and data would give another model.
LAYOUT = 2
NEEDS = {"torch": "train", "transformers": "train", "safetensors": "train", "tokenizers": "train"}
# One file, whatever its size: its digest is the model's.
ONE_SHARD = "1000GB"


@dataclass(frozen=True)
class FineTuned(Kept, OverFolder):
    """A text2text model that is made from another model.

    Args:
        name: As in `benchgate train NAME` and `@pytest.mark.cells(model=...)`.
        base: A model of a transformers folder, as `HubModel`, `GGUFFile` or `HubT5` are; None for one that is trained
            already, by somebody else's registration or by `benchgate train NAME --base ...`.
        recipe: Of its training.
        data: Gives the examples of "train", "dev" and, to be held out, "test"; see
            `benchgate.tasks.text2text.conversations.split`.
        prompt: A name of `benchgate.tasks.text2text.prompted.PROMPTS`; for causal language models only.
        max_source, max_target: In tokens; longer ones are cut.
    """

    name: str
    base: Any = None
    recipe: Schedule = field(default_factory=lambda: Tuning(steps=500, learning_rate=1e-4, batch=8))
    data: Data | None = None
    prompt: str = PLAIN
    max_source: int = 192
    max_target: int = 48
    task: str = TASK
    architecture: str = "decoder"

    def content(self) -> Mapping[str, str]:
        return {**super().content(), "prompt": self.prompt}

    def _begun(self) -> HubT5 | Prompted:
        """The base as a text2text model."""
        return over(self, _place(self._base()))

    def key(self, recipe: Schedule, data: Mapping[str, str]) -> dict[str, Any]:
        """All that decides the trained weights but for rounding; JSON-ready. `data` are the hashes of the splits."""
        base = self._base()
        # Looking a folder up may read what decides nothing, as source code: now, not while a training is watched.
        _place(base)
        return {
            "layout": LAYOUT,
            "base": dict(base.content()),
            "prompt": self.prompt,
            "lengths": [self.max_source, self.max_target],
            "recipe": asdict(recipe),
            "data": dict(data),
        }

    def _base(self) -> Any:
        if self.base is None:
            raise BenchgateError(f"{self.name}: from which model is it to be made? --base MODEL")
        return self.base

    def needs(self, recipe: Schedule) -> Mapping[str, str]:
        return NEEDS | ({"peft": "train"} if _tuning(recipe).lora else {})

    def facts(self) -> Mapping[str, Any]:
        """Facts for the report, of where it begins: enough to use the artifact by its name alone."""
        base = self._base()
        return {
            "base": {"name": base.name, "version": str(base.version), "content": dict(base.content())},
            "prompt": self.prompt,
            "lengths": [self.max_source, self.max_target],
            "architecture": self._begun().architecture,
        }

    def material(self, recipe: Schedule, examples: Mapping[str, Rewrites]) -> Material:
        """Both splits as token ids, by the base's own tokenizer."""
        model = self._begun()
        parts = examples["train"], examples["dev"].sample(recipe.dev_samples)
        pairs = (
            [
                Pair(tuple(model.encode(one.context, one.query)), tuple(model.encode_target(one.reformulation)))
                for one in part
            ]
            for part in parts
        )
        return Material("", FixedLimits.of(model), *pairs)

    def start(self, recipe: Schedule, limits: FixedLimits) -> Any:
        """The base with what is trained of it: its weights, or adapters beside them."""
        tuning, module = _tuning(recipe), self._begun().build()
        module.for_training(tuning.checkpointing)
        if tuning.lora:
            _add_adapters(module, tuning.lora)
        return module

    def loss(self, recipe: Schedule) -> Loss:
        return functools.partial(_loss, _tuning(recipe).precision)

    def write(self, module: Any, data: Material, out: Path) -> None:
        """Write the folder, as transformers saves it; adapters are merged into the weights."""
        _merge_adapters(module)
        with quiet():
            module.pretrained.save_pretrained(out, max_shard_size=ONE_SHARD)
        load_tokenizer(_place(self._base()).folder()).save_pretrained(out)


@functools.cache
def _place(base: Any) -> Place:
    """Where a base is, looked up once and not for every example."""
    return Place(base.folder(), str(base.version))


def _tuning(recipe: Schedule) -> Tuning:
    if not isinstance(recipe, Tuning):
        raise BenchgateError(f"{type(recipe).__name__} is a recipe for training from nothing; give a Tuning(...)")
    return recipe


def _loss(precision: str, module: Any, batch: Batch, device: str) -> Any:
    """The cross-entropy, nats a target token, of a forward pass in that precision."""
    import torch

    from benchgate.trainer.loop import batch_loss

    with torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bf16"):
        return batch_loss(module, batch, device)


def _add_adapters(module: Any, rank: int) -> None:
    """Adapters on all linear layers but the head; peft leaves nothing else that wants a gradient. The scale is 2, as
    its examples have it."""
    from peft import LoraConfig, inject_adapter_in_model

    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear"), module.pretrained)


def _merge_adapters(module: Any) -> None:
    for name, layer in list(module.named_modules()):
        if hasattr(layer, "get_base_layer"):
            layer.merge()
            parent, _, child = name.rpartition(".")
            setattr(module.get_submodule(parent), child, layer.get_base_layer())


def by_name(name: str) -> FineTuned | None:
    """The model that `benchgate train NAME --base ...` left, or None where that name means nothing or a model that has
    to be registered."""
    if (folder := current(name)) is None or "base" not in (report := read_report(folder)):
        return None
    source, target = report["lengths"]
    return FineTuned(
        name,
        prompt=report["prompt"],
        max_source=source,
        max_target=target,
        architecture=report["architecture"],
    )


registration.places.append(by_name)
