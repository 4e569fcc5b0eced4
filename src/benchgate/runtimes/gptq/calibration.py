"""The text that GPTQ measures activations on: our own 64 passages, or a file of one's own. Never what is scored.

tests/runtimes/gptq/test_calibration.py holds the built-in set and this repository's scored passages apart.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Any

from benchgate.core import DataError
from benchgate.storage.reading import parse_lines, read_bytes

BUILTIN = "builtin"
FORM = '{"text": "..."}'
# Tokens in one calibration sequence. All texts are joined and cut into blocks, so that none needs padding and a
# tokenizer without a pad token is as good as any.
BLOCK = 256


def calibration_sha256(source: str = BUILTIN) -> str:
    """Hash of the calibration file, which is part of a scheme's data: other text, other artifact."""
    return hashlib.sha256(_raw(source)).hexdigest()


def calibration_texts(source: str = BUILTIN) -> list[str]:
    """The texts of a JSONL file of `{"text": ...}` lines. Raises DataError naming the file and line."""
    texts = []
    for place, entry in parse_lines(_raw(source), source, FORM):
        if not isinstance(entry.get("text"), str):
            raise DataError(f"{place}: calibration lines must be {FORM}")
        texts.append(entry["text"])
    return texts


def calibration_blocks(tokenizer: Any, source: str, sha256: str) -> list[list[int]]:
    """All texts as token ids, joined and cut into blocks of BLOCK tokens; a last short one is left out.

    Raises DataError when the file is not the one whose hash the scheme holds, or too short for a single block.
    """
    found = calibration_sha256(source)
    if found != sha256:
        raise DataError(
            f"calibration {source}: its sha256 is {found[:12]}, the scheme says {sha256[:12]}; make the scheme anew "
            "with gptq_scheme(...) where the file was changed on purpose"
        )
    joined: list[int] = []
    for text in calibration_texts(source):
        joined += tokenizer(text + "\n", add_special_tokens=False)["input_ids"]
    blocks = [joined[i : i + BLOCK] for i in range(0, len(joined) - BLOCK + 1, BLOCK)]
    if not blocks:
        raise DataError(f"calibration {source}: {len(joined)} tokens are less than one block of {BLOCK}; add text")
    return blocks


def _raw(source: str) -> bytes:
    if source == BUILTIN:
        return files(__package__).joinpath("calibration.jsonl").read_bytes()
    return read_bytes(Path(source), f"give a JSONL file of calibration lines, {FORM}")
