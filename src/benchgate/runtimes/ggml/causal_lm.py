"""The causal-lm protocol (`benchgate.tasks.causal_lm.task.LMSession`) on llama.cpp."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from benchgate.core import DataError, InvalidOutput, Model
from benchgate.core.arrays import np
from benchgate.runtimes.ggml.files import read
from benchgate.runtimes.ggml.library import MAX_SEQUENCES, XLLAMACPP, Library

# Tokens in one call of llama_decode, and in one pass through the layers: llama.cpp's defaults.
BATCH_TOKENS = 2048
# The cache grows in steps of this many positions, llama.cpp's own padding.
CACHE_STEP = 256
# What llama_decode returns when memory is what was missing (include/llama.h).
_NO_ROOM = {1: "no room in the cache", -2: "could not allocate memory"}
# LLAMA_LOAD_MODE_MMAP and _NONE (include/llama.h). Types that llama.cpp repacks for this CPU are copied in both.
LOAD_MODES = {"mmap": 1, "read": 0}

Taken = TypeVar("Taken")


class Batch:
    """llama_batch structures for `rows` x `length` tokens, of which the last `keep` of each row give logits.

    Kept from one step to the next: making them anew took 3 % of a small model's step. `parts` are pairs of a structure
    of at most BATCH_TOKENS tokens and the places in it that give logits.
    """

    def __init__(self, ffi: Any, rows: int, length: int, keep: int) -> None:
        self.shape = (rows, length, keep)
        self._tokens = np.empty((rows, length), dtype=np.int32)
        self._positions = np.empty((rows, length), dtype=np.int32)
        self._offsets = np.arange(length, dtype=np.int32)
        self._sequence = np.repeat(np.arange(rows, dtype=np.int32), length)
        self._ones = np.ones(rows * length, dtype=np.int32)
        # llama_batch wants a pointer to each token's list of sequences; ours are lists of one.
        step = self._sequence.itemsize * np.arange(rows * length, dtype=np.uintp)
        self._pointers = self._sequence.ctypes.data + step
        self._wanted = np.tile(self._offsets >= length - keep, rows).astype(np.int8)
        starts = range(0, rows * length, BATCH_TOKENS)
        self.parts = [(self._part(ffi, begin), self._places(begin)) for begin in starts]

    def _part(self, ffi: Any, begin: int) -> Any:
        def pointer(kind: str, array: np.ndarray) -> Any:
            return ffi.cast(kind, array.ctypes.data + begin * array.itemsize)

        batch = ffi.new("llama_batch *")
        batch.n_tokens = min(BATCH_TOKENS, self._ones.size - begin)
        batch.token = pointer("int32_t *", self._tokens)
        batch.pos = pointer("int32_t *", self._positions)
        batch.n_seq_id = pointer("int32_t *", self._ones)
        batch.seq_id = pointer("int32_t **", self._pointers)
        batch.logits = pointer("int8_t *", self._wanted)
        return batch

    def _places(self, begin: int) -> list[int]:
        found: list[int] = np.flatnonzero(self._wanted[begin : begin + BATCH_TOKENS]).tolist()
        return found

    def fill(self, tokens: np.ndarray, start: int) -> None:
        """`tokens`, [rows, length], at positions from `start`."""
        self._tokens[:] = tokens
        np.add(self._offsets, start, out=self._positions)


class Context:
    """A llama.cpp context: `sequences` independent caches of `positions` each, in F16, llama.cpp's default."""

    def __init__(self, library: Library, model: Any, sequences: int, positions: int, threads: int) -> None:
        self._library = library
        self.sequences = sequences
        params = library.c.llama_context_default_params()
        params.n_ctx = sequences * positions
        params.n_seq_max = sequences
        params.n_batch = BATCH_TOKENS
        params.n_threads = params.n_threads_batch = threads
        self._handle, errors = library.quietly(lambda: library.c.llama_init_from_model(model, params))
        if self._handle == library.ffi.NULL:
            raise MemoryError(
                f"llama.cpp made no context of {sequences} x {positions} positions: {errors or 'no reason'}"
            )
        self.positions = int(library.c.llama_n_ctx_seq(self._handle))
        self._memory = library.c.llama_get_memory(self._handle)
        self._batch = Batch(library.ffi, 0, 0, 0)
        vocabulary = library.c.llama_vocab_n_tokens(library.c.llama_model_get_vocab(model))
        self._row_bytes = int(vocabulary) * np.dtype(np.float32).itemsize

    def clear(self) -> None:
        self._library.c.llama_memory_clear(self._memory, False)

    def cut(self, length: int) -> None:
        for sequence in range(self.sequences):
            if not self._library.c.llama_memory_seq_rm(self._memory, sequence, length, -1):
                raise DataError(
                    f"this architecture's cache cannot be cut back to {length}; only prefill can be measured"
                )

    def run(self, tokens: np.ndarray, start: int, keep: int, take: Callable[[np.ndarray], Taken]) -> list[list[Taken]]:
        """Append `tokens`, [sequences, length] int, at position `start`; what `take` makes of the logits of the last
        `keep` positions of each sequence.

        `take` gets llama.cpp's own memory, [vocabulary] float32, which the next call overwrites. Raises MemoryError
        when there is no room.
        """
        rows, length = tokens.shape
        if rows > self.sequences or start + length > self.positions:
            # llama.cpp would abort the process.
            raise MemoryError(
                f"no room in a cache of {self.sequences} x {self.positions} for {rows} x {length} tokens from {start}"
            )
        if (rows, length, keep) != self._batch.shape:
            self._batch = Batch(self._library.ffi, rows, length, keep)
        self._batch.fill(tokens, start)
        found = []
        for part, wanted in self._batch.parts:
            self._decode(part)
            found += [take(self._logits(i)) for i in wanted]
        return [found[row * keep : (row + 1) * keep] for row in range(rows)]

    def _decode(self, batch: Any) -> None:
        status, errors = self._library.quietly(lambda: self._library.c.llama_decode(self._handle, batch[0]))
        if status in _NO_ROOM:
            raise MemoryError(f"llama_decode of {batch.n_tokens} tokens: {_NO_ROOM[status]}; {errors or 'not logged'}")
        if status:
            raise InvalidOutput(f"llama_decode of {batch.n_tokens} tokens returned {status}: {errors or 'not logged'}")

    def _logits(self, index: int) -> np.ndarray:
        pointer = self._library.c.llama_get_logits_ith(self._handle, index)
        if pointer == self._library.ffi.NULL:
            raise InvalidOutput(f"llama.cpp gave no logits for token {index} of the batch")
        return np.frombuffer(self._library.ffi.buffer(pointer, self._row_bytes), dtype=np.float32)

    def close(self) -> None:
        self._library.c.llama_free(self._handle)


def open_model(library: Library, path: Path, way: str) -> tuple[Any, dict[str, Any]]:
    """The loaded model and what its file says; `way` is one of LOAD_MODES.

    Raises DataError for a file that is damaged or refused.
    """
    about = read(path)
    params = library.c.llama_model_default_params()
    params.n_gpu_layers = 0
    params.load_mode = LOAD_MODES[way]
    model, errors = library.quietly(lambda: library.c.llama_model_load_from_file(str(path).encode(), params))
    if model == library.ffi.NULL:
        raise DataError(f"{path}: llama.cpp cannot load it (architecture {about['architecture']!r}): {errors}")
    return model, about


def describe(library: Library, threads: int, about: Mapping[str, Any]) -> dict[str, Any]:
    """The `kernel` of a session: library, CPU features that it uses, and what the file holds."""
    return {
        "library": f"llama.cpp {library.text(library.c.llama_version())} in xllamacpp {XLLAMACPP}",
        "cpu": library.text(library.c.llama_print_system_info()).strip(" |"),
        "threads": threads,
        "cache": "F16",
        "dequantises_per_call": False,
        **about,
    }


def load(library: Library, path: Path, threads: int, model: Model, way: str) -> GGMLSession:
    """The session of a GGUF file: all that `model` would tell is in it."""
    return GGMLSession(library, path, threads, way)


class GGMLSession:
    """A GGUF model in llama.cpp on the CPU.

    Generation and scoring have a context each; the former grows with batch and length as a measurement asks, so that
    a long context limit costs no memory unused. Scoring reads one sequence at a time: nothing in a batch can change
    another's logits.
    """

    def __init__(self, library: Library, path: Path, threads: int, way: str) -> None:
        self._model, about = open_model(library, path, way)
        self._library, self._threads = library, threads
        if library.c.llama_model_has_encoder(self._model) or not library.c.llama_model_has_decoder(self._model):
            library.c.llama_model_free(self._model)
            raise DataError(f"{path}: architecture {about['architecture']!r} is no decoder-only language model")
        self.context_limit = int(library.c.llama_model_n_ctx_train(self._model))
        self.vocabulary = int(library.c.llama_vocab_n_tokens(library.c.llama_model_get_vocab(self._model)))
        self.weights_bytes: int | None = int(library.c.llama_model_size(self._model))
        self.identity = ""
        self.kernel: Mapping[str, Any] = describe(library, threads, about)
        self._generating: Context | None = None
        self._scoring: Context | None = None
        self._history = np.empty((0, 0), dtype=np.int64)

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """[batch, length] token ids to the float32 logits after the last, [batch, vocabulary]."""
        return np.stack([rows[-1] for rows in self.logits(inputs.tolist(), [1] * len(inputs))])

    def prefill(self, tokens: np.ndarray) -> np.ndarray:
        self._check(tokens)
        context = self._room(*tokens.shape)
        context.clear()
        self._history = tokens[:, :0]
        return self._append(context, tokens)

    def step(self, tokens: np.ndarray) -> np.ndarray:
        self._check(tokens)
        if self._generating is None:
            raise DataError("step without a prompt before it; call prefill first")
        batch, length = self._history.shape
        context = self._generating
        if length + 1 > context.positions:
            history = self._history
            context = self._room(batch, length + 1)
            self._history = history[:, :0]
            self._append(context, history)
        return self._append(context, tokens[:, None])

    def rewind(self, length: int) -> None:
        if self._generating is None or not 0 <= length <= self._history.shape[1]:
            raise DataError(f"cannot go back to {length} positions; there are {self._history.shape[1]}")
        self._generating.cut(length)
        self._history = self._history[:, :length]

    def logits(self, sequences: Sequence[Sequence[int]], keep: Sequence[int]) -> list[np.ndarray]:
        longest = max(map(len, sequences))
        if self._scoring is None or self._scoring.positions < longest:
            self._scoring = self._new_context(self._scoring, 1, longest)
        found = []
        for sequence, count in zip(sequences, keep, strict=True):
            tokens = np.asarray(sequence, dtype=np.int64)[None, :]
            self._check(tokens)
            self._scoring.clear()
            found += [np.stack(rows) for rows in self._scoring.run(tokens, 0, count, np.copy)]
        return found

    def close(self) -> None:
        for context in (self._generating, self._scoring):
            if context is not None:
                context.close()
        self._generating = self._scoring = None
        if self._model is not None:
            self._library.c.llama_model_free(self._model)
            self._model = None

    def _append(self, context: Context, tokens: np.ndarray) -> np.ndarray:
        """Append to every sequence of the current context; the greedy next tokens, [batch]."""
        chosen = context.run(tokens, self._history.shape[1], 1, np.argmax)
        self._history = np.concatenate([self._history, tokens], axis=1)
        return np.array(chosen, dtype=np.int64)[:, 0]

    def _room(self, batch: int, length: int) -> Context:
        """The generation context, made anew where it is of another batch or too short; empty then."""
        known = self._generating
        if known is None or known.sequences != batch or known.positions < length:
            self._generating = known = self._new_context(known, batch, length)
        return known

    def _new_context(self, old: Context | None, batch: int, length: int) -> Context:
        if length > self.context_limit:
            raise DataError(f"{length} positions are more than this model's {self.context_limit}; give fewer tokens")
        if batch > MAX_SEQUENCES:
            raise DataError(f"batch {batch}: llama.cpp holds at most {MAX_SEQUENCES} sequences; give a smaller batch")
        if old is not None:
            old.close()
        positions = min(length + CACHE_STEP, self.context_limit)
        return Context(self._library, self._model, batch, -(-positions // CACHE_STEP) * CACHE_STEP, self._threads)

    def _check(self, tokens: np.ndarray) -> None:
        if tokens.size == 0 or tokens.min() < 0 or tokens.max() >= self.vocabulary:
            raise DataError(
                f"token ids must be 0 to {self.vocabulary - 1} and at least one; got {tokens.size} from "
                f"{tokens.min(initial=0)} to {tokens.max(initial=0)}: is the tokenizer this model's own?"
            )
