"""Files with some bytes changed, cut or put in, and JSON with one thing wrong: read, or refused as a BenchgateError.

500 cases here; `BENCHGATE_FUZZ=20000 pytest tests/test_readers_fuzz.py` for more. No case may take ten seconds, all
together not a gigabyte.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import random
import resource
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from benchgate.core import BenchgateError
from benchgate.runtimes.ggml.header import check
from benchgate.runtimes.gptq.calibration import calibration_texts
from benchgate.storage.package_index import open_member
from benchgate.tasks.causal_lm import passages
from benchgate.tasks.detection import load_coco
from benchgate.tasks.detection.images import read_image
from benchgate.tasks.text2text import rewrites
from benchgate.tasks.text2text.models import read_config
from fixtures.darknet import head_of, read_darknet
from tests.loopback import sdist, wheel
from tests.tasks.detection.helpers import write_coco

CASES = int(os.environ.get("BENCHGATE_FUZZ", "500"))
FUZZ = settings(max_examples=CASES, deadline=10_000, suppress_health_check=list(HealthCheck), database=None)
MOST_KILOBYTES = 1 << 20


@pytest.fixture(autouse=True)
def memory():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_KILOBYTES


def image(kind: str) -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def gguf() -> bytes:
    def text(value: bytes) -> bytes:
        return struct.pack("<Q", len(value)) + value

    fields = text(b"general.architecture") + struct.pack("<I", 8) + text(b"llama")
    fields += text(b"a") + struct.pack("<IIQ", 9, 8, 2) + text(b"x") + text(b"y")
    tensor = text(b"w") + struct.pack("<IQIQ", 1, 32, 0, 0)
    return b"GGUF" + struct.pack("<IQQ", 3, 1, 2) + fields + tensor + bytes(200)


CFG = (
    b"[net]\nwidth=8\nheight=8\nchannels=2\n[convolutional]\nfilters=2\nsize=1\nstride=1\npad=1\nactivation=linear\n"
    b"[route]\nlayers=-1\n[yolo]\nmask=0\nanchors=1,2, 3,4\n"
)
DARKNET = np.array([0, 2, 0, 0, 0], dtype="<i4").tobytes() + np.ones(6, dtype="<f4").tobytes()


def one_darknet(path: Path) -> None:
    cfg = path.with_name("whole.cfg")
    cfg.write_bytes(CFG)
    read_darknet(cfg, path)


def with_weights(path: Path) -> None:
    weights = path.with_name("whole.weights")
    weights.write_bytes(DARKNET)
    head_of(path)
    read_darknet(path, weights)


def member(path: Path) -> None:
    with open_member(path, "a/b.bin") as stream:
        stream.read(1 << 20)


def jsonl(*entries: Any) -> bytes:
    return "".join(json.dumps(entry) + "\n" for entry in entries).encode()


def config(path: Path) -> None:
    path.with_name("config.json").write_bytes(path.read_bytes())
    read_config.cache_clear()
    read_config(path.parent)


READERS: dict[str, tuple[Callable[[Path], Any], bytes]] = {
    "jpeg": (read_image, image("JPEG")),
    "png": (read_image, image("PNG")),
    "webp": (read_image, image("WEBP")),
    "bmp": (read_image, image("BMP")),
    "gguf": (check, gguf()),
    "darknet cfg": (with_weights, CFG),
    "darknet weights": (one_darknet, DARKNET),
    "wheel": (member, wheel({"a/b.bin": bytes(range(256)), "c": b"d"})),
    "sdist": (member, sdist({"a/b.bin": bytes(range(256)), "c": b"d"})),
    "passages": (passages.load, jsonl({"context": "a b", "continuation": "c"}, {"text": "d e"})),
    "rewrites": (rewrites.load, jsonl({"context": ["a"], "query": "b", "reformulation": "c", "id": "1"})),
    "calibration": (lambda path: calibration_texts(str(path)), jsonl({"text": "a"})),
    "config": (config, b'{"model_type": "t5", "layers": [1, 2]}'),
}


def changed(whole: bytes, seed: int) -> bytes:
    """`whole` with one to four things done to it."""
    chance, content = random.Random(seed), bytearray(whole)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(content) + 1)
        how = chance.choice(["byte", "byte", "byte", "bit", "cut", "insert", "delete", "ones", "number"])
        if how == "byte":
            content[place : place + 1] = bytes([chance.randrange(256)])
        elif how == "bit" and place < len(content):
            content[place] ^= 1 << chance.randrange(8)
        elif how == "cut":
            del content[place:]
        elif how == "insert":
            content[place:place] = chance.randbytes(chance.randint(1, 40))
        elif how == "delete":
            del content[place : place + chance.randint(1, 20)]
        elif how == "ones":
            content[place : place + 8] = b"\xff" * 8
        elif how == "number":
            content[place : place + 1] = chance.choice([b"-1", b"0", b"1e999", b"99999999999999999999", b"NaN"])
    return bytes(content)


@pytest.mark.parametrize("name", list(READERS))
def test_a_damaged_file_is_read_or_refused(tmp_path, name):
    reader, whole = READERS[name]
    path = tmp_path / "file.bin"
    path.write_bytes(whole)
    reader(path)

    @FUZZ
    @given(st.integers(0, 1 << 62))
    def damaged(seed):
        path.write_bytes(changed(whole, seed))
        with contextlib.suppress(BenchgateError):
            reader(path)

    damaged()


ODD = [None, [], {}, "", "x", True, 0, -1, 1.5, 10**400, 2**64, float("nan"), float("inf"), "\ud800", "../x", [[1]]]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [found for key, below in inner for found in places(below, (*path, key))]


def test_annotations_with_things_wrong_are_read_or_refused(tmp_path):
    whole = write_coco(tmp_path, [(8, 6), (8, 6)], [(1, (0, 0, 4, 4, 1)), (2, (1, 1, 4, 4, 2))])
    everywhere = places(whole)

    @FUZZ
    @given(st.lists(st.tuples(st.sampled_from(everywhere), st.sampled_from(ODD)), min_size=1, max_size=3))
    def wrong(changes):
        document = copy.deepcopy(whole)
        for (*outer, last), value in changes:
            target = document
            with contextlib.suppress(KeyError, IndexError, TypeError):
                for key in outer:
                    target = target[key]
                # A copy: the next change may put something into it.
                target[last] = copy.deepcopy(value)
        (tmp_path / "annotations" / "instances_val2017.json").write_text(json.dumps(document))
        with contextlib.suppress(BenchgateError):
            load_coco(tmp_path).sample(1).photos[0].pixels()

    wrong()


@pytest.mark.backend("torch")
def test_a_damaged_state_dict_is_read_or_refused(tmp_path):
    import torch

    from benchgate.runtimes.torch.runtime import read_state

    path = tmp_path / "weights.pt"
    torch.save({"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.bfloat16)}, path)
    whole = path.read_bytes()
    assert read_state(path, "cpu").keys() == {"a", "b"}

    @FUZZ
    @given(st.integers(0, 1 << 62))
    def damaged(seed):
        path.write_bytes(changed(whole, seed))
        with contextlib.suppress(BenchgateError):
            read_state(path, "cpu")

    damaged()


@pytest.mark.backend("torch")
def test_a_damaged_checkpoint_is_read_or_left_aside(tmp_path, capsys):
    import torch

    from benchgate.trainer import checkpoint

    module = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(module.parameters())
    module(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    path = tmp_path / "checkpoint.safetensors"
    checkpoint.save(path, module, optimizer, {}, {"step": 1})
    whole = path.read_bytes()

    def load():
        return checkpoint.load(path, module, optimizer, lambda best, state: state["step"])

    assert load() == 1

    @FUZZ
    @given(st.integers(0, 1 << 62))
    def damaged(seed):
        path.write_bytes(changed(whole, seed))
        # Where the file was damaged in a number of the weights nothing can tell; all else is said and left aside.
        assert load() is not None or "training from the start" in capsys.readouterr().err

    damaged()


@pytest.mark.backend("onnxruntime")
def test_a_damaged_onnx_file_is_read_or_refused(tmp_path):
    import onnx

    from benchgate.runtimes.onnx.session import initializer_bytes, open_session, optimized_operators, session_options

    helper, f32 = onnx.helper, onnx.TensorProto.FLOAT
    weights = onnx.numpy_helper.from_array(np.arange(6, dtype=np.float32).reshape(3, 2), "w")
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["y"])]
    ends = [helper.make_tensor_value_info(name, f32, ["n", size]) for name, size in (("x", 3), ("y", 2))]
    graph = helper.make_graph(nodes, "small", ends[:1], ends[1:], [weights])
    whole = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
    path = tmp_path / "small.onnx"
    provider = "CPUExecutionProvider"

    options = session_options("ORT_ENABLE_ALL", 1)
    readers = (
        lambda: open_session(path, options, provider),
        lambda: initializer_bytes(path),
        lambda: optimized_operators(path, options, provider),
    )
    path.write_bytes(whole)
    for reader in readers:
        reader()

    @FUZZ
    @given(st.integers(0, 1 << 62))
    def damaged(seed):
        path.write_bytes(changed(whole, seed))
        # Each by itself: what one refuses another must not fall over.
        for reader in readers:
            with contextlib.suppress(BenchgateError):
                reader()

    damaged()
