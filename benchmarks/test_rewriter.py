"""What this repository promises of a language model that was fine-tuned to rewrite real conversations' queries.

`benchgate train rewrite-smollm2` comes first, half an hour on two cores; it needs real rewrites (docs/fine_tuning.md).
Else its cells are skipped.
"""

from dataclasses import replace

import pytest

from benchgate.gate import paired
from benchgate.gate.paired import bootstrap_difference
from benchgate.measuring.in_turn import Limits
from benchgate.schemes import REFERENCE
from benchgate.tasks.text2text.scores import score_copies
from fixtures import rewriter

MODEL, ALL = rewriter.MODEL, [rewriter.MODEL, rewriter.TRIMMED]
# What int8 must keep of the exact match of fp32 on the same queries, and how much faster it must be.
KEEPS, FASTER = 0.9, 2.0
TIMED = 24
# What it must be above copying in, by data set: of CAsT 137 queries are held out, too few for token F1 to be told.
ABOVE_COPYING = {"canard": ("exact_match", "token_f1"), "cast": ("exact_match",)}


@pytest.mark.cells(model=MODEL, runtime="torch")
@pytest.mark.parametrize("source", ABOVE_COPYING)
def test_it_beats_copying(cell, source):
    """On conversations that training has not seen; in pairs, query by query."""
    data = rewriter.held_out(source)
    result = cell.measure(inputs=data.sample(TIMED), data=data, meters=())
    copies = score_copies(data.items)
    for score in ABOVE_COPYING[source]:
        gained = bootstrap_difference(copies[score].examples, result.record.metrics[score].examples)
        assert gained.low > 0, f"{score} over copying: {gained}"


@pytest.mark.cells(model=ALL, scheme=["fp32", "int8-dynamic"], runtime=["torch", "onnxruntime"])
@pytest.mark.cells(model=ALL, scheme=["gguf-q8_0", "gguf-q4_k_m"], runtime="ggml")
def test_every_scheme(cell):
    """Text to text, and what is left of fp32's exact match."""
    data = rewriter.held_out("canard").sample(100)
    result = cell.measure("reformulate", inputs=data.sample(TIMED), data=data)
    reference = cell.reference("fp32", runtime="torch", data=data)
    cell.decide(paired.floor(result.record, reference.record, KEEPS, "exact_match"))


@pytest.mark.cells(model=MODEL, runtime="torch")
@pytest.mark.parametrize("batch", [1, 8])
def test_by_batch(cell, batch):
    cell.measure("generate", inputs=rewriter.held_out("canard").sample(TIMED), batch=batch, meters=())


@pytest.mark.cells(model=MODEL, scheme="int8-dynamic", runtime="onnxruntime")
def test_int8_is_faster_than_eager_fp32(cell):
    """Each query by one and by the other in turn, so that a busy machine slows both."""
    queries = rewriter.held_out("canard").sample(TIMED)
    cell.measure("reformulate", inputs=queries, meters=())
    eager = replace(cell.cell, **REFERENCE)
    found = cell.against(eager, "reformulate", inputs=queries, limits=Limits(pairs=TIMED))
    assert found.theirs_s >= FASTER * found.ours_s, f"int8 on ONNX Runtime against eager fp32: {found}"
