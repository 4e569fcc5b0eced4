"""GGUF headers that claim more than the file holds: refused at once, before any library reads them."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.core import DataError
from benchgate.runtimes.ggml.header import check

UINT8, UINT32, STRING, ARRAY = 0, 4, 8, 9


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def field(name: str, kind: int, value: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + value


def tensor(name: str = "w", dims: tuple[int, ...] = (32,), kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)


def gguf(fields: tuple[bytes, ...], tensors: tuple[bytes, ...], *, magic=b"GGUF", version=3, counts=None) -> bytes:
    head = magic + struct.pack("<IQQ", version, *(counts or (len(tensors), len(fields))))
    return head + b"".join(fields) + b"".join(tensors)


ARCHITECTURE = field("general.architecture", STRING, text("llama"))
WHOLE = gguf((ARCHITECTURE,), (tensor(),)) + bytes(200)


def test_a_whole_header_passes(tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(WHOLE)
    check(path)
    arrays = (
        field("a", ARRAY, struct.pack("<IQ", UINT32, 3) + bytes(12)),
        field("b", ARRAY, struct.pack("<IQ", STRING, 2) + text("x") + text("yz")),
    )
    path.write_bytes(gguf((ARCHITECTURE, *arrays), (tensor(),)))
    check(path)


HUGE = 1 << 40
BAD = {
    "an array of 2^40 strings": gguf((field("a", ARRAY, struct.pack("<IQ", STRING, HUGE)),), ()) + bytes(30),
    "an array of 2^40 bytes": gguf((field("a", ARRAY, struct.pack("<IQ", UINT8, HUGE)),), ()) + bytes(30),
    "an array of arrays": gguf((field("a", ARRAY, struct.pack("<IQIQ", ARRAY, 1, ARRAY, 1)),), ()) + bytes(99),
    "an unknown type": gguf((field("a", 77, bytes(8)),), ()),
    "2^40 fields": gguf((), (), counts=(0, HUGE)) + bytes(30),
    "2^40 tensors": gguf((), (), counts=(HUGE, 0)) + bytes(30),
    "a name of 2^40 bytes": gguf((struct.pack("<Q", HUGE),), ()),
    "dimension 0": gguf((ARCHITECTURE,), (tensor(dims=(0,)),)),
    "2^62 weights": gguf((ARCHITECTURE,), (tensor(dims=(1 << 31, 1 << 31)),)),
    "5 dimensions": gguf((ARCHITECTURE,), (tensor(dims=(1, 1, 1, 1, 1)),)),
    "an alignment of 0": gguf((ARCHITECTURE, field("general.alignment", UINT32, bytes(4))), (tensor(),)),
    "another magic": gguf((ARCHITECTURE,), (tensor(),), magic=b"GGUX"),
    "another version": gguf((ARCHITECTURE,), (tensor(),), version=4),
    "nothing": b"",
}


@pytest.mark.parametrize("name", list(BAD))
def test_a_header_that_claims_what_cannot_be_is_refused(tmp_path, name):
    path = tmp_path / "m.gguf"
    path.write_bytes(BAD[name])
    with pytest.raises(DataError, match=r"m\.gguf: not a whole GGUF file"):
        check(path)


@pytest.mark.backend("ggml")
@pytest.mark.parametrize("name", list(BAD))
def test_the_reader_refuses_them_too(tmp_path, name):
    from benchgate.runtimes.ggml.files import read

    path = tmp_path / "m.gguf"
    path.write_bytes(BAD[name])
    with pytest.raises(DataError, match=r"m\.gguf: "):
        read(path)


@given(
    st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=6),
    st.integers(0, len(WHOLE)),
)
def test_whatever_is_changed_it_passes_or_is_refused(tmp_path_factory, changes, end):
    content = np.frombuffer(WHOLE, dtype=np.uint8).copy()
    for place, value in changes:
        content[place] = value
    path = tmp_path_factory.getbasetemp() / "changed.gguf"
    path.write_bytes(content.tobytes()[:end])
    try:
        check(path)
    except DataError as error:
        assert "changed.gguf: not a whole GGUF file" in str(error)  # noqa: PT017
