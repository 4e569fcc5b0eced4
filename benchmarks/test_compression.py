"""What each compression beside quantization buys: size, latency and accuracy against fp32, on the same data.

Nothing is trained afterwards, so that the accuracy is what the step alone leaves of it. `benchgate train rewrite-t5`
(and the others) come first; else their cells are skipped.
"""

from dataclasses import replace

import pytest

from benchgate.core import models, runtimes, schemes
from benchgate.measuring.in_turn import Limits
from benchgate.storage.artifacts import artifact, artifact_bytes
from benchgate.tasks.text2text.reformulation import load_split
from benchgate.tasks.text2text.task import LENGTHS

DECODER = "smollm2-135m"
REWRITERS = ["rewrite-t5", "rewrite-transformer"]
RUNTIMES = ["torch", "onnxruntime"]
# Steps that remove weights, and those that only change their values: no runtime here gains from these.
SMALLER = ["structured-30", "low-rank-50"]
AS_LARGE = ["prune-50", "prune-2-4", "cluster-16"]
SCHEMES = ["fp32", "int8-dynamic", *SMALLER, *(f"{step}+int8-dynamic" for step in SMALLER)]
QUERIES, PAIRS = 64, 64


@pytest.mark.cells(model=REWRITERS, scheme=SCHEMES, runtime=RUNTIMES)
@pytest.mark.cells(model=REWRITERS, scheme=AS_LARGE, runtime="torch")
def test_rewriter(cell, reformulations):
    """From token ids to token ids; accuracy on the queries of --cell-rewrites."""
    cell.measure("generate", inputs=queries(), data=reformulations, meters=("size",))


@pytest.mark.full
@pytest.mark.cells(model=DECODER, scheme=SCHEMES, runtime=RUNTIMES)
@pytest.mark.cells(model=DECODER, scheme=AS_LARGE, runtime="torch")
def test_decoder(cell, passages):
    """Prefill of 128 tokens; accuracy on the cloze passages."""
    cell.measure("prefill", context=128, data=passages, meters=("size",))


@pytest.mark.cells(model=REWRITERS, scheme="structured-30", runtime=RUNTIMES)
def test_smaller_rewriter(cell):
    cell.measure("generate", inputs=queries(), meters=())
    smaller_and_faster(cell, "generate", inputs=queries())


@pytest.mark.full
@pytest.mark.cells(model=DECODER, scheme=SMALLER, runtime=RUNTIMES)
def test_smaller_decoder(cell):
    cell.measure("prefill", context=128, meters=())
    smaller_and_faster(cell, "prefill", context=128)


@pytest.mark.full
@pytest.mark.cells(
    model=["rewrite-transformer", "rewrite-lstm"], scheme=["fp32", "int8-dynamic"], runtime="onnxruntime"
)
@pytest.mark.cells(model=["rewrite-transformer", "rewrite-lstm"], runtime="torch")
@pytest.mark.parametrize("batch", [1, 16])
@pytest.mark.parametrize("length", LENGTHS)
def test_recurrent_against_parallel(cell, length, batch):
    """The LSTM against the transformer by length of the input and batch."""
    cell.measure("generate", inputs=queries(), length=length, batch=batch, meters=())


@pytest.mark.full
@pytest.mark.cells(model="rewrite-transformer", scheme=["fp32", "int8-dynamic"], runtime="onnxruntime")
@pytest.mark.cells(model="rewrite-transformer", runtime="torch")
@pytest.mark.parametrize("batch", [1, 16])
@pytest.mark.parametrize("length", LENGTHS)
def test_parallel_in_turn_with_recurrent(cell, length, batch):
    """The transformer's time as a multiple of the LSTM's, calls in turn: what load there is meets both alike."""
    asked = {"inputs": queries(), "length": length, "batch": batch}
    cell.measure("generate", meters=(), **asked)
    other = replace(cell.cell, model="rewrite-lstm")
    found = cell.against(other, "generate", limits=Limits(pairs=PAIRS), **asked)
    assert found.ratio.n >= PAIRS


@pytest.mark.full
@pytest.mark.cells(
    model=["rewrite-transformer", "rewrite-lstm"], scheme=["fp32", "int8-dynamic"], runtime="onnxruntime"
)
@pytest.mark.cells(model=["rewrite-transformer", "rewrite-lstm"], runtime="torch")
def test_recurrent_and_parallel(cell, reformulations):
    """Their size, peak memory and accuracy."""
    cell.measure("generate", inputs=queries(), data=reformulations, meters=("size", "memory"))


def queries():
    """What the rewriters are timed on: the same for every cell."""
    return load_split("dev").sample(QUERIES)


def smaller_and_faster(cell, operation, **params):
    """Hold the cell to fewer bytes than fp32 on the same runtime, and to less time for the same calls in turn."""
    model, runtime = models[cell.cell.model], runtimes[cell.runtime]
    ours, theirs = (artifact_bytes(artifact(model, schemes[name], runtime)) for name in (cell.scheme, "fp32"))
    assert ours < theirs
    found = cell.against(replace(cell.cell, scheme="fp32"), operation, limits=Limits(pairs=PAIRS), **params)
    assert found.theirs_s > found.ours_s, f"{cell.scheme} against fp32: {found}"
