"""The decoders against tensors made by hand, and what they say of outputs that do not fit."""

import numpy as np
import pytest

from benchgate.core import InvalidOutput
from benchgate.tasks.detection import CellHead, QueryHead, YoloHead
from benchgate.tasks.detection.boxes import Candidates, as_arrays, suppress

SIZE = (64, 64)
YOLO = YoloHead(strides=(32,), anchors=(((16, 8), (32, 32)),))


def logit(p):
    return np.log(p / (1 - p))


def yolo_output():
    """Two anchors, three classes, a 2 x 2 grid: one sure box of class 1 by the first anchor, in row 1, column 0."""
    raw = np.full((1, 2 * 8, 2, 2), -20.0, dtype=np.float32)
    raw[0, 0:4, 1, 0] = (logit(0.25), logit(0.5), np.log(2), 0)
    raw[0, 4, 1, 0], raw[0, 6, 1, 0] = logit(0.8), logit(0.5)
    return raw


def test_yolo_box_class_and_score():
    (found,) = YOLO.decode([yolo_output()], SIZE, 3, 0.01)
    assert found.labels.tolist() == [1]
    assert found.scores == pytest.approx([0.4])
    # centre (0.25, 1.5) cells of 2; the anchor 16 x 8 twice as wide, in an input of 64
    assert found.boxes[0] == pytest.approx([0.125 - 0.25, 0.75 - 0.0625, 0.125 + 0.25, 0.75 + 0.0625])


def test_yolo_takes_either_layout():
    nchw = yolo_output()
    for output in (nchw, nchw.transpose(0, 2, 3, 1)):
        (found,) = YOLO.decode([output], SIZE, 3, 0.01)
        assert found.scores == pytest.approx([0.4])


def test_yolo_finds_its_levels_in_any_order():
    head = YoloHead(strides=(32, 16), anchors=(((16, 8), (32, 32)), ((16, 8), (32, 32))))
    small = np.full((1, 16, 4, 4), -20.0, dtype=np.float32)
    first = head.decode([yolo_output(), small], SIZE, 3, 0.01)[0]
    second = head.decode([small, yolo_output()], SIZE, 3, 0.01)[0]
    assert first.boxes.tolist() == second.boxes.tolist()
    assert len(first.boxes) == 1


def test_scale_xy_stretches_the_offset():
    stretched = YoloHead(YOLO.strides, YOLO.anchors, scale_xy=1.1)
    (found,) = stretched.decode([yolo_output()], SIZE, 3, 0.01)
    assert found.boxes[0, [0, 2]].mean() == pytest.approx((0.25 * 1.1 - 0.05) / 2)


def test_cell_head():
    raw = np.zeros((1, 5 + 2, 4, 4), dtype=np.float32)
    raw[0, :, 2, 3] = (0.5, np.arctanh(0.5), 0, 0, logit(0.25), 0.1, 0.9)
    (found,) = CellHead(stride=16).decode([raw], SIZE, 2, 0.01)
    assert (found.labels.tolist(), found.scores.tolist()) == ([1], [pytest.approx(0.45)])
    assert found.boxes[0] == pytest.approx([0.875 - 0.25, 0.5 - 0.125, 0.875 + 0.25, 0.5 + 0.125])


def test_query_head_drops_nothing_class():
    logits = np.array([[[0.0, 3.0, 0.0], [0.0, 0.0, 9.0]]], dtype=np.float32)
    boxes = np.array([[[0.5, 0.5, 0.2, 0.4], [0.1, 0.1, 0.1, 0.1]]], dtype=np.float32)
    (found,) = QueryHead(queries=2).decode([boxes, logits], SIZE, 2, 0.01)
    assert found.labels.tolist() == [1]
    assert found.boxes[0] == pytest.approx([0.4, 0.3, 0.6, 0.7])


@pytest.mark.parametrize("classes", [2, 4, 79])
def test_class_list_of_another_length_is_refused(classes):
    with pytest.raises(InvalidOutput, match=rf"\(5 \+ {classes} classes\).*\[1, 16, 2, 2\]"):
        YOLO.decode([yolo_output()], SIZE, classes, 0.01)


def test_another_input_size_is_refused():
    with pytest.raises(InvalidOutput, match="no output of shape"):
        YOLO.decode([yolo_output()], (128, 128), 3, 0.01)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(bad):
    values = np.zeros((1, 3), dtype=np.float32)
    values[0, 1] = bad
    with pytest.raises(InvalidOutput, match=r"output 'logits' \[1, 3\]: 1 of 3 values"):
        as_arrays({"boxes": np.zeros((1, 4)), "logits": values})


BOXES = np.array([[0, 0, 1, 1], [0, 0, 1, 0.9], [0, 0, 1, 0.4], [2, 2, 3, 3]], dtype=float)


def suppressed(labels, overlap, limit=10):
    scores = np.array([0.5, 0.9, 0.3, 0.1])
    return suppress(Candidates(BOXES, scores, np.array(labels)), overlap, limit).scores.tolist()


def test_suppression_keeps_the_best_of_each_overlap():
    assert suppressed([0, 0, 0, 0], 0.45) == [0.9, 0.3, 0.1]  # 0.4 / 0.9 = 0.444 does not reach 0.45
    assert suppressed([0, 0, 0, 0], 0.44) == [0.9, 0.1]


def test_suppression_is_within_a_class():
    assert suppressed([0, 1, 0, 1], 0.45) == [0.9, 0.5, 0.3, 0.1]


def test_suppression_stops_at_the_limit():
    assert suppressed([0, 1, 0, 1], 0.45, limit=2) == [0.9, 0.5]


def test_no_suppression_for_set_predictors():
    assert suppressed([0, 0, 0, 0], None, limit=3) == [0.9, 0.5, 0.3]
