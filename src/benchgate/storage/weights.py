"""Digests of weights: of a module's state, of one tensor or array."""

from __future__ import annotations

import hashlib
from typing import Any


def state_digest(module: Any) -> str:
    """SHA-256 of a module's `state_dict()`: names, types, shapes and values."""
    whole = hashlib.sha256()
    for name, value in module.state_dict().items():
        known = tensor_digest(value) if hasattr(value, "dtype") and hasattr(value, "shape") else repr(value)
        whole.update(f"{name}\0{known}\n".encode())
    return whole.hexdigest()


def tensor_digest(value: Any) -> str:
    """SHA-256 of a tensor's or array's type, shape and bytes; of one without storage (meta), of type and shape."""
    whole = hashlib.sha256(f"{value.dtype} {tuple(value.shape)}".encode())
    if hasattr(value, "detach"):
        import torch

        plain = value.detach()
        if plain.device.type == "meta":
            return whole.hexdigest()
        if hasattr(plain, "dequantize") and plain.is_quantized:
            plain = plain.int_repr()
        value = plain.cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    whole.update(memoryview(value).tobytes() if not hasattr(value, "tobytes") else value.tobytes())
    return whole.hexdigest()
