"""Darknet files written by hand: every layer kind against arithmetic of its own, and the errors of wrong files."""

import numpy as np
import pytest

from benchgate.core import DataError
from fixtures.darknet import head_of, read_cfg
from fixtures.darknet_torch import load_darknet

pytestmark = pytest.mark.backend("torch")

HEADER = np.array([0, 2, 0, 0, 0], dtype="<i4").tobytes()
NET = "[net]\nwidth=8\nheight=8\nchannels=2\n"
CONV = "[convolutional]\nfilters={filters}\nsize={size}\nstride={stride}\npad=1\nactivation={activation}\n"
YOLO = "[yolo]\nmask={mask}\nanchors=1,2, 3,4, 5,6, 7,8\n"


@pytest.fixture
def load(tmp_path):
    def write(cfg, values, header=HEADER):
        (tmp_path / "net.cfg").write_text(NET + cfg, "utf-8")
        (tmp_path / "net.weights").write_bytes(header + np.asarray(values, dtype="<f4").tobytes())
        return load_darknet(tmp_path / "net.cfg", tmp_path / "net.weights")

    return write


def run(module, image):
    torch = pytest.importorskip("torch")
    with torch.inference_mode():
        return [head.numpy() for head in module(torch.from_numpy(image))]


IMAGE = np.random.default_rng(0).normal(size=(1, 2, 8, 8)).astype(np.float32)
POINT = CONV.format(filters=2, size=1, stride=1, activation="linear")
IDENTITY = [0, 0, 1, 0, 0, 1]  # two biases, then the 2 x 2 kernel


def test_batch_normalisation_is_folded(load):
    pytest.importorskip("torch")
    cfg = POINT.replace("[convolutional]", "[convolutional]\nbatch_normalize=1") + YOLO.format(mask="0")
    bias, scale, mean, variance = [0.5, -1], [2, 3], [0.1, 0.2], [4, 9]
    (head,) = run(load(cfg, [*bias, *scale, *mean, *variance, 1, 0, 0, 1]), IMAGE)
    for c in range(2):
        expected = (IMAGE[:, c] - mean[c]) / np.sqrt(variance[c] + 1e-5) * scale[c] + bias[c]
        assert head[:, c] == pytest.approx(expected, abs=1e-5)


def test_leaky(load):
    pytest.importorskip("torch")
    (head,) = run(load(POINT.replace("linear", "leaky") + YOLO.format(mask="0"), IDENTITY), IMAGE)
    assert head == pytest.approx(np.where(IMAGE > 0, IMAGE, 0.1 * IMAGE))


def test_route_shortcut_upsample(load):
    pytest.importorskip("torch")
    cfg = (
        POINT
        + POINT
        + "[shortcut]\nfrom=-2\nactivation=linear\n[upsample]\nstride=2\n[route]\nlayers=-1\n"
        + YOLO.format(mask="0")
    )
    (head,) = run(load(cfg, [*IDENTITY, *IDENTITY]), IMAGE)
    assert head == pytest.approx(2 * IMAGE.repeat(2, axis=2).repeat(2, axis=3))


def test_route_joins_and_splits_channels(load):
    pytest.importorskip("torch")
    cfg = (
        POINT
        + POINT
        + "[route]\nlayers=-1,0\n[route]\nlayers=-1\ngroups=2\ngroup_id=1\n"
        + POINT
        + YOLO.format(mask="0")
    )
    (head,) = run(load(cfg, [*IDENTITY, 9, 9, 0, 0, 0, 0, *IDENTITY]), IMAGE)
    assert head == pytest.approx(IMAGE)


@pytest.mark.parametrize(("size", "stride", "reach"), [(2, 1, (0, 1)), (3, 1, (1, 1)), (5, 1, (2, 2))])
def test_max_pool_ignores_what_lies_outside(load, size, stride, reach):
    pytest.importorskip("torch")
    cfg = POINT + f"[maxpool]\nsize={size}\nstride={stride}\n" + YOLO.format(mask="0")
    (head,) = run(load(cfg, IDENTITY), IMAGE)
    for y, x in [(0, 0), (3, 4), (7, 7), (7, 0)]:
        window = IMAGE[0, :, max(0, y - reach[0]) : y + reach[1] + 1, max(0, x - reach[0]) : x + reach[1] + 1]
        assert head[0, :, y, x] == pytest.approx(window.max(axis=(1, 2)))


def test_head_follows_the_strides(tmp_path):
    down = CONV.format(filters=2, size=3, stride=2, activation="leaky")
    cfg = (
        NET
        + down
        + down
        + YOLO.format(mask="2,3")
        + "[route]\nlayers=-2\n[upsample]\nstride=2\n"
        + YOLO.format(mask="0")
    )
    (tmp_path / "net.cfg").write_text(cfg, "utf-8")
    head, size = head_of(tmp_path / "net.cfg")
    assert (head.strides, size) == ((4, 2), (8, 8))
    assert head.anchors == (((5, 6), (7, 8)), ((1, 2),))


def test_weights_of_another_cfg(load):
    pytest.importorskip("torch")
    with pytest.raises(DataError, match=r"too short: a layer needs 4 more values, 3 are left"):
        load(POINT + YOLO.format(mask="0"), IDENTITY[:-1])
    with pytest.raises(DataError, match=r"2 values are left over"):
        load(POINT + YOLO.format(mask="0"), [*IDENTITY, 1, 2])


@pytest.mark.parametrize(
    ("header", "problem"), [(b"PK\x03\x04" * 5, "not a darknet weights file"), (b"", "too short for a darknet")]
)
def test_what_is_no_weights_file(load, header, problem):
    pytest.importorskip("torch")
    with pytest.raises(DataError, match=problem):
        load(POINT, [] if not header else IDENTITY, header)


@pytest.mark.parametrize(
    ("cfg", "problem"),
    [
        ("[lstm]\n", r"line 5: darknet layer \[lstm\] is not known"),
        ("[maxpool]\nsize=4\nstride=3\n", r"\[maxpool\] size=4 stride=3"),
        (POINT.replace("linear", "mish"), "activation 'mish' is not known; allowed: leaky"),
        ("[convolutional]\nfilters=two\n", "filters='two' is not a whole number"),
        ("nonsense\n", "line 5: expected"),
    ],
)
def test_wrong_cfg(load, cfg, problem):
    pytest.importorskip("torch")
    with pytest.raises(DataError, match=problem):
        load(cfg, IDENTITY)


def test_cfg_starts_with_net(tmp_path):
    (tmp_path / "net.cfg").write_text("[convolutional]\nsize=1\n", "utf-8")
    with pytest.raises(DataError, match=r"starts with \[net\]"):
        read_cfg(tmp_path / "net.cfg")
