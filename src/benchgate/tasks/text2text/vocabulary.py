"""A tokenizer with fewer tokens, which splits every text that the remaining ones spell as it did before.

Works on the `tokenizer.json` of Hugging Face's tokenizers. Beside the tokens that are used stay those that they are
merged from, all single characters and bytes, so that any other text can still be spelled, and all added tokens. For BPE
the split is the same because a merge that was ever made on the way to a token that stays is still there, and no new one
is; for Unigram because what was the best split of all is the best of fewer.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from benchgate.core import DataError, unknown_name

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
# The end of what an error says of a tokenizer that is of no use here.
_AGAIN = "measure the model with its whole vocabulary"


@dataclass(frozen=True)
class Trimmed:
    """`document` is the smaller `tokenizer.json`; `kept` are the old ids in the order of the new ones."""

    document: dict[str, Any]
    kept: tuple[int, ...]


def trim(document: Mapping[str, Any], used: Iterable[int]) -> Trimmed:
    """The tokenizer with the tokens of these ids, and what they need.

    Args:
        document: A parsed `tokenizer.json`; it is not changed.
        used: Ids of tokens. Those that the tokenizer has not, as rows of padding in a model's embedding, are dropped.

    Raises:
        DataError: For a tokenizer of another kind than BPE and Unigram, or with a part that holds ids of tokens in a
            way that is not known here.
    """
    model = document["model"]
    kind = _KINDS.get(str(model.get("type")))
    if kind is None:
        raise DataError(f"{unknown_name('kind of tokenizer', str(model.get('type')), list(_KINDS))}; {_AGAIN}")
    added = {entry["content"]: entry["id"] for entry in document.get("added_tokens") or ()}
    names = {**kind.names(model), **{number: text for text, number in added.items()}}
    stay = {names[number] for number in used if number in names} | added.keys()
    stay |= {text for text in names.values() if len(text) == 1 or _BYTE.fullmatch(text)}
    stay |= kind.needed(model, stay, names)
    kept = tuple(sorted(number for number, text in names.items() if text in stay))
    new = {number: place for place, number in enumerate(kept)}
    entries = [{**entry, "id": new[entry["id"]]} for entry in document.get("added_tokens") or ()]
    return Trimmed(
        {
            **document,
            "truncation": None,
            "padding": None,
            "added_tokens": entries,
            "post_processor": _renumbered(document.get("post_processor"), new),
            "model": {**model, **kind.parts(model, stay, new)},
        },
        kept,
    )


@dataclass(frozen=True)
class _Kind:
    """A model of tokenizers: its tokens by id, the ones that tokens which stay need, the parts that change."""

    names: Callable[[Mapping[str, Any]], dict[int, str]]
    needed: Callable[[Mapping[str, Any], set[str], Mapping[int, str]], set[str]]
    parts: Callable[[Mapping[str, Any], set[str], Mapping[int, int]], dict[str, Any]]


def _bpe_names(model: Mapping[str, Any]) -> dict[int, str]:
    if model.get("continuing_subword_prefix"):
        raise DataError(f"a BPE tokenizer with a prefix of its own within words is not trimmed; {_AGAIN}")
    return {number: text for text, number in model["vocab"].items()}


def _bpe_needed(model: Mapping[str, Any], stay: set[str], names: Mapping[int, str]) -> set[str]:
    """All that any merge makes one of them from, down to what is not merged."""
    made_of: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for left, right in _merges(model):
        made_of[left + right].append((left, right))
    needed, open_ones = set[str](), list(stay)
    while open_ones:
        for part in {part for pair in made_of[open_ones.pop()] for part in pair} - needed - stay:
            needed.add(part)
            open_ones.append(part)
    unknown = model.get("unk_token")
    return needed | ({unknown} if unknown is not None else set())


def _bpe_parts(model: Mapping[str, Any], stay: set[str], new: Mapping[int, int]) -> dict[str, Any]:
    return {
        "vocab": {text: new[number] for text, number in model["vocab"].items() if number in new},
        # The parts of what stays do too.
        "merges": [[left, right] for left, right in _merges(model) if left + right in stay],
    }


def _merges(model: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Pairs, in the file as such or as one text with a space in between."""
    return [tuple(merge.split(" ") if isinstance(merge, str) else merge) for merge in model["merges"]]


def _unigram_needed(model: Mapping[str, Any], stay: set[str], names: Mapping[int, str]) -> set[str]:
    return set() if model.get("unk_id") is None else {names[model["unk_id"]]}


def _unigram_parts(model: Mapping[str, Any], stay: set[str], new: Mapping[int, int]) -> dict[str, Any]:
    unknown = model.get("unk_id")
    return {
        "vocab": [entry for number, entry in enumerate(model["vocab"]) if number in new],
        "unk_id": None if unknown is None else new[unknown],
    }


_KINDS: Mapping[str, _Kind] = {
    "BPE": _Kind(_bpe_names, _bpe_needed, _bpe_parts),
    "Unigram": _Kind(
        lambda model: {number: text for number, (text, _) in enumerate(model["vocab"])},
        _unigram_needed,
        _unigram_parts,
    ),
}


def _renumbered(part: Mapping[str, Any] | None, new: Mapping[int, int]) -> dict[str, Any] | None:
    """The post-processor with the new ids. Raises DataError for one of an unknown type."""
    if part is None:
        return None
    renumber = _POST_PROCESSORS.get(part["type"])
    if renumber is None:
        raise DataError(f"{unknown_name('post-processor', part['type'], list(_POST_PROCESSORS))}; {_AGAIN}")
    return {**part, **renumber(part, new)}


def _template(part: Mapping[str, Any], new: Mapping[int, int]) -> dict[str, Any]:
    tokens = part["special_tokens"].items()
    return {"special_tokens": {name: {**of, "ids": [new[number] for number in of["ids"]]} for name, of in tokens}}


def _ends(part: Mapping[str, Any], new: Mapping[int, int]) -> dict[str, Any]:
    return {name: [part[name][0], new[part[name][1]]] for name in ("sep", "cls")}


_POST_PROCESSORS: Mapping[str, Callable[[Mapping[str, Any], Mapping[int, int]], dict[str, Any]]] = {
    "ByteLevel": lambda part, new: {},
    "TemplateProcessing": _template,
    "BertProcessing": _ends,
    "RobertaProcessing": _ends,
    "Sequence": lambda part, new: {"processors": [_renumbered(each, new) for each in part["processors"]]},
}
