"""Rewrites: conversations, the query that follows, and the self-contained query that it means.

A line of a JSONL file is `{"context": [...], "query": ..., "reformulation": ...}` where one likes with
`phenomenon` and `id`, or the form of TREC CAsT and CANARD, `{"context": [...], "raw": ..., "rewrite": ...}`. Turns are
oldest first.
CAsT: Dalton et al. 2020, https://arxiv.org/abs/2003.13624; CANARD: Elgohary et al. 2019, doi:10.18653/v1/D19-1605.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchgate.core import DataError, Registry
from benchgate.tasks.datasets import DataSet

MAX_LINE_BYTES = 1 << 20
MAX_FILE_BYTES = 1 << 28
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

    option = "--limit"
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
    path = Path(source)
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise DataError(f"{path}: {size:,} bytes; at most {MAX_FILE_BYTES:,} are read: split the file")
        raw = path.read_bytes()
    except OSError as error:
        known = "".join(f"{name!r}, " for name in splits)
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); give {known}or a JSONL file of rewrites"
        ) from error
    return parse(raw, path.stem, str(path))


def parse(raw: bytes, name: str, where: str) -> Rewrites:
    """A JSONL file's bytes as Rewrites; one broken line refuses the whole file, so that n is never quietly smaller."""
    items = tuple(_parse_line(line, f"{where}, line {n}") for n, line in enumerate(raw.split(b"\n"), 1) if line.strip())
    if not items:
        raise DataError(f"{where}: no examples in it; a score of nothing would mean nothing")
    return Rewrites(name, hashlib.sha256(raw).hexdigest(), items, total=len(items))


def _parse_line(line: bytes, where: str) -> Rewrite:
    if len(line) > MAX_LINE_BYTES:
        raise DataError(f"{where}: {len(line):,} bytes; a line may have {MAX_LINE_BYTES:,}")
    try:
        entry = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: not UTF-8 at byte {error.start} of the line; save the file as UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON ({error}); each line must be {FORM}") from error
    if not isinstance(entry, dict):
        raise DataError(f"{where}: got {type(entry).__name__}; each line must be {FORM}")
    return _parse_entry(entry, where)


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
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            f"{where}: {name} has half a surrogate pair at character {error.start}; mend the escape"
        ) from error
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
