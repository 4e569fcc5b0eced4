"""LiteRT (formerly TensorFlow Lite): torch modules through litert-torch, or .tflite files, run by ai-edge-litert.

float16 stores weights in 16 bits; XNNPACK widens them when it loads, so it halves the file and changes neither speed
nor memory. int8-dynamic and int8-weight-only quantize weights per channel; int8-static quantizes activations too,
calibrated on the model's own inputs. `kernel` tells which operators a delegate took, and in which type.
"""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from benchgate.core import DataError, InvalidOutput, Model, Scheme, Unavailable, runtimes, tasks
from benchgate.packages import missing_packages

FILE = "model.tflite"
SUFFIX = ".tflite"
IDENTIFIER = b"TFL3"
CONVERTER = {"litert_torch": "litert", "torch": "litert"}
QUANTIZER = {"ai_edge_quantizer": "litert"}
METHODS = ("float", "int8-dynamic", "int8-weight-only", "int8-static")
DTYPES = ("float32", "float16")
STEPWISE_TASKS = frozenset({"causal-lm", "text2text", "training"})
# Operators that int8-static leaves in float, because the quantizer or the interpreter has no int8 kernel for them.
STATIC_FLOAT_OPERATORS = ("DIV",)


@dataclass(frozen=True)
class LiteRT:
    """`xnnpack=False` runs LiteRT's own kernels; a runtime with it needs another name."""

    name: str = "litert"
    xnnpack: bool = True
    format: str = "tflite"
    needs: Mapping[str, str] = field(default_factory=lambda: {"ai_edge_litert": "litert"})
    build_needs: Mapping[str, str] = field(default_factory=lambda: {**CONVERTER, **QUANTIZER})

    def refuses(self, model: Model, scheme: Scheme) -> str | None:
        path = getattr(model, "path", None)
        if path is not None and Path(path).suffix != SUFFIX:
            return f"{model.name} is {Path(path).name}, {self.name} reads {SUFFIX} files and converts torch modules"
        if model.task in STEPWISE_TASKS:
            return f"{model.task} models are run step by step, {self.name} runs one graph a call"
        if scheme.method not in METHODS:
            return f"{self.name} has no {scheme.method} compression"
        if scheme.method == "float" and scheme.options.get("dtype") not in DTYPES:
            return f"{self.name} has no {scheme.name}, only {', '.join(DTYPES)}"
        if scheme.method == "int8-static" and not hasattr(model, "calibration"):
            return f"{model.name} has no calibration(), which {scheme.name} needs"
        return None

    def missing(self, device: str) -> str | None:
        return None if device == "cpu" else f"{self.name} runs on cpu, not {device}"

    def build(self, model: Model, scheme: Scheme, out: Path) -> None:
        target = out / FILE
        plain = scheme.method == "float" and scheme.options["dtype"] == "float32"
        if not plain and (reason := missing_packages(QUANTIZER)):
            raise Unavailable(reason)
        with tempfile.TemporaryDirectory() as folder, _quiet():
            source = _float32_file(model, Path(folder) / FILE, scheme)
            if plain:
                shutil.copyfile(source, target)
            else:
                _quantize(source, model, scheme, target)

    def load(self, path: Path, model: Model, device: str, threads: int) -> LiteRTSession:
        return LiteRTSession(path / FILE, self.xnnpack, threads)


def _float32_file(model: Any, target: Path, scheme: Scheme) -> Path:
    """The model's own file, or its module converted to `target`. Raises Unavailable without the converter."""
    if getattr(model, "path", None) is not None:
        return _checked(Path(model.path))
    if reason := missing_packages(CONVERTER):
        raise Unavailable(reason)
    import litert_torch
    import torch

    sample = tasks[model.task].sample(model, 1)
    inputs = tuple(torch.from_numpy(np.asarray(part)) for part in _parts(sample))
    module = model.build().eval()
    if scheme.method == "int8-static":
        _without_leaky(module)
    litert_torch.convert(module, inputs).export(str(target))
    return target


def _without_leaky(module: Any) -> None:
    """Write leaky ReLU as max(x, a x): LiteRT's quantizer has no int8 leaky ReLU and would leave float islands."""
    from torch import nn

    class Maximum(nn.Module):  # type: ignore[misc]
        def __init__(self, slope: float) -> None:
            super().__init__()
            self.slope = slope

        def forward(self, x: Any) -> Any:
            # In this order: the converter recognises maximum(slope * x, x) and turns it back.
            return x.maximum(x * self.slope)

    for child_name, child in list(module.named_children()):
        if isinstance(child, nn.LeakyReLU) and 0 <= child.negative_slope <= 1:
            setattr(module, child_name, Maximum(child.negative_slope))
        else:
            _without_leaky(child)


def _quantize(source: Path, model: Any, scheme: Scheme, target: Path) -> None:
    from ai_edge_quantizer import Quantizer, recipe

    quantizer = Quantizer(str(source))
    calibration = None
    if scheme.method == "float":
        _ask_float16(quantizer)
    elif scheme.method == "int8-static":
        quantizer.load_quantization_recipe(recipe.static_wi8_ai8())
        _keep_float(quantizer)
        calibration = quantizer.calibrate(_calibration_data(source, model), num_threads=1)
    elif scheme.method == "int8-dynamic":
        quantizer.load_quantization_recipe(recipe.dynamic_wi8_afp32())
    else:
        quantizer.load_quantization_recipe(recipe.weight_only_wi8_afp32())
    quantizer.quantize(calibration, enable_progress_report=False).export_model(str(target), overwrite=True)


def _ask_float16(quantizer: Any) -> None:
    from ai_edge_quantizer import qtyping
    from ai_edge_quantizer.algorithm_manager import AlgorithmName

    weights = qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT)
    quantizer.update_quantization_recipe(
        regex=".*",
        operation_name=qtyping.TFLOperationName.ALL_SUPPORTED,
        op_config=qtyping.OpQuantizationConfig(
            weight_tensor_config=weights,
            compute_precision=qtyping.ComputePrecision.FLOAT,
            explicit_dequantize=True,
        ),
        algorithm_key=AlgorithmName.FLOAT_CASTING,
    )


def _keep_float(quantizer: Any) -> None:
    from ai_edge_quantizer import qtyping
    from ai_edge_quantizer.algorithm_manager import AlgorithmName

    for name in STATIC_FLOAT_OPERATORS:
        operation = qtyping.TFLOperationName(name)
        quantizer.update_quantization_recipe(".*", operation, algorithm_key=AlgorithmName.NO_QUANTIZE)


def _calibration_data(source: Path, model: Any) -> dict[str, list[dict[str, Any]]]:
    """The model's calibration inputs under the file's own signature and input names."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(source), num_threads=1)
    signatures = interpreter.get_signature_list()
    if len(signatures) != 1:
        raise DataError(f"{source.name}: int8-static needs a file with one signature, it has {sorted(signatures)}")
    (signature, names), *_ = signatures.items()
    shapes = [tuple(detail["shape"]) for detail in interpreter.get_input_details()]
    return {
        signature: [
            dict(zip(names["inputs"], (_laid_out(p, s) for p, s in zip(_parts(x), shapes, strict=True)), strict=True))
            for x in model.calibration()
        ]
    }


class LiteRTSession:
    """Called with a float32 array (NCHW for images, whatever the file's layout); answers by output name, float32."""

    def __init__(self, path: Path, xnnpack: bool, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        resolver = OpResolverType.AUTO if xnnpack else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        self.path, self.threads = _checked(path), threads
        try:
            self.interpreter: Any = Interpreter(str(path), num_threads=threads, experimental_op_resolver_type=resolver)
            self.interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise DataError(f"{path}: LiteRT cannot load it: {_line(error)}") from error
        self.inputs = self.interpreter.get_input_details()
        self.outputs = self.interpreter.get_output_details()

    def __call__(self, inputs: Any) -> dict[str, Any]:
        for detail, value in zip(self.inputs, _parts(inputs), strict=True):
            self._set(detail, value)
        try:
            self.interpreter.invoke()
        except RuntimeError as error:
            raise InvalidOutput(f"{self.path.name}: LiteRT failed to run it: {_line(error)}") from error
        return {
            detail["name"]: _dequantized(detail, self.interpreter.get_tensor(detail["index"]))
            for detail in self.outputs
        }

    def _set(self, detail: Mapping[str, Any], value: Any) -> None:
        value = _quantized(detail, _laid_out(value, tuple(detail["shape"])))
        if value.shape != tuple(detail["shape"]):
            self._resize(detail, value.shape)
        self.interpreter.set_tensor(detail["index"], value)

    def _resize(self, detail: Mapping[str, Any], shape: tuple[int, ...]) -> None:
        try:
            self.interpreter.resize_tensor_input(detail["index"], shape)
            self.interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise DataError(
                f"{self.path.name}: input {list(detail['shape'])} cannot become {list(shape)}: {_line(error)}"
            ) from error
        self.inputs = self.interpreter.get_input_details()

    @cached_property
    def kernel(self) -> Mapping[str, Any]:
        """Operators counted by who runs them: `{"XNNPACK": {"CONV_2D float32": 13}, "LiteRT": {...}}`."""
        return {"threads": self.threads, "delegates": operators(self.interpreter._get_ops_details())}

    @cached_property
    def weights_bytes(self) -> int | None:
        """Bytes of the constant tensors in the file; XNNPACK's packed copies come on top."""
        from ai_edge_litert import schema_py_generated as schema

        found = schema.Model.GetRootAsModel(self.path.read_bytes(), 0)
        buffers = (found.Buffers(i) for i in range(found.BuffersLength()))
        # A buffer lies in the flatbuffer, or behind it at Offset() where Offset() is more than 1.
        return sum(int(b.Size() if b.Offset() > 1 else b.DataLength()) for b in buffers)

    def close(self) -> None:
        self.interpreter = None


def operators(details: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Who runs what, from the interpreter's operator list after delegation.

    The list holds the replaced operators and the delegates; what a delegate replaced is what lies between its inputs
    and its outputs.
    """
    delegates = [op for op in details if op["op_name"] == "DELEGATE"]
    plain = [op for op in details if op["op_name"] != "DELEGATE"]
    makers = {int(tensor): position for position, op in enumerate(plain) for tensor in op["outputs"]}
    taken: set[int] = set()
    for delegate in delegates:
        borders = {int(tensor) for tensor in delegate["inputs"]}
        waiting = [int(tensor) for tensor in delegate["outputs"]]
        while waiting:
            tensor = waiting.pop()
            position = makers.get(tensor)
            if tensor in borders or position is None or position in taken:
                continue
            taken.add(position)
            waiting.extend(int(t) for t in plain[position]["inputs"])
    counts: dict[str, Counter[str]] = {"XNNPACK": Counter(), "LiteRT": Counter()}
    for position, op in enumerate(plain):
        counts["XNNPACK" if position in taken else "LiteRT"][_label(op)] += 1
    return {who: dict(count.most_common()) for who, count in counts.items() if count}


def _label(op: Mapping[str, Any]) -> str:
    """`CONV_2D float32 (int8 weights)`."""
    result = np.dtype(op["result_types"][0]).name if op["result_types"] else "?"
    operands = [np.dtype(kind).name for kind in op["operand_types"][:2]]
    other = operands[1] if len(operands) > 1 else result
    return f"{op['op_name']} {result}" + (f" ({other} weights)" if other not in {result, "int32"} else "")


def _checked(path: Path) -> Path:
    """Raises DataError for a file that is missing or no flatbuffer of a TensorFlow Lite model."""
    try:
        with path.open("rb") as stream:
            head = stream.read(8)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    if head[4:] != IDENTIFIER:
        raise DataError(f"{path}: not a .tflite file (bytes 4 to 8 are {head[4:]!r}, expected {IDENTIFIER!r})")
    return path


def _laid_out(value: Any, shape: tuple[int, ...]) -> Any:
    """NCHW images as NHWC where the file wants that; anything else as it is."""
    value = np.asarray(value)
    if value.ndim == 4 and value.shape[1:] != shape[1:] and (*value.shape[2:], value.shape[1]) == shape[1:]:
        return np.ascontiguousarray(value.transpose(0, 2, 3, 1))
    return value


def _quantized(detail: Mapping[str, Any], value: Any) -> Any:
    """Float input as the integers that a full-integer file takes."""
    wanted = np.dtype(detail["dtype"])
    scale, zero = detail["quantization"]
    if wanted.kind not in "iu" or np.asarray(value).dtype.kind != "f" or not scale:
        return np.ascontiguousarray(value, dtype=wanted)
    limits = np.iinfo(wanted)
    return np.clip(np.round(value / scale) + zero, limits.min, limits.max).astype(wanted)


def _dequantized(detail: Mapping[str, Any], value: Any) -> Any:
    scale, zero = detail["quantization"]
    if value.dtype.kind not in "iu" or not scale:
        return value
    return (value.astype(np.float32) - zero) * np.float32(scale)


def _parts(inputs: Any) -> list[Any]:
    return list(inputs) if isinstance(inputs, tuple | list) else [inputs]


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the converters' progress notes and warnings out of the test run's output."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


runtimes.add(LiteRT)
