"""Models of GGUF files: what transformers reads of one is read once."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from benchgate.tasks.causal_lm.models import read_once


@pytest.fixture
def gguf(monkeypatch):
    """A stand-in for the package, whose two functions tell each call."""
    calls = []

    def told(name):
        return lambda *args: calls.append((name, *args)) or object()

    made = SimpleNamespace(GGUFReader=told("read"), get_tensor_name_map=told("names"), calls=calls)
    monkeypatch.setitem(sys.modules, "gguf", made)
    return made


def test_a_file_is_read_once_and_its_names_are_mapped_once_a_size(gguf):
    with read_once():
        assert gguf.GGUFReader("a") is gguf.GGUFReader("a") is not gguf.GGUFReader("b")
        assert gguf.get_tensor_name_map("llama", 2) is gguf.get_tensor_name_map("llama", 2)
        gguf.get_tensor_name_map("llama", 3)
    assert gguf.calls == [("read", "a"), ("read", "b"), ("names", "llama", 2), ("names", "llama", 3)]


def test_afterwards_the_package_is_as_it_was_also_after_an_error(gguf):
    own = gguf.GGUFReader, gguf.get_tensor_name_map
    with pytest.raises(OSError, match="cut short"), read_once():
        raise OSError("cut short")
    assert (gguf.GGUFReader, gguf.get_tensor_name_map) == own
    gguf.GGUFReader("a")
    gguf.GGUFReader("a")
    assert len(gguf.calls) == 2
