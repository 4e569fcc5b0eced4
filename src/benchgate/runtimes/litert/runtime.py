"""LiteRT (formerly TensorFlow Lite): torch modules, .onnx or .tflite files, run by ai-edge-litert.

Modules go through litert-torch, .onnx files through onnx2tf, both in float32, and are quantized from there.
float16 stores weights in 16 bits; XNNPACK widens them when it loads, so it halves the file and changes neither speed
nor memory. int8-dynamic and int8-weight-only quantize weights per channel; int8-static quantizes activations too,
calibrated on the model's own inputs. `kernel` tells which operators a delegate took, and in which type.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchgate.core import DataError, Model, Scheme, Unavailable, runtimes, tasks
from benchgate.machine.packages import missing_packages
from benchgate.runtimes.graphs import Accepts, first_line, parts, quiet
from benchgate.runtimes.litert import from_onnx as litert_onnx
from benchgate.runtimes.litert.session import LiteRTSession, checked, laid_out

FILE = "model.tflite"
CONVERTER = {"litert_torch": "litert", "torch": "litert"}
QUANTIZER = {"ai_edge_quantizer": "litert"}
METHODS = ("float", "int8-dynamic", "int8-weight-only", "int8-static")
ACCEPTS = Accepts("build", "torch modules", (".tflite", ".onnx"), METHODS)
# Operators that int8-static leaves in float, because the quantizer or the interpreter has no int8 kernel for them.
STATIC_FLOAT_OPERATORS = ("DIV",)


@dataclass(frozen=True)
class LiteRT:
    """`xnnpack=False` runs LiteRT's own kernels; a runtime with it needs another name."""

    name: str = "litert"
    xnnpack: bool = True
    format: str = "tflite"
    needs: Mapping[str, str] = field(default_factory=lambda: {"ai_edge_litert": "litert"})
    build_needs: Mapping[str, str] = field(default_factory=lambda: {**CONVERTER, **litert_onnx.CONVERTER, **QUANTIZER})

    def refuses(self, model: Model, scheme: Scheme) -> str | None:
        return ACCEPTS.refuses(self.name, model, scheme)

    def missing(self, device: str) -> str | None:
        return None if device == "cpu" else f"{self.name} runs on cpu, not {device}"

    def build(self, model: Model, scheme: Scheme, out: Path) -> None:
        target = out / FILE
        plain = scheme.method == "float" and scheme.options["dtype"] == "float32"
        if not plain and (reason := missing_packages(QUANTIZER)):
            raise Unavailable(reason)
        with tempfile.TemporaryDirectory() as folder, quiet():
            source = _float32_file(model, Path(folder) / FILE, scheme)
            if plain:
                shutil.copyfile(source, target)
            else:
                try:
                    _quantize(source, model, scheme, target)
                except (RuntimeError, ValueError) as error:
                    raise DataError(
                        f"{model.name}: ai-edge-quantizer cannot write it in {scheme.name}: {first_line(error)}"
                    ) from error

    def load(self, path: Path, model: Model, device: str, threads: int) -> LiteRTSession:
        return LiteRTSession(path / FILE, self.xnnpack, threads)


def _float32_file(model: Any, target: Path, scheme: Scheme) -> Path:
    """The model's own file, or its module or .onnx converted to `target`. Raises Unavailable without the converter."""
    if getattr(model, "path", None) is not None:
        path = Path(model.path)
        return litert_onnx.convert(path, target) if path.suffix == ".onnx" else checked(path)
    if reason := missing_packages(CONVERTER):
        raise Unavailable(reason)
    import litert_torch
    import torch

    sample = tasks[model.task].sample(model, 1)
    inputs = tuple(torch.from_numpy(np.asarray(part)) for part in parts(sample))
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
    quantizer.quantize(calibration).export_model(str(target), overwrite=True)


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
            dict(zip(names["inputs"], (laid_out(p, s) for p, s in zip(parts(x), shapes, strict=True)), strict=True))
            for x in model.calibration()
        ]
    }


runtimes.add(LiteRT)
