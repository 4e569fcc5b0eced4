"""The schemes that every suite knows. Another one is one line: `benchgate.scheme(Scheme(...))`."""

from collections.abc import Mapping

from benchgate.core import Scheme, schemes

# What every cell of a model is held against: its own weights, uncompressed, in the framework that it was made in.
REFERENCE: Mapping[str, str] = {"scheme": "fp32", "runtime": "torch"}

BUILTIN = (
    Scheme("fp32", 32, "float", {"dtype": "float32"}),
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

for _scheme in BUILTIN:
    schemes.add(_scheme)
