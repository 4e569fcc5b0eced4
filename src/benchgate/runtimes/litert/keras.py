"""LiteRT's second route: Keras models through TensorFlow's own converter, run by the same LiteRT session.

For models that come from Keras, and for holding the two converters against each other on one model. A model of this
runtime has `build_keras()`, which returns a `keras.Model`; images are NHWC inside it, and the session turns them.
float16 stores weights in 16 bits, int8-dynamic quantizes weights per channel, int8-static activations too, calibrated
on the model's own inputs; inputs and outputs stay float32. It needs TensorFlow, which running the file does not.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchgate.core import DataError, Model, Scheme, Unavailable, runtimes
from benchgate.machine.packages import missing_packages
from benchgate.runtimes.graphs import Accepts, first_line, parts, quiet
from benchgate.runtimes.litert.runtime import FILE
from benchgate.runtimes.litert.session import LiteRTSession, laid_out

CONVERTER = {"tensorflow": "keras", "keras": "keras"}
ACCEPTS = Accepts("build_keras", "Keras models", (), ("float", "int8-dynamic", "int8-static"))


@dataclass(frozen=True)
class LiteRTKeras:
    """Keras models, converted by `tf.lite.TFLiteConverter`."""

    name: str = "litert-keras"
    format: str = "tflite"
    needs: Mapping[str, str] = field(default_factory=lambda: {"ai_edge_litert": "keras"})
    build_needs: Mapping[str, str] = field(default_factory=lambda: CONVERTER)

    def refuses(self, model: Model, scheme: Scheme) -> str | None:
        return ACCEPTS.refuses(self.name, model, scheme)

    def missing(self, device: str) -> str | None:
        return None if device == "cpu" else f"{self.name} runs on cpu, not {device}"

    def build(self, model: Any, scheme: Scheme, out: Path) -> None:
        if reason := missing_packages(CONVERTER):
            raise Unavailable(reason)
        # TensorFlow's C++ notes on CPU features, which no Python stream holds back.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        from tensorflow.lite.python.convert_phase import ConverterError

        with quiet():
            converter = _converter(model, scheme)
            try:
                content = converter.convert()
            except ConverterError as error:
                raise DataError(
                    f"{model.name}: TensorFlow's converter cannot write it in {scheme.name}: {first_line(error)}"
                ) from error
        (out / FILE).write_bytes(content)

    def load(self, path: Path, model: Model, device: str, threads: int) -> LiteRTSession:
        return LiteRTSession(path / FILE, xnnpack=True, threads=threads)


def _converter(model: Any, scheme: Scheme) -> Any:
    """TensorFlow's converter for the model's Keras build, set to the scheme."""
    import tensorflow as tf

    keras_model = model.build_keras()
    converter = tf.lite.TFLiteConverter.from_keras_model(keras_model)
    if scheme.method == "float" and scheme.options["dtype"] == "float32":
        return converter
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if scheme.method == "float":
        converter.target_spec.supported_types = [tf.float16]
    elif scheme.method == "int8-static":
        shapes = [tuple(tensor.shape) for tensor in keras_model.inputs]
        converter.representative_dataset = lambda: _calibration(model, shapes)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    return converter


def _calibration(model: Any, shapes: list[tuple[int | None, ...]]) -> Iterator[list[Any]]:
    """The model's calibration inputs in the layout of its Keras inputs."""
    for inputs in model.calibration():
        yield [laid_out(part, shape).astype(np.float32) for part, shape in zip(parts(inputs), shapes, strict=True)]


runtimes.add(LiteRTKeras)
