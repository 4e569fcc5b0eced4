"""Reading what strangers wrote: JSON within limits, and any library's failure as a DataError with the file's name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchgate.core import BenchgateError, DataError

MAX_LINE_BYTES = 1 << 20
MAX_FILE_BYTES = 1 << 28


@contextmanager
def reading(path: Path | str, kind: str, again: str) -> Iterator[None]:
    """Turn whatever a library raises over the contents of `path` into "PATH: cannot be read as KIND (reason); AGAIN".

    Parsers of binary formats raise KeyError, struct.error, RecursionError and more on damaged input, and other ones in
    their next version: so all of them are caught, here and nowhere else. A full memory stays what it is.
    """
    try:
        yield
    except (BenchgateError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; {again}") from error
    except Exception as error:
        raise DataError(f"{path}: cannot be read as {kind} ({first_line(error)}); {again}") from error


def first_line(error: BaseException) -> str:
    """The first line of an error's text, its kind where it has none."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def read_bytes(path: Path, again: str, limit: int | None = None) -> bytes:
    """Return a file's content. Raises DataError for one that cannot be read or has more than `limit` bytes."""
    limit = MAX_FILE_BYTES if limit is None else limit
    try:
        with path.open("rb") as stream:
            raw = stream.read(limit + 1)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}); {again}") from error
    if len(raw) > limit:
        raise DataError(f"{path}: more than {limit:,} bytes; at most {limit:,} are read: split the file")
    return raw


def parse_json(raw: bytes, where: str, again: str) -> Any:
    """Return the JSON value of `raw`. Raises DataError naming the place for anything that no other reader could use.

    That is what is not UTF-8 or not JSON, nested too deeply, a number of thousands of digits, half a surrogate pair.
    """
    try:
        text = raw.decode("utf-8")
        value = json.loads(text)
        if "\\u" in text:
            # json reads half a pair; no tokenizer and no file could be given it.
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: not UTF-8 at byte {error.start}; save the file as UTF-8") from error
    except UnicodeEncodeError as error:
        raise DataError(f"{where}: a text has half a surrogate pair; mend the escape") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON ({first_line(error)}); {again}") from error
    return value


def parse_object(raw: bytes, where: str, again: str) -> dict[str, Any]:
    """Return a JSON object. Raises DataError as `parse_json` does, and for any other value."""
    value = parse_json(raw, where, again)
    if not isinstance(value, dict):
        raise DataError(f"{where}: got {type(value).__name__}; {again}")
    return value


def parse_lines(raw: bytes, where: str, form: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, object) of each line of a JSONL file that is not empty; one broken line raises DataError naming it."""
    for number, line in enumerate(raw.split(b"\n"), 1):
        if not line.strip():
            continue
        place = f"{where}, line {number}"
        if len(line) > MAX_LINE_BYTES:
            raise DataError(f"{place}: {len(line):,} bytes; a line may have {MAX_LINE_BYTES:,}")
        yield place, parse_object(line, place, f"each line must be {form}")
