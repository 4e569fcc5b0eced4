"""The part of the environment that decides how libraries compute."""

from __future__ import annotations

from collections.abc import Mapping

# Variables that libraries read to decide how they compute, by how they begin.
VARIABLES = (
    "ATEN_", "BLIS_", "CT2_", "CUBLAS", "CUDA", "DNNL_", "GGML_", "GLIBC_TUNABLES", "GOMP_", "GOTO_", "HF_", "KMP_",
    "LD_PRELOAD", "LLAMA_", "MALLOC_", "MKL_", "NUMEXPR_", "NVIDIA_", "OMP_", "ONEDNN_", "OPENBLAS_", "ORT_",
    "PYTHONHASHSEED", "PYTORCH_", "TF_", "TOKENIZERS_", "TORCH", "TRANSFORMERS_", "XLA_", "XNNPACK_",
)  # fmt: skip


def deciding(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables among these that libraries read, in the order of their names."""
    return {name: value for name, value in sorted(environment.items()) if name.startswith(VARIABLES)}
