"""The LiteRT runtime on a real small module, and on files that are wrong."""

import numpy as np
import pytest

from benchgate.core import DataError, tasks
from benchgate.runtimes.litert.runtime import LiteRT
from benchgate.runtimes.litert.session import FILE, operators
from tests.runtimes.helpers import CLOSE, difference, expected, file_model, model, scheme

pytestmark = pytest.mark.backend("litert")
SCHEMES = ["fp32", "fp16", "int8-dynamic", "int8-weight-only", "int8-static"]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """scheme name -> (folder, model): each scheme built once."""
    for name in ("ai_edge_litert", "ai_edge_quantizer", "litert_torch"):
        pytest.importorskip(name)
    known = {}

    def get(name):
        if name not in known:
            folder, photos = tmp_path_factory.mktemp(name), tmp_path_factory.mktemp("photos")
            detector = model(photos)
            LiteRT().build(detector, scheme(name), folder)
            known[name] = folder, detector
        return known[name]

    return get


def load(built, name, threads=1):
    folder, detector = built(name)
    return LiteRT().load(folder, detector, "cpu", threads), detector


@pytest.mark.parametrize("name", SCHEMES)
def test_every_scheme_answers_like_the_module(built, name):
    session, detector = load(built, name)
    inputs = tasks["detection"].sample(detector, 1)
    assert difference(session(inputs), expected(inputs)) < CLOSE[name]
    session.close()


def test_int8_differs_from_float(built):
    session, detector = load(built, "int8-static")
    inputs = tasks["detection"].sample(detector, 1)
    assert difference(session(inputs), expected(inputs)) > 1e-4


def test_answers_do_not_change_under_the_caller(built):
    session, detector = load(built, "fp32")
    inputs = tasks["detection"].sample(detector, 1)
    first = session(inputs)
    copies = {name: value.copy() for name, value in first.items()}
    session(np.zeros_like(inputs))
    assert all((first[name] == copies[name]).all() for name in first)


def test_delegate_takes_the_convolutions_in_float(built):
    delegates = load(built, "fp32", threads=2)[0].kernel["delegates"]
    assert delegates["XNNPACK"]["CONV_2D float32"] == 5


def test_static_runs_convolutions_in_int8_without_float_islands(built):
    delegates = load(built, "int8-static")[0].kernel["delegates"]
    together = {label for counts in delegates.values() for label in counts}
    assert "CONV_2D int8" in together
    assert not any(label.startswith("LEAKY_RELU") for label in together)


def test_dynamic_tells_its_weights(built):
    delegates = load(built, "int8-dynamic")[0].kernel["delegates"]
    assert any("CONV_2D float32 (int8 weights)" in counts for counts in delegates.values())


def test_without_the_delegate(built):
    folder, detector = built("fp32")
    session = LiteRT("litert-plain", xnnpack=False).load(folder, detector, "cpu", 1)
    inputs = tasks["detection"].sample(detector, 1)
    assert set(session.kernel["delegates"]) == {"LiteRT"}
    assert difference(session(inputs), expected(inputs)) < CLOSE["fp32"]


def test_sizes(built):
    sizes = {name: load(built, name)[0].weights_bytes for name in SCHEMES}
    assert 0.48 * sizes["fp32"] < sizes["fp16"] < 0.55 * sizes["fp32"]
    for name in ("int8-dynamic", "int8-weight-only", "int8-static"):
        assert sizes[name] < 0.35 * sizes["fp32"]


def test_nhwc_file_takes_nchw_images(built, tmp_path):
    import litert_torch
    import torch

    from tests.runtimes.helpers import build

    channels_last = litert_torch.to_channel_last_io(build(), args=[0])
    litert_torch.convert(channels_last, (torch.zeros(1, 64, 64, 3),)).export(str(tmp_path / FILE))
    detector = built("fp32")[1]
    inputs = tasks["detection"].sample(detector, 1)
    assert difference(LiteRT().load(tmp_path, detector, "cpu", 1)(inputs), expected(inputs)) < CLOSE["fp32"]


@pytest.mark.parametrize("name", ["fp32", "int8-dynamic", "int8-static"])
def test_a_file_is_used_and_can_be_quantized(built, tmp_path, name):
    (tmp_path / "mine.tflite").write_bytes((built("fp32")[0] / FILE).read_bytes())
    (tmp_path / "out").mkdir()
    mine = file_model(tmp_path / "mine.tflite")
    LiteRT().build(mine, scheme(name), tmp_path / "out")
    inputs = tasks["detection"].sample(mine, 1)
    assert difference(LiteRT().load(tmp_path / "out", mine, "cpu", 1)(inputs), expected(inputs)) < CLOSE["int8-static"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"PK\x03\x04 this is a zip", "not a .tflite file"),
        (b"", "not a .tflite file"),
        (b"\x1c\0\0\0TFL3" + bytes(64), "cannot be read as a LiteRT file"),
    ],
)
def test_what_is_no_tflite_file(tmp_path, content, problem):
    pytest.importorskip("ai_edge_litert")
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(DataError, match=problem):
        LiteRT().load(tmp_path, file_model(tmp_path / FILE), "cpu", 1)


def test_what_is_no_tflite_file_is_not_built(tmp_path):
    pytest.importorskip("ai_edge_litert")
    (tmp_path / "mine.tflite").write_bytes(b"no model at all")
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError, match=r"mine\.tflite: not a \.tflite file"):
        LiteRT().build(file_model(tmp_path / "mine.tflite"), scheme("fp32"), tmp_path / "out")


def test_what_the_quantizer_cannot_do_is_said(built, tmp_path, monkeypatch):
    quantizer = pytest.importorskip("ai_edge_quantizer").Quantizer

    def fail(self, *arguments, **options):
        raise ValueError("Ranks of scales (5) and zps (5) must be the same as the tensor rank (1).\nMore.")

    monkeypatch.setattr(quantizer, "quantize", fail)
    (tmp_path / "mine.tflite").write_bytes((built("fp32")[0] / FILE).read_bytes())
    with pytest.raises(DataError, match=r"file: ai-edge-quantizer cannot write it in int8-dynamic: Ranks .* \(1\)\.$"):
        LiteRT().build(file_model(tmp_path / "mine.tflite"), scheme("int8-dynamic"), tmp_path)


def op(name, inputs, outputs, kind=np.float32):
    return {
        "op_name": name,
        "inputs": np.array(inputs),
        "outputs": np.array(outputs),
        "operand_types": [kind],
        "result_types": [kind],
    }


def test_who_runs_what_is_read_from_the_graph():
    """Three operators in a row; the delegate replaced the first and the last, not the one between."""
    listing = [
        op("CONV_2D", [0], [1]),
        op("RESIZE", [1], [2]),
        op("CONV_2D", [2], [3], np.int8),
        op("DELEGATE", [0], [1]),
        op("DELEGATE", [2], [3]),
    ]
    assert operators(listing) == {
        "XNNPACK": {"CONV_2D float32": 1, "CONV_2D int8": 1},
        "LiteRT": {"RESIZE float32": 1},
    }
