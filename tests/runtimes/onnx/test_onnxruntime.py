"""The ONNX Runtime runtime on a real small module, and on files that are wrong."""

import numpy as np
import pytest

from benchgate.core import DataError, tasks
from benchgate.runtimes.onnx.runtime import OnnxRuntime
from benchgate.runtimes.onnx.session import FILE
from benchgate.tasks.detection import assess, load_coco
from tests.runtimes.helpers import CLOSE, difference, expected, file_model, model, scheme, write_graph
from tests.tasks.detection.helpers import write_coco

pytestmark = pytest.mark.backend("onnxruntime")
SCHEMES = ["fp32", "fp16", "int8-dynamic", "int8-static"]
INTEGERS = ("DynamicQuantizeMatMul", "MatMulInteger", "QLinearMatMul", "QGemm")
INT8 = {"int8-dynamic": "ConvInteger int32", "int8-static": "QLinearConv uint8"}


@pytest.fixture(scope="module", autouse=True)
def packages():
    for name in ("onnxruntime", "onnx", "onnxscript", "torch"):
        pytest.importorskip(name)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """scheme name -> (folder, model): each scheme built once."""
    known = {}

    def get(name):
        if name not in known:
            folder, photos = tmp_path_factory.mktemp(name), tmp_path_factory.mktemp("photos")
            detector = model(photos)
            OnnxRuntime().build(detector, scheme(name), folder)
            known[name] = folder, detector
        return known[name]

    return get


def load(built, name, threads=1):
    folder, detector = built(name)
    return OnnxRuntime().load(folder, detector, "cpu", threads), detector


@pytest.mark.parametrize("name", SCHEMES)
def test_every_scheme_answers_like_the_module(built, name):
    session, detector = load(built, name)
    inputs = tasks["detection"].sample(detector, 1)
    assert difference(session(inputs), expected(inputs)) < CLOSE[name]
    session.close()


def test_int8_differs_from_float(built):
    session, detector = load(built, "int8-static")
    inputs = tasks["detection"].sample(detector, 1)
    assert difference(session(inputs), expected(inputs)) > 1e-4


@pytest.mark.parametrize("name", sorted(INT8))
def test_kernel_tells_what_runs_in_int8(built, name):
    operators = load(built, name)[0].kernel["operators"]
    assert INT8[name] in operators
    assert not any(label.endswith("?") for label in operators)


def test_kernel_of_float(built):
    kernel = load(built, "fp32", threads=2)[0].kernel
    assert (kernel["provider"], kernel["threads"]) == ("CPUExecutionProvider", 2)
    assert kernel["operators"]["Conv float32"] == 5


def test_optimisation_level_changes_what_runs(built):
    folder, detector = built("fp32")
    plain = OnnxRuntime("onnxruntime-plain", optimization="disabled").load(folder, detector, "cpu", 1)
    assert plain.kernel["operators"]["LeakyRelu float32"] == 3
    assert "LeakyRelu float32" not in load(built, "fp32")[0].kernel["operators"]


def test_weights_bytes(built):
    full, half, quarter = (load(built, name)[0].weights_bytes for name in ("fp32", "fp16", "int8-dynamic"))
    assert 0.48 * full < half < 0.52 * full
    assert quarter < 0.30 * full


def test_batches(built):
    session, detector = load(built, "fp32")
    inputs = tasks["detection"].sample(detector, 3)
    assert difference(session(inputs), expected(inputs)) < CLOSE["fp32"]


def test_scores_from_end_to_end(built, tmp_path):
    write_coco(tmp_path / "coco", [(40, 30), (60, 30)], [(1, (2, 3, 10, 12, 1)), (2, (0, 0, 40, 30, 2))])
    session, detector = load(built, "fp32")
    found = assess(session, detector, load_coco(tmp_path / "coco"))
    assert 0 <= found.evaluation.stats["ap"] <= 1


def test_a_file_is_used_as_it_is(built, tmp_path):
    source = built("fp32")[0] / FILE
    (tmp_path / "out").mkdir()
    (tmp_path / "mine.onnx").write_bytes(source.read_bytes())
    OnnxRuntime().build(file_model(tmp_path / "mine.onnx"), scheme("fp32"), tmp_path / "out")
    assert (tmp_path / "out" / FILE).read_bytes() == source.read_bytes()


def test_a_file_can_be_quantized(built, tmp_path):
    (tmp_path / "mine.onnx").write_bytes((built("fp32")[0] / FILE).read_bytes())
    (tmp_path / "out").mkdir()
    mine = file_model(tmp_path / "mine.onnx")
    OnnxRuntime().build(mine, scheme("int8-static"), tmp_path / "out")
    inputs = tasks["detection"].sample(mine, 1)
    session = OnnxRuntime().load(tmp_path / "out", mine, "cpu", 1)
    assert difference(session(inputs), expected(inputs)) < CLOSE["int8-static"]


def test_unsupported_operator(tmp_path):
    write_graph(tmp_path / FILE, "FancyNMS")
    with pytest.raises(DataError, match=r"cannot be read as a graph for ONNX Runtime .*FancyNMS"):
        OnnxRuntime().load(tmp_path, file_model(tmp_path / FILE), "cpu", 1)


@pytest.mark.parametrize("content", [b"this is no model", b""])
def test_what_is_no_onnx_file(tmp_path, content):
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(DataError, match=r"model\.onnx: cannot be read as a graph for ONNX Runtime"):
        OnnxRuntime().load(tmp_path, file_model(tmp_path / FILE), "cpu", 1)


def test_what_is_no_onnx_file_cannot_be_quantized(tmp_path):
    (tmp_path / "mine.onnx").write_bytes(b"this is no model")
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError, match=r"mine\.onnx: cannot be read as an ONNX file"):
        OnnxRuntime().build(file_model(tmp_path / "mine.onnx"), scheme("fp16"), tmp_path / "out")


def test_batch_that_a_file_does_not_take(tmp_path):
    write_graph(tmp_path / FILE, "Relu")
    session = OnnxRuntime().load(tmp_path, file_model(tmp_path / FILE), "cpu", 1)
    with pytest.raises(DataError, match=r"takes \{'image': \[1, 3, 64, 64\]\}, got \{'image': \[2, 3, 64, 64\]\}"):
        session(np.zeros((2, 3, 64, 64), dtype=np.float32))


def test_missing_device():
    assert "runs on cpu, cuda, not mps" in OnnxRuntime().missing("mps")
    assert OnnxRuntime().missing("cpu") is None


class Pixels:
    name, unit = "pixels", "images"

    def sample(self, model, batch):
        return np.linspace(-1, 1, batch * 192, dtype=np.float32).reshape(batch, 3, 8, 8)

    def score(self, session, model, data):
        return {}


class Classifier:
    """Convolutions, and a linear layer whose weight the exporter transposes."""

    name, version, task = "small-classifier", "1", "pixels"

    def build(self):
        import torch

        torch.manual_seed(0)
        return torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(288, 64)
        )

    def calibration(self):
        yield from np.split(Pixels().sample(self, 4), 4)


@pytest.mark.parametrize("name", SCHEMES)
def test_a_classifiers_linear_layer_in_every_scheme(tmp_path, name):
    import torch

    classifier, inputs = Classifier(), Pixels().sample(None, 2)
    with tasks.extended(Pixels()):
        OnnxRuntime().build(classifier, scheme(name), tmp_path)
        session = OnnxRuntime().load(tmp_path, classifier, "cpu", 1)
    with torch.inference_mode():
        right = classifier.build()(torch.from_numpy(inputs)).numpy()
    (answer,) = session(inputs).values()
    assert np.linalg.norm(answer - right) < 0.1 * np.linalg.norm(right)
    if name in INT8:
        kinds = set(session.kernel["operators"])
        assert any(kind.startswith(INTEGERS) for kind in kinds), kinds
    session.close()
