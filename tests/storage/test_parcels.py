"""Parcels: what comes out is what went in, or nothing does."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchgate.core import DataError
from benchgate.storage import building, parcels
from benchgate.storage.building import read_manifest

KEY = {"model": "m"}


@pytest.fixture
def artifact(benchgate_cache):
    """A function that builds an artifact of these files by a build that opens those paths."""

    def make(files=None, opens=()):
        def build(out):
            for name, content in (files or {"weights": b"w" * 5000, "parts/a": b"a"}).items():
                (out / name).parent.mkdir(parents=True, exist_ok=True)
                (out / name).write_bytes(content)
            for path in opens:
                path.read_bytes()

        return building.make("m-fp32-r", KEY, build).path

    return make


def packed(folder):
    out = io.BytesIO()
    parcels.pack(folder, out)
    return out.getvalue()


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def elsewhere(monkeypatch, tmp_path):
    """From now on the cache is another machine's."""
    monkeypatch.setenv("BENCHGATE_CACHE", str(tmp_path / "other"))
    return building.place("m-fp32-r", KEY)


def test_what_comes_out_is_what_went_in(artifact, monkeypatch, tmp_path):
    folder = artifact()
    raw, before = packed(folder), contents(folder)
    target = elsewhere(monkeypatch, tmp_path)
    parcels.unpack(io.BytesIO(raw), target)
    after = contents(target)
    assert {name: after[name] for name in after if name != "benchgate.json"} == {
        name: before[name] for name in before if name != "benchgate.json"
    }
    assert read_manifest(target) == read_manifest(folder)
    assert building.damage(target) is None
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_an_input_in_the_senders_cache_is_looked_for_in_ours(artifact, benchgate_cache, monkeypatch, tmp_path):
    source = benchgate_cache / "assets" / "model.bin"
    source.parent.mkdir(parents=True)
    source.write_bytes(b"model")
    # Older than the build that opens it.
    monkeypatch.setattr(building.time, "time", lambda: 0.0)
    raw = packed(artifact(opens=[source]))
    target = elsewhere(monkeypatch, tmp_path)
    with pytest.raises(DataError, match=r"other/assets/model\.bin, which it was built from, changed since"):
        parcels.unpack(io.BytesIO(raw), target)
    assert not target.exists()
    here = tmp_path / "other" / "assets" / "model.bin"
    here.parent.mkdir(parents=True)
    here.write_bytes(b"model")
    parcels.unpack(io.BytesIO(raw), target)
    assert list(read_manifest(target).inputs) == [str(here)]


def test_the_artifact_of_another_key_is_refused(artifact, monkeypatch, tmp_path):
    raw = packed(artifact())
    elsewhere(monkeypatch, tmp_path)
    target = building.place("m-fp32-r", {"model": "other"})
    with pytest.raises(DataError, match="it is the artifact of another key"):
        parcels.unpack(io.BytesIO(raw), target)
    assert not target.exists()


def test_a_damaged_artifact_is_not_packed(artifact):
    folder = artifact()
    (folder / "weights").write_bytes(b"short")
    with pytest.raises(DataError, match="weights changed since it was built"):
        packed(folder)


def parcel(members, label=None):
    """A parcel of members (name, content, or what a link points to), with the label that fits where none is given."""
    files = {name: hashlib.sha256(content).hexdigest() for name, content in members if isinstance(content, bytes)}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w|") as tar:
        text = json.dumps({"files": files, "roots": {}} if label is None else label).encode()
        for name, content in [("parcel.json", text), *members]:
            member = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
            else:
                member.type, member.linkname = tarfile.SYMTYPE, content
                tar.addfile(member)
    return out.getvalue()


@pytest.mark.parametrize(
    ("members", "label", "said"),
    [
        ([("../out", b"x")], None, "'../out' leads out of the artifact"),
        ([("/tmp/out", b"x")], None, "'/tmp/out' leads out of the artifact"),
        ([("a", "/etc/passwd")], {"files": {"a": ""}, "roots": {}}, "'a' is not on its label, there twice, or no"),
        ([("a", b"x"), ("a", b"x")], None, "'a' is not on its label, there twice, or no file"),
        ([("a", b"x")], {"files": {}, "roots": {}}, "'a' is not on its label"),
        ([], {"files": {"a": ""}, "roots": {}}, "a: on its label and not in it"),
        ([("a", b"x")], {"files": {"a": "0" * 64}, "roots": {}}, "a: is not what was packed"),
        ([("a", b"x")], [], "does not begin with a label"),
        ([("a", b"x")], {"files": {}}, "does not begin with a label"),
        ([("a", b"x")], None, "no readable manifest"),
    ],
)
def test_what_is_no_parcel_leaves_nothing(benchgate_cache, members, label, said):
    target = building.place("m-fp32-r", KEY)
    with pytest.raises(DataError, match=said):
        parcels.unpack(io.BytesIO(parcel(members, label)), target)
    assert not list(benchgate_cache.rglob("*out*"))
    assert not target.exists()
    assert list(target.parent.iterdir()) == []


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(place=st.integers(0, 20_000), value=st.integers(0, 255), cut=st.booleans())
def test_a_changed_or_cut_parcel_is_refused_or_the_same(artifact, monkeypatch, tmp_path, place, value, cut):
    folder = artifact()
    raw = bytearray(packed(folder))
    place %= len(raw)
    raw = raw[:place] if cut else raw
    if not cut:
        raw[place] = value
    target = folder.with_name("elsewhere-" + folder.name)
    try:
        parcels.unpack(io.BytesIO(bytes(raw)), target)
    except DataError:
        assert not target.exists()
    else:
        same = contents(target)
        assert {name: same[name] for name in ("weights", "parts/a")} == {"weights": b"w" * 5000, "parts/a": b"a"}
        building.shutil.rmtree(target)
