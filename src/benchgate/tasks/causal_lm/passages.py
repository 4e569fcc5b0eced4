"""Passages for last-word prediction: LAMBADA from the hub or a file, or any JSONL of the same form.

A line is `{"context": ..., "continuation": ...}` or, as on the hub, `{"text": ...}`, whose last word is the target.
LAMBADA: Paperno et al. 2016, https://arxiv.org/abs/1606.06031; the OpenAI variant keeps the original formatting.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchgate.core import DataError
from benchgate.storage.assets import Asset, HubFile, assets, fetch
from benchgate.tasks import datasets as samples

LAMBADA = Asset(
    name="lambada-openai",
    source=HubFile(
        "EleutherAI/lambada_openai",
        "data/lambada_test.jsonl",
        revision="879e19a2c9bb7ef03f9cf962089cf7d008f91e27",
        repo_type="dataset",
    ),
    sha256="4aa8d02cd17c719165fc8a7887fddd641f43fcafa4b1c806ca8abc31fabdb226",
    size_bytes=1_819_752,
    licence="CC BY 4.0",
    note="LAMBADA test set, OpenAI variant, 5,153 passages",
)
assets.add(LAMBADA)


@dataclass(frozen=True)
class Passages:
    """A named set of (context, continuation) pairs and how to score it.

    `sha256` is of the whole file, also for a sample of it. `top_k` are the k of top-k accuracy. `batch` is recorded
    with the figure: in bf16 the perplexity depends on it a little, in fp32 it does not.
    """

    name: str
    sha256: str
    items: tuple[tuple[str, str], ...]
    total: int
    seed: int | None = None
    top_k: tuple[int, ...] = (1, 5, 10)
    batch: int = 8

    def sample(self, n: int, seed: int = 0) -> Passages:
        """A seeded random sample of n passages, in file order; everything when there are not more.

        Raises DataError for n < 1.
        """
        return samples.sample(self, n, seed, "--samples")

    def describe(self) -> dict[str, Any]:
        """What the report says of the data beside every figure made with it."""
        return {
            "dataset": self.name,
            "sha256": self.sha256,
            "n": len(self.items),
            "of": self.total,
            "seed": self.seed,
            "batch": self.batch,
        }


def load(source: str | Path) -> Passages:
    """Passages from a JSONL file, or LAMBADA from the hub for `"lambada-openai"`.

    Raises DataError for a file that is missing, empty, not UTF-8 or has a broken line (naming it), FetchError offline.
    """
    if str(source) == LAMBADA.name:
        return parse(fetch(LAMBADA).read_bytes(), LAMBADA.name, str(LAMBADA.path))
    path = Path(source)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); give a JSONL file of passages or 'lambada-openai'"
        ) from error
    return parse(raw, path.stem, str(path))


def parse(raw: bytes, name: str, where: str) -> Passages:
    """A JSONL file's bytes as Passages; one broken line refuses the whole file, so that n is never quietly smaller."""
    try:
        lines = raw.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    items = tuple(_parse_line(line, f"{where}, line {n}") for n, line in enumerate(lines, 1) if line.strip())
    if not items:
        raise DataError(f"{where}: no passages in it; a score of nothing would mean nothing")
    return Passages(name, hashlib.sha256(raw).hexdigest(), items, total=len(items))


def _parse_line(line: str, where: str) -> tuple[str, str]:
    form = '{"context": "...", "continuation": "..."} or {"text": "..."}'
    try:
        entry = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: not JSON ({error.msg}); each line must be {form}") from error
    if not isinstance(entry, dict):
        raise DataError(f"{where}: got {type(entry).__name__}; each line must be {form}")
    context, continuation = entry.get("context"), entry.get("continuation")
    if "text" in entry:
        context, _, continuation = str(entry["text"]).rpartition(" ")
    if not (isinstance(context, str) and isinstance(continuation, str) and context.strip() and continuation.strip()):
        raise DataError(f"{where}: context and continuation must be texts that are not empty; each line must be {form}")
    return context, continuation


def encode_pair(tokenizer: Any, context: str, continuation: str, limit: int) -> tuple[list[int], int]:
    """Token ids of context + " " + continuation and how many of them are the target's.

    As lm-evaluation-harness does it (`_encode_pair`): the target's tokens are those that the whole text has beyond the
    context's own, no special tokens, the context cut on its left to `limit`. Raises DataError for an empty target.
    """
    whole: Sequence[int] = tokenizer(context + " " + continuation, add_special_tokens=False)["input_ids"]
    n_context = len(tokenizer(context, add_special_tokens=False)["input_ids"])
    n_target = len(whole) - n_context
    if n_target < 1 or n_context < 1:
        raise DataError(f"passage ending in {continuation!r}: no target tokens left by this tokenizer")
    return list(whole[-(limit + 1) :]), n_target
