"""The shelf of a cluster, and a node at it, against a Ray that keeps everything in this process."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from benchgate.executors import shelf
from benchgate.executors.shelf import OnShelf, Shelf


class RayError(Exception):
    """The base of what Ray raises."""


class FakeRay:
    """References are numbers; `lost` are those whose object is gone."""

    exceptions = SimpleNamespace(RayError=RayError)

    def __init__(self):
        self.objects, self.lost = {}, set()

    def put(self, value):
        self.objects[len(self.objects)] = value
        return len(self.objects) - 1

    def get(self, reference):
        if reference in self.lost:
            raise RayError("lost")
        return self.objects[reference]


class Handle:
    """Calls the shelf at once, as its actor would."""

    def __init__(self, ray, one):
        self._ray, self._one = ray, one

    def __getattr__(self, name):
        call = getattr(self._one, name)
        return SimpleNamespace(remote=lambda *arguments: self._ray.put(call(*arguments)))


@pytest.fixture
def cluster(monkeypatch):
    """The nodes that are alive, and a function that gives a node's store."""
    monkeypatch.setattr(shelf, "CHUNK", 4)
    ray, alive = FakeRay(), {"a", "b"}
    handle = Handle(ray, Shelf(ray.put, lambda: alive))
    return SimpleNamespace(ray=ray, alive=alive, at=lambda node: OnShelf(ray, handle, node), handle=handle)


@pytest.fixture
def parcel(tmp_path):
    path = tmp_path / "parcel"
    path.write_bytes(b"0123456789")
    return path


def test_the_first_builds_and_the_next_take_it(cluster, parcel, tmp_path):
    out = tmp_path / "out"
    assert not cluster.at("a").get("m", out)
    cluster.at("a").put("m", parcel)
    for node in ("b", "a"):
        assert cluster.at(node).get("m", out)
        assert out.read_bytes() == b"0123456789"
    assert sorted(chunk for chunk in cluster.ray.objects.values() if isinstance(chunk, bytes)) == [
        b"0123", b"4567", b"89",
    ]  # fmt: skip


def waits(cluster, monkeypatch, happens):
    """A node's `get` of "m" while `happens` comes to pass as it waits; True where it got the parcel."""
    monkeypatch.setattr(shelf.time, "sleep", lambda seconds: happens())
    return cluster.at("b").get("m", cluster.out)


def test_another_waits_for_who_builds(cluster, parcel, tmp_path, monkeypatch):
    cluster.out = tmp_path / "out"
    assert not cluster.at("a").get("m", cluster.out)
    assert waits(cluster, monkeypatch, lambda: cluster.at("a").put("m", parcel))
    assert cluster.out.read_bytes() == b"0123456789"


@pytest.mark.parametrize("how", ["dies", "gives up"])
def test_where_who_builds_is_gone_another_builds(cluster, parcel, tmp_path, monkeypatch, how):
    cluster.out = tmp_path / "out"
    cluster.at("a").get("m", cluster.out)
    happens = (lambda: cluster.alive.discard("a")) if how == "dies" else (lambda: cluster.at("a").give_up("m"))
    assert not waits(cluster, monkeypatch, happens)
    # What the other one still says changes nothing.
    cluster.at("a").put("m", parcel)
    cluster.at("b").put("m", parcel)
    assert cluster.at("a").get("m", cluster.out)
    assert cluster.out.read_bytes() == b"0123456789"


def test_nobody_waits_forever(cluster, tmp_path, monkeypatch):
    cluster.out = tmp_path / "out"
    cluster.at("a").get("m", cluster.out)
    monkeypatch.setattr(shelf, "WAIT_S", 0.0)
    assert not waits(cluster, monkeypatch, lambda: None)


def test_a_chunk_that_is_lost_is_an_error_of_the_store(cluster, parcel, tmp_path):
    cluster.at("a").get("m", tmp_path / "out")
    cluster.at("a").put("m", parcel)
    cluster.ray.lost.add(next(n for n, value in cluster.ray.objects.items() if value == b"4567"))
    with pytest.raises(OSError, match="the cluster's object store: RayError"):
        cluster.at("b").get("m", tmp_path / "out")
