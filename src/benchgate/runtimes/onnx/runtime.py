"""ONNX Runtime: torch modules exported to ONNX, or .onnx files, in float32, float16 and int8 (dynamic, static QDQ).

int8-dynamic quantizes weights per tensor and activations on the fly (ConvInteger, MatMulInteger); int8-static writes
quantize/dequantize pairs calibrated on the model's own calibration inputs. float16 keeps float32 inputs and outputs.
On CPUs float16 computes little or nothing in float16: `kernel` tells which operators really run in which type.
Causal language models are another graph and session: `onnx_lm`, `onnx_lm_session`.
"""

from __future__ import annotations

import contextlib
import inspect
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from benchgate.core import DataError, Model, Runtime, Scheme, Unavailable, runtimes, schemes, tasks
from benchgate.machine.packages import missing_packages
from benchgate.runtimes.graphs import Accepts, parts, quiet
from benchgate.runtimes.onnx import causal_lm as onnx_lm
from benchgate.runtimes.onnx import text2text as onnx_text2text
from benchgate.runtimes.onnx.causal_lm_session import OnnxLMSession
from benchgate.runtimes.onnx.session import FILE, OnnxSession
from benchgate.storage.artifacts import artifact
from benchgate.tasks.text2text.stepped import SteppedSession

BUILD_NEEDS = {"onnx": "onnx", "onnxscript": "onnx", "torch": "onnx"}
OPSET = 18
ACCEPTS = Accepts("build", "torch modules", (".onnx",), ("float", "int8-dynamic", "int8-static"))
# Tasks whose models are stepped through have exporters of their own.
STEPWISE_ACCEPTS = {"causal-lm": onnx_lm.ACCEPTS, "text2text": onnx_text2text.ACCEPTS}
LEVELS = {
    "disabled": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


@dataclass(frozen=True)
class OnnxRuntime:
    """`optimization` is the graph optimisation level at load; another one is another runtime with another name."""

    name: str = "onnxruntime"
    optimization: Literal["disabled", "basic", "extended", "all"] = "all"
    format: str = "onnx"
    needs: Mapping[str, str] = field(default_factory=lambda: {"onnxruntime": "onnx"})
    build_needs: Mapping[str, str] = field(default_factory=lambda: {**BUILD_NEEDS, **onnx_lm.NEEDS})

    def refuses(self, model: Model, scheme: Scheme) -> str | None:
        return STEPWISE_ACCEPTS.get(model.task, ACCEPTS).refuses(self.name, model, scheme)

    def missing(self, device: str) -> str | None:
        if device not in PROVIDERS:
            return f"{self.name} runs on {', '.join(PROVIDERS)}, not {device}"
        import onnxruntime

        if PROVIDERS[device] not in onnxruntime.get_available_providers():
            return f"this onnxruntime has no {PROVIDERS[device]}; pip install onnxruntime-gpu"
        return None

    def build(self, model: Model, scheme: Scheme, out: Path) -> None:
        if model.task == "causal-lm":
            onnx_lm.build(model, scheme, out, lambda: artifact(model, schemes["fp32"], cast(Runtime, self)))
        elif model.task == "text2text":
            onnx_text2text.build(model, scheme, out)
        else:
            self._build_graph(model, scheme, out)

    def _build_graph(self, model: Model, scheme: Scheme, out: Path) -> None:
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

    def load(self, path: Path, model: Model, device: str, threads: int) -> OnnxSession | OnnxLMSession | SteppedSession:
        level, provider = LEVELS[self.optimization], PROVIDERS[device]
        if model.task == "causal-lm":
            return OnnxLMSession(path / FILE, level, provider, threads, device)
        if model.task == "text2text":
            return onnx_text2text.session(lambda file: OnnxSession(path / file, level, provider, threads), model)
        return OnnxSession(path / FILE, level, provider, threads)


def _float32_file(model: Any, target: Path) -> Path:
    """The model's own file, or its module exported to `target`. Raises Unavailable without the exporter's packages."""
    if getattr(model, "path", None) is not None:
        return Path(model.path)
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


@contextlib.contextmanager
def _readable(source: Path) -> Iterator[None]:
    """Say which file a library could not read, in one line."""
    from google.protobuf.message import DecodeError

    try:
        yield
    except DecodeError as error:
        raise DataError(f"{source}: not an ONNX file ({error})") from error


def _compress(source: Path, model: Any, scheme: Scheme, target: Path) -> None:
    with quiet():
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
        return None if following is None else dict(zip(self.names, parts(following), strict=True))

    def __len__(self) -> int:
        raise TypeError("calibration inputs are read once, their number is not known")


runtimes.add(OnnxRuntime)
