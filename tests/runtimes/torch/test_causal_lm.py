"""The torch runtime on a tiny random language model: every scheme, and what the causal-lm task relies on."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace

import numpy as np
import pytest

from benchgate.core import Cell, DataError, Lapped, models, operations, runtimes, schemes, support, tasks
from benchgate.executors.local import Local, Settings
from benchgate.measuring import run as running
from benchgate.measuring.held import Held
from benchgate.measuring.meters import Apart, meters
from benchgate.measuring.resolved import resolve
from benchgate.measuring.timing import Loop
from benchgate.runtimes.torch import runtime as torch_runtime
from benchgate.storage.artifacts import artifact
from benchgate.tasks.causal_lm.models import HubModel, from_name
from benchgate.tasks.causal_lm.passages import Passages
from benchgate.tasks.causal_lm.task import PROMPT
from tests.builders import tiny_language_model

pytestmark = pytest.mark.backend("torch")
VOCABULARY, CONTEXT = 128, 64
SCHEMES = ["fp32", "bf16", "int8-dynamic", "int8-weight-only", "int4-weight-only"]
QUANTIZED = {"int8-dynamic": "Int8Tensor", "int8-weight-only": "Int8Tensor", "int4-weight-only": "Int4"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What `save_pretrained` writes: 2 layers of 64, tied embeddings, a word tokenizer of 128."""
    return tiny_language_model(tmp_path_factory.mktemp("model") / "tiny-llama", VOCABULARY, CONTEXT)


def compress(model, scheme):
    """The module as the runtime torch compresses it, without writing it."""
    row = support.compressor_row(model, scheme, runtimes["torch"])
    return support.imported(row.target)(model.build().eval(), scheme)


@pytest.fixture
def model(folder):
    found = from_name(str(folder))
    assert isinstance(found, HubModel)
    with models.extended(found):
        yield found


@pytest.fixture
def load(model):
    """load(scheme, runtime) -> session of the built artifact; closed after the test."""
    opened = []

    def get(scheme="fp32", runtime="torch"):
        opened.append(resolve(Cell(model.name, scheme, runtime, "cpu")).load(1).session)
        return opened[-1]

    yield get
    for session in opened:
        session.close()


def ids(*lengths, seed=1):
    generator = np.random.default_rng(seed)
    return [generator.integers(0, VOCABULARY, n).tolist() for n in lengths]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_is_loaded_is_what_was_built(model, load, scheme):
    """The state dict in an empty structure gives the outputs of the compressed module itself, and names its weights."""
    import torch

    session = load(scheme)
    built = compress(model, schemes[scheme])
    # `.to(bfloat16)` rounds the rotary frequencies too; they are no weights, and stay float32 in what is loaded.
    built.model.rotary_emb = model.build().model.rotary_emb
    [sequence] = ids(12)
    with torch.inference_mode():
        expected = built(torch.tensor([sequence])).logits[0].float().numpy()
    [found] = session.logits([sequence], [12])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    kinds = session.kernel["weights"]
    assert session.kernel["threads"] == 1
    if scheme in QUANTIZED:
        assert any(kind.startswith(QUANTIZED[scheme]) for kind in kinds), kinds
    else:
        assert list(kinds) == [f"dense {'float32' if scheme == 'fp32' else 'bfloat16'}"]


def test_weights_bytes(load, model):
    """Tied embeddings count once; quantized weights count as packed."""
    dense = sum(p.numel() for p in model.build().parameters())  # `parameters` gives a tied one once
    buffers = sum(b.nbytes for b in model.build().buffers())
    found = {scheme: load(scheme).weights_bytes for scheme in SCHEMES}
    assert found["fp32"] == dense * 4 + buffers
    assert found["bf16"] < 0.51 * found["fp32"]
    assert found["int4-weight-only"] < found["int8-weight-only"] < found["bf16"]
    assert found["int8-dynamic"] == found["int8-weight-only"]
    bits = {scheme: load(scheme).kernel["bits_per_weight"] for scheme in SCHEMES}
    assert bits == {scheme: round(8 * count / dense, 3) for scheme, count in found.items()}
    # The embedding stays in bf16, and int8's scales and int4's zero points take their part.
    assert 32 <= bits["fp32"] < 33
    assert 16 <= bits["bf16"] < 17
    assert 8 < bits["int8-weight-only"] < 16
    assert 4 < bits["int4-weight-only"] < bits["int8-weight-only"]


def test_operators_show_what_ran(load):
    session = load("int8-dynamic")
    tokens = np.asarray(ids(32))
    names = " ".join(torch_runtime.top_operators(lambda: session.prefill(tokens), limit=100))
    assert "_int_mm" in names
    observed = load("fp32").observe(lambda: session.prefill(tokens))["operators"]
    assert 1 <= len(observed) <= 4
    assert all(0 < share <= 1 for share in observed.values())


@pytest.mark.parametrize("scheme", ["fp32", "int8-weight-only"])
def test_logits_do_not_depend_on_the_batch(load, scheme):
    session = load(scheme)
    sequences, keep = ids(5, 31, 17, 9), [2, 3, 1, 9]
    together = session.logits(sequences, keep)
    for sequence, k, batched in zip(sequences, keep, together, strict=True):
        [alone] = session.logits([sequence], [k])
        assert batched.shape == (k, VOCABULARY)
        assert batched.dtype == np.float32
        tolerance = 1e-4 if scheme == "fp32" else 0.05
        np.testing.assert_allclose(batched, alone, rtol=tolerance, atol=tolerance * np.abs(alone).max())


def test_the_score_does_not_depend_on_the_batch(load, model):
    def passages(batch):
        lines = [(f"w{i} the crew", "w9") if i % 2 else (f"w{i}", "w7 w8") for i in range(20, 33)]
        return Passages("made-up", "0" * 64, tuple(lines), len(lines), batch=batch)

    session = load()
    task = tasks["causal-lm"]
    scores = [
        {name: m.value for name, m in task.score(session, model, passages(batch)).items()} for batch in (1, 4, 13)
    ]
    for other in scores[1:]:
        assert other["perplexity"] == pytest.approx(scores[0]["perplexity"], rel=1e-5)
        assert {k: v for k, v in other.items() if k != "perplexity"} == {
            k: v for k, v in scores[0].items() if k != "perplexity"
        }


def test_fidelity_falls_with_the_bits(model):
    """By the way a cell measures it: the reference is loaded beside the session and closed again."""
    data = Passages("made-up", "0" * 64, tuple((f"w{i} the crew w{i + 1}", "w9") for i in range(20, 40)), 20)
    other, found = Cell(model.name, "fp32", "torch", "cpu"), {}
    for scheme in ("fp32", "bf16", "int8-weight-only", "int4-weight-only"):
        cell = replace(other, scheme=scheme)
        held = Held()
        found[scheme] = running.fidelity(held, resolve(cell), 1, resolve(other), data)
        held.close()
    kl = [metrics["kl_mean"].value for metrics in found.values()]
    assert kl[0] < 1e-9 < kl[1] < kl[2] < kl[3]
    assert found["fp32"]["agreement_top1"].value == 1
    assert found["int4-weight-only"]["agreement_top1"].value < 1
    assert all(metrics["kl_mean"].n == 20 for metrics in found.values())


def test_a_cache_step_is_a_full_forward(load):
    """prefill and step choose what the logits of the whole sequence say; after a rewind they say it again."""
    session = load()
    [sequence] = ids(10)
    greedy = [session.logits([sequence[:n]], [1])[0][0].argmax() for n in (8, 9, 10)]
    assert session.prefill(np.asarray([sequence[:8]])) == greedy[0]
    assert session.step(np.asarray(sequence[8:9])) == greedy[1]
    assert session.step(np.asarray(sequence[9:10])) == greedy[2]
    session.rewind(8)
    assert session.step(np.asarray(sequence[8:9])) == greedy[1]
    session.rewind(9)
    assert session.step(np.asarray(sequence[9:10])) == greedy[2]


@pytest.mark.parametrize("operation", ["prefill", "decode", "generate"])
def test_operations(load, model, operation):
    """Each can be called again and again; a context that the model cannot hold is refused."""
    session, task = load(), tasks["causal-lm"]
    work = operations(task)[operation](session, model, PROMPT, batch=2, context=16)
    outputs = []
    if work.begin is not None:
        work.begin()
    for _ in range(3):
        if work.prepare is not None:
            work.prepare()
        output = work.call()
        outputs.append(output.output if isinstance(output, Lapped) else output)
        work.check(outputs[-1])
    assert all((output == outputs[0]).all() for output in outputs)
    assert outputs[0].shape == (2,)
    with pytest.raises(DataError, match="does not fit into tiny-llama's 64"):
        operations(task)[operation](session, model, PROMPT, context=CONTEXT + 1)
    with pytest.raises(DataError, match="at least 1"):
        operations(task)[operation](session, model, PROMPT, batch=0)


def test_a_pickle_bomb_is_refused(model, load):
    """Weights are read without running what a pickle says."""
    load()
    path = artifact(model, schemes["fp32"], runtimes["torch"]) / torch_runtime.WEIGHTS
    marker = path.parent / "exploded"

    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(marker),)

    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(DataError, match=r"cannot be read as a state dict|holds more than weights"):
        runtimes["torch"].load(path.parent, model, "cpu", 1)
    import torch

    torch.save({"weight": Bomb()}, path)
    with pytest.raises(DataError, match="holds more than weights and is not read"):
        runtimes["torch"].load(path.parent, model, "cpu", 1)
    assert not marker.exists()


def test_a_model_without_structure(model, tmp_path):
    """Built whole, then its weights are replaced by the artifact's."""

    class Plain:
        name, version, task = "plain", "1", "causal-lm"

        def build(self):
            import torch

            module = model.build()
            torch.nn.init.zeros_(module.model.norm.weight)
            return module

    runtime = runtimes["torch"]
    runtime.build(model, schemes["fp32"], tmp_path)
    session, expected = runtime.load(tmp_path, Plain(), "cpu", 1), runtime.load(tmp_path, model, "cpu", 1)
    [sequence] = ids(7)
    np.testing.assert_array_equal(session.logits([sequence], [7])[0], expected.logits([sequence], [7])[0])
    assert session.weights_bytes == expected.weights_bytes


def test_refusals(model):
    torch_eager = runtimes["torch"]
    assert support.refusal(model, schemes["int8-static"], torch_eager) == "torch has no int8-static compression"
    assert all(support.refusal(model, schemes[name], torch_eager) is None for name in SCHEMES)


def test_compiled_says_the_same(load):
    if reason := runtimes["torch-compile"].missing("cpu"):
        pytest.skip(reason)
    compiled, eager = load(runtime="torch-compile"), load()
    assert compiled.kernel["compiled"] is True
    [sequence] = ids(8)
    np.testing.assert_allclose(
        compiled.logits([sequence], [1])[0], eager.logits([sequence], [1])[0], rtol=1e-3, atol=1e-3
    )


def test_memory_of_the_tiny_model(model):
    """The meter's own way: fresh process, two passes; figures that make sense, nothing estimated."""
    cell = Cell(model.name, "fp32", "torch", "cpu")
    of = resolve(cell)
    loaded = of.load(1)
    session = loaded.session
    asked = running.prepare(loaded, "prefill", {"context": 16}, Loop()).asked
    session.close()
    local = Local(Settings())
    try:
        elsewhere = local.place(of, Held()).elsewhere
        reading = meters["memory"].measure_apart(Apart(of, loaded.path, 1, asked), elsewhere)
    finally:
        local.close()
    found = reading.metrics
    assert set(found) == {"peak_native_bytes", "peak_rss_bytes"}
    assert reading.missing == {"peak_device_bytes": "cpu has no allocator of its own"}
    assert session.weights_bytes < found["peak_native_bytes"].value < found["peak_rss_bytes"].value
    # torch and transformers alone are more than that.
    assert found["peak_rss_bytes"].value > 100e6
