"""How a model becomes a .tflite file: modules through litert-torch, .onnx files through onnx2tf, both in float32.

They are quantized from there. float16 stores weights in 16 bits; XNNPACK widens them when it loads, so it halves the
file and changes neither speed nor memory. int8-dynamic and int8-weight-only quantize weights per channel; int8-static
quantizes activations too, calibrated on the model's own inputs. A session's `kernel` tells which operators a delegate
took, and in which type.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchgate.core import DataError, Model, Runtime, Scheme, Unavailable, support, tasks
from benchgate.core.arrays import np
from benchgate.machine.packages import missing_packages
from benchgate.runtimes.graphs import first_line, parts, quiet
from benchgate.runtimes.litert import from_onnx
from benchgate.runtimes.litert.session import FILE, laid_out, tried

CONVERTER = {"litert_torch": "litert-torch", "torch": "litert-torch"}
QUANTIZER = {"ai_edge_quantizer": "litert-torch"}
# Operators that int8-static leaves in float, because the quantizer or the interpreter has no int8 kernel for them.
STATIC_FLOAT_OPERATORS = ("DIV",)


def build(model: Model, scheme: Scheme, out: Path, runtime: Runtime) -> None:
    """Write the model as a .tflite file in `scheme`. Raises Unavailable without converter or quantizer, DataError."""
    target = out / FILE
    compress = support.imported(support.compressor_row(model, scheme, runtime).target)
    plain = scheme.method == "float" and scheme.options["dtype"] == "float32"
    if not plain and (reason := missing_packages(QUANTIZER)):
        raise Unavailable(reason)
    with tempfile.TemporaryDirectory() as folder, quiet():
        file = support.session_row(model, runtime).file_of(model)
        source = _converted(model, file, Path(folder) / FILE, scheme, runtime)
        if plain:
            shutil.copyfile(source, target)
            return
        try:
            _quantize(compress, source, target, model)
        except (RuntimeError, ValueError) as error:
            raise DataError(
                f"{model.name}: ai-edge-quantizer cannot write it in {scheme.name}: {first_line(error)}"
            ) from error


def _converted(model: Any, file: Path | None, target: Path, scheme: Scheme, runtime: Any) -> Path:
    """The model's own file, or its module or .onnx converted to `target`. Raises Unavailable without the converter."""
    if file is not None:
        return from_onnx.convert(file, target) if file.suffix == ".onnx" else tried(file, runtime.xnnpack)
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


def _quantize(prepare: Callable[[Any, Path, Any], Any], source: Path, target: Path, model: Any) -> None:
    """`prepare` gives a quantizer its recipe, and returns what its calibration found, or None."""
    from ai_edge_quantizer import Quantizer

    quantizer = Quantizer(str(source))
    calibration = prepare(quantizer, source, model)
    quantizer.quantize(calibration).export_model(str(target), overwrite=True)


def int8_dynamic(quantizer: Any, source: Path, model: Any) -> None:
    """Weights int8 per channel, activations on the fly."""
    from ai_edge_quantizer import recipe

    quantizer.load_quantization_recipe(recipe.dynamic_wi8_afp32())


def int8_weight_only(quantizer: Any, source: Path, model: Any) -> None:
    """Weights int8 per channel, widened to float32 before they are used."""
    from ai_edge_quantizer import recipe

    quantizer.load_quantization_recipe(recipe.weight_only_wi8_afp32())


def int8_static(quantizer: Any, source: Path, model: Any) -> Any:
    """Weights and activations int8, but for the operators that have no such kernel."""
    from ai_edge_quantizer import recipe

    quantizer.load_quantization_recipe(recipe.static_wi8_ai8())
    _keep_float(quantizer)
    return quantizer.calibrate(_calibration_data(source, model), num_threads=1)


def float16(quantizer: Any, source: Path, model: Any) -> None:
    """Weights in 16 bits, widened to float32 before they are used."""
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
