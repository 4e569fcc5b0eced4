"""The truth that detections are scored against: a COCO folder with its annotations, or the full-precision model itself.

Nothing is dropped silently: an image or annotation that cannot be used is an `Exclusion` with its name and reason.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchgate.core import DataError, Unavailable
from benchgate.storage.describing import digest
from benchgate.storage.digests import file_digest
from benchgate.tasks.datasets import DataSet
from benchgate.tasks.detection.annotations import is_number, read_annotations
from benchgate.tasks.detection.boxes import Array
from benchgate.tasks.detection.images import read_image

IMAGE_FOLDERS = ("val2017", "images/val2017", "images")
ANNOTATION_FILES = ("annotations/instances_val2017.json", "instances_val2017.json")
# Published boxes are rounded to 0.01 pixel and a few end a fraction outside; more than this is an error in the file.
BOUNDS_TOLERANCE = 1.0

Truth = Mapping[str, Any]


@dataclass(frozen=True)
class Exclusion:
    """Something that is not scored: an image's file name or an annotation's id, and why."""

    what: str
    reason: str

    def __str__(self) -> str:
        return f"{self.what}: {self.reason}"


@dataclass(frozen=True)
class Photo:
    """One image to detect in. `group` names what it is a view of: views of one photograph are no independent data.

    `width` and `height` are what the annotations say, None where nothing says it.
    """

    id: int
    name: str
    group: str
    load: Callable[[], Array]
    width: int | None = None
    height: int | None = None

    def pixels(self) -> Array:
        """RGB uint8 [height, width, 3]. Raises DataError where it cannot be read or has another size."""
        image = self.load()
        size = (image.shape[1], image.shape[0])
        if self.width is not None and size != (self.width, self.height):
            raise DataError(f"{size[0]}x{size[1]} pixels, the annotations say {self.width}x{self.height}")
        return image


@dataclass(frozen=True)
class DetectionData(DataSet[Photo]):
    """Images and what is true of them. `sha256` is of the images and of people's annotations.

    `truth` is a COCO document (images, annotations, categories) of people's annotations; or None: then the truth is
    what `reference` (per-image detections of the full-precision model) says, and only agreement can be scored.
    `evaluations` remembers the evaluation of each live session, so that a floor need not detect again.
    """

    truth: Truth | None = None
    excluded: tuple[Exclusion, ...] = ()
    evaluations: weakref.WeakKeyDictionary[Any, Any] = field(
        default_factory=weakref.WeakKeyDictionary, compare=False, repr=False
    )

    option = "--cell-images"
    kind = "images"

    def __getstate__(self) -> dict[str, Any]:
        """The fields that a cell's process is sent: the evaluations' sessions are of this process alone."""
        return {name: value for name, value in self.__dict__.items() if name != "evaluations"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, evaluations=weakref.WeakKeyDictionary())

    @property
    def photos(self) -> tuple[Photo, ...]:
        return self.items

    def sample(self, n: int, seed: int = 0) -> DetectionData:
        """A seeded random sample of n images, and what is true of those. Raises DataError for n < 1."""
        found = super().sample(n, seed)
        if found is self or self.truth is None:
            return found
        ids = {photo.id for photo in found.items}
        images = [entry for entry in self.truth["images"] if entry["id"] in ids]
        annotations = [entry for entry in self.truth["annotations"] if entry["image_id"] in ids]
        truth = {**self.truth, "images": images, "annotations": annotations}
        return replace(found, truth=truth, evaluations=weakref.WeakKeyDictionary())

    def describe(self) -> dict[str, Any]:
        """The facts of the data that the record keeps: the images, and the kind of truth."""
        agreement = self.truth is None or "agreement" in self.truth
        kind = "agreement with the model's own fp32 detections" if agreement else "people's annotations"
        return {**super().describe(), "truth": kind, "excluded": [str(item) for item in self.excluded]}


def load_coco(folder: Path | str, annotations: Path | str | None = None, limit: int | None = None) -> DetectionData:
    """A COCO folder in its usual layout: val2017/ or images/, and annotations/instances_val2017.json.

    `annotations` names another instances file; `limit` takes only the first images, by id. Raises DataError when the
    folder, its files or their contents cannot be used, or when nothing is left to score.
    """
    folder = Path(folder)
    images = _first(folder, IMAGE_FOLDERS, "image folder", Path.is_dir)
    source = Path(annotations) if annotations else _annotation_file(folder)
    document = read_annotations(source)
    excluded: list[Exclusion] = []
    if limit is not None and limit < 1:
        raise DataError(f"at least 1 image is needed, got {limit}; give --cell-images a number >= 1")
    entries = sorted(_usable_images(document, images, excluded), key=lambda entry: entry["id"])[:limit]
    if not entries:
        listing = "; ".join(map(str, excluded[:3]))
        raise DataError(f"{source}: none of its {len(document['images'])} images can be used ({listing})")
    photos = tuple(_photo(entry, images) for entry in entries)
    name, total = f"{folder.name}, {len(photos)} images", len(document["images"])
    whole = digest([file_digest(source), [file_digest(images / entry["file_name"]) for entry in entries]])
    return DetectionData(name, whole, photos, total, truth=document, excluded=tuple(excluded))


def chosen(coco: str | None = None, images: int | None = None, samples: int | None = None) -> DetectionData:
    """The images that a suite's detectors are scored on: of a COCO folder, which BENCHGATE_COCO names too.

    The first `images` of them, or a sample. Raises Unavailable without a folder, DataError as `load_coco`.
    """
    folder = coco or os.environ.get("BENCHGATE_COCO")
    if not folder:
        raise Unavailable(
            "no COCO folder to score detectors on; give one with --cell-coco=DIR "
            "(`python -m benchgate.tasks.detection.download DIR` fetches the official archives)"
        )
    found = load_coco(folder, limit=images)
    return found if samples is None else found.sample(samples)


def _photo(entry: Mapping[str, Any], images: Path) -> Photo:
    path = images / entry["file_name"]
    size = entry["width"], entry["height"]
    return Photo(entry["id"], entry["file_name"], entry["file_name"], lambda: read_image(path, size), *size)


def _first(folder: Path, candidates: Sequence[str], what: str, exists: Callable[[Path], bool]) -> Path:
    if not folder.is_dir():
        raise DataError(f"COCO folder {folder}: no such folder; pass --cell-coco DIR or set BENCHGATE_COCO")
    for name in candidates:
        if exists(folder / name):
            return folder / name
    raise DataError(
        f"COCO folder {folder}: no {what} in it, looked for {', '.join(candidates)}; "
        "`python -m benchgate.tasks.detection.download DIR` fetches the official archives"
    )


def _annotation_file(folder: Path) -> Path:
    others = sorted(path.name for path in folder.glob("instances*.json"))
    return _first(folder, (*ANNOTATION_FILES, *others), "annotation file", Path.is_file)


def _usable_images(document: Truth, images: Path, excluded: list[Exclusion]) -> Iterator[dict[str, Any]]:
    """The image entries that can be scored; what cannot goes to `excluded`.

    An image with a wrong box is excluded whole: without the box a right detection would count as a false one.
    """
    entries = {entry["id"]: entry for entry in document["images"]}
    categories = {category["id"] for category in document["categories"]}
    wrong: dict[int, str] = {}
    for annotation in document["annotations"]:
        entry = entries.get(annotation["image_id"])
        if entry is None:
            reason = f"names image {annotation['image_id']}, which the file does not list"
            excluded.append(Exclusion(f"annotation {annotation['id']}", reason))
        elif problem := _problem(annotation, entry, categories):
            wrong[entry["id"]] = f"annotation {annotation['id']}: {problem}"
    for entry in document["images"]:
        if not (images / entry["file_name"]).is_file():
            excluded.append(Exclusion(entry["file_name"], f"missing in {images}"))
        elif entry["id"] in wrong:
            excluded.append(Exclusion(entry["file_name"], wrong[entry["id"]]))
        else:
            yield entry


def _problem(annotation: Mapping[str, Any], entry: Mapping[str, Any], categories: set[int]) -> str | None:
    box = annotation["bbox"]
    if annotation["category_id"] not in categories:
        return f"category {annotation['category_id']} is not in the file's list"
    if len(box) != 4 or not all(map(is_number, box)):
        return f"box {str(box)[:60]} is not four numbers"
    x, y, width, height = box
    if width <= 0 or height <= 0:
        return f"box {box} has no area"
    slack = BOUNDS_TOLERANCE
    if x < -slack or y < -slack or x + width > entry["width"] + slack or y + height > entry["height"] + slack:
        return f"box {box} lies outside the image ({entry['width']}x{entry['height']})"
    return None


def photographs(name: str, paths: Sequence[Path]) -> DetectionData:
    """Photographs without annotations, each in three views (plain, mirrored, the middle enlarged): agreement data.

    The views add detections to compare, not independent photographs; intervals go by photograph.
    """
    photos = []
    for number, path in enumerate(paths):
        for view, (label, change) in enumerate(VIEWS.items()):
            load = _view(path, change)
            photos.append(Photo(10 * number + view + 1, f"{path.name} ({label})", path.name, load))
    whole = digest([[file_digest(path) for path in paths], list(VIEWS)])
    return DetectionData(f"{name}, {len(paths)} photographs in {len(VIEWS)} views", whole, tuple(photos), len(photos))


def _view(path: Path, change: Callable[[Array], Array]) -> Callable[[], Array]:
    return lambda: change(read_image(path))


def _middle(image: Array) -> Array:
    height, width = image.shape[:2]
    return image[height // 8 : height - height // 8, width // 8 : width - width // 8]


VIEWS: Mapping[str, Callable[[Array], Array]] = {
    "plain": lambda image: image,
    "mirrored": lambda image: image[:, ::-1],
    "middle": _middle,
}
