"""A session's detections in photographs: prepare, infer, decode, suppress, map back to pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from benchgate.core import DataError, Session
from benchgate.core.arrays import np
from benchgate.tasks.detection.boxes import Array, as_arrays, suppress
from benchgate.tasks.detection.data import DetectionData, Exclusion
from benchgate.tasks.detection.images import Fit, prepare, read_image
from benchgate.tasks.detection.model import DetectorData


@dataclass(frozen=True)
class Detections:
    """`boxes` maps image id to [n, 6]: x1 y1 x2 y2 in pixels, score, category id. What was left out is `excluded`."""

    boxes: Mapping[int, Array]
    excluded: tuple[Exclusion, ...]


def detect(session: Session, model: DetectorData, data: DetectionData) -> Detections:
    """Detections in every image of `data`, one image a call. Images that cannot be read are left out, by name."""
    boxes: dict[int, Array] = {}
    excluded = []
    for photo in data.photos:
        try:
            image = photo.pixels()
        except DataError as error:
            excluded.append(Exclusion(photo.name, str(error)))
            continue
        pixels, fit = prepare(image, model)
        boxes[photo.id] = postprocess(session(pixels[None]), model, [fit])[0]
    return Detections(boxes, tuple(excluded))


def postprocess(outputs: Any, model: DetectorData, fits: Sequence[Fit]) -> list[Array]:
    """Per image [n, 6]: x1 y1 x2 y2 in pixels of the photograph, score, category id. Raises InvalidOutput."""
    decoded = model.head.decode(as_arrays(outputs), model.size, len(model.classes), model.score_threshold)
    categories = np.asarray(model.classes)
    detections = []
    for candidates, fit in zip(decoded, fits, strict=True):
        kept = suppress(candidates, model.nms_overlap, model.max_detections)
        ids = categories[kept.labels]
        rows = np.column_stack((fit.to_image(kept.boxes, model.clip), kept.scores, ids)).astype(np.float64)
        detections.append(rows[ids > 0])
    return detections


def sample_images(model: DetectorData, batch: int) -> list[Array]:
    """`batch` images as pixels: the model's samples in turn, or seeded noise of its input size."""
    if batch < 1:
        raise DataError(f"a batch holds at least 1 image, got {batch}")
    if model.sample_images is None:
        random = np.random.default_rng(0)
        return [random.integers(0, 256, (*model.size, 3), dtype=np.uint8) for _ in range(batch)]
    images = [read_image(path) for path in islice(model.sample_images(), batch)]
    if not images:
        raise DataError(f"model {model.name!r}: sample_images() gives no file; leave it out to time on noise")
    return [images[i % len(images)] for i in range(batch)]
