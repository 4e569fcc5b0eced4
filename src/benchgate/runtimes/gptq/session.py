"""The causal-lm protocol on a GPTQ model: speed by the real kernel, accuracy by the same weights dequantised once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchgate.core.arrays import np
from benchgate.runtimes.torch.causal_lm import TorchLMSession
from benchgate.runtimes.torch.runtime import weights_bytes

# Kernels that turn all weights back into floats in every call; the others multiply packed weights.
DEQUANTISES = {"TorchLinear": True, "TorchAtenLinear": False, "TorchInt8Linear": False}
# Kernels that change the file's weights when they load them: only they themselves can be scored.
REQUANTISES = frozenset({"TorchInt8Linear"})


class GPTQSession(TorchLMSession):
    """`module` has the quantized layers `layers`; `dequantised()` makes the same model in float32, for scoring.

    `prefill` and `step` run the real kernel. `logits` runs the dequantised weights in float32, which is much faster
    with kernels that dequantise in every call and differs by rounding only, except where the kernel requantises.
    """

    def __init__(
        self, module: Any, layers: Sequence[Any], dequantised: Callable[[], Any], kernel: Mapping[str, Any]
    ) -> None:
        super().__init__(module, "cpu", kernel)
        kinds = Counter(map(_kind, layers))
        exact = not REQUANTISES & set(kinds)
        self.kernel |= {
            "linear": dict(kinds),
            "dtype": str(module.dtype).removeprefix("torch."),
            "dequantises_per_call": any(DEQUANTISES.get(kind, True) for kind in kinds),
            "scored_through": "weights dequantised once to float32" if exact else "the kernel itself",
            "bits_per_weight": round(8 * weights_bytes(module) / _weights(module, layers), 3),
        }
        self._dequantised = dequantised if exact else None
        self._scorer: TorchLMSession | None = None

    def logits(self, sequences: Sequence[Sequence[int]], keep: Sequence[int]) -> list[np.ndarray]:
        if self._dequantised is None:
            return super().logits(sequences, keep)
        if self._scorer is None:
            self._scorer = TorchLMSession(self._dequantised(), "cpu", {})
        return self._scorer.logits(sequences, keep)

    def close(self) -> None:
        if self._scorer is not None:
            self._scorer.close()
            self._scorer = None
        super().close()


def _kind(layer: Any) -> str:
    """The kernel's name. auto-gptq calls all its classes QuantLinear and keeps the name in an attribute."""
    name = type(layer).__name__
    return f"{name} {layer.QUANT_TYPE}" if name == "QuantLinear" else name


def _weights(module: Any, layers: Sequence[Any]) -> int:
    """How many weights the model has, a tied head counted once."""
    packed = sum(map(_size, layers))
    return packed + sum(int(parameter.numel()) for parameter in module.parameters())


def _size(layer: Any) -> int:
    """Weights of a quantized layer; auto-gptq spells its attributes without the underscore."""
    rows, columns = ("out_features", "in_features") if hasattr(layer, "in_features") else ("outfeatures", "infeatures")
    return int(getattr(layer, rows) * getattr(layer, columns))
