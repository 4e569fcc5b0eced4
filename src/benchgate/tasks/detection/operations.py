"""Operations of a detector that are timed: the session alone, or everything between pixels and boxes."""

from __future__ import annotations

import time
from collections.abc import Sequence

from benchgate.core import DataError, Lapped, Session, Work
from benchgate.core.arrays import np
from benchgate.tasks.detection.boxes import Array, check_finite
from benchgate.tasks.detection.detecting import postprocess, sample_images
from benchgate.tasks.detection.images import prepare
from benchgate.tasks.detection.model import DetectorData

LAPS = ("preprocess_s", "inference_s", "postprocess_s")


def sample(model: DetectorData, batch: int = 1) -> Array:
    """Prepared images, float32 [batch, 3, height, width]: the model's sample images, or noise where it has none."""
    return np.stack([prepare(image, model)[0] for image in sample_images(model, batch)])


def inference(session: Session, model: DetectorData, inputs: Sequence[Array], batch: int = 1) -> Work:
    """The session alone on the prepared images of one batch; throughput in images a second."""
    prepared = np.stack([prepare(image, model)[0] for image in _batch(inputs, batch)])
    return Work(call=lambda: session(prepared), units=batch, check=check_finite)


def end_to_end(session: Session, model: DetectorData, inputs: Sequence[Array], batch: int = 1) -> Work:
    """Decoded pixels to boxes, with preprocess_s, inference_s and postprocess_s apart, each in seconds a call."""
    images = _batch(inputs, batch)

    def call() -> Lapped:
        start = time.perf_counter()
        prepared = [prepare(image, model) for image in images]
        pixels = np.stack([image for image, _ in prepared])
        ready = time.perf_counter()
        outputs = session(pixels)
        inferred = time.perf_counter()
        detections = postprocess(outputs, model, [fit for _, fit in prepared])
        end = time.perf_counter()
        return Lapped(detections, dict(zip(LAPS, (ready - start, inferred - ready, end - inferred), strict=True)))

    return Work(call=call, units=batch, laps=LAPS, check=_check_boxes)


def _batch(images: Sequence[Array], batch: int) -> list[Array]:
    """`batch` of the images, in turn. Raises DataError for a batch below 1."""
    if batch < 1:
        raise DataError(f"a batch holds at least 1 image, got {batch}")
    return [images[i % len(images)] for i in range(batch)]


def _check_boxes(detections: Sequence[Array]) -> None:
    for boxes in detections:
        check_finite(boxes)
