"""Real rewrites in parts that have no conversation in common: "train", "dev" and "test" of one or several files.

A conversation is known by its first turn (CANARD has the article's title there, so that all talk of one article stays
together). A hash of that decides its part: the same whatever else is in the files. Training examples that say, in a
turn, query or reformulation, what is the right answer in a held-out part are left out, where it has four words or more.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchgate.core import DataError, unknown_name
from benchgate.tasks.text2text.rewrites import Rewrite, Rewrites, load, normalise

# Shares of the conversations, from the end of the hash's range.
HELD_OUT = {"test": 0.15, "dev": 0.07}
PARTS = ("train", *HELD_OUT)
# Shorter answers ("tell me more") are everybody's.
LEAST_WORDS = 4


def split(files: Sequence[str], part: str) -> Rewrites:
    """The examples of "train", "dev" or "test" of these JSONL files, in their order.

    Raises DataError for another part, for files that cannot be used, and for a part that nothing falls into.
    """
    if part not in PARTS:
        raise DataError(unknown_name("part", part, list(PARTS)))
    sets, parts = _read(tuple(files))
    name = "+".join(found.name for found in sets)
    if not parts[part]:
        raise DataError(f"{name}: no conversation falls into {part}; give files with more conversations")
    sha256 = hashlib.sha256(repr([part, [found.sha256 for found in sets]]).encode()).hexdigest()
    return Rewrites(f"{name}-{part}", sha256, parts[part], len(parts[part]))


def dropped(files: Sequence[str]) -> int:
    """How many examples are in no part, because they tell the answer to one that is held out."""
    sets, parts = _read(tuple(files))
    return sum(map(len, sets)) - sum(map(len, parts.values()))


@functools.cache
def _read(files: tuple[str, ...]) -> tuple[list[Rewrites], dict[str, tuple[Rewrite, ...]]]:
    sets = [load(Path(file)) for file in files]
    found: dict[str, list[Rewrite]] = {part: [] for part in PARTS}
    for example in (example for data in sets for example in data):
        found[_part(example)].append(example)
    answers = {normalise(example.reformulation) for part in HELD_OUT for example in found[part]}
    telling = {answer for answer in answers if len(answer.split()) >= LEAST_WORDS}
    found["train"] = [example for example in found["train"] if telling.isdisjoint(_texts(example))]
    return sets, {part: tuple(examples) for part, examples in found.items()}


def _part(example: Rewrite) -> str:
    first = normalise(example.context[0] if example.context else example.query)
    place = int.from_bytes(hashlib.sha256(first.encode()).digest()[:8], "big") / 2**64
    for part, share in HELD_OUT.items():
        if place < share:
            return part
        place -= share
    return "train"


def _texts(example: Rewrite) -> Iterator[str]:
    """All that is said in an example, in normal form."""
    return map(normalise, (*example.context, example.query, example.reformulation))
