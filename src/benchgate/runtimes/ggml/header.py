"""The header of a GGUF file walked within the file's own size, before a library reads it.

The gguf package believes what a header says: 94 bytes that claim an array of 2^40 entries keep it busy until the memory
is full. The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import IO

from benchgate.core import DataError

MAGIC, VERSIONS = b"GGUF", (2, 3)
# Bytes of a value by its type's number; texts and arrays say their own length.
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY = 8, 9
# The smallest that an entry can be: a text's length; a field's name and type; a tensor's name and all else.
SMALLEST_TEXT, SMALLEST_FIELD, SMALLEST_TENSOR = 8, 13, 32
MAX_DIMENSIONS, MAX_WEIGHTS, MAX_NAME = 4, 1 << 48, 1 << 16
ALIGNMENT = b"general.alignment"
AGAIN = "; delete its folder to have it built again, or give a whole GGUF file"


def check(path: Path) -> None:
    """Raise DataError naming the file where its header cannot be read to its end or claims what cannot be."""
    try:
        with path.open("rb") as stream:
            _Walk(stream, path.stat().st_size).all()
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file{AGAIN}") from error
    except (_Wrong, OSError) as error:
        raise DataError(f"{path}: not a whole GGUF file ({error}){AGAIN}") from error


class _Wrong(Exception):
    """A header that is wrong; the message says how."""


class _Walk:
    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream, self._left = stream, size

    def all(self) -> None:
        if (magic := self._take(4)) != MAGIC:
            raise _Wrong(f"it begins with {magic!r}, not {MAGIC!r}")
        if (version := self._number("I")) not in VERSIONS:
            raise _Wrong(f"version {version}; versions {VERSIONS} in little-endian order are read")
        tensors = self._count("tensors", self._number("Q"), SMALLEST_TENSOR)
        for _ in range(self._count("fields", self._number("Q"), SMALLEST_FIELD)):
            self._field()
        for _ in range(tensors):
            self._tensor()

    def _field(self) -> None:
        name, kind = self._text(), self._number("I")
        if name == ALIGNMENT:
            if kind != 4 or not (alignment := self._number("I")) or alignment & (alignment - 1):
                raise _Wrong("the alignment is no power of two")
        elif kind != ARRAY:
            self._value(kind)
        else:
            inner = self._number("I")
            smallest = SMALLEST_TEXT if inner == STRING else SIZES.get(inner)
            if smallest is None:
                raise _Wrong(f"an array of type {inner}; arrays of numbers and texts are read")
            count = self._count("entries of an array", self._number("Q"), smallest)
            if inner == STRING:
                for _ in range(count):
                    self._skip(self._number("Q"))
            else:
                self._skip(count * smallest)

    def _value(self, kind: int) -> None:
        if kind != STRING and kind not in SIZES:
            raise _Wrong(f"a field of type {kind}, which the format does not have")
        self._skip(self._number("Q") if kind == STRING else SIZES[kind])

    def _tensor(self) -> None:
        self._text()
        dimensions = self._number("I")
        if not 1 <= dimensions <= MAX_DIMENSIONS:
            raise _Wrong(f"a tensor of {dimensions} dimensions; it may have 1 to {MAX_DIMENSIONS}")
        shape = [self._number("Q") for _ in range(dimensions)]
        if not 0 < math.prod(shape) <= MAX_WEIGHTS:
            raise _Wrong(f"a tensor of {' x '.join(map(str, shape))} weights")
        self._skip(12)

    def _text(self) -> bytes:
        if (length := self._number("Q")) > MAX_NAME:
            raise _Wrong(f"a name of {length:,} bytes")
        return self._take(length)

    def _number(self, form: str) -> int:
        return int(struct.unpack(f"<{form}", self._take(struct.calcsize(f"<{form}")))[0])

    def _count(self, what: str, count: int, smallest: int) -> int:
        if count * smallest > self._left:
            raise _Wrong(f"{count:,} {what} in {self._left:,} bytes")
        return count

    def _take(self, size: int) -> bytes:
        self._claim(size)
        return self._stream.read(size)

    def _skip(self, size: int) -> None:
        self._claim(size)
        self._stream.seek(size, 1)

    def _claim(self, size: int) -> None:
        if size > self._left:
            raise _Wrong(f"cut short, {size:,} bytes are to come and {self._left:,} are left")
        self._left -= size
