"""The ggml runtime beside llama.cpp driven by a bare loop: what our session costs on top of the library's own work.

Both in one process, call by call in alternating order, so that a change of the machine's speed meets both. One thread,
so that CPU time is wall time less what other processes took: where they took more than a tenth it is compared in its
stead, and the verdict says so.
"""

import time

import numpy as np
import pytest

from benchgate.core import runtimes, schemes, stats
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


def seconds(call, prepare):
    """One call's (wall, CPU) time."""
    prepare()
    start, used = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - start, time.process_time() - used


def ratio(ours, bare):
    """The median of ours / bare over pairs with bounds of 99 % each, as many pairs as it takes to say, and whether
    that is of wall or CPU time."""
    pairs = []
    end = time.monotonic() + BUDGET_S
    while len(pairs) < LEAST or time.monotonic() < end:
        order = (ours, bare) if len(pairs) % 2 else (bare, ours)
        taken = {id(loop): seconds(*loop) for loop in order}
        pairs.append(taken[id(ours)] + taken[id(bare)])
        if len(pairs) >= LEAST:
            median, clock = verdict(pairs)
            if median.high <= 1 + LIMIT or median.low > 1 + LIMIT:
                break
    return median, clock


def verdict(pairs):
    wall, cpu, bare_wall, bare_cpu = map(np.array, zip(*pairs, strict=True))
    if np.median((cpu + bare_cpu) / (wall + bare_wall)) >= 0.9:
        return stats.percentile(list(wall / bare_wall), 0.5), "wall"
    return stats.percentile(list(cpu / bare_cpu), 0.5), "CPU"


@pytest.mark.cells(model="smollm2-135m", scheme="gguf-q8_0", runtime="ggml")
@pytest.mark.parametrize("operation", ["prefill", "decode"])
def test_as_fast_as_a_bare_loop(cell, operation, record_property):
    """Tokens/s within 3 % of the library's own; where the machine is too noisy to say, a skip with the interval."""
    cell.measure(operation, context=CONTEXT, threads=1, meters=())
    session, tokens = cell.session, prompt_tokens(cell.model, 1, CONTEXT)
    path = artifact(cell.model, schemes[cell.cell.scheme], runtimes["ggml"]) / "model.gguf"
    bare = BareLoop(path, tokens[0])
    following = session.prefill(tokens)
    bare.prefill()
    loops = {
        "prefill": ((lambda: session.prefill(tokens), lambda: None), (bare.prefill, lambda: None)),
        "decode": ((lambda: session.step(following), lambda: session.rewind(CONTEXT)), (bare.decode, bare.rewind)),
    }
    try:
        found, clock = ratio(*loops[operation])
    finally:
        bare.close()
    bounds = f"{found.low:.4f} to {found.high:.4f}, n={found.n}"
    said = f"ours takes {found.value:.4f} of the bare loop's {clock} time ({bounds})"
    record_property("ratio", said)
    print(said)
    assert found.low <= 1 + LIMIT, said
    assert found.high >= 1 - LIMIT, f"{said}: the bare loop is not what it should be"
    if found.high > 1 + LIMIT:
        pytest.skip(f"too noisy to tell: {said}")
