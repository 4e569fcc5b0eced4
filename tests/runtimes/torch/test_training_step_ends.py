"""Training steps that end early: bad settings, no memory, and what accelerators do about it."""

from __future__ import annotations

import gc
import sys
import weakref
from types import SimpleNamespace

import pytest

from benchgate import core
from benchgate.core import BenchgateError, DataError
from benchgate.machine.devices import devices
from benchgate.measuring.meters.size import Size
from benchgate.runtimes.torch import trainer as torch_trainer
from benchgate.tasks.training_step.task import Setting
from fixtures.decoder_lm import DecoderModel

pytestmark = pytest.mark.backend("torch")

SETTING = Setting(batch=4, context=64)


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


@pytest.mark.usefixtures("registered")
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
