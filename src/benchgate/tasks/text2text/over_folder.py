"""Text2text models over a transformers folder that is looked up, or made, only when it is asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchgate.tasks.text2text.models import HubT5, read_config
from benchgate.tasks.text2text.prompted import Prompted


@dataclass(frozen=True)
class Place:
    """A folder as the base of the model in it."""

    path: Path
    version: str

    def folder(self) -> Path:
        return self.path

    def content(self) -> Mapping[str, str]:
        return {"version": self.version}


class OverFolder(ABC):
    """A text2text model that is the one in its `folder()`, asked by `prompt` where that is a causal language model."""

    name: str
    prompt: str
    max_source: int
    max_target: int

    @property
    @abstractmethod
    def version(self) -> str:
        """Kept with every result."""

    @abstractmethod
    def folder(self) -> Path:
        """The transformers folder."""

    def _inner(self) -> HubT5 | Prompted:
        return over(self, Place(self.folder(), self.version))

    def build(self) -> Any:
        return self._inner().build()

    def structure(self) -> Any:
        return self._inner().structure()

    @property
    def start_token(self) -> int:
        return self._inner().start_token

    @property
    def end_token(self) -> int:
        return self._inner().end_token

    @property
    def pad_token(self) -> int:
        return self._inner().pad_token

    @property
    def vocabulary(self) -> int:
        return self._inner().vocabulary

    def encode(self, context: Sequence[str], query: str) -> list[int]:
        return self._inner().encode(context, query)

    def encode_target(self, text: str) -> list[int]:
        return self._inner().encode_target(text)

    def decode(self, tokens: Sequence[int]) -> str:
        return self._inner().decode(tokens)


def over(model: OverFolder, place: Place) -> HubT5 | Prompted:
    """The text2text model in that place, with the lengths and the prompt of `model`: a T5, else a language model."""
    lengths = model.max_source, model.max_target
    if read_config(place.path).get("model_type") == "t5":
        return HubT5(model.name, str(place.path), place.version, *lengths)
    return Prompted(model.name, place, model.prompt, *lengths)
