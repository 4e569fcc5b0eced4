"""Reading photographs, fitting them to a model's input, and mapping boxes back."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from benchgate.core import DataError, Unavailable
from benchgate.core.arrays import np
from benchgate.machine.packages import missing_packages
from benchgate.storage.reading import reading
from benchgate.tasks.detection.boxes import Array

# What photographs come in. A warning of Pillow's about more pixels than it likes is an error of ours below.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
MAX_PIXELS = 64_000_000
AGAIN = "save it again as JPEG or PNG"


@dataclass(frozen=True)
class Preparation:
    """How pixels become the model's input.

    `resize`: "stretch" to the input size, or "letterbox" (keep the aspect ratio, centre, fill with `pad`, 0..255).
    The input is (pixel - mean) / std with pixels 0..255, per channel in the order of `channels`.
    """

    resize: Literal["stretch", "letterbox"] = "stretch"
    channels: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (255.0, 255.0, 255.0)
    pad: int = 127


class Prepares(Protocol):
    """A model that says how pixels become its input: `size` is (height, width) in pixels."""

    @property
    def size(self) -> tuple[int, int]: ...

    @property
    def preparation(self) -> Preparation: ...


@dataclass(frozen=True)
class Fit:
    """Where the photograph (`width` x `height` pixels) lies in the model's input, in shares of the input (0..1)."""

    width: int
    height: int
    left: float
    top: float
    wide: float
    high: float

    def to_image(self, boxes: Array, clip: bool) -> Array:
        """Boxes [n, 4] in shares of the input as x1 y1 x2 y2 in pixels of the photograph, clipped to it if `clip`."""
        offset = np.array([self.left, self.top, self.left, self.top])
        share = np.array([self.wide, self.high, self.wide, self.high])
        limit = np.array([self.width, self.height, self.width, self.height])
        moved: Array = (boxes - offset) / share * limit
        return np.clip(moved, 0, limit) if clip else moved


def read_image(path: Path, size: tuple[int, int] | None = None) -> Array:
    """RGB pixels uint8 [height, width, 3] of a JPEG, PNG, WebP or BMP: grey, palette and CMYK are converted, 16 bits of
    grey scaled to 8.

    `size` is (width, height) as annotated. Nothing is decoded of an image of another size, or of more than MAX_PIXELS.
    Raises DataError, naming the file, for one that is missing, no such image, truncated, corrupt or too large;
    Unavailable without Pillow.
    """
    if reason := missing_packages({"PIL": "detection"}):
        raise Unavailable(reason)
    from PIL import Image, UnidentifiedImageError

    try:
        # Pillow would choose by content among all that it knows, and starts another program for some.
        with reading(f"image {path}", "an image", AGAIN), warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                _check_size(path, image.size, size)
                return _rgb(path, image)
    except DataError as error:
        if isinstance(error.__cause__, UnidentifiedImageError):
            raise DataError(f"image {path}: not an image of {', '.join(FORMATS)}") from error
        raise


def _check_size(path: Path, found: tuple[int, int], annotated: tuple[int, int] | None) -> None:
    width, height = found
    if annotated is not None and found != annotated:
        raise DataError(f"{path.name}: {width}x{height} pixels, the annotations say {annotated[0]}x{annotated[1]}")
    if width * height > MAX_PIXELS:
        raise DataError(f"image {path}: {width}x{height} pixels; at most {MAX_PIXELS:,} are decoded: make it smaller")


def _rgb(path: Path, image: Any) -> Array:
    if image.mode.startswith("I;16"):
        grey = (np.asarray(image) >> 8).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode in ("I", "F"):
        # Pillow would cut at 255 what is larger.
        raise DataError(f"image {path}: pixels of mode {image.mode}, not of 8 or 16 bits; {AGAIN}")
    return np.asarray(image.convert("RGB"))


def prepare(image: Array, model: Prepares) -> tuple[Array, Fit]:
    """A model's input float32 [3, height, width] from pixels uint8 [h, w, 3], and where they lie in it."""
    from PIL import Image

    height, width = image.shape[:2]
    rows, columns = model.size
    wide, high = _target(width, height, columns, rows, model.preparation.resize)
    resized = np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize((wide, high), Image.Resampling.BILINEAR))
    left, top = (columns - wide) // 2, (rows - high) // 2
    if (wide, high) != (columns, rows):
        canvas = np.full((rows, columns, 3), model.preparation.pad, dtype=np.uint8)
        canvas[top : top + high, left : left + wide] = resized
        resized = canvas
    if model.preparation.channels == "bgr":
        resized = resized[:, :, ::-1]
    mean = np.asarray(model.preparation.mean, dtype=np.float32)
    std = np.asarray(model.preparation.std, dtype=np.float32)
    pixels = ((resized.astype(np.float32) - mean) / std).transpose(2, 0, 1)
    fit = Fit(width, height, left / columns, top / rows, wide / columns, high / rows)
    return np.ascontiguousarray(pixels), fit


def _target(width: int, height: int, columns: int, rows: int, resize: str) -> tuple[int, int]:
    """Pixels (width, height) that the photograph takes in the input."""
    if resize == "stretch":
        return columns, rows
    scale = min(columns / width, rows / height)
    return max(1, round(width * scale)), max(1, round(height * scale))
