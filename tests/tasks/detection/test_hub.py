"""The hub's detectors by transformers' own classes, small and with random weights: what the real ones go through."""

import numpy as np
import pytest

from benchgate.core import InvalidOutput, Unavailable, models, tasks
from benchgate.runtimes.litert.runtime import LiteRT
from benchgate.runtimes.onnx.runtime import OnnxRuntime
from benchgate.tasks.detection import COCO_91, Detector, QueryHead
from benchgate.tasks.detection.detecting import postprocess
from benchgate.tasks.detection.images import prepare
from fixtures.detection import HUB_DETECTORS, IMAGENET, build_hub_detector, query_detector
from tests.runtimes.helpers import scheme

QUERIES, SIZE = 10, (64, 96)


def small_detr():
    import torch
    from transformers import DetrConfig, DetrForObjectDetection, ResNetConfig

    torch.manual_seed(0)
    backbone = ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16, 16, 32], depths=[1, 1, 1, 1], layer_type="basic", out_features=["stage4"]
    )
    config = DetrConfig(
        use_timm_backbone=False, use_pretrained_backbone=False, backbone=None, backbone_config=backbone,
        num_queries=QUERIES, d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, num_labels=91,
    )  # fmt: skip
    return query_detector(DetrForObjectDetection(config).eval())


def small_yolos():
    import torch
    from transformers import YolosConfig, YolosForObjectDetection

    torch.manual_seed(0)
    config = YolosConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=list(SIZE),
        patch_size=16, num_detection_tokens=QUERIES, num_labels=91,
    )  # fmt: skip
    return query_detector(YolosForObjectDetection(config).eval())


FACTORIES = {"detr": small_detr, "yolos": small_yolos}


@pytest.fixture(params=sorted(FACTORIES))
def detector(request):
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    return Detector(
        name=f"small-{request.param}",
        version="1",
        factory=FACTORIES[request.param],
        head=QueryHead(QUERIES),
        size=SIZE,
        classes=COCO_91,
        preparation=IMAGENET,
        nms_overlap=None,
    )


def truth(detector):
    import torch

    inputs = tasks["detection"].sample(detector, 1)
    with torch.inference_mode():
        return inputs, [value.numpy() for value in detector.build()(torch.from_numpy(inputs))]


def check(session, detector):
    """The same numbers as torch, whatever the order, and boxes that the head can read from them."""
    inputs, (logits, boxes) = truth(detector)
    outputs = session(inputs)
    by_shape = {value.shape: value for value in outputs.values()}
    assert np.abs(by_shape[logits.shape] - logits).max() < 1e-3
    assert np.abs(by_shape[boxes.shape] - boxes).max() < 1e-4
    fit = prepare(np.zeros((30, 40, 3), dtype=np.uint8), detector)[1]
    (found,) = postprocess(outputs, detector, [fit])
    assert 0 < len(found) <= QUERIES
    assert set(found[:, 5].astype(int)) <= set(COCO_91) - {0}


@pytest.mark.backend("onnxruntime")
def test_by_onnxruntime(detector, tmp_path):
    for name in ("onnxruntime", "onnx", "onnxscript"):
        pytest.importorskip(name)
    OnnxRuntime().build(detector, scheme("fp32"), tmp_path)
    check(OnnxRuntime().load(tmp_path, detector, "cpu", 1), detector)


@pytest.mark.backend("litert")
def test_by_litert(detector, tmp_path):
    for name in ("ai_edge_litert", "litert_torch"):
        pytest.importorskip(name)
    LiteRT().build(detector, scheme("fp32"), tmp_path)
    check(LiteRT().load(tmp_path, detector, "cpu", 1), detector)


@pytest.mark.backend("litert")
def test_int8_dynamic_is_right_or_refused_never_scored_as_noise(detector, tmp_path):
    """XNNPACK has answered infinite logits for DETR in int8-dynamic: such outputs must not reach the scores."""
    for name in ("ai_edge_litert", "litert_torch", "ai_edge_quantizer"):
        pytest.importorskip(name)
    LiteRT().build(detector, scheme("int8-dynamic"), tmp_path)
    inputs, (logits, _) = truth(detector)
    outputs = LiteRT().load(tmp_path, detector, "cpu", 1)(inputs)
    fit = prepare(np.zeros((30, 40, 3), dtype=np.uint8), detector)[1]
    finite = all(np.isfinite(value).all() for value in outputs.values())
    if finite:
        found = next(value for value in outputs.values() if value.shape == logits.shape)
        assert np.abs(found - logits).max() < 0.5
    else:
        with pytest.raises(InvalidOutput, match="not finite; not scored"):
            postprocess(outputs, detector, [fit])


@pytest.mark.parametrize("name", sorted(HUB_DETECTORS))
def test_hub_models_are_registered(name):
    model = models[name]
    assert (model.task, len(model.classes), model.nms_overlap) == ("detection", 91, None)


@pytest.mark.backend("torch")
def test_hub_that_cannot_be_reached(monkeypatch, tmp_path):
    transformers = pytest.importorskip("transformers")

    def offline(*args, **kwargs):
        raise OSError("We couldn't connect to the hub\nand more")

    monkeypatch.setattr(transformers.AutoModelForObjectDetection, "from_pretrained", offline)
    with pytest.raises(Unavailable, match=r"hub model some/model@main: We couldn't connect to the hub With a network"):
        build_hub_detector("some/model", "main")
