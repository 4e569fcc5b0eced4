"""What is timed of a detector: the session alone, or everything between pixels and boxes."""

from __future__ import annotations

import time

import numpy as np

from benchgate.core import Session, Work
from benchgate.tasks.detection.boxes import Array, check_finite
from benchgate.tasks.detection.detecting import postprocess, sample_images
from benchgate.tasks.detection.images import prepare
from benchgate.tasks.detection.model import DetectorData


def sample(model: DetectorData, batch: int = 1) -> Array:
    """Prepared images, float32 [batch, 3, height, width]: the model's sample images, or noise where it has none."""
    return np.stack([prepare(image, model)[0] for image in sample_images(model, batch)])


def inference(session: Session, model: DetectorData, batch: int = 1) -> Work:
    """The session alone on prepared images; throughput in images a second."""
    inputs = sample(model, batch)
    return Work(call=lambda: session(inputs), units=batch, check=check_finite)


def end_to_end(session: Session, model: DetectorData, batch: int = 1) -> Work:
    """Decoded pixels to boxes, with preprocess_s, inference_s and postprocess_s apart, each in seconds a call."""
    images = sample_images(model, batch)
    laps: dict[str, list[float]] = {"preprocess_s": [], "inference_s": [], "postprocess_s": []}

    def call() -> list[Array]:
        start = time.perf_counter()
        prepared = [prepare(image, model) for image in images]
        inputs = np.stack([pixels for pixels, _ in prepared])
        ready = time.perf_counter()
        outputs = session(inputs)
        inferred = time.perf_counter()
        detections = postprocess(outputs, model, [fit for _, fit in prepared])
        end = time.perf_counter()
        for name, seconds in zip(laps, (ready - start, inferred - ready, end - inferred), strict=True):
            laps[name].append(seconds)
        return detections

    return Work(call=call, units=batch, laps=laps)
