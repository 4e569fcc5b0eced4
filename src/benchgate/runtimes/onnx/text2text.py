"""Text2text on ONNX Runtime: `begin` and `step` of the module as two ONNX files, the cache passed from call to call; as
one file where the module has `extend` (`ExtendingModule`), so that its weights are there once.

Exported by tracing: torch's newer exporter (`dynamo=True`) was seen to fail on the step of torch 2.13's modules.
int8-dynamic is ONNX Runtime's own: weights int8 per channel, activations uint8 per tensor, quantized on the fly.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchgate.core import Runtime, Scheme, Unavailable, support
from benchgate.core.arrays import np
from benchgate.machine.packages import missing_packages
from benchgate.runtimes.onnx.session import Opened
from benchgate.tasks.text2text.stepped import SteppedSession
from benchgate.tasks.text2text.traced import Example, example, moving

BEGIN, STEP, EXTEND = "begin.onnx", "step.onnx", "extend.onnx"
OPSET = 17
BUILD_NEEDS = {"onnx": "onnx", "torch": "onnx"}


def build(model: Any, scheme: Scheme, out: Path, runtime: Runtime) -> None:
    """Write the files. Raises Unavailable without the exporter's packages."""
    if reason := missing_packages(BUILD_NEEDS):
        raise Unavailable(reason)
    compress = support.imported(support.compressor_row(model, scheme, runtime).target)
    module = model.build().float().eval()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one = hasattr(module, "extend")
        for name, export in [(EXTEND, _export_extend)] if one else [(BEGIN, _export_begin), (STEP, _export_step)]:
            export(module, model.vocabulary, Path(folder) / name)
            compress(Path(folder) / name, out / name, model, scheme)


def _export_begin(module: Any, vocabulary: int, path: Path) -> None:
    first, second = _examples(module, vocabulary)
    outputs = [*_named("memory", first.memory), *_named("cache", first.cache)]
    _export(_only(module, "begin"), first.begin, second.begin, ["source", "mask"], outputs, path)


def _export_step(module: Any, vocabulary: int, path: Path) -> None:
    first, second = _examples(module, vocabulary)
    inputs = ["tokens", *_named("memory", first.memory), *_named("cache", first.cache)]
    outputs = ["logits", *_named("next", first.cache)]
    _export(_only(module, "step"), first.step, second.step, inputs, outputs, path)


def _export_extend(module: Any, vocabulary: int, path: Path) -> None:
    first, second = _examples(module, vocabulary)
    inputs = ["tokens", "mask", *_named("cache", first.cache)]
    outputs = ["logits", *_named("next", first.cache)]
    _export(_only(module, "extend"), first.extend, second.extend, inputs, outputs, path)


def _examples(module: Any, vocabulary: int) -> tuple[Example, Example]:
    """Two that differ in every size that may change."""
    return example(module, 2, 5, 2, vocabulary), example(module, 3, 7, 4, vocabulary)


def _named(kind: str, parts: Sequence[Any]) -> list[str]:
    return [f"{kind}_{index}" for index in range(len(parts))]


def _only(module: Any, name: str) -> Any:
    """A module whose forward is one function of `module`: the exporter exports nothing else."""
    import torch

    class Function(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, *inputs: Any) -> Any:
            return getattr(self.module, name)(*inputs)

    return Function().eval()


def _export(function: Any, given: Any, other: Any, inputs: list[str], outputs: list[str], path: Path) -> None:
    import torch
    from torch.utils._pytree import tree_leaves

    pairs = zip(inputs, tree_leaves(given), tree_leaves(other), strict=True)
    axes = {name: {axis: f"{name}_{axis}" for axis in moving(one, two)} for name, one, two in pairs}
    with torch.inference_mode():
        torch.onnx.export(
            function, given, str(path), dynamo=False, opset_version=OPSET, input_names=inputs, output_names=outputs,
            dynamic_axes=axes,
        )  # fmt: skip


def int8_dynamic(source: Path, target: Path, model: Any, scheme: Scheme) -> None:
    """Weights int8 per channel, activations uint8 per tensor."""
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    # Folds constants first, so that the quantizer finds the weights; its symbolic shapes are not needed for that.
    prepared = source.with_suffix(".prepared")
    quant_pre_process(source, prepared, skip_symbolic_shape=True)
    quantize_dynamic(prepared, target, weight_type=QuantType.QInt8, per_channel=True)


def load(opened: Opened, model: Any) -> SteppedSession:
    """A Text2TextSession on the files of the artifact."""
    if (opened.folder / EXTEND).is_file():
        return SteppedSession(ExtendingStepper(opened.graph(EXTEND)), model)
    return SteppedSession(OnnxStepper(opened.graph(BEGIN), opened.graph(STEP)), model)


class OnnxDecoding:
    """One batch. Memory and cache stay what ONNX Runtime answered."""

    def __init__(self, step: Any, memory: list[np.ndarray], cache: list[np.ndarray]) -> None:
        self._step, self._memory, self._cache = step, memory, cache

    def step(self, tokens: np.ndarray) -> np.ndarray:
        logits, *self._cache = self._step((tokens, *self._memory, *self._cache)).values()
        found: np.ndarray = logits
        return found

    def reorder(self, rows: np.ndarray) -> None:
        self._memory = [part[rows] for part in self._memory]
        self._cache = [part[rows] for part in self._cache]


class OnnxStepper:
    """Both files in a session each (`benchgate.runtimes.onnx.runtime.OnnxSession`)."""

    def __init__(self, begin: Any, step: Any) -> None:
        self._begin, self._step = begin, step

    def begin(self, source: np.ndarray, mask: np.ndarray) -> OnnxDecoding:
        found = self._begin((source, mask))
        memory = [part for name, part in found.items() if name.startswith("memory")]
        return OnnxDecoding(self._step, memory, list(found.values())[len(memory) :])

    @property
    def kernel(self) -> Mapping[str, Any]:
        return {"begin": self._begin.kernel, "step": self._step.kernel}

    @property
    def weights_bytes(self) -> int | None:
        parts = [self._begin.weights_bytes, self._step.weights_bytes]
        return None if None in parts else sum(parts)


class ExtendingDecoding:
    """One batch on a module's `extend`: the mask grows with the cache."""

    def __init__(self, graph: Any, mask: np.ndarray, cache: list[np.ndarray]) -> None:
        self._graph, self._mask, self._cache = graph, mask, cache

    def step(self, tokens: np.ndarray) -> np.ndarray:
        self._mask = np.pad(self._mask, ((0, 0), (0, 1)), constant_values=1)
        logits, *self._cache = self._graph((tokens[:, None], self._mask, *self._cache)).values()
        found: np.ndarray = logits
        return found

    def reorder(self, rows: np.ndarray) -> None:
        self._mask = self._mask[rows]
        self._cache = [part[rows] for part in self._cache]


class ExtendingStepper:
    """One file in a session (`benchgate.runtimes.onnx.session.OnnxSession`)."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph

    def begin(self, source: np.ndarray, mask: np.ndarray) -> ExtendingDecoding:
        # [batch, heads, past, width] each, with nothing in the past.
        empty = (np.zeros((len(source), heads, 0, width), np.float32) for _, heads, _, width in self._graph.shapes[2:])
        _, *cache = self._graph((source, mask, *empty)).values()
        return ExtendingDecoding(self._graph, mask, cache)

    @property
    def kernel(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._graph.kernel
        return found

    @property
    def weights_bytes(self) -> int | None:
        found: int | None = self._graph.weights_bytes
        return found
