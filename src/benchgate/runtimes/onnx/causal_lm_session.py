"""The causal-lm protocol (`LMSession`) on a graph that `benchgate.runtimes.onnx.causal_lm` wrote.

The cache stays in ONNX Runtime's own tensors, on the session's device, from one call to the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from benchgate.core import DataError, Model
from benchgate.core.arrays import np
from benchgate.runtimes.graphs import first_line
from benchgate.runtimes.onnx.causal_lm import CONTEXT_LIMIT, DEQUANTISES, MATMUL, cache_names
from benchgate.runtimes.onnx.session import FILE, OnnxGraph, Opened

# Axis of the positions in a cache tensor [batch, heads, positions, head size].
POSITIONS = 2
NO_MEMORY = "failed to allocate memory"


def load(opened: Opened, model: Model) -> OnnxLMSession:
    """The session of the artifact's graph."""
    path = opened.folder / FILE
    return OnnxLMSession(path, opened.level, opened.provider, opened.threads, opened.device, opened.mapped)


class OnnxLMSession(OnnxGraph):
    """A causal LM. Greedy choice happens on the host, from the logits of the last position."""

    def __init__(self, path: Path, level: str, provider: str, threads: int, device: str, mapped: bool) -> None:
        super().__init__(path, level, provider, threads, mapped)
        self._device = device
        layers = (len(self.inputs) - 2) // 2
        self._past, self._present = cache_names("past", layers), cache_names("present", layers)
        if self.inputs[2:] != self._past or CONTEXT_LIMIT not in self._metadata:
            raise DataError(
                f"{path}: not a language model that benchgate exported; delete its artifact and build again"
            )
        self.context_limit = int(self._metadata[CONTEXT_LIMIT])
        self.vocabulary = int(self.session.get_outputs()[0].shape[-1])
        self._cache: list[Any] = []

    @property
    def _metadata(self) -> Mapping[str, str]:
        found: Mapping[str, str] = self.session.get_modelmeta().custom_metadata_map
        return found

    @cached_property
    def kernel(self) -> Mapping[str, Any]:
        return {
            **super().kernel,
            "linear": self._metadata.get(MATMUL, "float32"),
            "cache": "float32",
            "dequantises_per_call": self._metadata.get(DEQUANTISES) or False,
        }

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """[batch, length] token ids to the float32 logits after the last, [batch, vocabulary]."""
        return self._run(inputs, [inputs.shape[1] - 1], self._empty(len(inputs)), keep_cache=False)[:, 0]

    def prefill(self, tokens: np.ndarray) -> np.ndarray:
        self._cache = self._empty(len(tokens))
        return self._append(tokens)

    def step(self, tokens: np.ndarray) -> np.ndarray:
        if not self._cache:
            raise DataError("step without a prompt before it; call prefill first")
        return self._append(tokens[:, None])

    def rewind(self, length: int) -> None:
        there = self._cache[0].shape()[POSITIONS] if self._cache else 0
        if not 0 <= length <= there:
            raise DataError(f"cannot go back to {length} positions; there are {there}")
        if length < there:
            self._cache = [self._value(part.numpy()[:, :, :length]) for part in self._cache]

    def logits(self, sequences: Sequence[Sequence[int]], keep: Sequence[int]) -> list[np.ndarray]:
        """Sequences are padded on the right: causal attention never looks there. Only the positions that some row needs
        go through the output layer."""
        ids = np.zeros((len(sequences), max(map(len, sequences))), dtype=np.int64)
        for row, sequence in zip(ids, sequences, strict=True):
            row[: len(sequence)] = sequence
        needed = [range(len(s) - k, len(s)) for s, k in zip(sequences, keep, strict=True)]
        columns = sorted({position for positions in needed for position in positions})
        found = self._run(ids, columns, self._empty(len(ids)), keep_cache=False)
        place = {position: column for column, position in enumerate(columns)}
        return [found[row][[place[p] for p in positions]] for row, positions in enumerate(needed)]

    def close(self) -> None:
        self._cache = []
        super().close()

    def _append(self, tokens: np.ndarray) -> np.ndarray:
        """Append to every sequence of the cache; the greedy next tokens, [batch]."""
        following: np.ndarray = self._run(tokens, [tokens.shape[1] - 1], self._cache, keep_cache=True)[:, 0].argmax(-1)
        return following

    def _run(self, tokens: np.ndarray, keep: Sequence[int], past: list[Any], keep_cache: bool) -> np.ndarray:
        """Logits [batch, len(keep), vocabulary]; with `keep_cache` the cache is what it is afterwards."""
        self._check(tokens)
        binding = self.session.io_binding()
        binding.bind_cpu_input("input_ids", np.ascontiguousarray(tokens))
        binding.bind_cpu_input("keep", np.asarray(keep, dtype=np.int64))
        for name, part in zip(self._past, past, strict=True):
            binding.bind_ortvalue_input(name, part)
        binding.bind_output("logits", "cpu")
        for name in self._present if keep_cache else []:
            binding.bind_output(name, self._device)
        try:
            self.session.run_with_iobinding(binding)
        except RuntimeError as error:
            # With a binding its Python layer raises this for everything, too little memory included.
            kind = MemoryError if NO_MEMORY in str(error).lower() else DataError
            raise kind(
                f"{self.path.name}: ONNX Runtime failed on {tokens.shape[0]} x {tokens.shape[1]} tokens: "
                f"{first_line(error)}"
            ) from error
        logits, *present = binding.get_outputs()
        if keep_cache:
            self._cache = present
        found: np.ndarray = logits.numpy()
        return found

    def _check(self, tokens: np.ndarray) -> None:
        if not tokens.size:
            raise DataError("no tokens; at least one is needed")
        # A negative id would be taken from the end of the embedding.
        if tokens.min() < 0 or tokens.max() >= self.vocabulary:
            raise DataError(
                f"token ids must be 0 to {self.vocabulary - 1}; got {tokens.min()} to {tokens.max()}: is the tokenizer "
                "this model's own?"
            )

    def _empty(self, batch: int) -> list[Any]:
        """The cache before the first token."""
        shapes = ((batch, shape[1], 0, shape[3]) for shape in self.shapes[2:])
        return [self._value(np.zeros(shape, dtype=np.float32)) for shape in shapes]

    def _value(self, array: np.ndarray) -> Any:
        import onnxruntime

        return onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array), self._device)
