"""What the detection tests share: a tiny COCO folder, a detector of data only, sessions that answer from a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from benchgate.tasks.detection import Detector, QueryHead

CATEGORIES = (1, 2, 3)
Box = tuple[int, int, int, int, int]  # x, y, width, height, category


def write_coco(folder: Path, images: Sequence[tuple[int, int]], boxes: Sequence[tuple[int, Box]]) -> dict[str, Any]:
    """A COCO folder with noise images of the given (width, height), ids 1, 2, ...; boxes as (image id, box)."""
    (folder / "val2017").mkdir(parents=True)
    (folder / "annotations").mkdir()
    random = np.random.default_rng(0)
    for number, (width, height) in enumerate(images, start=1):
        pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "val2017" / f"{number}.jpg")
    document = {
        "images": [
            {"id": i, "file_name": f"{i}.jpg", "width": w, "height": h} for i, (w, h) in enumerate(images, start=1)
        ],
        "annotations": [
            {
                "id": i,
                "image_id": image,
                "bbox": list(box[:4]),
                "area": box[2] * box[3],
                "category_id": box[4],
                "iscrowd": 0,
            }
            for i, (image, box) in enumerate(boxes, start=1)
        ],
        "categories": [{"id": i, "name": f"thing {i}"} for i in CATEGORIES],
    }
    save(folder, document)
    return document


def save(folder: Path, document: dict[str, Any]) -> None:
    (folder / "annotations" / "instances_val2017.json").write_text(json.dumps(document), "utf-8")


def detector(**changes: Any) -> Detector:
    """A detector with two queries and the three categories; it cannot be built, only its data are used."""

    def unbuildable() -> Any:
        raise AssertionError("this detector is data only")

    fields: dict[str, Any] = {
        "name": "fake",
        "version": "1",
        "factory": unbuildable,
        "head": QueryHead(queries=2),
        "size": (64, 64),
        "classes": CATEGORIES,
        "nms_overlap": None,
    }
    return Detector(**{**fields, **changes})


class Answers:
    """A session that gives the n-th call the n-th answer: per image up to two (share of the image x1 y1 x2 y2, label).

    Logits are 8 for the label and 0 elsewhere; an empty slot answers "nothing".
    """

    kernel: ClassVar[dict[str, Any]] = {}
    weights_bytes = None

    def __init__(self, answers: Sequence[Sequence[tuple[float, float, float, float, int]]]) -> None:
        self.answers, self.calls = answers, 0

    def __call__(self, inputs: Any) -> dict[str, Any]:
        found = self.answers[self.calls % len(self.answers)]
        self.calls += 1
        logits = np.zeros((len(inputs), 2, len(CATEGORIES) + 1), dtype=np.float32)
        boxes = np.full((len(inputs), 2, 4), 0.5, dtype=np.float32)
        logits[:, :, -1] = 8
        for slot, (x1, y1, x2, y2, label) in enumerate(found):
            logits[:, slot, -1] = 0
            logits[:, slot, label] = 8
            boxes[:, slot] = ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)
        return {"logits": logits, "boxes": boxes}

    def close(self) -> None:
        self.answers = []


def share(box: Box, size: tuple[int, int]) -> tuple[float, float, float, float, int]:
    """A COCO box as an answer: shares of an image of (width, height), label = category - 1."""
    x, y, width, height, category = box
    return x / size[0], y / size[1], (x + width) / size[0], (y + height) / size[1], category - 1
