"""Real training steps on PyTorch: the parts, the counts, the memory, and other models."""

from __future__ import annotations

import math
import weakref
from types import SimpleNamespace

import pytest

from benchgate import core
from benchgate.core import DataError, Unavailable, support, task_of
from benchgate.measuring.meters.training_memory import TrainingMemory
from benchgate.runtimes.torch import trainer as torch_trainer
from benchgate.tasks.training_step.task import Setting, step
from fixtures.decoder_lm import SIZES, DecoderModel
from fixtures.seq2seq_untrained import UntrainedSeq2Seq, lstm, transformer

pytestmark = pytest.mark.backend("torch")

SHAPE = SIZES["tiny"]
SETTING = Setting(batch=4, context=64)

# A step


def test_the_first_loss_is_that_of_guessing_and_steps_lower_it(open_session):
    session = open_session()
    work = step(session, DecoderModel("tiny"), batch=4, context=64)
    losses = []
    for _ in range(5):
        work.prepare()
        work.call()
        losses.append(session.loss())
    assert losses[0] == pytest.approx(math.log(SHAPE.vocabulary), abs=0.1)
    assert losses == sorted(losses, reverse=True)


def test_a_step_is_that_of_a_bare_loop(open_session):
    torch = pytest.importorskip("torch")
    session = open_session()
    session.begin(SETTING)
    module = DecoderModel("tiny").build()
    optimizer = torch.optim.AdamW(module.parameters())
    batch = session._trainer._batch
    for _ in range(3):
        session.run("clear", "forward", "backward", "update")
        optimizer.zero_grad()
        logits = module(batch.inputs[0])
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten())
        loss.backward()
        optimizer.step()
        assert session.loss() == float(loss.detach())
    for ours, theirs in zip(session._trainer._module.parameters(), module.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_clearing_leaves_no_gradient_and_no_graph(open_session):
    session = open_session()
    session.begin(SETTING)
    session.run("clear", "forward", "backward")
    trainer = session._trainer
    assert all(p.grad is not None for p in trainer._module.parameters())
    session.run("forward")
    graph = weakref.ref(trainer._loss)
    session.run("clear")
    assert all(p.grad is None for p in trainer._module.parameters())
    assert graph() is None


def test_bf16_autocast_computes_in_bf16_and_keeps_fp32_weights(open_session):
    session = open_session(scheme="bf16-autocast")
    session.begin(SETTING)
    session.run("clear", "forward", "backward")
    assert session.kernel["computes_in"] == "bfloat16"
    assert session.kernel["weights"] == {"dense float32": 21}
    plain = open_session()
    plain.begin(SETTING)
    plain.run("forward")
    assert session.loss() != plain.loss()
    assert session.loss() == pytest.approx(plain.loss(), rel=1e-2)


@pytest.mark.parametrize("attention", ["math", "flash"])
def test_attention_kernels_give_the_same_loss(open_session, attention):
    default, chosen = open_session(), open_session()
    default.begin(SETTING)
    default.run("forward")
    chosen.begin(Setting(4, 64, attention))
    chosen.run("forward", "backward")
    assert chosen.kernel["attention"] == attention
    assert chosen.loss() == pytest.approx(default.loss(), rel=1e-5)


def test_an_attention_kernel_that_is_not_there_is_unavailable(open_session):
    session = open_session()
    session.begin(Setting(4, 64, "efficient"))
    with pytest.raises(Unavailable, match="attention=efficient: torch has no such kernel"):
        session.run("forward")


def test_compiling_tells_graphs_breaks_and_recompiles(open_session):
    if reason := core.runtimes["torch-training-compile"].missing("cpu"):
        pytest.skip(reason)
    plain, compiled = open_session(), open_session(runtime="torch-training-compile")
    plain.begin(SETTING)
    plain.run("forward")
    compiled.begin(SETTING)
    compiled.run("clear", "forward", "backward")
    kernel = compiled.kernel
    assert (kernel["graphs"], kernel["graph_breaks"], kernel["recompiles"]) == (1, 0, 0)
    assert kernel["compile_s"] > 0
    assert kernel["inductor_cache_hits"] + kernel["inductor_cache_misses"] > 0
    assert compiled.loss() == pytest.approx(plain.loss(), rel=1e-5)
    assert compiled.flops() == plain.flops()
    with pytest.raises(Unavailable, match="compiled graph"):
        compiled.memory_by_part()


# Counting


def test_flops_are_those_of_the_formula(open_session):
    session = open_session()
    session.begin(SETTING)
    counted = session.flops()
    tokens = 4 * 64
    weights = SHAPE.layers * (4 * SHAPE.d_model**2 + 3 * SHAPE.d_model * SHAPE.d_ff) + SHAPE.d_model * SHAPE.vocabulary
    attention = SHAPE.layers * 2 * 2 * 4 * 64 * 64 * SHAPE.d_model
    assert counted.forward == 2 * tokens * weights + attention
    assert counted.forward_backward == 3 * counted.forward


def test_flops_of_an_lstm_are_those_of_the_formula(open_session):
    model = UntrainedSeq2Seq("lstm", lstm)
    session = open_session(model)
    session.begin(Setting(batch=2, context=8))
    tokens, width, hidden, half = 2 * 8, 192, 320, 160
    encoder = 2 * 4 * half * (width + half)
    decoder = 4 * hidden * (width + hidden)
    dense = hidden * hidden + 2 * hidden * width + width * model.vocabulary
    start = 2 * 2 * hidden * 2 * hidden
    attention = 2 * 2 * 2 * 8 * 8 * hidden
    assert session.flops().forward == 2 * tokens * (encoder + decoder + dense) + start + attention


def test_the_matmul_peak_is_measured_once(open_session, monkeypatch):
    monkeypatch.setitem(torch_trainer.MATMUL_SIDES, "cpu", (64, 128))
    torch_trainer.matmul_peak.cache_clear()
    session = open_session()
    peak = session.matmul_peak()
    assert 1e7 < peak < 1e15
    assert session.matmul_peak() == peak
    torch_trainer.matmul_peak.cache_clear()


def test_memory_by_part_is_what_the_parts_must_take(open_session):
    session = open_session()
    session.begin(SETTING)
    session.run("clear", "forward", "backward", "update")
    subject = SimpleNamespace(loaded=SimpleNamespace(session=session))
    reading = TrainingMemory().measure(subject)
    found = {name: metric.value for name, metric in reading.metrics.items()}
    weights = 4 * sum(p.numel() for p in session._trainer._module.parameters())
    tensors = len(list(session._trainer._module.parameters()))
    assert found["peak_parameters_bytes"] == weights
    assert found["peak_gradients_bytes"] == weights
    # Two averages for each weight, and a step count for each tensor.
    assert found["peak_optimizer_bytes"] == 2 * weights + 4 * tensors
    logits = 4 * 4 * 64 * SHAPE.vocabulary
    assert found["peak_activations_bytes"] > logits
    assert found["peak_step_bytes"] > 3 * weights + logits
    timeline = reading.details["memory_timeline"]
    assert 1 < len(timeline["seconds"]) <= 200
    assert timeline["seconds"] == sorted(timeline["seconds"])
    assert max(map(sum, zip(*timeline["parts"].values(), strict=True))) == found["peak_step_bytes"]


# Other models


def test_a_transformers_model_by_folder_is_trained(open_session, tmp_path):
    pytest.importorskip("torch")
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=50,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=32,
    )
    folder = tmp_path / "small-llama"
    LlamaForCausalLM(config).save_pretrained(folder)
    model = core.models[str(folder)]
    runtime = core.runtimes["torch-training"]
    assert (model.task, task_of(model, runtime)) == ("causal-lm", "training")
    assert support.refusal(model, core.schemes["fp32"], runtime) is None
    session = open_session(model)
    with pytest.raises(DataError, match="context 33 does not fit into small-llama's 32"):
        session.begin(Setting(2, 33))
    session.begin(Setting(2, 32))
    session.run("clear", "forward", "backward", "update")
    assert session.loss() == pytest.approx(math.log(50), abs=0.3)
    weights = 4 * 16 * 16 + 3 * 16 * 32 + 16 * 50
    assert session.flops().forward == 2 * 64 * weights + 2 * 2 * 2 * 32 * 32 * 16


@pytest.mark.parametrize("make", [lstm, transformer])
def test_sequence_to_sequence_models_are_trained(open_session, make):
    model = UntrainedSeq2Seq("untrained", make)
    session = open_session(model)
    session.begin(Setting(4, 16))
    losses = []
    for _ in range(5):
        session.run("clear", "forward", "backward", "update")
        losses.append(session.loss())
    assert losses == sorted(losses, reverse=True)
    with pytest.raises(DataError, match="context 129 does not fit into untrained's 128"):
        session.begin(Setting(4, 129))


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("task", "scheme", "reason"),
    [
        ("training", "fp32", None),
        ("causal-lm", "bf16-autocast", None),
        ("text2text", "fp32", None),
        ("detection", "fp32", "runs training, causal-lm, text2text models, any is for detection"),
        ("training", "bf16", "torch-training has no bf16, only float32"),
        ("training", "int8-dynamic", "torch-training has no int8-dynamic compression"),
    ],
)
def test_what_makes_no_sense_is_refused(task, scheme, reason):
    model = SimpleNamespace(name="any", task=task, build=lambda: None)
    refused = support.refusal(model, core.schemes[scheme], core.runtimes["torch-training"])
    assert (refused is None) if reason is None else (reason in refused)
