"""JSON that no tokenizer, no float and no stack could take, and failures of libraries: one DataError with the place."""

from __future__ import annotations

import struct

import pytest

from benchgate.core import DataError, Unavailable
from benchgate.storage.reading import parse_json, parse_lines, read_bytes, reading


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"{", "not JSON"),
        (b"", "not JSON"),
        (b"[" * 200_000, "not JSON"),
        (b'{"a":' * 200_000, "not JSON"),
        (b"9" * 5000, "not JSON"),
        (b"\xff", "not UTF-8 at byte 0"),
        (b'"\\ud800"', "half a surrogate pair"),
        (b'{"\\udfff": 1}', "half a surrogate pair"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(raw, said):
    with pytest.raises(DataError, match=f"^here: .*{said}"):
        parse_json(raw, "here", "write it again")


@pytest.mark.parametrize(("raw", "value"), [(b'"\\ud83d\\ude00"', "\U0001f600"), (b'"\\\\ud8"', "\\ud8"), (b"1", 1)])
def test_what_can_be_used_is_read(raw, value):
    assert parse_json(raw, "here", "") == value


@pytest.mark.parametrize(("size", "fits"), [(10, True), (11, False)])
def test_a_file_is_read_up_to_its_limit_however_long_it_says_it_is(tmp_path, size, fits):
    path = tmp_path / "file"
    path.write_bytes(b"x" * size)
    if fits:
        assert read_bytes(path, "again", 10) == b"x" * size
        return
    with pytest.raises(DataError, match="more than 10 bytes"):
        read_bytes(path, "again", 10)


@pytest.mark.parametrize("name", ["absent", ".", "nul\0"])
def test_a_file_that_cannot_be_read_says_what_to_give(tmp_path, name):
    with pytest.raises(DataError, match=r"cannot be read .*; give another"):
        read_bytes(tmp_path / name, "give another")


def test_lines_are_numbered_as_an_editor_does():
    raw = b'\n{"a": 1}\n\n[]\n'
    lines = parse_lines(raw, "here", "{}")
    assert next(lines) == ("here, line 2", {"a": 1})
    with pytest.raises(DataError, match="here, line 4: got list; each line must be"):
        next(lines)


@pytest.mark.parametrize("error", [KeyError("x"), struct.error("short"), RecursionError(), AttributeError("a\nb")])
def test_whatever_a_library_raises_is_a_data_error_with_the_file(error):
    said = f"^f: cannot be read as thing .{type(error).__name__}.*; again$"
    with pytest.raises(DataError, match=said) as caught, reading("f", "thing", "again"):
        raise error
    assert caught.value.__cause__ is error
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", [MemoryError(), Unavailable("no torch"), KeyboardInterrupt()])
def test_what_is_no_fault_of_the_file_passes(error):
    with pytest.raises(type(error)), reading("f.bin", "thing", "again"):
        raise error
