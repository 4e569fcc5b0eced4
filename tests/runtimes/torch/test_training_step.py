"""Real training steps on PyTorch: the parts, the counts, the memory, and every way to end early."""

from __future__ import annotations

import gc
import math
import sys
import weakref
from types import SimpleNamespace

import pytest

from benchgate import core, registration
from benchgate.core import BenchgateError, DataError, Unavailable, support, task_of
from benchgate.machine.devices import devices
from benchgate.measuring.meters.size import Size
from benchgate.measuring.meters.training_memory import TrainingMemory
from benchgate.runtimes.torch import trainer as torch_trainer
from benchgate.tasks.training_step.task import Setting, step
from fixtures.decoder_lm import SIZES, DecoderModel
from fixtures.seq2seq_untrained import UntrainedSeq2Seq, lstm, transformer

pytestmark = pytest.mark.backend("torch")

SHAPE = SIZES["tiny"]
SETTING = Setting(batch=4, context=64)


@pytest.fixture(autouse=True)
def registered():
    registration.load_builtin()


@pytest.fixture
def open_session(tmp_path):
    """A factory of sessions of torch-training, closed after the test."""
    opened = []

    def make(model=None, scheme="fp32", runtime="torch-training", threads=1):
        runtime, model = core.runtimes[runtime], model or DecoderModel("tiny")
        folder = tmp_path / str(len(opened))
        folder.mkdir()
        runtime.build(model, core.schemes[scheme], folder)
        opened.append(runtime.load(folder, model, "cpu", threads))
        return opened[-1]

    yield make
    for session in opened:
        session.close()


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


# Ends


def test_bad_settings_are_data_errors(open_session):
    session = open_session()
    with pytest.raises(DataError, match="context 129 does not fit into decoder-tiny's 128"):
        session.begin(Setting(1, 129))
    with pytest.raises(DataError, match="unknown decoder size 'xxl'; did you mean 'xl'"):
        open_session(DecoderModel("xxl")).begin(SETTING)
    with pytest.raises(BenchgateError, match="has not begun, or is closed"):
        open_session().run("forward")
    with pytest.raises(BenchgateError, match="no plain call"):
        session(None)


def test_there_is_no_size_of_a_model_that_is_not_stored(open_session, tmp_path):
    session = open_session()
    session.begin(SETTING)
    of = SimpleNamespace(runtime=core.runtimes["torch-training"])
    subject = SimpleNamespace(loaded=SimpleNamespace(of=of, session=session, path=tmp_path))
    reading = Size().measure(subject)
    assert reading.metrics == {}
    assert reading.missing["size_bytes"] == "torch-training stores no model"


@pytest.mark.parametrize("part", ["forward", "backward", "update"])
def test_out_of_memory_in_any_part_lets_go_of_everything(open_session, monkeypatch, part):
    torch = pytest.importorskip("torch")
    session = open_session()
    session.begin(SETTING)
    session.run("clear", "forward", "backward", "update")
    weights = [weakref.ref(p) for p in session._trainer._module.parameters()]

    def exhausted(*args, **options):
        activations = torch.ones(1000)
        held.append(weakref.ref(activations))
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")

    held = []
    place = {"forward": "benchgate.runtimes.torch.training_inputs.Batch.loss", "backward": "torch.Tensor.backward"}
    monkeypatch.setattr(place.get(part, "torch.optim.AdamW.step"), exhausted)
    session.run("clear", *({"update": ("forward", "backward")}.get(part, ())))
    with pytest.raises(MemoryError, match="can't allocate memory") as caught:
        session.run("forward", "backward", "update")
    gc.collect()
    # Nothing lives on in the report of the failure either.
    assert caught.value.__context__ is None
    assert [ref() for ref in (*held, *weights)] == [None] * (1 + len(weights))


def test_an_artificial_limit_gives_a_real_end_and_the_next_cell_runs(open_session):
    if sys.platform != "linux":
        pytest.skip("a memory limit needs Linux")
    session = open_session()
    session.begin(Setting(64, 128, memory_limit=60_000_000))
    with pytest.raises(MemoryError, match="can't allocate memory"):
        session.run("clear", "forward", "backward")
    worker = session._trainer._worker
    session.close()
    assert not worker.alive
    session.begin(SETTING)
    session.run("clear", "forward", "backward", "update")
    assert session.loss() > 0


# Devices that are not here


@pytest.mark.parametrize(("device", "limited"), [("cuda", 0.25), ("mps", 0.5)])
def test_accelerators_limit_their_own_allocator_wait_and_empty_their_cache(monkeypatch, device, limited):
    torch = pytest.importorskip("torch")
    log = []
    backend = SimpleNamespace(
        get_device_properties=lambda index: SimpleNamespace(total_memory=400),
        recommended_max_memory=lambda: 200,
        set_per_process_memory_fraction=lambda share: log.append(("limit", share)),
        synchronize=lambda: log.append("wait"),
        empty_cache=lambda: log.append("empty"),
    )
    monkeypatch.setattr(torch, device, backend)
    trainer = torch_trainer.Trainer(
        torch_trainer.Spec(DecoderModel("tiny"), core.schemes["fp32"], device, 1, compiled=False)
    )
    trainer.limit_memory(100)
    monkeypatch.setattr(trainer, "_forward", lambda: log.append("forward"))
    monkeypatch.setattr(trainer, "_backward", lambda: log.append("backward"))
    trainer.run("forward", "backward")
    trainer.close()
    assert log == [("limit", limited), "forward", "backward", "wait", "empty"]
    assert devices[device].synchronize is not None
