"""From a detector's raw outputs to boxes: three generic decoders, each a frozen table of numbers, and NMS.

A head is data: anchors, strides, what the numbers mean. `head.decode` finds its tensors among the outputs by
shape, because converters neither keep the order of the outputs nor agree on their names, and either layout
(NCHW or NHWC) will do. Nothing here knows a particular model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from benchgate.core import InvalidOutput
from benchgate.core.arrays import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Array: TypeAlias = "NDArray[Any]"

# Candidates that enter NMS, best first: bounds its quadratic memory at 2000 x 2000 overlaps.
MAX_CANDIDATES = 2000


@dataclass(frozen=True)
class Candidates:
    """Boxes of one image before NMS: `boxes` [n, 4] as x1 y1 x2 y2 in shares (0..1) of the model's input,
    `scores` [n] and `labels` [n] as indices into the model's class list."""

    boxes: Array
    scores: Array
    labels: Array


class Head(Protocol):
    """Meaning of a detector's output tensors. `size` is (height, width) of the model's input in pixels."""

    def decode(
        self, outputs: Sequence[Array], size: tuple[int, int], classes: int, threshold: float
    ) -> list[Candidates]:
        """One Candidates an image, scores above `threshold`. Raises InvalidOutput for tensors that do not fit."""


@dataclass(frozen=True)
class YoloHead:
    """Anchor boxes at several strides, raw as YOLOv2-v4 give them: [batch, anchors * (5 + classes), h, w] a level.

    `anchors[level]` are (width, height) in input pixels; `scale_xy` is darknet's scale_x_y. Every class of an anchor
    is a candidate of its own, as in darknet.
    """

    strides: tuple[int, ...]
    anchors: tuple[tuple[tuple[float, float], ...], ...]
    scale_xy: float = 1.0

    def decode(
        self, outputs: Sequence[Array], size: tuple[int, int], classes: int, threshold: float
    ) -> list[Candidates]:
        levels = []
        for stride, anchors in zip(self.strides, self.anchors, strict=True):
            channels = len(anchors) * (5 + classes)
            grid = (size[0] // stride, size[1] // stride)
            reason = f"{len(anchors)} anchors x (5 + {classes} classes) at stride {stride}"
            raw = pick_map(outputs, channels, grid, reason)
            levels.append(self._level(raw, anchors, size, stride))
        boxes, scores = (np.concatenate(parts, axis=1) for parts in zip(*levels, strict=True))
        return [multi_label(boxes[i], scores[i], threshold) for i in range(len(boxes))]

    def _level(
        self, raw: Array, anchors: Sequence[tuple[float, float]], size: tuple[int, int], stride: int
    ) -> tuple[Array, Array]:
        """Boxes [batch, n, 4] and scores [batch, n, classes] of one level, n = anchors * h * w."""
        batch, _, rows, columns = raw.shape
        cells = raw.reshape(batch, len(anchors), -1, rows, columns)
        grid_y, grid_x = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
        shift = (self.scale_xy - 1) / 2
        centre_x = (sigmoid(cells[:, :, 0]) * self.scale_xy - shift + grid_x) / columns
        centre_y = (sigmoid(cells[:, :, 1]) * self.scale_xy - shift + grid_y) / rows
        sides = np.asarray(anchors, dtype=np.float32)[None, :, :, None, None]
        # exp of a trained head stays small; the bound keeps a broken one from overflowing to inf here.
        width = np.exp(np.minimum(cells[:, :, 2], 20)) * sides[:, :, 0] / size[1]
        height = np.exp(np.minimum(cells[:, :, 3], 20)) * sides[:, :, 1] / size[0]
        boxes = corners(centre_x, centre_y, width, height).reshape(batch, -1, 4)
        scores = sigmoid(cells[:, :, 4:5]) * sigmoid(cells[:, :, 5:])
        return boxes, np.moveaxis(scores, 2, -1).reshape(batch, boxes.shape[1], -1)


@dataclass(frozen=True)
class CellHead:
    """One box a grid cell, as FastestDet gives it: [batch, 1 + 4 + classes, h, w] with objectness and class
    probabilities already squashed, centre offset by tanh in cells, width and height by sigmoid in images."""

    stride: int

    def decode(
        self, outputs: Sequence[Array], size: tuple[int, int], classes: int, threshold: float
    ) -> list[Candidates]:
        grid = (size[0] // self.stride, size[1] // self.stride)
        raw = pick_map(outputs, 5 + classes, grid, f"5 + {classes} classes at stride {self.stride}")
        grid_y, grid_x = np.meshgrid(np.arange(grid[0]), np.arange(grid[1]), indexing="ij")
        centre_x = (np.tanh(raw[:, 1]) + grid_x) / grid[1]
        centre_y = (np.tanh(raw[:, 2]) + grid_y) / grid[0]
        boxes = corners(centre_x, centre_y, sigmoid(raw[:, 3]), sigmoid(raw[:, 4]))
        scores = np.moveaxis(raw[:, :1] * raw[:, 5:], 1, -1)
        return [best_label(boxes[i].reshape(-1, 4), scores[i].reshape(-1, classes), threshold) for i in range(len(raw))]


@dataclass(frozen=True)
class QueryHead:
    """One box a query, as DETR and YOLOS give it: logits [batch, queries, classes + 1] whose last class is "nothing",
    boxes [batch, queries, 4] as centre x, centre y, width, height in shares of the input. With three classes the two
    have one shape, and the logits are taken to come first."""

    queries: int

    def decode(
        self, outputs: Sequence[Array], size: tuple[int, int], classes: int, threshold: float
    ) -> list[Candidates]:
        logits = pick(outputs, (self.queries, classes + 1), f"{self.queries} queries x ({classes} classes + nothing)")
        centres = pick(outputs[::-1], (self.queries, 4), f"{self.queries} queries x 4 box numbers")
        exponent = np.exp(logits - logits.max(axis=-1, keepdims=True))
        scores = (exponent / exponent.sum(axis=-1, keepdims=True))[..., :-1]
        boxes = corners(*(centres[..., i] for i in range(4)))
        return [best_label(boxes[i], scores[i], threshold) for i in range(len(boxes))]


def pick(outputs: Sequence[Array], shape: tuple[int, ...], reason: str) -> Array:
    """The output of shape [batch, *shape]. Raises InvalidOutput naming what is there instead."""
    for output in outputs:
        if output.shape[1:] == shape:
            return output
    raise InvalidOutput(
        f"no output of shape [batch, {', '.join(map(str, shape))}] ({reason}); the model gives "
        f"{[list(output.shape) for output in outputs]}. Compare its class list, head and input size with its file"
    )


def pick_map(outputs: Sequence[Array], channels: int, grid: tuple[int, int], reason: str) -> Array:
    """A feature map as [batch, channels, h, w], from either layout."""
    for output in outputs:
        if output.shape[1:] == (*grid, channels):
            return np.moveaxis(output, -1, 1)
    return pick(outputs, (channels, *grid), reason)


def multi_label(boxes: Array, scores: Array, threshold: float) -> Candidates:
    """Every (box, class) above the threshold: boxes [n, 4], scores [n, classes]."""
    rows, labels = np.nonzero(scores > threshold)
    return Candidates(boxes[rows], scores[rows, labels], labels)


def best_label(boxes: Array, scores: Array, threshold: float) -> Candidates:
    """The best class of each box, where it is above the threshold."""
    labels = scores.argmax(axis=1)
    best = scores[np.arange(len(scores)), labels]
    keep = best > threshold
    return Candidates(boxes[keep], best[keep], labels[keep])


def suppress(found: Candidates, overlap: float | None, limit: int) -> Candidates:
    """Greedy non-maximum suppression within each class, best `limit` boxes in descending score.

    `overlap` is the intersection over union above which the weaker box goes; None keeps all (set predictors).
    """
    order = np.argsort(-found.scores, kind="stable")[:MAX_CANDIDATES]
    boxes, scores, labels = found.boxes[order], found.scores[order], found.labels[order]
    keep = np.arange(min(limit, len(boxes))) if overlap is None else _greedy(boxes, labels, overlap, limit)
    return Candidates(boxes[keep], scores[keep], labels[keep])


def _greedy(boxes: Array, labels: Array, overlap: float, limit: int) -> Array:
    keep: list[int] = []
    alive = np.ones(len(boxes), dtype=bool)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    for i in range(len(boxes)):
        if not alive[i]:
            continue
        keep.append(i)
        if len(keep) == limit:
            break
        rest = np.flatnonzero(alive[i + 1 :] & (labels[i + 1 :] == labels[i])) + i + 1
        sides = np.minimum(boxes[i, 2:], boxes[rest, 2:]) - np.maximum(boxes[i, :2], boxes[rest, :2])
        shared = np.prod(np.clip(sides, 0, None), axis=1)
        alive[rest[shared > overlap * (areas[i] + areas[rest] - shared)]] = False
    return np.asarray(keep, dtype=int)


def corners(centre_x: Array, centre_y: Array, width: Array, height: Array) -> Array:
    """[..., 4] as x1 y1 x2 y2."""
    return np.stack((centre_x - width / 2, centre_y - height / 2, centre_x + width / 2, centre_y + height / 2), axis=-1)


def sigmoid(x: Array) -> Array:
    """Logistic function that does not overflow."""
    return 0.5 * (1 + np.tanh(0.5 * x))


def as_arrays(outputs: Any) -> list[Array]:
    """A session's outputs (array, tensor, list, or mapping from name) as float32 arrays, checked finite.

    Raises InvalidOutput naming the first output that holds NaN or infinity: its scores would be noise, and a ranking
    metric does not notice.
    """
    if isinstance(outputs, Mapping):
        named = list(outputs.items())
    elif isinstance(outputs, list | tuple):
        named = [(str(i), value) for i, value in enumerate(outputs)]
    else:
        named = [("0", outputs)]
    return [_finite(str(name), _array(value)) for name, value in named]


def check_finite(outputs: Any) -> None:
    """Raises InvalidOutput where a session's outputs hold NaN or infinity."""
    as_arrays(outputs)


def _array(value: Any) -> Array:
    if hasattr(value, "detach"):
        value = value.detach().float().cpu().numpy()
    return np.asarray(value, dtype=np.float32)


def _finite(name: str, value: Array) -> Array:
    bad = value.size - int(np.isfinite(value).sum())
    if bad:
        raise InvalidOutput(
            f"output {name!r} {list(value.shape)}: {bad} of {value.size} values are not finite; not scored"
        )
    return value
