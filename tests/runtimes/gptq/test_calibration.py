"""Calibration text: ours, held apart from what is scored, known by its hash. Needs no backend."""

from __future__ import annotations

import re

import pytest

from benchgate.core import DataError, schemes
from benchgate.runtimes.gptq.calibration import BLOCK, calibration_blocks, calibration_sha256, calibration_texts
from benchgate.runtimes.gptq.runtime import gptq_scheme
from benchgate.tasks.causal_lm import passages


def ngrams(text, n=8):
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


def letters(text):
    return {"input_ids": list(text.encode())}


def tokenizer(text, add_special_tokens):
    return letters(text)


def test_nothing_that_is_scored_is_calibrated_on():
    scored = passages.load("cloze")
    assert scored.sha256 != calibration_sha256()
    whole = [f"{context} {continuation}" for context, continuation in scored.items]
    assert not set(whole) & set(calibration_texts())
    evaluation = set().union(*(ngrams(text) for text in whole))
    assert len(evaluation) > 10_000
    calibration = set().union(*(ngrams(text) for text in calibration_texts()))
    assert not evaluation & calibration


def test_the_overlap_test_would_see_a_leak():
    context, continuation = passages.load("cloze").items[3]
    assert ngrams(f"Something else. {context} {continuation}!") & ngrams(f"{context} {continuation}")


def test_enough_different_texts():
    texts = calibration_texts()
    assert len(texts) == len(set(texts)) == 64
    assert sum(len(text.split()) for text in texts) > 3000


def test_blocks_are_of_one_length_and_need_no_padding():
    blocks = calibration_blocks(tokenizer, "builtin", calibration_sha256())
    assert {len(block) for block in blocks} == {BLOCK}
    joined = bytes(token for block in blocks for token in block).decode(errors="ignore")
    assert joined.startswith(calibration_texts()[0] + "\n" + calibration_texts()[1][:10])


def test_a_changed_file_is_another_scheme(tmp_path):
    file = tmp_path / "mine.jsonl"
    file.write_text('{"text": "one"}\n')
    first = gptq_scheme("gptq-4-mine", 4, calibration=str(file))
    file.write_text('{"text": "two"}\n')
    assert gptq_scheme("gptq-4-mine", 4, calibration=str(file)) != first
    with pytest.raises(DataError, match=r"its sha256 is .* the scheme says"):
        calibration_blocks(tokenizer, str(file), first.options["calibration_sha256"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": "fine"}\n{"txt": "broken"}\n', "line 2: calibration lines must be"),
        ("[1]\n", "line 1: got list; each line must be"),
        ('{"text": "short"}\n', "6 tokens are less than one block of 256"),
    ],
)
def test_calibration_files_that_cannot_be_used(tmp_path, content, message):
    file = tmp_path / "mine.jsonl"
    file.write_text(content)
    with pytest.raises(DataError, match=message):
        calibration_blocks(tokenizer, str(file), calibration_sha256(str(file)))


def test_a_missing_calibration_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.jsonl: cannot be read"):
        gptq_scheme("gptq-4-mine", 4, calibration=str(tmp_path / "none.jsonl"))


def test_bits_that_the_format_has_no_packing_for():
    with pytest.raises(DataError, match="bits=5; GPTQ packs 2, 3, 4, 8"):
        gptq_scheme("gptq-5", 5)


def test_everything_that_decides_a_scheme_is_its_data():
    options = schemes["gptq-4"].options
    assert set(options) == {
        "group_size", "desc_act", "sym", "damp_percent", "backend", "calibration", "calibration_sha256"
    }  # fmt: skip
    assert options["calibration_sha256"] == calibration_sha256()
