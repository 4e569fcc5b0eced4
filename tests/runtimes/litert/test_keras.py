"""Keras models through TensorFlow's converter: darknet's layers against torch, and every scheme on a small model."""

import numpy as np
import pytest

from benchgate.core import DataError, tasks
from benchgate.runtimes.litert.keras import FILE, LiteRTKeras
from benchgate.tasks.detection import KerasDetector
from fixtures.darknet_keras import load_darknet_keras
from fixtures.darknet_torch import load_darknet
from tests.runtimes.helpers import CLASSES, CLOSE, HEAD, SIZE, difference, model, scheme

pytestmark = pytest.mark.backend("litert-keras")
SCHEMES = ["fp32", "fp16", "int8-dynamic", "int8-static"]


@pytest.fixture(scope="module", autouse=True)
def packages():
    for name in ("keras", "tensorflow"):
        pytest.importorskip(name)


CONV = "[convolutional]\nfilters={0}\nsize={1}\nstride={2}\npad={3}\ngroups={4}\nactivation={5}\n"
YOLO = "[yolo]\nmask=0\nanchors=1,2\n"
# Every layer kind, even and odd strides, both sides of a split, two heads.
EVERYTHING = (
    "[net]\nwidth=32\nheight=32\nchannels=3\n"
    + CONV.format(8, 3, 2, 1, 1, "leaky").replace("]\n", "]\nbatch_normalize=1\n")
    + CONV.format(8, 3, 1, 1, 8, "relu")
    + "[shortcut]\nfrom=-2\nactivation=linear\n"
    + "[maxpool]\nsize=2\nstride=2\n[maxpool]\nsize=2\nstride=1\n[maxpool]\nsize=5\nstride=1\n"
    + CONV.format(16, 1, 1, 0, 1, "linear")
    + YOLO
    + "[route]\nlayers=-2\ngroups=2\ngroup_id=1\n[upsample]\nstride=2\n[route]\nlayers=-1,2\n[dropout]\n"
    + CONV.format(16, 5, 2, 1, 1, "leaky")
    + YOLO
)
WEIGHTS = 4 * 8 + 8 * 3 * 9 + 8 + 8 * 9 + 16 + 16 * 8 + 16 + 16 * 16 * 25


@pytest.fixture
def files(tmp_path):
    """Both files of EVERYTHING, or of the cfg that is given."""

    def write(cfg=EVERYTHING, values=WEIGHTS):
        random = np.random.default_rng(0).random(values, dtype=np.float32) - 0.3
        random[24:32] += 1  # variances are positive
        (tmp_path / "net.cfg").write_text(cfg, "utf-8")
        (tmp_path / "net.weights").write_bytes(np.array([0, 2, 0, 0, 0], dtype="<i4").tobytes() + random.tobytes())
        return tmp_path / "net.cfg", tmp_path / "net.weights"

    return write


def test_darknet_layers_are_those_of_torch(files):
    torch = pytest.importorskip("torch")
    image = np.random.default_rng(1).normal(size=(1, 3, 32, 32)).astype(np.float32)
    with torch.inference_mode():
        expected = [head.numpy() for head in load_darknet(*files())(torch.from_numpy(image))]
    found = load_darknet_keras(*files())(image.transpose(0, 2, 3, 1))
    assert len(found) == len(expected) == 2
    for head, truth in zip(found, expected, strict=True):
        assert np.asarray(head).transpose(0, 3, 1, 2) == pytest.approx(truth, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize(
    ("layer", "values", "problem"),
    [
        (CONV.format(4, 1, 1, 0, 2, "linear"), 4 + 4 * 2, "4 filters in 2 groups has no Keras build"),
        ("[maxpool]\nsize=3\nstride=2\n", 0, "size=3 stride=2 has no Keras build"),
    ],
)
def test_what_keras_cannot_build(files, layer, values, problem):
    with pytest.raises(DataError, match=problem):
        load_darknet_keras(*files("[net]\nwidth=8\nheight=8\nchannels=4\n" + layer, values))


def build():
    """Two convolutions and two heads, seeded."""
    import keras

    keras.utils.set_random_seed(0)
    image = keras.Input(batch_shape=(1, *SIZE, 3))
    fine = keras.layers.Conv2D(32, 3, 4, padding="same", activation="relu")(image)
    coarse = keras.layers.Conv2D(64, 3, 2, padding="same")(fine)
    coarse = keras.layers.LeakyReLU(0.1)(coarse)
    return keras.Model(image, [keras.layers.Conv2D(16, 1)(coarse), keras.layers.Conv2D(16, 1)(fine)])


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """scheme name -> (folder, model): each scheme built once."""
    known = {}

    def get(name):
        if name not in known:
            folder, photos = tmp_path_factory.mktemp(name), tmp_path_factory.mktemp("photos")
            data = model(photos)
            detector = KerasDetector(
                name="small-keras", version="1", keras_factory=build, head=HEAD, size=SIZE, classes=CLASSES,
                calibration_images=data.calibration_images, sample_images=data.sample_images,
            )  # fmt: skip
            LiteRTKeras().build(detector, scheme(name), folder)
            known[name] = folder, detector
        return known[name]

    return get


def load(built, name):
    folder, detector = built(name)
    return LiteRTKeras().load(folder, detector, "cpu", 1), tasks["detection"].sample(detector, 1)


def expected(inputs):
    return [np.asarray(head) for head in build()(inputs.transpose(0, 2, 3, 1))]


@pytest.mark.parametrize("name", SCHEMES)
def test_every_scheme_answers_like_the_keras_model(built, name):
    session, inputs = load(built, name)
    assert difference(session(inputs), expected(inputs)) < CLOSE[name]
    session.close()


def test_int8_static_computes_in_int8(built):
    session, inputs = load(built, "int8-static")
    together = {label for counts in session.kernel["delegates"].values() for label in counts}
    assert "CONV_2D int8" in together
    assert "CONV_2D float32" not in together
    assert difference(session(inputs), expected(inputs)) > 1e-4


def test_sizes(built):
    full, half, *quarters = ((built(name)[0] / FILE).stat().st_size for name in SCHEMES)
    assert half < 0.7 * full
    assert all(size < half for size in quarters)


def test_an_operator_that_litert_has_not(tmp_path):
    import keras

    class Cholesky(keras.layers.Layer):
        def call(self, x):
            return keras.ops.cholesky(x)

    def factory():
        image = keras.Input(batch_shape=(1, 3, 3))
        return keras.Model(image, Cholesky()(image))

    odd = KerasDetector(name="odd", version="1", keras_factory=factory, head=HEAD, size=SIZE)
    with pytest.raises(DataError, match="odd: TensorFlow's converter cannot write it in fp32: "):
        LiteRTKeras().build(odd, scheme("fp32"), tmp_path)
