"""What this repository promises of query reformulation: quality on unseen combinations, and time per query everywhere.

`benchgate train rewrite-t5` (and `rewrite-transformer`, `rewrite-lstm`) come first; else their cells are skipped.
"""

import itertools
import statistics
import time
from dataclasses import replace

import pytest

from benchgate.gate import paired
from benchgate.machine.devices import usable_cores
from benchgate.measuring.run import load
from benchgate.tasks.text2text.task import LENGTHS, rewrite
from fixtures.reformulation import load_split
from fixtures.reformulation_grammar import SIZES

DEFAULT = "rewrite-t5"
SMALL = ["rewrite-transformer", "rewrite-lstm"]
EXACT_MATCH = 0.85
# What a cell must keep of the exact match of fp32 torch, on the same queries. The same weights elsewhere may differ in
# ties between tokens; what is coarser than int8 is shown, not held to anything.
KEEPS = {"fp32": 0.99, "int8-dynamic": 0.97, "gguf-f16": 0.99, "gguf-q8_0": 0.97}
# ONNX Runtime int8 against eager fp32, the median of both on the same queries in turn.
FASTER = 1.5


@pytest.mark.cells(model=[DEFAULT, *SMALL], runtime="torch")
def test_quality(cell):
    """On the whole test split: training has seen none of its combinations of entity and intent."""
    result = cell.measure(data=load_split("test"), meters=())
    assert result["exact_match"] > result["exact_match_copy"]
    if cell.cell.model == DEFAULT:
        assert result["exact_match"] >= EXACT_MATCH


@pytest.mark.cells(model=DEFAULT, scheme=["fp32", "int8-dynamic"], runtime=["torch", "torchscript", "onnxruntime"])
@pytest.mark.cells(model=DEFAULT, scheme=["fp32", "int8-dynamic"], runtime="ctranslate2")
@pytest.mark.cells(model=DEFAULT, scheme=["fp32", "gguf-q8_0", "gguf-q4_0"], runtime="ggml")
@pytest.mark.cells(model=DEFAULT, runtime=["torch-compile", "torch-generate"])
@pytest.mark.benchmark(min_rounds=SIZES["dev"])
def test_every_query(cell, reformulations):
    """Text to text, each query of dev once: the percentiles are over queries. Quality against fp32 torch, in pairs."""
    result = cell.measure("reformulate", data=reformulations)
    share = KEEPS.get(cell.cell.scheme)
    if share is not None:
        reference = cell.reference("fp32", runtime="torch", data=reformulations)
        cell.decide(paired.floor(result.record, reference.record, share, "exact_match"))


@pytest.mark.cells(model=DEFAULT, scheme=["fp32", "int8-dynamic"], runtime=["torch", "onnxruntime"])
@pytest.mark.cells(model=DEFAULT, runtime="torch-generate")
def test_tokens_only(cell):
    """The same without the tokenizer: what is left of test_every_query is text to tokens and back."""
    cell.measure("generate", meters=())


@pytest.mark.cells(model=[DEFAULT, *SMALL], runtime=["torch", "onnxruntime"])
@pytest.mark.parametrize("length", LENGTHS)
def test_by_length(cell, length):
    """The recurrent model against the transformers on the short, middle and long third of the inputs."""
    cell.measure("generate", length=length, meters=())


@pytest.mark.cells(model=[DEFAULT, *SMALL], runtime=["torch", "onnxruntime"])
@pytest.mark.parametrize("batch", [1, 8, 32])
def test_by_batch(cell, batch):
    cell.measure("generate", batch=batch, meters=())


@pytest.mark.cells(model=DEFAULT, scheme="int8-dynamic", runtime="onnxruntime")
def test_onnxruntime_int8_is_faster_than_eager_fp32(cell):
    """Each query by one and by the other in turn, so that a busy machine slows both."""
    cell.measure("reformulate", meters=())
    eager = load(replace(cell.cell, scheme="fp32", runtime="torch"), usable_cores())[1]
    try:
        queries = list(itertools.islice(load_split("dev"), 200))
        for session in (cell.session, eager):
            seconds(session, cell.model, queries[:3])  # warm
        pairs = [[seconds(s, cell.model, [query]) for s in (cell.session, eager)] for query in queries]
    finally:
        eager.close()
    ours, theirs = (statistics.median(times) for times in zip(*pairs, strict=True))
    assert theirs >= FASTER * ours, f"int8 on ONNX Runtime {ours:.4f} s, eager fp32 {theirs:.4f} s a query"


def seconds(session, model, queries) -> float:
    """Of rewriting the queries one by one."""
    start = time.perf_counter()
    for query in queries:
        rewrite(session, model, [query])
    return time.perf_counter() - start
