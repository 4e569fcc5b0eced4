"""ONNX Runtime: torch modules exported to ONNX, or .onnx files, in float32, float16 and int8 (dynamic, static QDQ).

int8-dynamic quantizes weights per tensor and activations on the fly (ConvInteger, MatMulInteger); int8-static writes
quantize/dequantize pairs calibrated on the model's own calibration inputs. float16 keeps float32 inputs and outputs.
On CPUs float16 computes little or nothing in float16: `kernel` tells which operators really run in which type.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import shutil
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchgate.core import DataError, Model, Scheme, Unavailable, runtimes, tasks
from benchgate.packages import missing_packages
from benchgate.runtimes import onnx_text2text
from benchgate.runtimes.text2text import SteppedSession

FILE = "model.onnx"
SUFFIX = ".onnx"
BUILD_NEEDS = {"onnx": "onnx", "onnxscript": "onnx", "torch": "onnx"}
OPSET = 18
METHODS = ("float", "int8-dynamic", "int8-static")
DTYPES = ("float32", "float16")
# Tasks whose session is more than one call of a graph.
STEPWISE_TASKS = frozenset({"causal-lm", "text2text", "training"})
LEVELS = {
    "disabled": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}
# Operators whose output type is not that of an input.
OUTPUT_TYPES = {"ConvInteger": "int32", "MatMulInteger": "int32", "DynamicQuantizeLinear": "uint8", "Less": "bool"}
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


@dataclass(frozen=True)
class OnnxRuntime:
    """`optimization` is the graph optimisation level at load; another one is another runtime with another name."""

    name: str = "onnxruntime"
    optimization: Literal["disabled", "basic", "extended", "all"] = "all"
    format: str = "onnx"
    needs: Mapping[str, str] = field(default_factory=lambda: {"onnxruntime": "onnx"})
    build_needs: Mapping[str, str] = field(default_factory=lambda: BUILD_NEEDS)

    def refuses(self, model: Model, scheme: Scheme) -> str | None:
        path = getattr(model, "path", None)
        if path is not None and Path(path).suffix != SUFFIX:
            return f"{model.name} is {Path(path).name}, {self.name} reads {SUFFIX} files"
        if model.task in STEPWISE_TASKS:
            return self._refuses_steps(model, scheme)
        if scheme.method not in METHODS:
            return f"{self.name} has no {scheme.method} compression"
        if scheme.method == "float" and scheme.options.get("dtype") not in DTYPES:
            return f"{self.name} has no {scheme.name} on ONNX, only {', '.join(DTYPES)}"
        if scheme.method == "int8-static" and not hasattr(model, "calibration"):
            return f"{model.name} has no calibration(), which {scheme.name} needs"
        return None

    def _refuses_steps(self, model: Model, scheme: Scheme) -> str | None:
        if model.task != "text2text":
            return f"{model.task} models are run step by step, {self.name} runs one graph a call"
        if scheme.name not in onnx_text2text.SCHEMES:
            return f"{self.name} has no {scheme.name} of text2text models, only {', '.join(onnx_text2text.SCHEMES)}"
        return None

    def missing(self, device: str) -> str | None:
        if device not in PROVIDERS:
            return f"{self.name} runs on {', '.join(PROVIDERS)}, not {device}"
        import onnxruntime

        if PROVIDERS[device] not in onnxruntime.get_available_providers():
            return f"this onnxruntime has no {PROVIDERS[device]}; pip install onnxruntime-gpu"
        return None

    def build(self, model: Model, scheme: Scheme, out: Path) -> None:
        if model.task == "text2text":
            return onnx_text2text.build(model, scheme, out)
        target = out / FILE
        with tempfile.TemporaryDirectory() as folder:
            source = _float32_file(model, Path(folder) / FILE)
            if scheme.method == "float" and scheme.options["dtype"] == "float32":
                shutil.copyfile(source, target)
                return
            if reason := missing_packages({"onnx": "onnx"}):
                raise Unavailable(reason)
            with _readable(source):
                _compress(source, model, scheme, target)

    def load(self, path: Path, model: Model, device: str, threads: int) -> OnnxSession | SteppedSession:
        def opened(file: str) -> OnnxSession:
            return OnnxSession(path / file, LEVELS[self.optimization], PROVIDERS[device], threads)

        return onnx_text2text.session(opened, model) if model.task == "text2text" else opened(FILE)


def _float32_file(model: Any, target: Path) -> Path:
    """The model's own file, or its module exported to `target`. Raises Unavailable without the exporter's packages."""
    if getattr(model, "path", None) is not None:
        return Path(model.path)
    if reason := missing_packages(BUILD_NEEDS):
        raise Unavailable(reason)
    import torch

    inputs = tuple(torch.from_numpy(part) for part in _parts(tasks[model.task].sample(model, 2)))
    module = model.build().eval()
    names = list(inspect.signature(module.forward).parameters)[: len(inputs)]
    batch = torch.export.Dim.DYNAMIC
    with torch.inference_mode(), _quiet():
        program = torch.onnx.export(
            module,
            inputs,
            dynamo=True,
            opset_version=OPSET,
            input_names=names,
            dynamic_shapes=tuple({0: batch} for _ in inputs),
            verbose=False,
        )
        program.save(target, external_data=False)
    return target


@contextlib.contextmanager
def _readable(source: Path) -> Iterator[None]:
    """Say which file a library could not read, in one line."""
    from google.protobuf.message import DecodeError

    try:
        yield
    except DecodeError as error:
        raise DataError(f"{source}: not an ONNX file ({error})") from error


def _compress(source: Path, model: Any, scheme: Scheme, target: Path) -> None:
    with _quiet():
        if scheme.method == "float":
            _to_float16(source, target)
        elif scheme.method == "int8-dynamic":
            from onnxruntime.quantization import QuantType, quantize_dynamic

            # ConvInteger on CPU takes unsigned weights only.
            quantize_dynamic(source, target, weight_type=QuantType.QUInt8)
        else:
            _to_static(source, model, scheme, target)


def _to_float16(source: Path, target: Path) -> None:
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    onnx.save(convert_float_to_float16(onnx.load(source), keep_io_types=True), target)


def _to_static(source: Path, model: Any, scheme: Scheme, target: Path) -> None:
    """Weights int8 per channel, activations uint8 per tensor. `scheme.options["calibrate"]`: MinMax (default), Entropy
    or Percentile."""
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = target.with_name("prepared.onnx")
    quant_pre_process(source, prepared, skip_symbolic_shape=True)
    names = [value.name for value in onnx.load(prepared, load_external_data=False).graph.input]
    quantize_static(
        prepared,
        target,
        _Calibration(names, model.calibration()),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod[scheme.options.get("calibrate", "MinMax")],
    )
    prepared.unlink()


class _Calibration:
    """The calibration inputs as ONNX Runtime's quantizer asks for them, one mapping a call, then None."""

    def __init__(self, names: Sequence[str], inputs: Iterator[Any]) -> None:
        self.names, self.inputs = names, iter(inputs)

    def get_next(self) -> dict[str, Any] | None:
        following = next(self.inputs, None)
        return None if following is None else dict(zip(self.names, _parts(following), strict=True))

    def __len__(self) -> int:
        raise TypeError("calibration inputs are read once, their number is not known")


class OnnxSession:
    """Called with an array (or a tuple of arrays); answers with a mapping from output name to array."""

    def __init__(self, path: Path, level: str, provider: str, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        self.path, self.options, self.provider, self.level = path, options, provider, level
        self.session: Any = _open(path, options, provider)
        self.inputs = [value.name for value in self.session.get_inputs()]
        self.outputs = [value.name for value in self.session.get_outputs()]
        self.shapes = [value.shape for value in self.session.get_inputs()]

    def __call__(self, inputs: Any) -> dict[str, Any]:
        feed = dict(zip(self.inputs, _parts(inputs), strict=True))
        return dict(zip(self.outputs, self._run(feed), strict=True))

    def _run(self, feed: Mapping[str, Any]) -> list[Any]:
        try:
            found: list[Any] = self.session.run(self.outputs, feed)
            return found
        except _errors() as error:
            expected = dict(zip(self.inputs, self.shapes, strict=True))
            given = {name: list(value.shape) for name, value in feed.items()}
            raise DataError(f"{self.path.name} takes {expected}, got {given}: {_line(error)}") from error

    @cached_property
    def kernel(self) -> Mapping[str, Any]:
        """Operators after optimisation, counted by name and output type, as ONNX Runtime itself writes them.

        Read when asked for (the graph is optimised once more), so that loading stays what it is.
        """
        described = {"provider": self.provider, "optimization": self.level, "threads": self._threads}
        if missing_packages({"onnx": "onnx"}):
            return {**described, "operators": "unknown: onnx is not installed"}
        return {**described, "operators": optimized_operators(self.path, self.options, self.provider)}

    @cached_property
    def weights_bytes(self) -> int | None:
        """Bytes of the file's initializers, None where the onnx package is missing."""
        if missing_packages({"onnx": "onnx"}):
            return None
        import onnx

        return sum(len(onnx.numpy_helper.to_array(w).tobytes()) for w in onnx.load(self.path).graph.initializer)

    @property
    def _threads(self) -> int:
        return int(self.options.intra_op_num_threads)

    def close(self) -> None:
        self.session = None


def _open(path: Path, options: Any, provider: str) -> Any:
    import onnxruntime

    try:
        return onnxruntime.InferenceSession(str(path), options, providers=[provider])
    except _errors() as error:
        raise DataError(
            f"{path}: ONNX Runtime {onnxruntime.__version__} cannot load it: {_line(error)}. "
            "Export it with operators and an opset that this version knows"
        ) from error


def _errors() -> tuple[type[Exception], ...]:
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    names = (
        "Fail",
        "InvalidArgument",
        "InvalidGraph",
        "InvalidProtobuf",
        "NoSuchFile",
        "NotImplemented",
        "RuntimeException",
    )
    return tuple(getattr(state, name) for name in names)


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def optimized_operators(path: Path, options: Any, provider: str) -> dict[str, int]:
    """`{"QLinearConv uint8": 13, "Cast float16": 4}`: counts of the operators that ONNX Runtime executes."""
    import onnx
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / FILE
        again = onnxruntime.SessionOptions()
        again.graph_optimization_level = options.graph_optimization_level
        again.log_severity_level = 4
        again.optimized_model_filepath = str(written)
        onnxruntime.InferenceSession(str(path), again, providers=[provider])
        graph = onnx.load(written).graph
    types = _types(graph)
    return dict(Counter(f"{node.op_type} {types.get(node.output[0], '?')}" for node in graph.node).most_common())


def _types(graph: Any) -> dict[str, str]:
    """Element type of every value. The optimiser's own operators have none: they take that of their inputs."""
    import onnx

    known = {v.name: _name(v.type.tensor_type.elem_type) for v in [*graph.value_info, *graph.output, *graph.input]}
    known |= {weight.name: _name(weight.data_type) for weight in graph.initializer}
    for node in graph.node:
        for output in node.output:
            known.setdefault(output, _output_type(node, known, onnx.helper.get_node_attr_value))
    return known


def _output_type(node: Any, known: Mapping[str, str], attribute: Callable[[Any, str], Any]) -> str:
    if node.op_type in OUTPUT_TYPES:
        return OUTPUT_TYPES[node.op_type]
    if node.op_type == "Cast":
        return _name(attribute(node, "to"))
    # DequantizeLinear gives its scale's type, QuantizeLinear its zero point's, any other its first input's.
    position = {"DequantizeLinear": 1, "QuantizeLinear": 2, "Where": 1}.get(node.op_type, 0)
    return known.get(node.input[position], "?") if position < len(node.input) else "?"


def _name(kind: int) -> str:
    import onnx

    name = onnx.TensorProto.DataType.Name(kind).lower()
    return "float32" if name == "float" else name


def _parts(inputs: Any) -> list[Any]:
    return list(inputs) if isinstance(inputs, tuple | list) else [np.asarray(inputs)]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporters' progress notes and deprecation warnings out of the test run's output."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield


runtimes.add(OnnxRuntime)
