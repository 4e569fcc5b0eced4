"""Records and metrics with sensible defaults, and hypothesis strategies for them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from benchgate.core import Metric
from benchgate.core.metrics import GROUPS, TABLE, Row, metric
from benchgate.results import OUTCOMES, Record
from benchgate.results.schema import Details

KEY = "benchmarks/test_spam.py::test_latency[spam-fp32-torch-cpu]"
CELL = {"model": "spam", "scheme": "fp32", "runtime": "torch", "device": "cpu"}
MACHINE = {"cpu": "Quiet CPU 9000", "cores": 4}


def a_record(metrics: dict[str, float] | None = None, **fields: Any) -> Record:
    """A passed record of KEY; `metrics` by name and value."""
    values = {name: metric(name, value) for name, value in (metrics or {}).items()}
    defaults: dict[str, Any] = {
        "key": KEY,
        "cell": CELL,
        "operation": "call",
        "outcome": "passed",
        "version": "1",
        "machine": MACHINE,
        "packages": {"torch": "2.9"},
        "details": {"threads": 4},
    }
    return Record(**{**defaults, "metrics": values, **fields})


finite = st.floats(allow_nan=False, allow_infinity=False)
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | finite | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_objects = st.dictionaries(st.text(max_size=6), _json, max_size=3)
_texts = st.dictionaries(st.text(max_size=6), st.text(max_size=6), max_size=3)
# Kept with six digits.
_series = st.lists(st.integers(-99_999, 99_999).map(float), max_size=3).map(tuple)
any_metric = st.builds(
    Metric,
    value=finite.map(abs),
    unit=st.text(max_size=5),
    better=st.sampled_from(["lower", "higher"]),
    n=st.integers(1, 10**6),
    low=st.none() | finite,
    high=st.none() | finite,
    method=st.text(max_size=10),
    examples=_series,
    resamples=_series,
)
any_row = st.builds(
    Row,
    name=st.text(max_size=6),
    unit=st.text(max_size=5),
    better=st.sampled_from(["lower", "higher"]),
    group=st.sampled_from(GROUPS),
    title=st.text(max_size=6),
    tolerance=st.none() | finite.map(abs),
    absolute=st.booleans(),
    slack=finite.map(abs),
    signed=st.booleans(),
)
records = st.builds(
    Record,
    key=st.text(max_size=20),
    cell=st.fixed_dictionaries({axis: st.text(max_size=6) for axis in CELL}),
    operation=st.text(max_size=6),
    params=_objects,
    metrics=st.dictionaries(st.sampled_from([*TABLE, "own_metric"]), any_metric, max_size=4),
    missing=_texts,
    outcome=st.sampled_from([*OUTCOMES, "running"]),
    reason=st.text(max_size=10),
    version=st.text(max_size=6),
    machine=_objects,
    packages=_texts,
    kernel=_objects,
    # What is known by its name there must have its shape.
    details=_objects.filter(lambda details: not details.keys() & Details.model_fields.keys()),
    rows=st.dictionaries(st.sampled_from([*TABLE, "own_metric"]), any_row, max_size=2),
)


def nextafter(value: float, towards: float, steps: int = 4) -> float:
    for _ in range(steps):
        value = math.nextafter(value, towards)
    return value


def tiny_language_model(path: Path, vocabulary: int = 128, context: int = 64) -> Path:
    """What `save_pretrained` writes: 2 layers of 64, tied embeddings, random weights, a tokenizer of words."""
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        vocab_size=vocabulary, max_position_embeddings=context, tie_word_embeddings=True, initializer_range=0.3,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(path)
    words = {"<unk>": 0, **{word: i + 1 for i, word in enumerate(["the", "The", "and", "crew", "quiet", "west"])}}
    words |= {f"w{i}": i for i in range(len(words), vocabulary)}
    tokenizer = Tokenizer(WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>").save_pretrained(path)
    return path
