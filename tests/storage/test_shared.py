"""A folder of artifacts for many machines: built once, taken by the others; what is wrong there is built anew."""

from __future__ import annotations

import pytest

from benchgate.core import BenchgateError
from benchgate.storage import session, shared
from benchgate.storage.artifacts import prepared
from tests.storage.zoo import FP32, Plain, load

pytest.importorskip("fsspec", reason="fsspec is not installed; pip install 'benchgate[ray]'")


@pytest.fixture
def store(tmp_path, monkeypatch):
    place = tmp_path / "shared"
    monkeypatch.setenv("BENCHGATE_SHARED", place.as_uri())
    session.say_once.cache_clear()
    return place


@pytest.fixture
def on(zoo, tmp_path, monkeypatch):
    """A function that has the artifact made on the machine of this name; `seconds` is None where it was not built."""

    def made(name, again=False):
        monkeypatch.setenv("BENCHGATE_CACHE", str(tmp_path / name))
        return prepared(load().Seeded(), FP32, Plain(), again=again)

    return made


def test_what_one_machine_built_others_take(store, on):
    first = on("a")
    (parcel,) = store.iterdir()
    written = parcel.stat().st_mtime_ns
    second = on("b")
    assert parcel.stat().st_mtime_ns == written
    assert first.seconds is not None
    assert second.seconds is None
    assert (second.content, second.digest) == (first.content, first.digest)
    assert second.path != first.path
    assert (second.path / "model.txt").read_text() == (first.path / "model.txt").read_text()
    assert [path.name for path in store.iterdir()] == [f"{first.path.name}.parcel"] == [parcel.name]


def test_what_is_in_the_cache_asks_no_store(store, on, monkeypatch):
    """The library for a URL would be in the memory that is weighed, and in the time of a load."""
    on("a")
    monkeypatch.setattr(shared, "Folder", lambda url: pytest.fail("it was asked for"))
    assert on("a").seconds is None


def test_a_broken_parcel_is_built_anew_and_said(store, on, capsys):
    name = on("a").path.name
    (store / f"{name}.parcel").write_bytes(b"no parcel")
    found = on("b")
    assert found.seconds is not None
    assert f"benchgate: {name} is not taken from {store.as_uri()}: no whole parcel" in capsys.readouterr().err
    assert on("c").seconds is None


def test_what_is_built_again_goes_there_again(store, on):
    on("a")
    assert on("b", again=True).seconds is not None


def test_a_store_that_cannot_be_written_costs_only_the_sharing(store, on, capsys):
    store.write_text("a file where the folder should be")
    assert on("a").seconds is not None
    assert "is not put into" in capsys.readouterr().err
    assert on("b").seconds is not None


def test_what_belongs_to_one_session_stays_here(store, on, monkeypatch):
    monkeypatch.setattr(shared, "read_manifest", lambda target: type("", (), {"key": {"session": "1-a"}}))
    on("a")
    assert not store.exists()


@pytest.mark.parametrize(
    ("url", "said"),
    [("nowhere://x", "Protocol not known: nowhere"), ("s3://bucket/x", "s3")],
)
def test_a_url_that_means_nothing_here_is_named(on, monkeypatch, url, said):
    monkeypatch.setenv("BENCHGATE_SHARED", url)
    with pytest.raises(BenchgateError, match=f"BENCHGATE_SHARED={url}: .*{said}"):
        on("a")


def test_without_fsspec_the_command_to_install_it_is_said(on, monkeypatch):
    monkeypatch.setenv("BENCHGATE_SHARED", "file:///x")
    monkeypatch.setattr(shared, "missing_packages", lambda needs: "fsspec is not installed")
    with pytest.raises(BenchgateError, match="BENCHGATE_SHARED=file:///x: fsspec is not installed"):
        on("a")
