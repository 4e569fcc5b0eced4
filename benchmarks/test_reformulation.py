"""What this repository promises of query reformulation: quality on unseen combinations, and time per query everywhere.

`benchgate train rewrite-t5` (and `rewrite-transformer`, `rewrite-lstm`) come first; else their cells are skipped.
"""

from dataclasses import replace

import pytest

from benchgate.gate import paired
from benchgate.measuring.in_turn import Limits
from benchgate.schemes import REFERENCE
from benchgate.tasks.text2text.reformulation import load_split
from benchgate.tasks.text2text.reformulation_grammar import SIZES
from benchgate.tasks.text2text.task import LENGTHS

DEFAULT = "rewrite-t5"
SMALL = ["rewrite-transformer", "rewrite-lstm"]
EXACT_MATCH = 0.85
# What a cell must keep of the exact match of fp32 torch, on the same queries. The same weights elsewhere may differ in
# ties between tokens; what is coarser than int8 is shown, not held to anything.
KEEPS = {"fp32": 0.99, "int8-dynamic": 0.97, "gguf-f16": 0.99, "gguf-q8_0": 0.97}
# ONNX Runtime int8 against eager fp32, the median of both on the same queries in turn.
FASTER = 1.5
# Queries of the tests that do not time every one.
TIMED = 64


@pytest.mark.cells(model=[DEFAULT, *SMALL], runtime="torch")
def test_quality(cell):
    """On the whole test split: training has seen none of its combinations of entity and intent."""
    result = cell.measure(inputs=some_queries(), data=load_split("test"), meters=())
    assert result["exact_match"] > result["exact_match_copy"]
    if cell.model.name == DEFAULT:
        assert result["exact_match"] >= EXACT_MATCH


@pytest.mark.cells(model=DEFAULT, scheme=["fp32", "int8-dynamic"], runtime=["torch", "torchscript", "onnxruntime"])
@pytest.mark.cells(model=DEFAULT, scheme=["fp32", "int8-dynamic"], runtime="ctranslate2")
@pytest.mark.cells(model=DEFAULT, scheme=["fp32", "gguf-q8_0", "gguf-q4_0"], runtime="ggml")
@pytest.mark.cells(model=DEFAULT, runtime=["torch-compile", "torch-generate"])
@pytest.mark.benchmark(min_rounds=SIZES["dev"])
def test_every_query(cell, reformulations):
    """Text to text, each query of dev once: the percentiles are over queries. Quality against fp32 torch, in pairs."""
    result = cell.measure("reformulate", inputs=load_split("dev"), data=reformulations)
    share = KEEPS.get(cell.scheme)
    if share is not None:
        reference = cell.reference("fp32", runtime="torch", data=reformulations)
        cell.decide(paired.floor(result.record, reference.record, share, "exact_match"))


@pytest.mark.cells(model=DEFAULT, scheme=["fp32", "int8-dynamic"], runtime=["torch", "onnxruntime"])
@pytest.mark.cells(model=DEFAULT, runtime="torch-generate")
def test_tokens_only(cell):
    """The same without the tokenizer: what is left of test_every_query is text to tokens and back."""
    cell.measure("generate", inputs=some_queries(), meters=())


@pytest.mark.cells(model=[DEFAULT, *SMALL], runtime=["torch", "onnxruntime"])
@pytest.mark.parametrize("length", LENGTHS)
def test_by_length(cell, length):
    """The recurrent model against the transformers on the short, middle and long third of the inputs."""
    cell.measure("generate", inputs=some_queries(), length=length, meters=())


@pytest.mark.cells(model=[DEFAULT, *SMALL], runtime=["torch", "onnxruntime"])
@pytest.mark.parametrize("batch", [1, 8, 32])
def test_by_batch(cell, batch):
    cell.measure("generate", inputs=some_queries(), batch=batch, meters=())


@pytest.mark.cells(model=DEFAULT, scheme="int8-dynamic", runtime="onnxruntime")
def test_onnxruntime_int8_is_faster_than_eager_fp32(cell):
    """Each query by one and by the other in turn, so that a busy machine slows both."""
    cell.measure("reformulate", inputs=some_queries(), meters=())
    eager = replace(cell.cell, **REFERENCE)
    found = cell.against(eager, "reformulate", inputs=load_split("dev").sample(200), limits=Limits(pairs=200))
    assert found.theirs_s >= FASTER * found.ours_s, f"int8 on ONNX Runtime against eager fp32: {found}"


def some_queries():
    """What is timed where not every query is: the same for every cell, in as many calls for any batch."""
    return load_split("dev").sample(TIMED)
