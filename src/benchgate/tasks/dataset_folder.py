"""Rows of a folder as Hugging Face `datasets` saves it, or as the hub has it: JSONL, or Arrow and Parquet by pyarrow.

The files of one split lie in the folder itself or in its `data`; `datasets` itself is not needed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchgate.core import DataError
from benchgate.storage.reading import parse_lines, read_bytes, reading

SUFFIXES = (".arrow", ".parquet", ".jsonl")
AGAIN = "give a folder that datasets saved (`split.save_to_disk(DIR)`), or a JSONL file"
# Older ones unpickle what a file names as its types (CVE-2023-47248).
OLDEST_PYARROW = 15
Rows = Iterator[tuple[str, Mapping[str, Any]]]


def read_folder(folder: Path, form: str) -> tuple[str, Rows]:
    """(sha256 of the files' bytes in order, (place, row) of each row). `form` shows what a row must be.

    Raises DataError for a folder without such files, with several splits, or with a file that cannot be read.
    """
    paths = _files(folder)
    contents = [read_bytes(path, AGAIN) for path in paths]
    rows = (row for path, raw in zip(paths, contents, strict=True) for row in _rows(path, raw, form))
    return hashlib.sha256(b"".join(contents)).hexdigest(), rows


def _files(folder: Path) -> list[Path]:
    for place in (folder, folder / "data"):
        for suffix in SUFFIXES:
            if paths := sorted(place.glob(f"*{suffix}")):
                # train-00000-of-00002.parquet: the number is of the file, what is before it names the split.
                splits = sorted({re.sub(r"-\d+-of-\d+$", "", path.stem) for path in paths})
                if len(splits) > 1:
                    raise DataError(f"{place}: has several splits: {', '.join(splits)}; give a folder of one of them")
                return paths
    inside = ", ".join(sorted(path.name for path in folder.iterdir() if path.is_dir()))
    others = f", but folders: {inside}; give one of them" if inside else ""
    raise DataError(f"{folder}: no {', '.join(SUFFIXES)} file in it{others}; {AGAIN}")


def _rows(path: Path, raw: bytes, form: str) -> Rows:
    if path.suffix == ".jsonl":
        yield from parse_lines(raw, str(path), form)
        return
    if _pyarrow() < OLDEST_PYARROW:
        found = f"pyarrow {_pyarrow()}, which unpickles what it reads" if _pyarrow() else "pyarrow is not installed"
        raise DataError(f"{path}: {found}; to read {path.suffix}: pip install 'pyarrow>={OLDEST_PYARROW}'")
    with reading(path, path.suffix, AGAIN):
        rows = _table(path.suffix, raw).to_pylist()
    yield from ((f"{path}, row {number}", row) for number, row in enumerate(rows, 1))


def _pyarrow() -> int:
    """The major version of pyarrow, 0 where it is not installed."""
    try:
        return int(version("pyarrow").partition(".")[0])
    except PackageNotFoundError:
        return 0


def _table(suffix: str, raw: bytes) -> Any:
    import pyarrow

    if suffix == ".parquet":
        from pyarrow import parquet

        return parquet.read_table(pyarrow.BufferReader(raw))
    # `save_to_disk` writes a stream, without the footer of an Arrow file.
    return pyarrow.ipc.open_stream(raw).read_all()
