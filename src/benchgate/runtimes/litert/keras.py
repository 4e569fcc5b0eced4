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

import benchgate.runtimes.litert.rows  # noqa: F401  its support
from benchgate.core import DataError, Model, Runtime, Scheme, Session, Unavailable, runtimes, support
from benchgate.core.arrays import np
from benchgate.machine.packages import missing_packages
from benchgate.runtimes.graphs import first_line, parts, quiet
from benchgate.runtimes.litert.session import FILE, Opened, laid_out

CONVERTER = {"tensorflow": "keras", "keras": "keras"}


@dataclass(frozen=True)
class LiteRTKeras:
    """Keras models, converted by `tf.lite.TFLiteConverter`."""

    name: str = "litert-keras"
    format: str = "tflite"
    needs: Mapping[str, str] = field(default_factory=lambda: {"ai_edge_litert": "keras"})
    build_needs: Mapping[str, str] = field(default_factory=lambda: CONVERTER)

    def missing(self, device: str) -> str | None:
        return None if device == "cpu" else f"{self.name} runs on cpu, not {device}"

    def build(self, model: Model, scheme: Scheme, out: Path) -> None:
        support.imported(support.session_row(model, self).exporter)(model, scheme, out, self)

    def load(self, path: Path, model: Model, device: str, threads: int) -> Session:
        session: Session = support.imported(support.session_row(model, self).session)(
            Opened(path, True, threads), model
        )
        return session


def build(model: Any, scheme: Scheme, out: Path, runtime: Runtime) -> None:
    """Write the model's Keras build as a .tflite file in `scheme`. Raises Unavailable without TensorFlow, DataError."""
    if reason := missing_packages(CONVERTER):
        raise Unavailable(reason)
    # TensorFlow's C++ notes on CPU features, which no Python stream holds back.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf
    from tensorflow.lite.python.convert_phase import ConverterError

    compress = support.imported(support.compressor_row(model, scheme, runtime).target)
    with quiet():
        keras_model = model.build_keras()
        converter = tf.lite.TFLiteConverter.from_keras_model(keras_model)
        if scheme.method != "float" or scheme.options["dtype"] != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            compress(converter, keras_model, model)
        try:
            content = converter.convert()
        except ConverterError as error:
            raise DataError(
                f"{model.name}: TensorFlow's converter cannot write it in {scheme.name}: {first_line(error)}"
            ) from error
    (out / FILE).write_bytes(content)


def float16(converter: Any, keras_model: Any, model: Any) -> None:
    """Weights in 16 bits."""
    import tensorflow as tf

    converter.target_spec.supported_types = [tf.float16]


def int8_dynamic(converter: Any, keras_model: Any, model: Any) -> None:
    """Return the converter's default optimization."""


def int8_static(converter: Any, keras_model: Any, model: Any) -> None:
    """Weights and activations int8, calibrated on the model's own inputs."""
    import tensorflow as tf

    shapes = [tuple(tensor.shape) for tensor in keras_model.inputs]
    converter.representative_dataset = lambda: _calibration(model, shapes)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]


def _calibration(model: Any, shapes: list[tuple[int | None, ...]]) -> Iterator[list[Any]]:
    """The model's calibration inputs in the layout of its Keras inputs."""
    for inputs in model.calibration():
        yield [laid_out(part, shape).astype(np.float32) for part, shape in zip(parts(inputs), shapes, strict=True)]


runtimes.add(LiteRTKeras)
