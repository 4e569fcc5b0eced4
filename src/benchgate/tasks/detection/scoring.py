"""Average precision by pycocotools or faster-coco-eval, with bootstrap intervals over images.

The matching of boxes and the precision-recall arithmetic are the library's, in the bootstrap too: its per-image
results are drawn again with replacement and given back to its `accumulate`.
"""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchgate.core import Unavailable
from benchgate.core.arrays import np
from benchgate.core.stats import NORMAL_95
from benchgate.machine.packages import missing_packages
from benchgate.tasks.detection.boxes import Array
from benchgate.tasks.detection.data import Truth

# COCOeval.stats by position.
STATS = {"ap": 0, "ap50": 1, "ap75": 2, "ap_small": 3, "ap_medium": 4, "ap_large": 5, "ar": 8}
# What the bootstrap gives an interval to; the sizes (small, ...) would cost four times as much.
RESAMPLED = ("ap", "ap50", "ap75", "ar")
SEED = 20170901
MAX_DETECTIONS = 100


@dataclass(frozen=True)
class Evaluation:
    """The scores of one session on `images` images: `stats` by metric name, -1 where the truth has no such object.

    `resamples` maps ap, ap50, ap75, ar to [b] values, NaN where a draw had no object in it; value i of two evaluations
    of the same images was drawn from the same images, which makes their differences paired. `groups` counts
    independent photographs.
    """

    stats: Mapping[str, float]
    resamples: Mapping[str, Array]
    images: int
    groups: int
    library: str

    def interval(self, name: str) -> tuple[float, float] | None:
        """95 % interval, normal with the bootstrap's standard error, kept within 0..1; None where there is none."""
        drawn = self.resamples.get(name)
        if drawn is None or self.groups < 2:
            return None
        half = NORMAL_95 * spread(drawn)
        value = self.stats[name]
        return max(0.0, value - half), min(1.0, value + half)


def evaluate(
    truth: Truth,
    detections: Mapping[int, Array],
    groups: Mapping[int, str] | None = None,
    library: str | None = None,
    resamples: int | None = None,
) -> Evaluation:
    """Score per-image detections, [n, 6] as x1 y1 x2 y2 score category id, on the images that `detections` names.

    `groups` maps image id to the photograph it is a view of (default: each its own), `library` is "pycocotools" or
    "faster_coco_eval" (default: the faster one where it is installed), `resamples` the bootstrap's size.
    """
    library = library or default_library()
    evaluator, results = _evaluator(truth, detections, library)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    stats = {name: float(evaluator.stats[position]) for name, position in STATS.items()}
    order = [int(i) for i in evaluator.params.imgIds]
    members = _members(order, groups or {i: str(i) for i in order})
    count = bootstrap_size(len(order)) if resamples is None else resamples
    drawn = _bootstrap(evaluator, results, members, count)
    return Evaluation(stats, drawn, len(order), len(members), library)


def spread(drawn: Array) -> float:
    """The bootstrap's standard error: deviation of the draws that had objects in them, inf when fewer than two had."""
    usable = drawn[np.isfinite(drawn)]
    return float(np.std(usable, ddof=1)) if len(usable) > 1 else float("inf")


def default_library() -> str:
    """The scoring library to use. Raises Unavailable with the install hint when there is none."""
    if missing_packages({"faster_coco_eval": "detection"}) is None:
        return "faster_coco_eval"
    if reason := missing_packages({"pycocotools": "detection"}):
        raise Unavailable(reason)
    return "pycocotools"


def bootstrap_size(images: int) -> int:
    """200 resamples, fewer where one is costly: 40 for the 5,000 images of val2017 (about 20 s in all)."""
    return min(200, max(40, 200_000 // images))


def _evaluator(truth: Truth, detections: Mapping[int, Array], library: str) -> tuple[Any, str]:
    """The library's COCOeval, and the name of the attribute with its per-image results."""
    if library == "faster_coco_eval":
        from faster_coco_eval import COCO, COCOeval_faster

        evaluation_class, results = COCOeval_faster, "_evalImgs_cpp"
    else:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        evaluation_class, results = COCOeval, "evalImgs"
    with contextlib.redirect_stdout(io.StringIO()):
        annotated = COCO()
        annotated.dataset = _only(truth, set(detections))
        annotated.createIndex()
        found = annotated.loadRes(_results(detections))
        evaluator = evaluation_class(annotated, found, "bbox")
    if library == "faster_coco_eval":
        evaluator.separate_eval = True
    return evaluator, results


def _only(truth: Truth, images: set[int]) -> dict[str, Any]:
    """A copy of the truth with these images alone; the libraries write into what they are given."""
    return {
        "info": {},
        "images": [dict(image) for image in truth["images"] if image["id"] in images],
        "annotations": [
            {"iscrowd": 0, **{k: v for k, v in note.items() if k != "segmentation"}}
            for note in truth["annotations"]
            if note["image_id"] in images
        ],
        "categories": list(truth["categories"]),
    }


def _results(detections: Mapping[int, Array]) -> list[dict[str, Any]] | Array:
    """Detections as the libraries take them; an empty [0, 7] array when there are none at all."""
    rows = [
        {"image_id": image, "category_id": int(c), "bbox": [x1, y1, x2 - x1, y2 - y1], "score": score}
        for image, found in detections.items()
        for x1, y1, x2, y2, score, c in found.tolist()
    ]
    return rows or np.zeros((0, 7))


def _members(order: Sequence[int], groups: Mapping[int, str]) -> list[list[int]]:
    """Positions of the images of each photograph."""
    members: dict[str, list[int]] = {}
    for position, image in enumerate(order):
        members.setdefault(groups[image], []).append(position)
    return list(members.values())


def _bootstrap(evaluator: Any, results: str, members: Sequence[Sequence[int]], count: int) -> dict[str, Array]:
    """`count` values of each of RESAMPLED, photographs drawn with replacement, the same ones for every model."""
    images = len(evaluator.params.imgIds)
    stored = getattr(evaluator, results)
    areas = len(evaluator.params.areaRng)
    per_category = [stored[start : start + images] for start in range(0, len(stored), areas * images)]
    random = np.random.default_rng(SEED)
    drawn = []
    for _ in range(count):
        picks = random.integers(len(members), size=len(members))
        chosen = [position for pick in picks for position in members[pick]]
        drawn.append(_accumulated(evaluator, results, [category[i] for category in per_category for i in chosen]))
    return {name: np.array([values[i] for values in drawn]) for i, name in enumerate(RESAMPLED)}


def _accumulated(evaluator: Any, results: str, per_image: list[Any]) -> tuple[float, ...]:
    """ap, ap50, ap75, ar over objects of every size, of the per-image results [category][image] in one list."""
    again = copy.copy(evaluator)
    params = copy.copy(evaluator.params)
    params.areaRng, params.areaRngLbl, params.maxDets = params.areaRng[:1], params.areaRngLbl[:1], [MAX_DETECTIONS]
    params.imgIds = list(range(len(per_image) // len(params.catIds)))
    again.params = again._paramsEval = params
    setattr(again, results, per_image)
    with contextlib.redirect_stdout(io.StringIO()):
        again.accumulate()
    precision, recall = again.eval["precision"], again.eval["recall"]
    thresholds = [slice(None), int(np.argmin(abs(params.iouThrs - 0.5))), int(np.argmin(abs(params.iouThrs - 0.75)))]
    return (*(_mean(precision[t]) for t in thresholds), _mean(recall))


def _mean(values: Array) -> float:
    """Mean over the categories that have objects (the libraries mark the others by -1); NaN where none has."""
    present = values[values > -1]
    return float(present.mean()) if present.size else float("nan")
