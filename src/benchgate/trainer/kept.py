"""The artifact of a trained model in the cache: weights, tokenizer and `training.json`; and which one a name means,
that which was trained last.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchgate.core import Unavailable
from benchgate.storage import cache
from benchgate.storage.digests import file_digest
from benchgate.storage.reading import parse_object, read_bytes
from benchgate.storage.whole import write_whole
from benchgate.tasks.text2text.rewrites import Rewrites

WEIGHTS, TOKENIZER, REPORT = "model.safetensors", "tokenizer.json", "training.json"
UNTRAINED = "untrained"
Data = Callable[[str], Rewrites]


class Kept:
    """A model whose weights are a trained artifact. `data` is None where nobody says what it was trained on."""

    name: str
    data: Data | None

    @property
    def version(self) -> str:
        """Hash of what it was trained from: architecture or base, recipe with seed, data. `untrained` before that."""
        folder = current(self.name)
        return UNTRAINED if folder is None else str(read_report(folder)["version"])

    def folder(self) -> Path:
        """The trained artifact. Raises Unavailable before there is one, and for one that was trained on other data than
        there is now: what is held out today may have been its training."""
        folder = current(self.name)
        if folder is None:
            raise Unavailable(f"{self.name} is not trained; benchgate train {self.name}")
        if self.data is not None and read_report(folder)["data"]["dev"] != _dev_sha256(self.data):
            raise Unavailable(f"{self.name} was trained on other data than there is now; benchgate train {self.name}")
        return folder

    def content(self) -> Mapping[str, str]:
        """The digests of the trained weights and tokenizer, for the identity of what is built from them."""
        return {name: file_digest(self.folder() / name) for name in (WEIGHTS, TOKENIZER)}


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
