"""Passages for last-word prediction: our own cloze set, LAMBADA from the hub, or any JSONL of the same form.

A line is `{"context": ..., "continuation": ...}` or, as on the hub, `{"text": ...}`, whose last word is the target.
LAMBADA: Paperno et al. 2016, https://arxiv.org/abs/1606.06031; the OpenAI variant keeps the original formatting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchgate.core import DataError
from benchgate.storage.assets import Asset, HubFile, assets, fetch
from benchgate.tasks.datasets import DataSet

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
# Ours, written for this package: no part of any benchmark, and comparable with nothing but itself.
CLOZE = Path(__file__).with_name("cloze.jsonl")
SAMPLES = 100
FORM = '{"context": "...", "continuation": "..."} or {"text": "..."}'


@dataclass(frozen=True)
class Passages(DataSet[tuple[str, str]]):
    """A named set of (context, continuation) pairs and how to score it.

    `top_k` are the k of top-k accuracy. `batch` is recorded with the figure: in bf16 the perplexity depends on it a
    little, in fp32 it does not.
    """

    top_k: tuple[int, ...] = (1, 5, 10)
    batch: int = 8

    kind = "passages"

    def describe(self) -> dict[str, Any]:
        """The facts of the data that the report shows beside every figure made with it."""
        return {**super().describe(), "batch": self.batch}


def load(source: str | Path) -> Passages:
    """Passages from a JSONL file, our own set for `"cloze"`, or LAMBADA from the hub for `"lambada-openai"`.

    Raises DataError for a file that is missing, too large, empty, not UTF-8 or has a broken line (naming it),
    FetchError offline.
    """
    if str(source) == LAMBADA.name:
        return parse(fetch(LAMBADA).read_bytes(), LAMBADA.name, str(LAMBADA.path))
    path = CLOZE if str(source) == CLOZE.stem else Path(source)
    return Passages.from_jsonl(path, _parse_entry, FORM, [CLOZE.stem, LAMBADA.name])


def chosen(passages: str | None = None, samples: int | None = None) -> Passages:
    """The passages that a suite's models are scored on: a sample of `load(passages)`, of our own set where None.

    Raises as `load` does.
    """
    return load(passages or CLOZE.stem).sample(SAMPLES if samples is None else samples)


def parse(raw: bytes, name: str, where: str) -> Passages:
    """A JSONL file's bytes as Passages. Raises DataError as `load` does."""
    return Passages.from_bytes(raw, name, where, _parse_entry, FORM)


def _parse_entry(entry: Mapping[str, Any], where: str) -> tuple[str, str]:
    context, continuation = entry.get("context"), entry.get("continuation")
    if isinstance(entry.get("text"), str):
        context, _, continuation = entry["text"].rpartition(" ")
    if not (isinstance(context, str) and isinstance(continuation, str) and context.strip() and continuation.strip()):
        raise DataError(f"{where}: context and continuation must be texts that are not empty; each line must be {FORM}")
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
