"""Models that are trained here: an architecture, a recipe and data; and the artifact that training leaves in the cache.

    benchgate.model(TrainedModel("rewrite-t5", "t5", make=t5, shape={"layers": 2}, recipe=Recipe(...), data=load_split))

`benchgate train rewrite-t5` makes the artifact: weights, tokenizer and `training.json` (recipe, data, curve, figures).
Until then `build()` raises Unavailable.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchgate.core import DataError, Unavailable
from benchgate.machine.packages import missing_packages
from benchgate.storage import cache
from benchgate.storage.digests import file_digest
from benchgate.storage.reading import parse_object, read_bytes, reading
from benchgate.storage.whole import write_whole
from benchgate.tasks.text2text.codec import END_ID, PAD_ID, Codec, unigram_codec
from benchgate.tasks.text2text.models import TASK
from benchgate.tasks.text2text.rewrites import Rewrites
from benchgate.trainer.recipe import Recipe

WEIGHTS, TOKENIZER, REPORT = "model.safetensors", "tokenizer.json", "training.json"
# Grows when the same recipe and data would give another model: the loop, the initialization or the codec changed.
LAYOUT = 1
UNTRAINED = "untrained"


@dataclass(frozen=True)
class TrainedModel:
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

    @property
    def version(self) -> str:
        """Hash of what it was trained from: architecture, recipe with seed, data. `untrained` before that."""
        folder = current(self.name)
        return UNTRAINED if folder is None else str(read_report(folder)["version"])

    def folder(self) -> Path:
        """The trained artifact. Raises Unavailable before there is one, and for one that was trained on other data than
        there is now: what is held out today may have been its training."""
        folder = current(self.name)
        if folder is None:
            raise Unavailable(f"{self.name} is not trained; benchgate train {self.name}")
        if read_report(folder)["data"]["dev"] != _dev_sha256(self.data):
            raise Unavailable(f"{self.name} was trained on other data than there is now; benchgate train {self.name}")
        return folder

    def content(self) -> Mapping[str, str]:
        """The digests of the trained weights and tokenizer, for the identity of what is built from them."""
        return {name: file_digest(self.folder() / name) for name in (WEIGHTS, TOKENIZER)}

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

    def key(self, recipe: Recipe, data: Mapping[str, str]) -> dict[str, Any]:
        """All that decides the trained weights but for rounding; JSON-ready. `data` are the hashes of the splits."""
        shape, lengths = dict(self.shape), [self.max_source, self.max_target]
        return {"layout": LAYOUT, "shape": shape, "lengths": lengths, "recipe": asdict(recipe), "data": dict(data)}


def version_of(key: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:12]


def current(name: str) -> Path | None:
    """The folder of the model that was trained last under this name, or None."""
    try:
        folder = cache.artifacts() / _pointer(name).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    return folder if (folder / REPORT).is_file() else None


def make_current(name: str, folder: Path) -> None:
    """From now on `name` means this artifact."""
    pointer = _pointer(name)
    with cache.explained(pointer):
        write_whole(pointer, folder.name)


def _pointer(name: str) -> Path:
    return cache.root() / "trained" / f"{name.replace('/', '--')}.txt"


@functools.cache
def _dev_sha256(data: Callable[[str], Rewrites]) -> str:
    """Of the development split, which is small and changes with whatever makes the data."""
    return data("dev").sha256


@functools.cache
def read_report(folder: Path) -> dict[str, Any]:
    """`training.json` of a trained artifact, which never changes."""
    again = "train the model again: benchgate train"
    return parse_object(read_bytes(folder / REPORT, again), str(folder / REPORT), again)


@functools.cache
def _codec(folder: Path) -> Codec:
    if reason := missing_packages({"tokenizers": "text2text"}):
        raise Unavailable(reason)
    from tokenizers import Tokenizer

    return unigram_codec(Tokenizer.from_file(str(folder / TOKENIZER)))
