"""Real detectors on real images: figures measured elsewhere, and the collapse that wrong anchors must show.

Needs COCO images and weights that are not part of this repository (docs/detection.md says where they are looked for).
"""

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from benchgate.core import Scheme, schemes
from benchgate.runtimes.litert.keras import LiteRTKeras
from benchgate.runtimes.litert.runtime import LiteRT
from benchgate.runtimes.onnx.runtime import OnnxRuntime
from benchgate.tasks.detection import assess, floor, load_coco
from fixtures import detection as models

XL = models.YOLO_FASTEST / "yolo-fastest-1.1-xl.weights"
pytestmark = [
    pytest.mark.skipif(not models.SHARED_COCO.is_dir(), reason=f"no COCO images in {models.SHARED_COCO.name}"),
    pytest.mark.skipif(not XL.is_file(), reason=f"no {XL.name}"),
]


@pytest.fixture(scope="module")
def coco():
    return load_coco(models.SHARED_COCO)


@pytest.fixture(scope="module")
def yolo():
    """The figure known for these weights was measured with detections below 0.2 dropped; COCO's custom is 0.001."""
    return replace(models.darknet_detector(XL.with_suffix(".cfg"), XL), score_threshold=0.2, sample_images=None)


class TorchCall:
    """The module itself, called with arrays: what the runtimes are compared with. Each input is computed once."""

    kernel: ClassVar[dict] = {}
    weights_bytes = None

    def __init__(self, module):
        self.module, self.known = module, {}

    def __call__(self, inputs):
        import torch

        key = inputs.tobytes()
        if key not in self.known:
            with torch.inference_mode():
                self.known[key] = self.module(torch.from_numpy(inputs))
        return self.known[key]


def run(runtime, model, scheme, folder):
    runtime.build(model, scheme, folder)
    return runtime.load(folder, model, "cpu", 1)


FP32 = Scheme("fp32", 32, "float", {"dtype": "float32"})


@pytest.mark.parametrize(
    ("runtime", "package"),
    [
        pytest.param(OnnxRuntime(), "onnxruntime", marks=pytest.mark.backend("onnxruntime")),
        pytest.param(LiteRT(), "onnx2tf", marks=pytest.mark.backend("litert")),
    ],
)
def test_fastestdet(coco, tmp_path, runtime, package):
    pytest.importorskip(package)
    model = models.fastestdet(models.FASTESTDET)
    stats = assess(run(runtime, model, FP32, tmp_path), model, coco).evaluation.stats
    assert stats["ap50"] == pytest.approx(0.288, abs=0.005)
    assert stats["ap"] == pytest.approx(0.147, abs=0.005)


@pytest.fixture(scope="module")
def torch_session(yolo):
    """In one thread: two on a busy machine wait for each other."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield TorchCall(yolo.build())
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def torch_evaluation(coco, yolo, torch_session):
    return assess(torch_session, yolo, coco).evaluation


@pytest.mark.backend("torch")
def test_yolo_fastest_in_torch(torch_evaluation):
    assert torch_evaluation.stats["ap50"] == pytest.approx(0.320, abs=0.01)


@pytest.mark.backend("onnxruntime")
def test_onnxruntime_agrees_with_torch(coco, yolo, torch_evaluation, tmp_path):
    for name in ("onnxruntime", "onnx", "onnxscript"):
        pytest.importorskip(name)
    found = assess(run(OnnxRuntime(), yolo, FP32, tmp_path), yolo, coco).evaluation
    assert found.stats["ap"] == pytest.approx(torch_evaluation.stats["ap"], abs=0.003)


@pytest.mark.backend("litert")
def test_litert_agrees_with_torch(coco, yolo, torch_evaluation, tmp_path):
    for name in ("ai_edge_litert", "litert_torch"):
        pytest.importorskip(name)
    found = assess(run(LiteRT(), yolo, FP32, tmp_path), yolo, coco).evaluation
    assert found.stats["ap"] == pytest.approx(torch_evaluation.stats["ap"], abs=0.003)


@pytest.mark.backend("litert-keras")
def test_litert_from_keras_agrees_with_torch(coco, yolo, torch_evaluation, tmp_path):
    for name in ("ai_edge_litert", "tensorflow", "keras"):
        pytest.importorskip(name)
    found = assess(run(LiteRTKeras(), yolo, FP32, tmp_path), yolo, coco).evaluation
    assert found.stats["ap"] == pytest.approx(torch_evaluation.stats["ap"], abs=0.003)


@pytest.mark.backend("torch")
@pytest.mark.parametrize("fault", ["anchors", "classes"])
def test_a_wrong_table_is_seen(yolo, torch_session, torch_evaluation, fault):
    """What is easy to get wrong makes AP collapse, and the floor decides it on these images."""
    broken = {
        "anchors": replace(yolo, head=replace(yolo.head, anchors=yolo.head.anchors[::-1])),
        "classes": replace(yolo, classes=tuple(np.roll(yolo.classes, 1))),
    }[fault]
    found = assess(torch_session, broken, load_coco(models.SHARED_COCO)).evaluation
    verdict = floor(found, torch_evaluation, 0.95)
    assert verdict.answer == "fails", str(verdict)
    assert found.stats["ap"] < 0.5 * torch_evaluation.stats["ap"]


def test_registered_schemes_are_the_ones_used_here():
    import benchgate.schemes  # noqa: F401

    assert schemes["fp32"] == FP32
