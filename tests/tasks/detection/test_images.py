"""Photographs of every awkward kind, and the way of a box into the input and back."""

import numpy as np
import pytest
from PIL import Image

from benchgate.core import DataError
from benchgate.tasks.detection import Preparation, images
from benchgate.tasks.detection.images import prepare, read_image
from tests.tasks.detection.helpers import detector

LETTERBOX = Preparation(resize="letterbox")


@pytest.mark.parametrize("mode", ["L", "LA", "CMYK", "P", "RGBA"])
def test_other_colour_modes_become_rgb(tmp_path, mode):
    image = Image.new("RGB", (6, 4), (200, 200, 200)).convert(mode)
    path = tmp_path / ("image.jpg" if mode in {"L", "CMYK"} else "image.png")
    image.save(path)
    pixels = read_image(path)
    assert (pixels.shape, pixels.dtype) == ((4, 6, 3), np.uint8)
    assert np.abs(pixels.astype(int) - 200).max() <= 5


def test_corrupt_jpeg_is_named(tmp_path):
    path = tmp_path / "cut.jpg"
    Image.effect_noise((200, 200), 90).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataError, match=r"cut\.jpg: cannot be read as an image"):
        read_image(path)


@pytest.mark.parametrize(("content", "problem"), [(b"no image", "not an image of"), (b"", "not an image of")])
def test_what_is_no_image_is_named(tmp_path, content, problem):
    path = tmp_path / "text.jpg"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"text\.jpg: {problem}"):
        read_image(path)


def test_missing_image_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.jpg: no such file"):
        read_image(tmp_path / "gone.jpg")


@pytest.mark.parametrize("preparation", [Preparation(), LETTERBOX])
@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (64, 64), (31, 97)])
def test_a_box_comes_back_from_every_shape(size, preparation):
    width, height = size
    model = detector(preparation=preparation, size=(64, 96))
    pixels, fit = prepare(np.zeros((height, width, 3), dtype=np.uint8), model)
    assert (pixels.shape, pixels.dtype) == ((3, 64, 96), np.float32)
    whole = np.array([[fit.left, fit.top, fit.left + fit.wide, fit.top + fit.high]])
    assert fit.to_image(whole, clip=False)[0] == pytest.approx([0, 0, width, height])


def test_letterbox_fills_and_centres():
    model = detector(preparation=Preparation(resize="letterbox", std=(1, 1, 1), pad=7))
    pixels, fit = prepare(np.full((32, 64, 3), 200, dtype=np.uint8), model)
    assert (fit.left, fit.top, fit.wide, fit.high) == (0, 0.25, 1, 0.5)
    assert pixels[0, :16].max() == pixels[0, 48:].max() == 7
    assert pixels[0, 16:48].min() == 200


def test_channels_and_normalisation():
    image = np.zeros((64, 64, 3), dtype=np.uint8)
    image[..., 0] = 110
    plan = Preparation(channels="bgr", mean=(0, 0, 10), std=(1, 1, 50))
    pixels, _ = prepare(image, detector(preparation=plan))
    assert pixels[:, 0, 0].tolist() == [0, 0, 2]


def test_boxes_are_clipped_only_when_asked():
    _, fit = prepare(np.zeros((10, 20, 3), dtype=np.uint8), detector())
    outside = np.array([[-0.5, 0.5, 1.5, 0.8]])
    assert fit.to_image(outside, clip=True)[0] == pytest.approx([0, 5, 20, 8])
    assert fit.to_image(outside, clip=False)[0] == pytest.approx([-10, 5, 30, 8])


@pytest.mark.parametrize("kind", ["EPS", "PDF", "ICO", "TGA"])
def test_only_the_formats_of_photographs_are_decoded_whatever_the_name_says(tmp_path, kind):
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (8, 8)).save(path, kind)
    with pytest.raises(DataError, match=r"photo\.jpg: not an image of JPEG, PNG"):
        read_image(path)


def test_the_annotated_size_is_compared_before_anything_is_decoded(tmp_path, monkeypatch):
    path = tmp_path / "large.png"
    Image.new("L", (300, 200)).save(path)
    monkeypatch.setattr(Image.Image, "convert", lambda *_: pytest.fail("decoded"))
    with pytest.raises(DataError, match="300x200 pixels, the annotations say 30x20"):
        read_image(path, (30, 20))


@pytest.mark.parametrize(("width", "fits"), [(100, True), (101, False)])
def test_the_number_of_pixels_is_limited_before_anything_is_decoded(tmp_path, monkeypatch, width, fits):
    path = tmp_path / "large.png"
    Image.new("L", (width, 100)).save(path)
    monkeypatch.setattr(images, "MAX_PIXELS", 10_000)
    if fits:
        assert read_image(path).shape == (100, 100, 3)
        return
    with pytest.raises(DataError, match="101x100 pixels; at most 10,000 are decoded"):
        read_image(path)


@pytest.mark.parametrize("kind", ["png", "ppm"])
def test_sixteen_bits_of_grey_are_scaled_to_eight(tmp_path, kind):
    path = tmp_path / f"grey.{kind}"
    Image.fromarray(np.array([[0, 255, 256, 32768, 65535]], dtype=np.uint16)).save(path, "PNG")
    assert read_image(path)[0].tolist() == [[v] * 3 for v in (0, 0, 1, 128, 255)]


def test_pixels_that_are_no_bytes_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "float.png"
    Image.new("L", (4, 4)).save(path)
    monkeypatch.setattr(Image, "open", lambda *_, **__: Image.new("F", (4, 4)))
    with pytest.raises(DataError, match="mode F"):
        read_image(path)
