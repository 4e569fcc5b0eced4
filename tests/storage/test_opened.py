"""Files that a build opens: seen however they are read, and only those that decide anything."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchgate.storage.building import make, read_manifest
from benchgate.storage.opened import note, recorded


@pytest.fixture
def data(tmp_path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.json").write_text("[1]")
    np.save(folder / "a.npy", np.zeros(2))
    return folder


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("a.json", lambda path: path.read_text()),
        ("a.json", lambda path: path.read_bytes()),
        ("a.json", lambda path: open(path).close()),
        ("a.npy", np.load),
        ("a.npy", lambda path: np.load(path, mmap_mode="r")),
        ("a.npy", np.fromfile),
        ("a.npy", lambda path: note(path)),
    ],
)
def test_a_file_that_is_read_is_seen(data, name, read):
    with recorded(without=data / "out") as seen:
        read(data / name)
    assert seen.files() == [data / name]


@pytest.mark.backend("torch")
def test_torch_and_safetensors_are_seen_and_left_as_they_were(data):
    import safetensors
    import safetensors.torch
    import torch

    before = safetensors.safe_open, safetensors.torch.safe_open
    torch.save({"w": torch.zeros(2)}, data / "a.pt")
    safetensors.torch.save_file({"w": torch.zeros(2)}, data / "a.safetensors")
    with recorded(without=data / "out") as seen:
        torch.load(data / "a.pt", weights_only=True)
        safetensors.torch.load_file(data / "a.safetensors")
    assert seen.files() == [data / "a.pt", data / "a.safetensors"]
    assert (safetensors.safe_open, safetensors.torch.safe_open) == before


def test_what_is_written_made_installed_or_in_the_folder_that_is_built_is_not(data):
    out = data / "out"
    out.mkdir()
    with recorded(without=out) as seen:
        (out / "weights").write_text("x")
        (out / "weights").read_text()
        (data / "new").write_text("x")
        (data / "new").read_text()
        Path(json.__file__).read_text()
        Path(np.__file__).read_text()
        Path("/proc/self/status").read_text()
        (data / "a.json").read_text()
        with pytest.raises(FileNotFoundError):
            (data / "gone").read_text()
    assert seen.files() == [data / "a.json"]


def test_outside_nothing_is_recorded(data):
    with recorded(without=data / "out") as seen:
        pass
    (data / "a.json").read_text()
    assert seen.files() == []


def test_a_build_inside_a_build_counts_for_both_also_where_it_is_reused(data):
    def inner(out: Path) -> None:
        (out / "x").write_text((data / "a.json").read_text())

    def outer(out: Path) -> None:
        (out / "y").write_text(str(make("inner", {"k": 1}, inner).seconds))

    first = read_manifest(make("outer", {"k": 1}, outer).path).inputs
    second = read_manifest(make("outer", {"k": 2}, outer).path).inputs
    assert list(first) == [str(data / "a.json")]
    assert second == first
    (data / "a.json").write_text("[2]")
    assert make("outer", {"k": 2}, outer).seconds is not None
