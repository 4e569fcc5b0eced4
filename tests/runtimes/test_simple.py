"""Runtimes from functions, and models that are files: what they take, what they refuse, and the contract."""

from __future__ import annotations

import numpy as np
import pytest

import benchgate
from benchgate.core import BenchgateError, DataError, runtimes, schemes, support, tasks
from benchgate.core.protocols import Calibrated, FromFile
from benchgate.registration import load_builtin
from benchgate.storage.identity import identify
from benchgate.testing import check_runtime

load_builtin()


def save(built, path):
    with path.open("wb") as out:
        np.save(out, built)


def load(path):
    with path.open("rb") as file:
        return np.load(file)


def call(weights, inputs):
    return inputs @ weights


class Rows:
    name, unit = "simple-rows", "rows"

    def sample(self, model, batch):
        return np.arange(batch * 3, dtype=np.float32).reshape(batch, 3)

    def score(self, session, model, data):
        return {}


class Weights:
    name, version, task = "simple-weights", "1", Rows.name

    def build(self):
        return np.eye(3, dtype=np.float32)


SAVING = benchgate.SimpleRuntime("simple-saving", load, call, save, format="npy")
COPYING = benchgate.SimpleRuntime("simple-copying", load, call, files=(".onnx",))


@pytest.fixture(autouse=True)
def registered():
    with tasks.extended(Rows()), runtimes.extended(SAVING, COPYING):
        yield


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "net.onnx"
    save(np.eye(3, dtype=np.float32), path)
    return path


def test_a_runtime_that_saves_keeps_the_contract(tmp_path):
    notes = check_runtime(SAVING, Weights(), folder=tmp_path, refused=["bf16", "int8-dynamic", "prune-50"])
    assert "weights_bytes is not told" in notes


def test_a_runtime_of_files_takes_a_file_as_it_is(tmp_path, file):
    model = benchgate.OnnxFile(file, task=Rows.name)
    assert (model.name, model.version, model.task) == ("net", "1", Rows.name)
    (tmp_path / "out").mkdir()
    check_runtime(COPYING, model, folder=tmp_path / "out", refused=["fp16"])


@pytest.mark.parametrize(
    ("runtime", "make", "said"),
    [
        (COPYING, lambda path: Weights(), "simple-weights is no file of these, simple-copying takes .onnx"),
        (COPYING, lambda path: benchgate.TFLiteFile(path, Rows.name), "net is net.tflite, simple-copying takes .onnx"),
        (SAVING, lambda path: benchgate.TFLiteFile(path, Rows.name), "net is net.tflite, simple-saving takes models"),
    ],
)  # fmt: skip
def test_other_models_are_refused_by_name(runtime, make, said, tmp_path):
    assert said in (support.refusal(make(tmp_path / "net.tflite"), schemes["fp32"], runtime) or "")


def test_a_runtime_that_could_take_no_model_is_refused():
    with pytest.raises(DataError, match=r"it takes no model; give saves=\(built, path\), or files="):
        benchgate.SimpleRuntime("nothing", load, call)


@pytest.mark.parametrize("kind", [benchgate.OnnxFile, benchgate.TFLiteFile])
def test_a_file_of_another_format_is_refused_at_once(kind):
    with pytest.raises(DataError, match=f"net.bin: {kind.__name__} takes {kind.suffix} files"):
        kind("net.bin", task=Rows.name)


def test_a_file_that_is_not_there_is_told_when_it_is_built(tmp_path):
    model = benchgate.OnnxFile(tmp_path / "gone.onnx", task=Rows.name)
    with pytest.raises(BenchgateError, match=r"gone\.onnx: cannot be read"):
        identify(model)
    with pytest.raises(DataError, match=r"gone\.onnx is no file"):
        COPYING.build(model, schemes["fp32"], tmp_path)


def test_the_contents_of_a_file_decide_and_not_its_place(tmp_path, file):
    other = tmp_path / "elsewhere" / "net.onnx"
    other.parent.mkdir()
    other.write_bytes(file.read_bytes())
    first, second = (identify(benchgate.OnnxFile(path, task=Rows.name)) for path in (file, other))
    assert first == second
    other.write_bytes(b"changed")
    assert identify(benchgate.OnnxFile(other, task=Rows.name)).files != first.files


def test_a_file_is_calibrated_only_where_it_has_inputs(file):
    plain = benchgate.OnnxFile(file, task=Rows.name)
    assert isinstance(plain, FromFile)
    assert not isinstance(plain, Calibrated)
    assert isinstance(benchgate.OnnxFile(file, task=Rows.name, calibration=lambda: [np.ones(3)]), Calibrated)


def test_a_gguf_file_is_a_causal_language_model_for_what_runs_modules(tmp_path):
    model = benchgate.GGUFFile(tmp_path / "smol.gguf")
    assert (model.name, model.version) == ("smol", "1")
    assert support.refusal(model, schemes["fp32"], runtimes["torch"]) is None
    with pytest.raises(DataError, match=r"smol\.gguf: cannot be read"):
        identify(model)
    with pytest.raises(DataError, match="GGUFFile takes"):
        benchgate.GGUFFile("smol.onnx")


def test_it_runs_on_the_cpu_and_says_so_of_other_devices():
    runtime = benchgate.SimpleRuntime("cpu-alone", loads=load, calls=call, saves=save)
    assert runtime.missing("cpu") is None
    assert runtime.missing("cuda") == "cpu-alone runs on cpu, not cuda"
