""".onnx files on LiteRT by onnx2tf, which lives in an environment of its own (tox run -e litert-onnx)."""

import numpy as np
import pytest

from benchgate.core import DataError, Unavailable, tasks
from benchgate.runtimes.litert import from_onnx as litert_onnx
from benchgate.runtimes.litert.runtime import LiteRT
from tests.runtimes.helpers import CLOSE, difference, file_model, model, scheme, write_graph


@pytest.mark.parametrize(
    ("python", "hint"),
    [((3, 99), "with Python 3.99 or newer, which onnx2tf needs; this is 3."), ((3, 0), "pip install .*litert-onnx")],
)
def test_what_is_missing_is_said(monkeypatch, tmp_path, python, hint):
    monkeypatch.setattr(litert_onnx, "PYTHON", python)
    monkeypatch.setattr(litert_onnx, "CONVERTER", {"no_such_package": "litert-onnx"})
    with pytest.raises(Unavailable, match=hint):
        litert_onnx.convert(tmp_path / "mine.onnx", tmp_path / "out.tflite")


@pytest.fixture
def onnx2tf():
    return pytest.importorskip("onnx2tf")


def write_network(path):
    """Two convolutions around a leaky ReLU and a pool, NCHW, seeded, any batch."""
    from onnx import TensorProto, helper, numpy_helper, save

    random = np.random.default_rng(0)
    weights = {
        "w1": random.normal(size=(8, 3, 3, 3)) / 5, "b1": random.normal(size=8),
        "w2": random.normal(size=(16, 8, 1, 1)) / 3, "b2": random.normal(size=16),
    }  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["image", "w1", "b1"], ["a"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("LeakyRelu", ["a"], ["b"], alpha=0.1),
        helper.make_node("MaxPool", ["b"], ["c"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["c", "w2", "b2"], ["head"]),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 64, 64])],
        [helper.make_tensor_value_info("head", TensorProto.FLOAT, ["batch", 16, 16, 16])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)


@pytest.mark.backend("litert")
@pytest.mark.parametrize("name", ["fp32", "fp16", "int8-dynamic", "int8-static"])
def test_answers_like_onnxruntime(onnx2tf, tmp_path, name):
    onnxruntime = pytest.importorskip("onnxruntime")
    model(tmp_path)  # writes the photographs to calibrate on
    write_network(tmp_path / "mine.onnx")
    (tmp_path / "out").mkdir()
    mine = file_model(tmp_path / "mine.onnx")
    LiteRT().build(mine, scheme(name), tmp_path / "out")
    inputs = tasks["detection"].sample(mine, 1)
    (truth,) = onnxruntime.InferenceSession(tmp_path / "mine.onnx").run(None, {"image": inputs})
    found = LiteRT().load(tmp_path / "out", mine, "cpu", 1)(inputs)
    assert difference(found, [truth.transpose(0, 2, 3, 1)]) < CLOSE[name]


@pytest.mark.backend("litert")
def test_the_file_stays_as_it_is(onnx2tf, tmp_path):
    write_network(tmp_path / "mine.onnx")
    before = (tmp_path / "mine.onnx").read_bytes()
    litert_onnx.convert(tmp_path / "mine.onnx", tmp_path / "mine.tflite")
    assert (tmp_path / "mine.onnx").read_bytes() == before
    assert sorted(path.name for path in tmp_path.glob("mine*")) == ["mine.onnx", "mine.tflite"]


@pytest.mark.backend("litert")
def test_an_operator_that_it_does_not_know(onnx2tf, tmp_path):
    write_graph(tmp_path / "mine.onnx", "FancyNMS")
    with pytest.raises(
        DataError, match=r"mine\.onnx: onnx2tf cannot convert it to \.tflite: .*custom op: ONNX_FANCYNMS"
    ):
        litert_onnx.convert(tmp_path / "mine.onnx", tmp_path / "mine.tflite")


@pytest.mark.backend("litert")
@pytest.mark.parametrize("content", [b"this is no model", b""])
def test_what_is_no_onnx_file(onnx2tf, tmp_path, content):
    (tmp_path / "mine.onnx").write_bytes(content)
    with pytest.raises(DataError, match=r"mine\.onnx: not a valid ONNX file"):
        litert_onnx.convert(tmp_path / "mine.onnx", tmp_path / "mine.tflite")
