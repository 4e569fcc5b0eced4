"""What this repository promises of object detectors: on every runtime that runs here, in every scheme it has."""

import os

import pytest

from benchgate.core import runtimes, schemes
from benchgate.storage.artifacts import artifact, artifact_bytes
from benchgate.tasks.detection import floor

MODEL = "yolov3-tiny"
# Share of the fp32 model's AP on the same runtime that a scheme must keep, measured in this session.
FLOORS = {"fp16": 0.99, "int8-dynamic": 0.95, "int8-weight-only": 0.95, "int8-static": 0.95}
# Share of the fp32 file that a scheme's file may be at most.
SIZES = {"fp16": 0.55, "int8-dynamic": 0.30, "int8-weight-only": 0.30, "int8-static": 0.30}
QUANTIZED = ["fp32", "fp16", "int8-dynamic", "int8-static"]


def holds_floor(cell, detection_session):
    """The paired answer for this cell, kept in its record; the summary names one that so few images cannot give."""
    share = FLOORS.get(cell.scheme)
    own = detection_session.evaluation(cell)
    if share is None:
        return
    cell.decide(floor(own, detection_session.reference(cell), share, detection_session.metric))


@pytest.mark.cells(model=MODEL, scheme="fp32", runtime="torch")
@pytest.mark.cells(model=MODEL, scheme=QUANTIZED, runtime=["onnxruntime", "litert", "litert-keras"])
def test_detection(cell, detection_session):
    """Accuracy, inference time, size and peak memory; a scheme may lose only so much accuracy."""
    cell.measure(data=detection_session.of(cell))
    holds_floor(cell, detection_session)


@pytest.mark.cells(model=MODEL, scheme=["fp16", "int8-dynamic", "int8-static"], runtime=["litert", "litert-keras"])
def test_size(cell):
    """float16 is half, int8 a quarter of the fp32 file, scales and structure included."""
    size = cell.measure("inference", meters=("size",))["size_bytes"]
    full = artifact_bytes(artifact(cell.model, schemes["fp32"], runtimes[cell.runtime]))
    assert size <= SIZES[cell.scheme] * full


@pytest.mark.cells(model=MODEL, scheme="fp32", runtime=["torch", "onnxruntime"])
@pytest.mark.cells(model=MODEL, scheme=["fp32", "int8-static"], runtime=["litert", "litert-keras"])
def test_stages(cell):
    """Preprocessing, inference and postprocessing of one photograph, apart."""
    cell.measure("end_to_end", meters=("latency",))


@pytest.mark.cells(model="yolos-tiny", scheme=["fp32", "fp16"], runtime=["torch", "onnxruntime", "litert"])
@pytest.mark.cells(model=["detr-resnet-50", "detr-resnet-101-dc5"], scheme="fp32", runtime=["torch", "onnxruntime"])
@pytest.mark.skipif(
    not os.environ.get("BENCHGATE_HUB"), reason="downloads gigabytes; set BENCHGATE_HUB=1 to measure them"
)
def test_hub_detectors(cell, detection_session):
    cell.measure(data=detection_session.of(cell))
    holds_floor(cell, detection_session)
