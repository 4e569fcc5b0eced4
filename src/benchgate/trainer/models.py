"""Models that are trained here: an architecture, a recipe and data; and the artifact that training leaves in the cache.

    benchgate.model(TrainedModel("rewrite-t5", "t5", make=t5, shape={"layers": 2}, recipe=Recipe(...), data=load_split))

`benchgate train rewrite-t5` makes the artifact: weights, tokenizer and `training.json` (recipe, data, curve, figures).
Until then `build()` raises Unavailable.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchgate.core import BenchgateError, DataError, Unavailable
from benchgate.machine.packages import missing_packages
from benchgate.storage.reading import reading
from benchgate.tasks.text2text.codec import END_ID, PAD_ID, Codec, train_unigram, unigram_codec
from benchgate.tasks.text2text.decoding import FixedLimits
from benchgate.tasks.text2text.models import TASK
from benchgate.tasks.text2text.rewrites import Rewrites
from benchgate.trainer.data import Material, encode
from benchgate.trainer.kept import TOKENIZER, WEIGHTS, Kept, read_report
from benchgate.trainer.recipe import Recipe, Schedule

# Grows when the same recipe and data would give another model: the loop, the initialization or the codec changed.
LAYOUT = 1
# Packages that training and what it writes need, and the extra that brings them.
NEEDS = {"torch": "train", "safetensors": "train", "sentencepiece": "train", "tokenizers": "train"}


@dataclass(frozen=True)
class TrainedModel(Kept):
    """A text2text model by what it is made from. `make(vocabulary=..., **shape)` gives the untrained module.

    `shape` must name everything that `make` depends on: it is what the version knows of the architecture.
    Runtimes that know only some architectures ask for `architecture` ("t5", ...).
    `data(split)` gives the examples of "train" and "dev". Sources and targets are cut to `max_source` and `max_target`
    tokens. All models begin to decode with the padding token, as T5 does.
    """

    name: str
    architecture: str
    make: Callable[..., Any]
    shape: Mapping[str, Any]
    recipe: Recipe
    data: Callable[[str], Rewrites]
    max_source: int = 128
    max_target: int = 48
    task: str = TASK
    start_token: int = PAD_ID
    end_token: int = END_ID
    pad_token: int = PAD_ID

    def build(self) -> Any:
        from safetensors.torch import load_file

        from benchgate.trainer.checkpoint import put_weights

        module = self.structure()
        try:
            weights = self.folder() / WEIGHTS
            with reading(weights, "weights", f"benchgate train {self.name}"):
                put_weights(module, load_file(weights))
        except DataError as error:
            raise Unavailable(
                f"{self.name} has changed since it was trained ({error}); benchgate train {self.name}"
            ) from error
        return module.eval()

    def structure(self) -> Any:
        """The module with weights as they are before training."""
        report = read_report(self.folder())
        return self.make(vocabulary=report["vocabulary"], **report["shape"])

    @property
    def vocabulary(self) -> int:
        return int(read_report(self.folder())["vocabulary"])

    def encode(self, context: Sequence[str], query: str) -> list[int]:
        return _codec(self.folder()).source(context, query, self.max_source)

    def encode_target(self, text: str) -> list[int]:
        return _codec(self.folder()).target(text, self.max_target)

    def decode(self, tokens: Sequence[int]) -> str:
        return _codec(self.folder()).to_text(tokens)

    def key(self, recipe: Schedule, data: Mapping[str, str]) -> dict[str, Any]:
        """All that decides the trained weights but for rounding; JSON-ready. `data` are the hashes of the splits."""
        shape, lengths = dict(self.shape), [self.max_source, self.max_target]
        return {"layout": LAYOUT, "shape": shape, "lengths": lengths, "recipe": asdict(recipe), "data": dict(data)}

    def needs(self, recipe: Schedule) -> Mapping[str, str]:
        return NEEDS

    def facts(self) -> Mapping[str, Any]:
        """Facts for the report: where it begins."""
        return {"shape": dict(self.shape)}

    def material(self, recipe: Schedule, examples: Mapping[str, Rewrites]) -> Material:
        """Tokenizer from the training split alone, and both splits as token ids."""
        texts = (text for e in examples["train"] for text in (*e.context[-1:], e.query, e.reformulation))
        tokenizer = train_unigram(texts, _from_nothing(recipe).vocabulary)
        codec = unigram_codec(tokenizer)
        dev = examples["dev"].sample(recipe.dev_samples)
        pairs = (encode(codec, found, self.max_source, self.max_target) for found in (examples["train"], dev))
        limits = FixedLimits(
            self.start_token,
            self.end_token,
            self.pad_token,
            tokenizer.get_vocab_size(),
            self.max_source,
            self.max_target,
        )
        return Material(tokenizer.to_str(), limits, *pairs)

    def start(self, recipe: Schedule, limits: FixedLimits) -> Any:
        """The untrained module; its weights come from torch's random numbers."""
        return self.make(vocabulary=limits.vocabulary, **self.shape)

    def loss(self, recipe: Schedule) -> None:
        """Return None: the loop's own."""

    def write(self, module: Any, data: Material, out: Path) -> None:
        """Write weights and tokenizer into the folder."""
        from safetensors.torch import save_file

        from benchgate.trainer.checkpoint import weights

        save_file(weights(module), out / WEIGHTS)
        (out / TOKENIZER).write_text(data.tokenizer, encoding="utf-8")


def _from_nothing(recipe: Schedule) -> Recipe:
    if not isinstance(recipe, Recipe):
        raise BenchgateError(f"{type(recipe).__name__} is for models that are fine-tuned; give a Recipe(...)")
    return recipe


@functools.cache
def _codec(folder: Path) -> Codec:
    if reason := missing_packages({"tokenizers": "text2text"}):
        raise Unavailable(reason)
    from tokenizers import Tokenizer

    return unigram_codec(Tokenizer.from_file(str(folder / TOKENIZER)))
