"""What the runtimes of whole graphs take and refuse: one table for all of them, decided without their packages."""

from types import SimpleNamespace

import pytest

import benchgate.schemes
import benchgate.tasks.causal_lm.task
import benchgate.tasks.text2text.task  # noqa: F401  which tasks are stepwise
from benchgate.core import schemes, support
from benchgate.runtimes.litert.keras import LiteRTKeras
from benchgate.runtimes.litert.runtime import LiteRT
from benchgate.runtimes.onnx.runtime import OnnxRuntime

ONNX, LITERT, KERAS = OnnxRuntime(), LiteRT(), LiteRTKeras()


def model(*methods, task="detection", **data):
    return SimpleNamespace(name="mine", task=task, **data, **{method: lambda: None for method in methods})


TORCH = model("build", "calibration")
KERAS_ONLY = model("build_keras", "calibration")
BOTH = model("build", "build_keras", "calibration")


@pytest.mark.parametrize(
    ("runtime", "taken"),
    [
        (ONNX, {"fp32", "fp16", "int8-dynamic", "int8-static"}),
        (LITERT, {"fp32", "fp16", "int8-dynamic", "int8-static", "int8-weight-only"}),
        (KERAS, {"fp32", "fp16", "int8-dynamic", "int8-static"}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_schemes(runtime, taken):
    assert {name for name in schemes if support.refusal(BOTH, schemes[name], runtime) is None} == taken


@pytest.mark.parametrize(
    ("runtime", "given", "scheme", "reason"),
    [
        (ONNX, model(path="mine.tflite"), "fp32", "mine is mine.tflite, onnxruntime takes torch modules and .onnx"),
        (LITERT, model(path="mine.pb"), "fp32", "mine is mine.pb, litert takes torch modules and .tflite and .onnx"),
        (KERAS, model(path="mine.onnx"), "fp32", "mine is mine.onnx, litert-keras takes Keras models"),
        (ONNX, KERAS_ONLY, "fp32", "mine has no build(), onnxruntime takes"),
        (LITERT, KERAS_ONLY, "fp32", "mine has no build(), litert takes"),
        (KERAS, TORCH, "fp32", "mine has no build_keras(), litert-keras takes Keras models"),
        (ONNX, model("build"), "int8-static", "mine has no calibration(), which int8-static needs"),
        (LITERT, model("build"), "int8-static", "mine has no calibration(), which int8-static needs"),
        (KERAS, model("build_keras"), "int8-static", "mine has no calibration(), which int8-static needs"),
        (ONNX, TORCH, "bf16", "onnxruntime has no bf16, only float32, float16"),
        (KERAS, KERAS_ONLY, "int8-weight-only", "litert-keras has no int8-weight-only compression"),
        (LITERT, model("build", task="text2text"), "fp32", "text2text models are run step by step, litert runs"),
        (KERAS, model("build_keras", task="causal-lm"), "fp32", "causal-lm models are run step by step"),
    ],
)
def test_reasons(runtime, given, scheme, reason):
    found = support.refusal(given, schemes[scheme], runtime)
    assert found is not None
    assert found.startswith(reason)


@pytest.mark.parametrize(
    ("runtime", "given"),
    [
        (ONNX, model(path="mine.onnx")),
        (LITERT, model(path="mine.tflite")),
        (LITERT, model(path="a.onnx")),
        (KERAS, KERAS_ONLY),
        (LITERT, TORCH),
    ],
)
def test_what_fits_is_taken(runtime, given):
    assert support.refusal(given, schemes["fp32"], runtime) is None


@pytest.mark.parametrize("runtime", [LITERT, KERAS])
def test_litert_runs_on_cpu_only(runtime):
    assert runtime.missing("cpu") is None
    assert runtime.missing("cuda") == f"{runtime.name} runs on cpu, not cuda"
