"""What changes behind a model whose name and version stay: each row is built anew, as other content."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchgate.storage.artifacts import artifact_key, content, content_of, prepared
from tests.storage.zoo import FP32, Plain, edited, load


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
    (zoo / "zoo_helper.py").write_text("from tests.storage.zoo import Plain\nclass Mine(Plain):\n    name = 'mine'\n")
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
