"""The causal-lm protocol (`LMSession`) on a transformers model with a growing KV cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchgate.core.arrays import np
from benchgate.runtimes.torch.runtime import TorchSession


class TorchLMSession(TorchSession):
    """A transformers causal LM. Greedy choice happens on the device; only token ids come back."""

    def __init__(self, module: Any, device: str, kernel: Mapping[str, Any], model: Any = None) -> None:
        super().__init__(module, device, kernel, model)
        config = module.config.get_text_config()
        self.context_limit: int = config.max_position_embeddings
        self.vocabulary: int = config.vocab_size
        self.kernel["attention"] = config._attn_implementation
        self._cache: Any = None

    def prefill(self, tokens: np.ndarray) -> np.ndarray:
        # The model makes the cache that fits it.
        self._cache = None
        return self._next(tokens)

    def step(self, tokens: np.ndarray) -> np.ndarray:
        return self._next(tokens[:, None])

    def _next(self, tokens: np.ndarray) -> np.ndarray:
        import torch

        with torch.inference_mode():
            ids = torch.from_numpy(tokens).to(self.device)
            out = self.module(ids, past_key_values=self._cache, use_cache=True, logits_to_keep=1)
            self._cache = out.past_key_values
            following: np.ndarray = out.logits[:, -1].argmax(dim=-1).cpu().numpy()
            return following

    def rewind(self, length: int) -> None:
        excess = self._cache.get_seq_length() - length
        if excess > 0:
            self._cache.crop(-excess)

    def logits(self, sequences: Sequence[Sequence[int]], keep: Sequence[int]) -> list[np.ndarray]:
        """Sequences are padded on the right and no mask is given: causal attention never looks at the padding, so the
        result does not depend on what else is in the batch, and the fast causal kernel runs. Only the positions that
        some row needs go through the output layer."""
        import torch

        longest = max(map(len, sequences))
        ids = torch.zeros((len(sequences), longest), dtype=torch.long)
        for row, sequence in zip(ids, sequences, strict=True):
            row[: len(sequence)] = torch.as_tensor(sequence)
        needed = [range(len(s) - k, len(s)) for s, k in zip(sequences, keep, strict=True)]
        columns = sorted({position for positions in needed for position in positions})
        with torch.inference_mode():
            out = self.module(
                ids.to(self.device), use_cache=False, logits_to_keep=torch.tensor(columns, device=self.device)
            )
            found = out.logits.float().cpu().numpy()
        place = {position: column for column, position in enumerate(columns)}
        return [found[row][[place[p] for p in positions]] for row, positions in enumerate(needed)]

    def close(self) -> None:
        self._cache = None
        super().close()
