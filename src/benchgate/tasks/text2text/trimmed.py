"""Rewriting models without the tokens that their task does not need: smaller tables of embeddings and logits.

    benchgate.model(Trimmed("rewrite-smollm2-trimmed", models["rewrite-smollm2"], data=rewrites))

Not trained again, as in Ushio et al. 2023, "An Efficient Multilingual Language Model Compression through Vocabulary
Trimming" (https://arxiv.org/abs/2305.15020). No step of a scheme, because token ids are the model's: all of a scheme's
figures would be of another tokenizer than the fp32 that they are held against.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchgate.core import DataError
from benchgate.machine.packages import versions
from benchgate.storage.artifacts import build_or_reuse
from benchgate.storage.digests import tree_digest
from benchgate.storage.sources import sources
from benchgate.tasks.file_models import load_tokenizer, quiet
from benchgate.tasks.text2text import vocabulary
from benchgate.tasks.text2text.models import TASK, read_config
from benchgate.tasks.text2text.over_folder import OverFolder
from benchgate.tasks.text2text.prompted import PLAIN
from benchgate.tasks.text2text.rewrites import Rewrites

# Settings of a model or of its generation that are token ids, or lists of them.
_ID = "_token_id"


@dataclass(frozen=True)
class Trimmed(OverFolder):
    """The text2text model `of` with the tokens alone that its training uses, and those that they are merged from.

    A text that these tokens spell is split as before, and answers in such tokens are the same but for rounding. Others
    are split finer than the model has learnt.

    Args:
        name: As in `@pytest.mark.cells(model=...)`.
        of: A text2text model over a transformers folder: `FineTuned`, `Prompted`, `HubT5`.
        data: Gives the examples of "train", whose tokens stay.
        first: So many of the first ids stay too. BPE and Unigram number their tokens from the most frequent on.

    Raises:
        DataError: When it is built or asked: for a model that is no transformers folder, for a tokenizer that cannot be
            trimmed, see `benchgate.tasks.text2text.vocabulary.trim`.
    """

    name: str
    of: Any
    data: Callable[[str], Rewrites]
    first: int = 0
    task: str = TASK

    @property
    def version(self) -> str:
        return f"{self.of.version}-trimmed"

    @property
    def architecture(self) -> str:
        return str(self.of.architecture)

    @property
    def prompt(self) -> str:  # type: ignore[override]
        return str(getattr(self.of, "prompt", PLAIN))

    @property
    def max_source(self) -> int:  # type: ignore[override]
        return int(self.of.max_source)

    @property
    def max_target(self) -> int:  # type: ignore[override]
        return int(self.of.max_target)

    def folder(self) -> Path:
        """The smaller model as a transformers folder, made once."""
        return _folder(self, self.version)

    def content(self) -> Mapping[str, str]:
        """The digest of that folder, and the prompt."""
        return {"folder": tree_digest(self.folder()), "prompt": self.prompt}

    def make(self, out: Path) -> None:
        """Write the folder."""
        folder = self.of.folder()
        # Raises where it is none of transformers'.
        read_config(folder)
        document, specials = _tokenizer(folder)
        with quiet():
            module = self.of.build().pretrained
        stay = {*_used(self.of, self.data("train")), *_special_ids(module), *range(self.first)}
        found = vocabulary.trim(document, stay)
        _keep_rows(module, found.kept)
        with quiet():
            module.save_pretrained(out)
        _save_tokenizer(found.document, specials, out)


@functools.cache
def _folder(model: Trimmed, version: str) -> Path:
    """Looked up once for what `of` is now: to encode a query is part of what is timed."""
    key = {
        "of": dict(model.of.content()),
        "data": model.data("train").sha256,
        "first": model.first,
        "lengths": [model.max_source, model.max_target],
        "packages": versions(["transformers", "tokenizers"]),
        "source": sources([__name__, vocabulary.__name__]),
    }
    return build_or_reuse(model.name, key, model.make)


def _used(model: Any, data: Rewrites) -> set[int]:
    """Ids of all tokens of the sources and targets."""
    found = {model.start_token, model.end_token, model.pad_token}
    for one in data:
        found.update(model.encode(one.context, one.query), model.encode_target(one.reformulation))
    return found


def _tokenizer(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """`tokenizer.json` as transformers has it, and what it keeps beside. Raises DataError for one in Python."""
    tokenizer = load_tokenizer(folder)
    if not tokenizer.is_fast:
        raise DataError(f"{folder}: its tokenizer is no `tokenizer.json`; measure the model with its whole vocabulary")
    beside = {"chat_template": tokenizer.chat_template, "model_max_length": tokenizer.model_max_length}
    return json.loads(tokenizer.backend_tokenizer.to_str()), {**tokenizer.special_tokens_map, **beside}


def _save_tokenizer(document: Mapping[str, Any], specials: Mapping[str, Any], out: Path) -> None:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    smaller = Tokenizer.from_str(json.dumps(document))
    PreTrainedTokenizerFast(tokenizer_object=smaller, **specials).save_pretrained(out)


def _settings(module: Any) -> list[Any]:
    """The configurations, which hold token ids beside the tables."""
    return [found for found in (module.config, getattr(module, "generation_config", None)) if found is not None]


def _special_ids(module: Any) -> set[int]:
    values = (value for settings in _settings(module) for name, value in vars(settings).items() if name.endswith(_ID))
    return {number for value in values for number in _listed(value) if number is not None}


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _keep_rows(module: Any, kept: tuple[int, ...]) -> None:
    """Leave the rows of these ids in the tables of embeddings and logits, and renumber the settings."""
    import torch

    rows = torch.tensor(kept)
    old = [{name: weight[rows].clone() for name, weight in table.named_parameters()} for table in _tables(module)]
    module.resize_token_embeddings(len(kept), mean_resizing=False)
    with torch.no_grad():
        for table, weights in zip(_tables(module), old, strict=True):
            for name, weight in table.named_parameters():
                weight.copy_(weights[name])
    places = {number: place for place, number in enumerate(kept)}
    for settings in _settings(module):
        for name, value in list(vars(settings).items()):
            if name.endswith(_ID) and value is not None:
                found = [places.get(number) for number in _listed(value)]
                setattr(settings, name, found if isinstance(value, (list, tuple)) else found[0])


def _tables(module: Any) -> list[Any]:
    """Both, also where they share their weight; a model without an output layer has one."""
    return [found for found in (module.get_input_embeddings(), module.get_output_embeddings()) if found is not None]
