"""One graph that is run in one call: exported from a torch module or a file already, and how it is compressed.

int8-dynamic quantizes weights per tensor and activations on the fly (ConvInteger, MatMulInteger); int8-static writes
quantize/dequantize pairs calibrated on the model's own calibration inputs. float16 keeps float32 inputs and outputs.
On CPUs float16 computes little or nothing in float16: `kernel` tells which operators really run in which type.
"""

from __future__ import annotations

import contextlib
import inspect
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchgate.core import Model, Runtime, Scheme, Unavailable, support, tasks
from benchgate.machine.packages import missing_packages
from benchgate.runtimes.graphs import parts, quiet
from benchgate.runtimes.onnx.session import FILE, OnnxSession, Opened
from benchgate.storage.reading import reading

BUILD_NEEDS = {"onnx": "onnx", "onnxscript": "onnx", "torch": "onnx"}
OPSET = 18


def load(opened: Opened, model: Model) -> OnnxSession:
    """The session of the artifact's one graph."""
    return opened.graph(FILE)


def build(model: Model, scheme: Scheme, out: Path, runtime: Runtime) -> None:
    """Write the model's own file, or its module exported, compressed by `scheme`."""
    compress = support.imported(support.compressor_row(model, scheme, runtime).target)
    with tempfile.TemporaryDirectory() as folder:
        source = support.session_row(model, runtime).file_of(model) or _exported(model, Path(folder) / FILE)
        compress(source, out / FILE, model, scheme)


def _exported(model: Any, target: Path) -> Path:
    """The model's module exported to `target`, in float32. Raises Unavailable without the exporter's packages."""
    if reason := missing_packages(BUILD_NEEDS):
        raise Unavailable(reason)
    import torch

    inputs = tuple(torch.from_numpy(part) for part in parts(tasks[model.task].sample(model, 2)))
    module = model.build().eval()
    names = list(inspect.signature(module.forward).parameters)[: len(inputs)]
    batch = torch.export.Dim.DYNAMIC
    with torch.inference_mode(), quiet():
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


def as_float(source: Path, target: Path, model: Model, scheme: Scheme) -> None:
    """float32: the file itself; float16: inputs and outputs stay float32."""
    if scheme.options["dtype"] == "float32":
        shutil.copyfile(source, target)
        return
    with _quantizing(source):
        import onnx
        from onnxruntime.transformers.float16 import convert_float_to_float16

        onnx.save(convert_float_to_float16(onnx.load(source), keep_io_types=True), target)


def int8_dynamic(source: Path, target: Path, model: Model, scheme: Scheme) -> None:
    """Weights uint8 per tensor: ConvInteger on CPU takes unsigned weights only."""
    with _quantizing(source):
        import onnx
        from onnxruntime.quantization import QuantType, quantize_dynamic

        graph = onnx.load(source)
        # torch's exporter keeps a linear weight's shape of before it is transposed, which inference refuses.
        del graph.graph.value_info[:]
        quantize_dynamic(graph, target, weight_type=QuantType.QUInt8)


def int8_static(source: Path, target: Path, model: Any, scheme: Scheme) -> None:
    """Weights int8 per channel, activations uint8 per tensor. `scheme.options["calibrate"]`: MinMax (default), Entropy
    or Percentile."""
    with _quantizing(source):
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


@contextlib.contextmanager
def _quantizing(source: Path) -> Iterator[None]:
    """Quietly; Unavailable without the package, DataError naming a file that cannot be read."""
    if reason := missing_packages({"onnx": "onnx"}):
        raise Unavailable(reason)
    with quiet(), reading(source, "an ONNX file", "export it again"):
        yield


class _Calibration:
    """The calibration inputs as ONNX Runtime's quantizer asks for them, one mapping a call, then None."""

    def __init__(self, names: Sequence[str], inputs: Iterator[Any]) -> None:
        self.names, self.inputs = names, iter(inputs)

    def get_next(self) -> dict[str, Any] | None:
        following = next(self.inputs, None)
        return None if following is None else dict(zip(self.names, parts(following), strict=True))

    def __len__(self) -> int:
        raise TypeError("calibration inputs are read once, their number is not known")
