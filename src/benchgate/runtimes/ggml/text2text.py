"""The text2text protocol on llama.cpp: a T5's source by llama_encode, a language model's prompt by llama_decode; then
llama_decode a token at a time.

Sources are taken one after another: llama.cpp has one encoder output a context. All beams share it, and the cache is
one for all sequences (`kv_unified`): with a cache a sequence, llama.cpp 0.6 aborts the process on relative positions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchgate.core import DataError, InvalidOutput
from benchgate.core.arrays import np
from benchgate.runtimes.ggml.causal_lm import describe, open_model
from benchgate.runtimes.ggml.convert import Converted, convert
from benchgate.runtimes.ggml.library import MAX_SEQUENCES, Library
from benchgate.tasks.text2text import decoding


def convert_pretrained(module: Any, name: str) -> Converted:
    """The transformers module inside a Seq2SeqModule, read for writing."""
    return convert(module.pretrained, name)


class Context:
    """A llama.cpp context for one source and up to `beams` target sequences of `positions` each.

    It has twice as many sequences: reordering copies the chosen ones from one half to the other.
    """

    def __init__(self, library: Library, model: Any, beams: int, longest: int, positions: int, threads: int) -> None:
        self._library, self._beams = library, beams
        params = library.c.llama_context_default_params()
        params.n_ctx = longest + 2 * beams * positions
        params.n_seq_max = 2 * beams
        params.n_batch = params.n_ubatch = max(longest, 2 * beams)
        params.n_threads = params.n_threads_batch = threads
        params.kv_unified = True
        self._handle, errors = library.quietly(lambda: library.c.llama_init_from_model(model, params))
        if self._handle == library.ffi.NULL:
            raise MemoryError(f"llama.cpp made no context for {beams} beams of {positions}: {errors or 'no reason'}")
        self._memory = library.c.llama_get_memory(self._handle)
        vocabulary = library.c.llama_vocab_n_tokens(library.c.llama_model_get_vocab(model))
        self._row_bytes = int(vocabulary) * np.dtype(np.float32).itemsize
        self._rows: list[int] = []
        self._position = 0

    def begin(self, source: np.ndarray, mask: np.ndarray) -> Context:
        """Read one source, [1, length]; the former one and its sequences are forgotten."""
        self._library.c.llama_memory_clear(self._memory, False)
        self._rows, self._position = [0], self._read(source[0])
        return self

    def _read(self, source: np.ndarray) -> int:
        """Encode for all sequences; the position of the first target token."""
        everyone = list(range(2 * self._beams))
        self._run("llama_encode", source, range(len(source)), [everyone] * len(source))
        return 0

    def step(self, tokens: np.ndarray) -> np.ndarray:
        count = len(tokens)
        self._run("llama_decode", tokens, [self._position] * count, [[row] for row in self._rows])
        self._position += 1
        return np.stack([self._logits(index) for index in range(count)])

    def reorder(self, rows: np.ndarray) -> None:
        old = self._rows
        base = self._beams if old[0] < self._beams else 0
        self._rows = [base + place for place in range(len(rows))]
        for row, new in zip(rows.tolist(), self._rows, strict=True):
            self._library.c.llama_memory_seq_cp(self._memory, old[row], new, -1, -1)
        for sequence in old:
            self._library.c.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def _run(
        self,
        function: str,
        tokens: np.ndarray,
        positions: Sequence[int],
        sequences: Sequence[Sequence[int]],
        last_only: bool = False,
    ) -> None:
        """Run a batch. `last_only`: the others' outputs are not asked for, which spares the head for each of them."""
        ffi, count = self._library.ffi, len(tokens)
        # What the batch points to must live as long as the call.
        lists = [ffi.new("int32_t[]", list(of_token)) for of_token in sequences]
        parts = {
            "token": ffi.new("int32_t[]", tokens.tolist()),
            "pos": ffi.new("int32_t[]", list(positions)),
            "n_seq_id": ffi.new("int32_t[]", [len(of_token) for of_token in sequences]),
            "seq_id": ffi.new("int32_t *[]", lists),
            "logits": ffi.new("int8_t[]", [int(not last_only)] * (count - 1) + [1]),
        }
        batch = ffi.new("llama_batch *", {"n_tokens": count, **parts})
        status, errors = self._library.quietly(lambda: getattr(self._library.c, function)(self._handle, batch[0]))
        if status:
            raise InvalidOutput(f"{function} of {count} tokens returned {status}: {errors or 'nothing logged'}")

    def _logits(self, index: int) -> np.ndarray:
        pointer = self._library.c.llama_get_logits_ith(self._handle, index)
        if pointer == self._library.ffi.NULL:
            raise InvalidOutput(f"llama.cpp gave no logits for row {index}")
        return np.frombuffer(self._library.ffi.buffer(pointer, self._row_bytes), dtype=np.float32)

    def close(self) -> None:
        self._library.c.llama_free(self._handle)


class PromptContext(Context):
    """The same for a model that has no encoder: the source comes first in its one sequence."""

    def _read(self, source: np.ndarray) -> int:
        self._run("llama_decode", source, range(len(source)), [[0]] * len(source), last_only=True)
        return len(source)


class GGMLText2TextSession:
    """A T5 or a causal language model in GGUF on the CPU, with a context for each number of beams asked for."""

    def __init__(self, library: Library, path: Path, threads: int, model: Any, way: str) -> None:
        self._model, about = open_model(library, path, way)
        if not library.c.llama_model_has_decoder(self._model):
            library.c.llama_model_free(self._model)
            raise DataError(f"{path}: architecture {about['architecture']!r} has no decoder")
        self._kind = Context if library.c.llama_model_has_encoder(self._model) else PromptContext
        self._library, self._threads = library, threads
        self.limits, self.identity = decoding.FixedLimits.of(model), ""
        self.weights_bytes: int | None = int(library.c.llama_model_size(self._model))
        self.kernel: Mapping[str, Any] = describe(library, threads, about)
        self._contexts: dict[int, Context] = {}

    def __call__(self, inputs: Sequence[Sequence[int]]) -> list[list[int]]:
        return self.generate(inputs, self.limits.max_target)

    def generate(self, sources: Sequence[Sequence[int]], max_new_tokens: int, beams: int = 1) -> list[list[int]]:
        decoding.check(self.limits, sources, max_new_tokens, beams)
        if 2 * beams > MAX_SEQUENCES:
            raise DataError(f"{beams} beams are more than llama.cpp's {MAX_SEQUENCES // 2}; give fewer")
        context = self._context(beams)
        return [
            answer
            for source in sources
            for answer in decoding.generate(context, self.limits, [source], max_new_tokens, beams)
        ]

    def _context(self, beams: int) -> Context:
        if beams not in self._contexts:
            limits = self.limits.max_source, self.limits.max_target
            self._contexts[beams] = self._kind(self._library, self._model, beams, *limits, self._threads)
        return self._contexts[beams]

    def close(self) -> None:
        for context in self._contexts.values():
            context.close()
        self._contexts.clear()
        if self._model is not None:
            self._library.c.llama_model_free(self._model)
            self._model = None
