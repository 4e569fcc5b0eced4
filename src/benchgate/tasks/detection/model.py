"""A detector as data: input, normalisation, head, thresholds and class list; the task reads only this."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchgate.core import DataError
from benchgate.tasks.detection.images import Preparation, prepare, read_image

if TYPE_CHECKING:
    from benchgate.tasks.detection.boxes import Array, Head

# COCO's 80 categories in the order of their ids, which most detectors use as class index 0..79: ids 1..90 with gaps.
COCO_GAPS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
COCO_80 = tuple(i for i in range(1, 91) if i not in COCO_GAPS)
# Detectors trained on the raw ids (DETR, YOLOS): class index = category id; 0 marks an index that is no category.
COCO_91 = tuple(0 if i in COCO_GAPS else i for i in range(91))


@dataclass(frozen=True, kw_only=True)
class DetectorData:
    """The part of a detector that is data.

    `size` is (height, width) of the input in pixels; `classes[i]` the dataset's category id of the model's class i, 0
    where i means nothing. Detections below `score_threshold` are dropped before NMS at `nms_overlap` (None: no NMS),
    and at most `max_detections` an image are kept (COCO scores 100), clipped to the photograph if `clip`.
    `calibration_images()` gives the files that
    full-integer quantization calibrates on; they are never scored. `sample_images()` gives files for timing.
    """

    name: str
    version: str
    head: Head
    size: tuple[int, int]
    classes: tuple[int, ...] = COCO_80
    preparation: Preparation = field(default_factory=Preparation)
    score_threshold: float = 0.001
    nms_overlap: float | None = 0.45
    max_detections: int = 100
    clip: bool = True
    calibration_images: Callable[[], Iterable[Path]] | None = None
    sample_images: Callable[[], Iterable[Path]] | None = None
    task: str = "detection"

    def calibration(self) -> Iterator[Array]:
        """Inputs [1, 3, height, width] for calibration, each photograph plain and mirrored.

        Raises DataError for a model without calibration images.
        """
        if self.calibration_images is None:
            raise DataError(
                f"model {self.name!r} has no calibration images, which int8-static needs; "
                "pass calibration_images=... where it is defined (images that are not scored)"
            )
        for path in self.calibration_images():
            image = read_image(path)
            for view in (image, image[:, ::-1]):
                yield prepare(view, self)[0][None]


@dataclass(frozen=True, kw_only=True)
class Detector(DetectorData):
    """A detector that `factory` builds as a torch module: input [batch, 3, height, width], output raw tensors."""

    factory: Callable[[], Any]

    def build(self) -> Any:
        """The torch module in eval mode. Called by runtimes that convert it or run it."""
        return self.factory().eval()


@dataclass(frozen=True, kw_only=True)
class KerasDetector(DetectorData):
    """A detector that `keras_factory` builds as a Keras model: input [1, height, width, 3], output raw tensors.

    A detector that torch builds too derives from both, `class Both(Detector, KerasDetector)`: one name, two routes.
    """

    keras_factory: Callable[[], Any]

    def build_keras(self) -> Any:
        """The `keras.Model`. Called by the runtime litert-keras."""
        return self.keras_factory()


@dataclass(frozen=True, kw_only=True)
class DetectorFile(DetectorData):
    """A detector that already is a file, .onnx or .tflite; it has no `build`, so runtimes use the file as it is."""

    path: Path

    @staticmethod
    def version_of(path: Path) -> str:
        """The file's hash as the model's version, for an owner who declares that no two files may be compared.

        With a version of one's own another file under the same name is measured anew and held against the old one.

        Raises DataError when the file cannot be read.
        """
        try:
            return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
        except OSError as error:
            raise DataError(f"model file {path} cannot be read: {error.strerror}") from error
