"""Rewrites: conversations, the query that follows, and the self-contained query that it means.

A line of a JSONL file is `{"context": [...], "query": ..., "reformulation": ...}` where one likes with
`phenomenon` and `id`, or the form of TREC CAsT and CANARD, `{"context": [...], "raw": ..., "rewrite": ...}`. Turns are
oldest first.
CAsT: Dalton et al. 2020, https://arxiv.org/abs/2003.13624; CANARD: Elgohary et al. 2019, doi:10.18653/v1/D19-1605.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchgate.core import DataError, Registry
from benchgate.tasks.datasets import DataSet

FORM = '{"context": ["..."], "query": "...", "reformulation": "..."} (or "raw" and "rewrite" for the last two)'
# The keys of query and reformulation in the two forms.
FORMS = (("query", "reformulation"), ("raw", "rewrite"))


@dataclass(frozen=True)
class Rewrite:
    """One example. `context` holds the turns before the query, oldest first; `phenomenon` what makes it hard, or ""."""

    context: tuple[str, ...]
    query: str
    reformulation: str
    phenomenon: str = ""
    id: str = ""


@dataclass(frozen=True)
class Rewrites(DataSet[Rewrite]):
    """A named set of examples."""

    option = "--cell-samples (benchgate evaluate: --limit)"
    kind = "rewrites"


@dataclass(frozen=True)
class Split:
    """Rewrites under a name ("train", "dev", "test") for whoever has only the name: registered by who makes them."""

    name: str
    load: Callable[[], Rewrites]


splits: Registry[Split] = Registry("data split")


def load(source: str | Path) -> Rewrites:
    """A registered split by its name, else a JSONL file.

    Raises DataError for a file that is missing, empty, too large, not UTF-8 or has a broken line (naming it).
    """
    if str(source) in splits:
        return splits[str(source)].load()
    return Rewrites.from_jsonl(Path(source), _parse_entry, FORM, splits)


def parse(raw: bytes, name: str, where: str) -> Rewrites:
    """A JSONL file's bytes as Rewrites; one broken line refuses the whole file, so that n is never quietly smaller."""
    return Rewrites.from_bytes(raw, name, where, _parse_entry, FORM)


def _parse_entry(entry: Mapping[str, Any], where: str) -> Rewrite:
    names = next((names for names in FORMS if all(name in entry for name in names)), None)
    if names is None:
        raise DataError(f"{where}: has {', '.join(sorted(entry)) or 'nothing'}; each line must be {FORM}")
    context = entry.get("context")
    if not isinstance(context, list):
        raise DataError(f"{where}: context must be a list of texts, got {type(context).__name__}")
    query, target = (_text(entry[name], name, where) for name in names)
    if not query.strip() or not target.strip():
        raise DataError(f"{where}: {' and '.join(names)} must not be empty")
    turns = tuple(_text(turn, f"context[{i}]", where) for i, turn in enumerate(context))
    about = [_text(entry.get(name, ""), name, where) for name in ("phenomenon", "id")]
    return Rewrite(turns, query, target, *about)


def _text(value: Any, name: str, where: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"{where}: {name} must be a text, got {type(value).__name__}")
    return value


def normalise(text: str) -> str:
    """The form in which texts are compared and, by the models trained here, read: Unicode NFKC, case folded, words of
    letters, marks and digits with one space between them.

    Apostrophes are dropped ("what's" is "whats"), every other punctuation mark, symbol and control character separates.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    kept = (c if unicodedata.category(c)[0] in "LMN" else "" if c in "'\u2019" else " " for c in folded)
    return " ".join("".join(kept).split())


def to_jsonl(examples: Sequence[Rewrite]) -> bytes:
    """The file that `parse` reads back, one line an example."""
    entries = (
        {
            "context": list(e.context),
            "query": e.query,
            "reformulation": e.reformulation,
            "phenomenon": e.phenomenon,
            "id": e.id,
        }
        for e in examples
    )
    return "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries).encode()
