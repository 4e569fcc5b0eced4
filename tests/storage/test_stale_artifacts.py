"""What changes behind a model whose name and version stay: each row is built anew, as other content."""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from benchgate.core import Scheme
from benchgate.storage.artifacts import artifact_key, content, content_of, opened, prepared

FP32 = Scheme("fp32", 32, "float")
NAME = "zoo"

ZOO = """
import functools
import json
from dataclasses import dataclass
from pathlib import Path
import numpy as np
import zoo_helper

HERE = Path(__file__).parent
HIDDEN = 4
NAMED = "small"

@dataclass(frozen=True)
class State:
    values: tuple

    def state_dict(self):
        return {"w": np.array(self.values)}

@dataclass(frozen=True)
class Seeded:
    seed: int = 0
    name: str = "m"
    version: str = "1"
    task: str = "x"

    def build(self):
        return State((self.seed, HIDDEN))

class Helped(Seeded):
    def build(self):
        return State((zoo_helper.scale(2),))

class Reading(Seeded):
    def build(self):
        return State(tuple(json.loads((HERE / "data" / "weights.json").read_text())))

class Arrays(Seeded):
    def build(self):
        return State(tuple(np.load(HERE / "data" / "weights.npy")))

class Given(Seeded):
    def build(self):
        return State(tuple(self.make()))

def given(make):
    model = Given()
    object.__setattr__(model, "make", make)
    return model

def closing_over(value):
    return given(lambda: (value, 1))

def with_default(value):
    def make(n=value):
        return (n,)
    return given(make)

def partly(value):
    return given(functools.partial(range, value))

@dataclass(frozen=True)
class File:
    path: Path
    name: str = "m"
    version: str = "1"
    task: str = "x"
"""
HELPER = "import zoo_deeper\ndef scale(x):\n    return zoo_deeper.FACTOR * x\n"
DEEPER = "FACTOR = 3\n"


@pytest.fixture
def zoo(tmp_path, monkeypatch) -> Path:
    """A project with models in a module of its own; `load()` imports it anew, as another session would."""
    project = tmp_path / "project"
    (project / "data").mkdir(parents=True)
    for name, text in ((NAME, ZOO), ("zoo_helper", HELPER), ("zoo_deeper", DEEPER)):
        (project / f"{name}.py").write_text(text)
    (project / "data" / "weights.json").write_text("[1, 2]")
    np.save(project / "data" / "weights.npy", np.array([1, 2]))
    (project / "model.onnx").write_bytes(b"onnx" * 10)
    (project / "folder" / "sub").mkdir(parents=True)
    (project / "folder" / "config.json").write_text('{"layers": 2}')
    (project / "folder" / "sub" / "weights.bin").write_bytes(b"w" * 10)
    monkeypatch.syspath_prepend(str(project))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield project
    forget()


def forget() -> None:
    for name in (NAME, "zoo_helper", "zoo_deeper"):
        sys.modules.pop(name, None)
    importlib.invalidate_caches()


def load() -> ModuleType:
    forget()
    return importlib.import_module(NAME)


class Plain:
    """A runtime that writes what the model builds, and counts."""

    name, format = "plain", "json"
    needs: dict[str, str] = {}  # noqa: RUF012

    def build(self, model, scheme, out):
        built = str(model.build()) if hasattr(model, "build") else model.path.name
        (out / "model.txt").write_text(built)


def edited(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def replaced(name: str, raw: bytes):
    def change(project: Path) -> None:
        (project / name).write_bytes(raw)

    return change


def replaced_with_its_times(name: str, raw: bytes):
    """The same length and the modification time put back."""

    def change(project: Path) -> None:
        path = project / name
        before = path.stat()
        assert len(raw) == before.st_size
        path.write_bytes(raw)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    return change


def edit(name: str, old: str, new: str):
    return lambda project: edited(project / name, old, new)


def array(project: Path) -> None:
    np.save(project / "data" / "weights.npy", np.array([1, 3]))


def of_file(name: str):
    return lambda zoo, project: zoo.File(project / name)


# What is measured, what changes between two sessions, how its content then differs: in kind and value, or not at all.
CHANGED = {
    "a seed": (lambda z, p: z.Seeded(), edit("zoo.py", "seed: int = 0", "seed: int = 3")),
    "a constant of the module": (lambda z, p: z.Seeded(), edit("zoo.py", "HIDDEN = 4", "HIDDEN = 5")),
    "a helper in another module": (lambda z, p: z.Helped(), edit("zoo_helper.py", "* x", "* x + 1")),
    "a constant two imports away": (lambda z, p: z.Helped(), edit("zoo_deeper.py", "3", "4")),
    "a file that the build reads": (lambda z, p: z.Reading(), replaced("data/weights.json", b"[1, 3]")),
    "the same with the times put back": (
        lambda z, p: z.Reading(),
        replaced_with_its_times("data/weights.json", b"[1, 3]"),
    ),
    "an array that the build reads": (lambda z, p: z.Arrays(), array),
    "an onnx file 400 times larger": (of_file("model.onnx"), replaced("model.onnx", b"onnx" * 4000)),
    "an onnx file of the same length": (of_file("model.onnx"), replaced_with_its_times("model.onnx", b"ONNX" * 10)),
    "a folder saved again": (of_file("folder"), replaced("folder/config.json", b'{"layers": 6}')),
    "a file deep in a folder": (of_file("folder"), replaced("folder/sub/weights.bin", b"x" * 10)),
    "a file more in a folder": (of_file("folder"), replaced("folder/more.bin", b"")),
}


@pytest.mark.parametrize("row", CHANGED)
def test_what_changed_is_built_anew_and_its_content_is_another(zoo, row):
    model, change = CHANGED[row]
    first = prepared(model(load(), zoo), FP32, Plain())
    assert prepared(model(load(), zoo), FP32, Plain()).seconds is None, "another session reuses it"
    assert content_of(model(load(), zoo), FP32, Plain(), "cpu") == first.digest
    change(zoo)
    assert content_of(model(load(), zoo), FP32, Plain(), "cpu") != first.digest
    second = prepared(model(load(), zoo), FP32, Plain())
    assert second.seconds is not None
    assert second.content != first.content
    assert content(second.path) == second.content
    assert content_of(model(load(), zoo), FP32, Plain(), "cpu") == second.digest


VALUES = {
    "a closure": lambda z, n: z.closing_over(n),
    "a default": lambda z, n: z.with_default(n),
    "a partial": lambda z, n: z.partly(n),
    "a field": lambda z, n: z.Seeded(n),
    "an array": lambda z, n: z.closing_over(np.array([n])),
    "an object": lambda z, n: z.closing_over(SimpleNamespace(inner=[{"n": n}])),
    "a set": lambda z, n: z.closing_over({n, "a"}),
    "a bound method": lambda z, n: z.given(z.Seeded(n).build),
}


@pytest.mark.parametrize("row", VALUES)
def test_values_that_a_model_holds_are_in_its_key(zoo, row):
    make = VALUES[row]
    keys = [artifact_key(make(load(), n), FP32, Plain()) for n in (1, 1, 2)]
    assert keys[0] == keys[1]
    assert keys[0] != keys[2]
    assert "session" not in keys[0]


def test_two_lambdas_of_one_place_in_the_code_are_not_one(zoo):
    edited(zoo / "zoo.py", "HIDDEN = 4", "HIDDEN = 4\nONE = lambda: (1,)\nTWO = lambda: (2,)\n")
    module = load()
    assert artifact_key(module.given(module.ONE), FP32, Plain()) != artifact_key(
        module.given(module.TWO), FP32, Plain()
    )


def test_moving_the_project_changes_nothing(zoo, tmp_path, monkeypatch):
    before = artifact_key(of_file("model.onnx")(load(), zoo), FP32, Plain())
    zoo.rename(tmp_path / "moved")
    monkeypatch.syspath_prepend(str(tmp_path / "moved"))
    assert artifact_key(of_file("model.onnx")(load(), tmp_path / "moved"), FP32, Plain()) == before


def test_an_edited_runtime_builds_anew(zoo):
    (zoo / "zoo_helper.py").write_text(
        "from tests.storage.test_stale_artifacts import Plain\nclass Mine(Plain):\n    name = 'mine'\n"
    )
    load()
    first = artifact_key(load().Seeded(), FP32, sys.modules["zoo_helper"].Mine())
    edited(zoo / "zoo_helper.py", "'mine'", "'mine'\n    # faster")
    assert artifact_key(load().Seeded(), FP32, sys.modules["zoo_helper"].Mine()) != first


@pytest.mark.parametrize(
    ("part", "where", "value"),
    [
        ("benchgate", "benchgate.__version__", "0.0.0"),
        ("platform", "platform.machine", lambda: "riscv64"),
        ("platform", "platform.python_version", lambda: "3.99.0"),
    ],
)
def test_benchgate_and_the_platform_are_in_the_key(zoo, monkeypatch, part, where, value):
    before = artifact_key(load().Seeded(), FP32, Plain())
    monkeypatch.setattr(where, value)
    after = artifact_key(load().Seeded(), FP32, Plain())
    assert [name for name in before if before[name] != after[name]] == [part]


def test_the_device_is_in_the_key(zoo):
    assert artifact_key(load().Seeded(), FP32, Plain(), "cuda") != artifact_key(load().Seeded(), FP32, Plain(), "cpu")


def test_what_cannot_be_identified_is_not_reused_in_another_session(zoo, monkeypatch, capsys):
    def model():
        return load().given(value for value in (1, 2))

    monkeypatch.setenv("BENCHGATE_SESSION", "1-one")
    first = artifact_key(model(), FP32, Plain())
    assert artifact_key(model(), FP32, Plain()) == first
    monkeypatch.setenv("BENCHGATE_SESSION", "1-two")
    assert artifact_key(model(), FP32, Plain()) != first
    (said,) = capsys.readouterr().err.splitlines()
    assert "model 'm' on plain: field 'make' is a builtins.generator, so that a change of it would not be seen" in said


def test_a_module_that_nobody_can_read_again_is_not_reused_in_another_session():
    namespace: dict = {"__name__": "nowhere"}
    exec("class M:\n    name, version, task = 'm', '1', 'x'\n    def build(self): ...", namespace)
    assert "session" in artifact_key(namespace["M"](), FP32, Plain())


def test_artifacts_of_sessions_that_are_over_are_removed(zoo, monkeypatch):
    def model():
        return SimpleNamespace(name="m", version="1", task="x", path=zoo / "model.onnx", live=iter(()))

    monkeypatch.setenv("BENCHGATE_SESSION", f"{os.getpid()}-living")
    living = prepared(model(), FP32, Plain()).path
    monkeypatch.setenv("BENCHGATE_SESSION", "999999999-dead")
    dead = prepared(model(), FP32, Plain()).path
    assert living.exists()
    monkeypatch.setenv("BENCHGATE_SESSION", f"{os.getpid()}-third")
    prepared(model(), FP32, Plain())
    assert (living.exists(), dead.exists()) == (True, False)


def test_weights_are_noted_in_the_manifest_and_are_the_content(zoo):
    made = prepared(load().Seeded(), FP32, Plain())
    noted = json.loads((made.path / "benchgate.json").read_text())
    assert made.content == f"weights:{noted['about']['weights'][:16]}"
    same = prepared(load().Seeded(name="other"), FP32, Plain())
    assert same.content == made.content


def test_source_that_builds_the_same_weights_is_the_same_content(zoo):
    first = prepared(load().Seeded(), FP32, Plain())
    edited(zoo / "zoo.py", "HIDDEN = 4", "HIDDEN = 2 + 2")
    second = prepared(load().Seeded(), FP32, Plain())
    assert second.path != first.path
    assert second.content == first.content


def test_a_file_that_is_gone_says_so_and_is_no_reason_to_measure_the_old_model(zoo, capsys):
    prepared(load().Reading(), FP32, Plain())
    (zoo / "data" / "weights.json").unlink()
    with pytest.raises(FileNotFoundError):
        prepared(load().Reading(), FP32, Plain())
    assert "weights.json, which it was built from, changed since; building it again" in capsys.readouterr().err


# What cannot be loaded


class Loading:
    """`load` fails on the artifacts that it is told to."""

    def __init__(self, *errors: BaseException | None) -> None:
        self.errors = list(errors)

    def __call__(self, path: Path) -> str:
        error = self.errors.pop(0)
        if error is not None:
            raise error
        return (path / "model.txt").read_text()


MISMATCH = RuntimeError("Error(s) in loading state_dict for Net:\n\tsize mismatch for w: [2] from checkpoint, is [3]")


def test_an_artifact_that_cannot_be_loaded_is_built_again_once_and_said(zoo, capsys):
    prepared(load().Seeded(), FP32, Plain())
    made, loaded = opened(load().Seeded(), FP32, Plain(), "cpu", Loading(MISMATCH, None))
    assert made.seconds is not None
    assert loaded == "State(values=(0, 4))"
    (said,) = capsys.readouterr().err.splitlines()
    assert said == (
        f"benchgate: {made.path}: cannot be loaded (Error(s) in loading state_dict for Net:); building it again"
    )


@pytest.mark.parametrize(
    ("built", "errors"),
    [
        (False, [MISMATCH]),
        (True, [MISMATCH, MISMATCH]),
        (True, [MemoryError()]),
        (True, [RuntimeError("CUDA out of memory")]),
        (True, [KeyboardInterrupt()]),
    ],
)
def test_what_a_rebuild_does_not_cure_is_raised(zoo, built, errors):
    if built:
        prepared(load().Seeded(), FP32, Plain())
    loading = Loading(*errors)
    with pytest.raises(type(errors[-1])):
        opened(load().Seeded(), FP32, Plain(), "cpu", loading)
    assert loading.errors == []
