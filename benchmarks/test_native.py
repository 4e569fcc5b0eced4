"""The ggml runtime beside llama.cpp driven by a bare loop: what our session costs on top of the library's own work.

Both in one process, call by call in random order, so that a change of the machine's speed meets both. One thread,
so that CPU time is wall time less what other processes took: where they took more than a tenth it is compared in its
stead, and the verdict says so.
"""

import pytest

from benchgate import Work
from benchgate.core import runtimes, schemes
from benchgate.measuring.in_turn import Limits
from benchgate.storage.artifacts import artifact
from benchgate.tasks.causal_lm.task import prompt_tokens

CONTEXT = 32
LIMIT = 0.03
# Pairs of calls at least, and how long they may take (s).
LEAST, BUDGET_S = 20, 60


class BareLoop:
    """The same file, prompt and number of threads; nothing but the C calls, as llama-bench makes them."""

    def __init__(self, path, tokens):
        from benchgate.runtimes.ggml.library import library

        self.library = library()
        ffi, c = self.library.ffi, self.library.c
        params = c.llama_model_default_params()
        params.n_gpu_layers = 0
        self.model = c.llama_model_load_from_file(str(path).encode(), params)
        options = c.llama_context_default_params()
        options.n_ctx, options.n_threads, options.n_threads_batch = 512, 1, 1
        self.context = c.llama_init_from_model(self.model, options)
        self.memory = c.llama_get_memory(self.context)
        assert self.context != ffi.NULL
        self.prompt = self._batch(tokens, 0)
        self.token = self._batch(tokens[:1], len(tokens))
        self.length = len(tokens)

    def _batch(self, tokens, start):
        """A llama_batch at positions from `start`, of which the last token's logits are wanted, and its arrays."""
        ffi, n = self.library.ffi, len(tokens)
        ids = ffi.new("int32_t[]", [int(t) for t in tokens])
        positions = ffi.new("int32_t[]", list(range(start, start + n)))
        counts, zero = ffi.new("int32_t[]", [1] * n), ffi.new("int32_t[]", [0])
        sequences = ffi.new("int32_t *[]", [zero] * n)
        wanted = ffi.new("int8_t[]", [0] * (n - 1) + [1])
        batch = ffi.new("llama_batch *", [n, ids, ffi.NULL, positions, counts, sequences, wanted])
        return batch, (ids, positions, counts, zero, sequences, wanted)

    def prefill(self):
        self.library.c.llama_memory_clear(self.memory, False)
        assert self.library.c.llama_decode(self.context, self.prompt[0][0]) == 0

    def rewind(self):
        self.library.c.llama_memory_seq_rm(self.memory, 0, self.length, -1)

    def decode(self):
        assert self.library.c.llama_decode(self.context, self.token[0][0]) == 0

    def close(self):
        self.library.c.llama_free(self.context)
        self.library.c.llama_model_free(self.model)


@pytest.mark.cells(model="smollm2-135m", scheme="gguf-q8_0", runtime="ggml")
@pytest.mark.parametrize("operation", ["prefill", "decode"])
def test_as_fast_as_a_bare_loop(cell, operation, record_property):
    """Tokens/s within 3 % of the library's own; where the machine is too noisy to say, a skip with the interval."""
    cell.measure(operation, context=CONTEXT, threads=1, meters=())
    path = artifact(cell.model, schemes[cell.scheme], runtimes[cell.runtime]) / "model.gguf"
    bare = BareLoop(path, prompt_tokens(cell.model, 1, CONTEXT)[0])
    loops = {"prefill": Work(bare.prefill), "decode": Work(bare.decode, begin=bare.prefill, prepare=bare.rewind)}
    try:
        found = cell.against(
            loops[operation], operation, context=CONTEXT, threads=1, limits=Limits(LEAST, BUDGET_S, at=1 + LIMIT)
        )
    finally:
        bare.close()
    said = f"ours takes {found}"
    record_property("ratio", said)
    print(said)
    assert found.ratio.low <= 1 + LIMIT, said
    assert found.ratio.high >= 1 - LIMIT, f"{said}: the bare loop is not what it should be"
    if found.ratio.high > 1 + LIMIT:
        pytest.skip(f"too noisy to tell: {said}")
