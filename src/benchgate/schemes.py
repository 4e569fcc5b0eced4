"""The schemes that every suite knows, and those that are put together from steps.

Another one is one line: `benchgate.scheme(Scheme(...))`. A name with `+` needs none: `prune-50+int8-dynamic` is the
transform prune and then the scheme int8-dynamic; transforms alone leave a model in fp32.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from benchgate.core import BenchgateError, Scheme, UnknownName, schemes, transforms, unknown_name
from benchgate.core.protocols import ChecksAmount
from benchgate.core.transformed import find_step

FP32 = Scheme("fp32", 32, "float", {"dtype": "float32"})
# What every cell of a model is held against: its own weights, uncompressed, in the framework that it was made in.
REFERENCE: Mapping[str, str] = {"scheme": FP32.name, "runtime": "torch"}

BUILTIN = (
    FP32,
    Scheme("bf16", 16, "float", {"dtype": "bfloat16"}),
    Scheme("fp16", 16, "float", {"dtype": "float16"}),
    # Weights int8 per channel; activations quantized on the fly, per token or tensor.
    Scheme("int8-dynamic", 8, "int8-dynamic"),
    # Weights int8 per channel, computed in the activations' float type.
    Scheme("int8-weight-only", 8, "int8-weight-only"),
    # Weights and activations int8, activation ranges from calibration data.
    Scheme("int8-static", 8, "int8-static"),
    # Weights int4 in groups along the input dimension, one scale and zero point a group. Groups of 32 as in GGUF: small
    # models that are rounded in larger ones, without calibration, lose a fifth and more of their accuracy.
    Scheme("int4-weight-only", 4, "int4-weight-only", {"group_size": 32}),
)


def composed(name: str) -> Scheme | None:
    """The scheme of steps joined by `+`, transforms first and at most one scheme, last; None where no part is known.

    Raises UnknownName for one part that is neither, BenchgateError for an order or a number that cannot be.
    """
    *parts, last = name.split("+")
    if find_step(last) is not None:
        parts, base = [*parts, last], FP32
    elif parts and last in schemes:
        base = schemes[last]
    elif parts and any(find_step(part) for part in parts):
        raise UnknownName(f"scheme {name!r}: {_unknown(last)}")
    else:
        return None
    for part in parts:
        _check(name, part)
    return replace(base, name=name, steps=(*parts, *base.steps))


def _check(name: str, part: str) -> None:
    step = find_step(part)
    if step is None:
        if part in schemes:
            raise BenchgateError(f"scheme {name!r}: {part} is no transform; a scheme that is not one comes last, once")
        raise UnknownName(f"scheme {name!r}: {_unknown(part)}")
    if isinstance(step.transform, ChecksAmount):
        step.transform.check(step.amount)


def _unknown(part: str) -> str:
    return unknown_name("step", part, [*transforms, *schemes])


for _scheme in BUILTIN:
    schemes.add(_scheme)
schemes.resolve = composed
