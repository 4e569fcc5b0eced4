"""T5 models (T5, T5 1.1, FLAN-T5) for text2text, by hub id or local folder, through transformers."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchgate.core import DataError
from benchgate.storage.reading import parse_object, read_bytes
from benchgate.tasks.file_models import HubFolder, quiet
from benchgate.tasks.text2text.codec import Codec

TASK = "text2text"
MAX_CONFIG_BYTES = 1 << 20
# What an instruction-tuned model that was not trained on this task is asked. Its vocabulary has no line ends.
OPENING = "Rewrite the last question so that it can be understood without the conversation. Conversation:"
JOINER, MIDDLE, CLOSING = "|", "Last question:", "Rewritten question:"


@dataclass(frozen=True)
class HubT5(HubFolder):
    """A T5 by hub id (`org/name`) or local folder, at a pinned revision; see HubFolder."""

    name: str
    source: str
    revision: str = "main"
    max_source: int = 256
    max_target: int = 48
    task: str = TASK
    architecture: str = "t5"

    def _load(self, folder: Path) -> Any:
        import torch
        from transformers import T5ForConditionalGeneration

        from benchgate.tasks.text2text.t5 import T5Seq2Seq

        # `use_safetensors`: a pickled checkpoint could run code.
        t5 = T5ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
        return T5Seq2Seq(t5).eval()

    def _empty(self, folder: Path) -> Any:
        from transformers import T5Config, T5ForConditionalGeneration

        from benchgate.tasks.text2text.t5 import T5Seq2Seq

        return T5Seq2Seq(T5ForConditionalGeneration(T5Config.from_pretrained(folder)))

    @property
    def start_token(self) -> int:
        return self._setting("decoder_start_token_id", 0)

    @property
    def end_token(self) -> int:
        return self._setting("eos_token_id", 1)

    @property
    def pad_token(self) -> int:
        return self._setting("pad_token_id", 0)

    @property
    def vocabulary(self) -> int:
        """The width of the logits, which T5 pads beyond its tokenizer's vocabulary."""
        return self._setting("vocab_size", None)

    def encode(self, context: Sequence[str], query: str) -> list[int]:
        return _codec(self.folder(), self.end_token).source(context, query, self.max_source)

    def encode_target(self, text: str) -> list[int]:
        return _codec(self.folder(), self.end_token).target(text, self.max_target)

    def decode(self, tokens: Sequence[int]) -> str:
        return _codec(self.folder(), self.end_token).to_text(tokens)

    def _setting(self, name: str, default: int | None) -> int:
        found = read_config(self.folder()).get(name, default)
        if not isinstance(found, int):
            raise DataError(f"{self.folder() / 'config.json'}: {name} is {found!r}, a whole number is needed")
        return found


def from_folder(folder: Path) -> HubT5 | None:
    """The model in a folder whose config.json says `"model_type": "t5"`, or None for any other folder."""
    if not (folder / "config.json").is_file() or read_config(folder).get("model_type") != "t5":
        return None
    return HubT5(folder.name, str(folder.resolve()), "local")


@functools.cache
def read_config(folder: Path) -> dict[str, Any]:
    """`config.json` of a transformers folder. Raises DataError where it is none."""
    path, again = folder / "config.json", "give a folder that save_pretrained wrote"
    return parse_object(read_bytes(path, again, MAX_CONFIG_BYTES), str(path), again)


@functools.cache
def _codec(folder: Path, end: int) -> Codec:
    from transformers import AutoTokenizer

    with quiet():
        # Text that spells `</s>` is text: it must not end the source.
        tokenizer = AutoTokenizer.from_pretrained(folder, split_special_tokens=True)

    def to_tokens(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False).input_ids)

    return Codec(
        to_tokens,
        lambda tokens: str(tokenizer.decode(list(tokens), skip_special_tokens=True)).strip(),
        end,
        opening=to_tokens(OPENING),
        joiner=to_tokens(JOINER),
        middle=to_tokens(MIDDLE),
        closing=[*to_tokens(CLOSING), end],
    )
