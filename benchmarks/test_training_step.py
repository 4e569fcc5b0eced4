"""Training steps: forward, backward and the update, by size, context, batch and compiler; and where it stops fitting.

`benchgate report t.json --table training` makes the table. A cell that does not fit, or is not done in time, is a row
with that status and no failure.
"""

import time

import pytest

from benchgate import Lapped, Unavailable, Work
from benchgate.measuring.in_turn import Limits

BOTH = ["torch-training", "torch-training-compile"]
PRECISIONS = ["fp32", "bf16-autocast"]
MAY_END = ("oom", "timeout")
# A step takes seconds: the first call and one more warm it up.
few_rounds = pytest.mark.benchmark(min_rounds=3, max_time=1)
AGREEMENT = 0.02
ROUNDS = 400
LAPS = ("forward_s", "backward_s", "forward_backward_s")


@pytest.mark.cells(model="decoder-s", runtime="torch-training", may_end=MAY_END)
@pytest.mark.parametrize(("batch", "context"), [(4, 256)])
@few_rounds
def test_step(cell, batch, context):
    """A whole step; forward, backward and both come from the same rounds."""
    cell.measure("step", batch=batch, context=context, meters=("flops",))


@pytest.mark.cells(model="decoder-s", runtime="torch-training-compile")
@pytest.mark.cells(model="decoder-m", runtime=BOTH, may_end=MAY_END)
@pytest.mark.parametrize(("batch", "context"), [(1, 128)])
@few_rounds
def test_forward_backward(cell, batch, context):
    """Without optimizer, whose state takes as much memory again as weights and gradients. Compiling is first_call_s."""
    cell.measure("forward_backward", batch=batch, context=context, meters=("flops",))


@pytest.mark.cells(model="decoder-s", runtime="torch-training", may_end=MAY_END)
@pytest.mark.parametrize(("batch", "context"), [(1, 128)])
@few_rounds
def test_memory_by_part(cell, batch, context):
    """Parameters, gradients, optimizer, activations; `benchgate plot` draws them over time."""
    cell.measure("step", batch=batch, context=context, meters=("training-memory",))


@pytest.mark.cells(model="decoder-s", runtime="torch-training")
@pytest.mark.parametrize(("batch", "context", "memory_limit"), [(8, 256, "1GB")])
@few_rounds
@pytest.mark.xfail(raises=MemoryError, strict=True, reason="1 GB does not hold weights, gradients and activations")
def test_out_of_memory(cell, batch, context, memory_limit):
    """The limit is artificial; the end is real, and harms nobody."""
    cell.measure("forward_backward", batch=batch, context=context, memory_limit=memory_limit, meters=())


@pytest.mark.cells(model="decoder-tiny", runtime="torch-training")
@pytest.mark.parametrize("operation", ["forward", "backward", "forward_backward", "step"])
def test_operations(cell, operation):
    """Each by itself, on a model so small that it costs nothing."""
    cell.measure(operation, batch=4, context=128, meters=("flops",))


@pytest.mark.cells(model=["seq2seq-lstm", "seq2seq-transformer"], runtime="torch-training", may_end=MAY_END)
@pytest.mark.parametrize(("batch", "context"), [(64, 32)])
def test_sequence_to_sequence(cell, batch, context):
    """LSTM with attention against shallow transformer, both as benchmarks/test_reformulation.py trains them."""
    cell.measure("step", batch=batch, context=context, meters=("flops",))


@pytest.mark.full
@pytest.mark.cells(model=["decoder-l", "decoder-xl"], scheme=PRECISIONS, runtime=BOTH)
@pytest.mark.cells(model=["decoder-s", "decoder-m"], scheme="bf16-autocast", runtime=BOTH, may_end=MAY_END)
@pytest.mark.parametrize(("batch", "context"), [(1, 128), (4, 256), (4, 1024)])
@few_rounds
def test_all_sizes(cell, batch, context):
    cell.measure("step", batch=batch, context=context, meters=("flops",))


@pytest.mark.cells(model="decoder-tiny", runtime="torch-training")
def test_agrees_with_a_bare_loop(cell):
    """Within 2 % of a loop written by hand, an iteration of which runs in turn with each of the cell's.

    The median of the pairs' ratios counts. Where its 95 % interval is wider than 2 % to a side, nothing can be said.
    """
    loop = BareLoop(cell.model.build(), batch=4, context=128)
    bare = Work(loop.iteration, laps=LAPS, prepare=loop.optimizer.zero_grad)
    cell.measure("step", batch=4, context=128, meters=())
    found = cell.against(bare, "step", batch=4, context=128, limits=Limits(pairs=ROUNDS))
    assert set(found.laps) == set(LAPS)
    for name, ratio in found.laps.items():
        print(f"{name}: {ratio} of the bare loop's")
        if ratio.high / ratio.low > (1 + AGREEMENT) ** 2:
            raise Unavailable(f"{name}: {ratio} of the bare loop's: too noisy")
        assert ratio.value == pytest.approx(1, abs=AGREEMENT), name


class BareLoop:
    """What anybody would write to time a step."""

    def __init__(self, module, batch, context):
        import torch

        self.module, self.loss = module.train(), torch.nn.functional.cross_entropy
        self.optimizer = torch.optim.AdamW(module.parameters())
        self.tokens, self.targets = torch.randint(module.vocabulary, (2, batch, context))

    def iteration(self):
        start = time.perf_counter()
        logits = self.module(self.tokens)
        loss = self.loss(logits.flatten(0, 1), self.targets.flatten())
        middle = time.perf_counter()
        loss.backward()
        end = time.perf_counter()
        self.optimizer.step()
        return Lapped(None, dict(zip(LAPS, (middle - start, end - middle, end - start), strict=True)))
