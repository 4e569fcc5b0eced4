"""The detection task: detect in every image, score what was found, and time the stages apart.

`score` gives ap, ap50, ... against people's annotations, or agreement_ap, agreement_ap50 against the full-precision
model's own detections; the two never share a name.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from benchgate.core import DataError, Metric, Session, Work, tasks
from benchgate.core.arrays import np
from benchgate.core.metrics import metric
from benchgate.core.shards import Answers, Shard
from benchgate.tasks.detection.boxes import Array
from benchgate.tasks.detection.data import DetectionData, Exclusion, Truth
from benchgate.tasks.detection.detecting import Detections, detect, sample_images
from benchgate.tasks.detection.model import DetectorData
from benchgate.tasks.detection.operations import end_to_end, inference, sample
from benchgate.tasks.detection.scoring import RESAMPLED, STATS, Evaluation, evaluate

# Detections of the full-precision model at or above this score are what the compressed one should find again.
AGREEMENT_SCORE = 0.25
NAMED_IN_WARNING = 5
# Numbers in a row of boxes: x1 y1 x2 y2 score category.
BOX = 6


@dataclass(frozen=True)
class Assessment:
    """An evaluation with what was left out of it."""

    evaluation: Evaluation
    excluded: tuple[Exclusion, ...]


class Detection:
    """Images in, boxes out. Models: `Detector`, `DetectorFile`; data: from `load_coco` or `agreement_data`."""

    name = "detection"
    unit = "images"

    operations: ClassVar[Mapping[str, Callable[..., Work]]] = {"inference": inference, "end_to_end": end_to_end}
    pipeline_tag = "object-detection"
    headline = (
        *("ap", "agreement_ap", "inference_s", "size_bytes", "latency_median_s", "peak_rss_bytes"),
        *("ap50", "agreement_ap50", "latency_p90_s"),
    )

    def sample(self, model: DetectorData, batch: int = 1) -> Array:
        """Prepared images, float32 [batch, 3, height, width]: the model's sample images, or noise where it has none."""
        return sample(model, batch)

    def inputs(self, model: DetectorData, params: Mapping[str, Any]) -> list[Array]:
        """Images as pixels, as many as a batch has: the model's own sample images, or noise."""
        return sample_images(model, params.get("batch", 1))

    def score(self, session: Session, model: DetectorData, data: DetectionData | None) -> dict[str, Metric]:
        """AP and its kin with 95 % bootstrap intervals, and `images_excluded`; warns naming what was excluded.

        Raises DataError without data, InvalidOutput for outputs that are not finite or do not fit the head.
        """
        if data is None:
            raise DataError(
                "detection needs data to be scored on: cell.measure(data=coco), the fixture of --cell-coco=DIR, or "
                "data=agreement_data(...) for photographs without annotations"
            )
        return _told(assess(session, model, data), data)

    def answers(self, session: Session, model: DetectorData, data: DetectionData, shard: Shard) -> Answers:
        """The boxes found in each image of the shard, rows of x1 y1 x2 y2 score category, by the image's id; of an
        image that cannot be read the reason."""
        photos = tuple(shard.takes(data.items))
        found = detect(session, model, replace(data, items=photos))
        reasons = (one.reason for one in found.excluded)
        boxes = {image: rows.tolist() for image, rows in found.boxes.items()}
        return {str(photo.id): boxes[photo.id] if photo.id in boxes else next(reasons) for photo in photos}

    def summed(self, session: Session, model: DetectorData, data: DetectionData, answers: Answers) -> dict[str, Metric]:
        """The metrics of `score`, by the boxes that were found in all images."""
        data.evaluations[session] = found = _evaluated(model, data, _detections(data, answers))
        return _told(found, data)


def _told(found: Assessment, data: DetectionData) -> dict[str, Metric]:
    if found.excluded:
        named = "; ".join(map(str, found.excluded[:NAMED_IN_WARNING]))
        more = len(found.excluded) - NAMED_IN_WARNING
        rest = f"; and {more} more" if more > 0 else ""
        warnings.warn(f"{data.name}: {len(found.excluded)} not scored: {named}{rest}", stacklevel=3)
    return _metrics(found, data)


def _detections(data: DetectionData, answers: Answers) -> Detections:
    """The detections of all images in the data's order, by what shards answered."""
    boxes, excluded = {}, []
    for photo in data.items:
        answer = answers[str(photo.id)]
        if isinstance(answer, str):
            excluded.append(Exclusion(photo.name, answer))
        else:
            boxes[photo.id] = np.asarray(answer, dtype=np.float64).reshape(-1, BOX)
    return Detections(boxes, tuple(excluded))


def assess(session: Session, model: DetectorData, data: DetectionData) -> Assessment:
    """The evaluation of this session on this data, computed once as long as the session lives.

    Called by `score`, and by tests whose floor compares two of them.
    """
    known = data.evaluations.get(session)
    if known is None:
        known = data.evaluations[session] = _assess(session, model, data)
    return known


def _assess(session: Session, model: DetectorData, data: DetectionData) -> Assessment:
    _check_truth(model, data)
    return _evaluated(model, data, detect(session, model, data))


def _check_truth(model: DetectorData, data: DetectionData) -> Truth:
    if data.truth is None:
        raise DataError(f"{data.name}: no annotations; agreement_data(data, reference session, model) makes a truth")
    _check_classes(model, data.truth)
    return data.truth


def _evaluated(model: DetectorData, data: DetectionData, found: Detections) -> Assessment:
    truth = _check_truth(model, data)
    if not found.boxes:
        raise DataError(f"{data.name}: no image could be read; the first: {found.excluded[0]}")
    groups = {photo.id: photo.group for photo in data.photos}
    return Assessment(evaluate(truth, found.boxes, groups), (*data.excluded, *found.excluded))


def agreement_data(photos: DetectionData, session: Session, model: DetectorData) -> DetectionData:
    """`photos` with the detections of `session` (the full-precision model) at or above 0.25 as their truth.

    Called once a test session; the result scores agreement, not accuracy. Raises DataError when it found nothing.
    """
    found = detect(session, model, photos)
    annotations: list[dict[str, Any]] = []
    images = []
    for image, boxes in found.boxes.items():
        images.append({"id": image})
        for x1, y1, x2, y2, score, category in boxes[boxes[:, 4] >= AGREEMENT_SCORE].tolist():
            box = [x1, y1, x2 - x1, y2 - y1]
            notes = {"image_id": image, "category_id": int(category), "bbox": box, "area": box[2] * box[3]}
            annotations.append({"id": len(annotations) + 1, "iscrowd": 0, "score": score, **notes})
    if not annotations:
        raise DataError(f"{photos.name}: {model.name} finds nothing with a score of {AGREEMENT_SCORE} or more in it")
    categories = [{"id": i, "name": str(i)} for i in sorted({c for c in model.classes if c})]
    truth: Truth = {"images": images, "annotations": annotations, "categories": categories, "agreement": model.name}
    return replace(photos, truth=truth, excluded=found.excluded, evaluations=type(photos.evaluations)())


def _check_classes(model: DetectorData, truth: Truth) -> None:
    known = {category["id"] for category in truth["categories"]}
    if strange := sorted({c for c in model.classes if c} - known):
        raise DataError(
            f"model {model.name!r} has classes that the data does not: category ids {strange[:5]} "
            f"of {len(model.classes)}; the data has {len(known)} categories. Correct the model's `classes`"
        )


def _metrics(found: Assessment, data: DetectionData) -> dict[str, Metric]:
    assert data.truth is not None
    evaluation = found.evaluation
    agreement = data.truth.get("agreement")
    names = {"ap": "agreement_ap", "ap50": "agreement_ap50"} if agreement else {name: name for name in STATS}
    truth = f"against {agreement}'s own fp32 detections" if agreement else "against annotations"
    metrics = {}
    for name, shown in names.items():
        if evaluation.stats[name] < 0:
            continue
        low, high = evaluation.interval(name) or (None, None)
        count = len(evaluation.resamples["ap"])
        how = f"; 95 % bootstrap over {evaluation.groups} photographs, {count} resamples" if name in RESAMPLED else ""
        method = f"COCOeval ({evaluation.library}) {truth}, {evaluation.images} images of {data.name}{how}"
        drawn = evaluation.resamples.get(name, ())
        # A draw without any object has no value, and what is left would not be the others' draws.
        whole = tuple(drawn) if np.isfinite(drawn).all() else ()
        fields = {"n": evaluation.groups, "low": low, "high": high, "method": method, "resamples": whole}
        metrics[shown] = metric(shown, evaluation.stats[name], **fields)
    metrics["images_excluded"] = metric(
        "images_excluded", len(found.excluded), n=evaluation.images, method="; ".join(map(str, found.excluded[:20]))
    )
    return metrics


tasks.add(Detection)
