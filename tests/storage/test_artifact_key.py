"""The artifact's key field by field, and what is said of an artifact and of its content."""

from __future__ import annotations

import json
import pickle
import platform
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import benchgate
from benchgate.core import DataError, InvalidOutput, Scheme, Unavailable
from benchgate.storage import session
from benchgate.storage.artifacts import artifact, artifact_key, content, content_of, label, opened, prepared
from benchgate.storage.building import MANIFEST

FP32 = Scheme("fp32", 32, "float")


class Model:
    """Its weights are `values`; without any it builds something that has no state."""

    task = "x"

    def __init__(self, *values: float, name: str = "org/spam", version: str = "1") -> None:
        self.values, self.name, self.version = values, name, version

    def build(self, scale: float = 1.0):
        state = {"w": np.array(self.values) * scale}
        return SimpleNamespace(state_dict=lambda: state) if self.values else SimpleNamespace()


class Runtime:
    """Builds the model, scaled, and keeps what it was given."""

    name, format = "plain", "bin"
    needs: dict[str, str] = {"pytest": "dev"}  # noqa: RUF012

    def build(self, model, scheme, out):
        model.build(scale=2.0)
        (out / "weights.bin").write_text(f"{model.name} {isinstance(model, Model)}")


class FileRuntime(Runtime):
    """Copies a file and builds nothing."""

    def build(self, model, scheme, out):
        (out / "weights.bin").write_bytes(model.path.read_bytes())


def test_the_key_has_these_fields():
    key = artifact_key(Model(1.0), FP32, Runtime())
    assert list(key) == [
        "layout", "benchgate", "model", "scheme", "steps", "runtime", "packages", "device", "platform",
    ]  # fmt: skip
    assert key["layout"] == 2
    assert key["benchgate"] == benchgate.__version__
    assert (key["model"]["name"], key["model"]["version"]) == ("org/spam", "1")
    assert (key["runtime"]["name"], key["runtime"]["format"]) == ("plain", "bin")
    for thing in ("model", "runtime"):
        assert list(key[thing])[2:] == ["values", "files", "sources", "packages"]
        assert __name__ in key[thing]["sources"]
    assert set(key["model"]["values"]) >= {"values", "name", "version"}
    assert key["scheme"] == FP32.as_dict()
    assert key["steps"] == []
    assert list(key["packages"]) == ["pytest"]
    assert key["device"] == "cpu"
    assert key["platform"] == [platform.system(), platform.machine(), platform.python_version()]
    assert json.loads(json.dumps(key)) == key


def test_a_runtimes_key_has_the_modules_beside_its_own_a_models_only_what_it_uses():
    key = artifact_key(Model(1.0), FP32, Runtime())
    beside = "tests.storage.test_digests"
    assert beside in key["runtime"]["sources"]
    assert beside not in key["model"]["sources"]


def test_a_wrapped_model_has_the_key_of_what_it_wraps():
    inner = Model(1.0)
    wrapped = SimpleNamespace(__wrapped__=inner, name=inner.name, version=inner.version, task=inner.task)
    assert artifact_key(wrapped, FP32, Runtime()) == artifact_key(inner, FP32, Runtime())


@pytest.mark.parametrize(
    ("opaque_model", "opaque_runtime", "has"), [(False, False, False), (True, False, True), (False, True, True)]
)
def test_what_cannot_be_identified_in_either_ties_the_key_to_the_session(
    monkeypatch, capsys, opaque_model, opaque_runtime, has
):
    monkeypatch.setenv(session.TOKEN, "1-mine")
    session.say_once.cache_clear()
    model, runtime = Model(1.0), Runtime()
    if opaque_model:
        model.live = iter(())
    if opaque_runtime:
        runtime.live = iter(())
    key = artifact_key(model, FP32, runtime)
    assert key.get("session") == ("1-mine" if has else None)
    said = capsys.readouterr().err
    assert said == (
        "benchgate: model 'org/spam' on plain: field 'live' is a builtins.tuple_iterator, so that a change of it would "
        "not be seen; what is built is not reused in another session. Give the model plain fields and a module of its "
        "own\n"
        if has
        else ""
    )


def test_the_folder_is_named_after_model_scheme_and_runtime():
    assert label(Model(), Scheme("a/b", 4, "float"), Runtime()) == "org--spam-a--b-plain"


def test_what_was_built_is_told(benchgate_cache):
    made = prepared(Model(1.0), FP32, Runtime())
    assert made.path.parent == benchgate_cache / "artifacts"
    assert made.seconds is not None
    assert (made.path / "weights.bin").read_text() == "org/spam True"
    again = prepared(Model(1.0), FP32, Runtime())
    assert (again.path, again.content, again.digest, again.seconds) == (made.path, made.content, made.digest, None)
    assert artifact(Model(1.0), FP32, Runtime()) == made.path
    assert content_of(Model(1.0), FP32, Runtime(), "cpu") == made.digest


def test_asked_to_it_builds_again_what_is_there():
    first = prepared(Model(1.0), FP32, Runtime())
    (first.path / "weights.bin").write_text("org/spam True")
    again = prepared(Model(1.0), FP32, Runtime(), again=True)
    assert again.path == first.path
    assert again.seconds is not None


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_another_device_is_another_artifact(device):
    made = prepared(Model(1.0), FP32, Runtime(), device)
    assert made.path != artifact(Model(1.0), FP32, Runtime())
    assert made.path == artifact(Model(1.0), FP32, Runtime(), device)
    assert content_of(Model(1.0), FP32, Runtime(), device) == made.digest


def test_weights_are_the_content_where_there_are_some():
    of_one = prepared(Model(1.0), FP32, Runtime()).content
    assert of_one.startswith("weights:")
    assert len(of_one) == len("weights:") + 16
    assert prepared(Model(1.0, name="ham"), FP32, Runtime()).content == of_one
    assert prepared(Model(2.0), FP32, Runtime()).content != of_one


def test_source_is_the_content_of_a_build_without_weights_or_files():
    one, other = prepared(Model(), FP32, Runtime()), prepared(Model(name="ham"), FP32, Runtime())
    assert one.content.startswith("source:")
    assert len(one.content) == len("source:") + 16
    assert other.content != one.content


def test_files_are_the_content_where_no_weights_were_seen(tmp_path):
    def model(raw: bytes, name: str = "m"):
        path = tmp_path / "model.bin"
        path.write_bytes(raw)
        return SimpleNamespace(name=name, version="1", task="x", path=path)

    one = prepared(model(b"1"), FP32, FileRuntime())
    assert one.content.startswith("files:")
    assert len(one.content) == len("files:") + 16
    assert prepared(model(b"1", "ham"), FP32, FileRuntime()).content == one.content
    assert prepared(model(b"2"), FP32, FileRuntime()).content != one.content


def test_the_content_is_read_from_the_folder():
    made = prepared(Model(1.0), FP32, Runtime())
    assert content(made.path) == made.content


@pytest.mark.parametrize("manifest", [None, "{", "[]", "{}"])
def test_the_content_of_a_folder_that_was_not_built_here_is_unknown(manifest):
    path = prepared(Model(1.0), FP32, Runtime()).path
    if manifest is None:
        (path / MANIFEST).unlink()
    else:
        (path / MANIFEST).write_text(manifest)
    assert content(path) == "unknown"


def test_what_is_not_built_or_damaged_has_no_content_of_its_own():
    assert content_of(Model(1.0), FP32, Runtime(), "cpu") == "not built"
    made = prepared(Model(1.0), FP32, Runtime())
    (made.path / "weights.bin").write_text("other")
    assert content_of(Model(1.0), FP32, Runtime(), "cpu") == "not built"


# What is loaded


def load_text(path: Path) -> str:
    return (path / "weights.bin").read_text()


def test_what_loads_is_given_back_and_nothing_is_said(capsys):
    made, loaded = opened(Model(1.0), FP32, Runtime(), "cuda", load_text)
    assert loaded == "org/spam True"
    assert made.path == artifact(Model(1.0), FP32, Runtime(), "cuda")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("\n first line\nsecond"), "first line"),
        (InvalidOutput("wrong"), "wrong"),
        (KeyError(), "KeyError"),
    ],
)
def test_what_does_not_load_is_built_again_for_its_device(capsys, error, said):
    before = prepared(Model(1.0), FP32, Runtime(), "cuda")
    errors = [error]

    def load(path: Path) -> str:
        if errors:
            raise errors.pop()
        return load_text(path)

    made, loaded = opened(Model(1.0), FP32, Runtime(), "cuda", load)
    assert (made.path, loaded) == (before.path, "org/spam True")
    assert made.seconds is not None
    assert capsys.readouterr().err == (f"benchgate: {made.path}: cannot be loaded ({said}); building it again\n")


@pytest.mark.parametrize(
    "error", [Unavailable("no kernel"), MemoryError(), RuntimeError("out of MEMORY"), DataError("x")]
)
@pytest.mark.parametrize("cached", [True, False])
def test_only_what_a_new_build_may_cure_is_built_again(capsys, error, cached):
    if cached:
        prepared(Model(1.0), FP32, Runtime())
    tried = []

    def load(path: Path) -> str:
        tried.append(path)
        raise error

    with pytest.raises(type(error)):
        opened(Model(1.0), FP32, Runtime(), "cpu", load)
    curable = isinstance(error, DataError)
    assert len(tried) == (2 if cached and curable else 1)
    assert ("building it again" in capsys.readouterr().err) is (cached and curable)


def test_the_model_that_a_build_gets_stands_for_the_model():
    """It is compared, hashed, sent to another process and asked for its class as the model is."""
    found = []

    class Keeping(Runtime):
        def build(self, model, scheme, out):
            found.append(model)
            super().build(model, scheme, out)

    model = Model(1.0)
    prepared(model, FP32, Keeping())
    (given,) = found
    assert given == model
    assert given != Model(1.0)
    assert hash(given) == hash(model)
    assert given.values == (1.0,)
    assert isinstance(given, Model)
    assert pickle.loads(pickle.dumps(given)).values == (1.0,)
    assert type(pickle.loads(pickle.dumps(given))) is Model
