"""The base of data sets: samples, descriptions, and lines that refuse the file they are in."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.core import DataError
from benchgate.storage import reading
from benchgate.tasks.datasets import DataSet


@dataclass(frozen=True)
class Riddles(DataSet[str]):
    option = "--riddles"
    kind = "riddles"


def riddle(entry, where: str) -> str:
    if not isinstance(entry.get("riddle"), str):
        raise DataError(f"{where}: no riddle")
    return entry["riddle"]


FORM = '{"riddle": "..."}'


def parsed(raw: bytes) -> Riddles:
    return Riddles.from_bytes(raw, "name", "here", riddle, FORM)


def data(n: int = 10) -> Riddles:
    return Riddles("ten", "0" * 64, tuple(f"riddle {i}" for i in range(n)), n)


@given(st.lists(st.text(st.characters(codec="utf-8")), min_size=1, max_size=5))
def test_a_file_comes_back_item_by_item_with_its_hash(texts):
    raw = "".join(json.dumps({"riddle": text}) + "\n" for text in texts).encode()
    found = parsed(raw)
    assert list(found) == texts
    assert found.describe() == {
        "dataset": "name", "sha256": hashlib.sha256(raw).hexdigest(), "n": len(texts), "of": len(texts), "seed": None,
    }  # fmt: skip


@given(st.integers(1, 12), st.integers(0, 5))
def test_a_sample_is_seeded_in_file_order_and_says_so(n, seed):
    found = data().sample(n, seed)
    assert found == data().sample(n, seed)
    assert list(found) == sorted(found)
    assert len(found) == min(n, 10)
    if n < 10:
        assert found.describe() == {"dataset": "ten", "sha256": "0" * 64, "n": n, "of": 10, "seed": seed}
    else:
        assert found == data()


def test_another_seed_is_another_sample():
    assert len({data(100).sample(5, seed).items for seed in range(5)}) == 5


def test_a_sample_of_nothing_is_refused_with_the_option():
    with pytest.raises(DataError, match="at least one item, got 0; give --riddles a number >= 1"):
        data().sample(0)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{broken", "here, line 3: not JSON"),
        (b"[1]", "here, line 3: got list; each line must be"),
        (b"null", "here, line 3: got NoneType"),
        (b"[" * 100_000, "here, line 3: not JSON"),
        (b'{"riddle": "\xff"}', "here, line 3: not UTF-8 at byte 12; save"),
        (b'{"riddle": ' + b"9" * 5000 + b"}", "here, line 3: not JSON"),
        (b'{"riddle": 3}', "here, line 3: no riddle"),
    ],
)
def test_one_broken_line_refuses_the_file_by_its_number(line, said):
    with pytest.raises(DataError) as caught:
        parsed(b'{"riddle": "a"}\n\n' + line + b'\n{"riddle": "b"}\n')
    assert said in str(caught.value)


@pytest.mark.parametrize("raw", [b"", b"\n \n"])
def test_an_empty_file_is_refused(raw):
    with pytest.raises(DataError, match="here: no riddles in it"):
        parsed(raw)


@pytest.mark.parametrize(("limit", "said"), [("MAX_LINE_BYTES", "a line may have 10"), ("MAX_FILE_BYTES", "split")])
def test_sizes_are_limited(tmp_path, monkeypatch, limit, said):
    path = tmp_path / "riddles.jsonl"
    path.write_text('{"riddle": "a"}')
    assert Riddles.from_jsonl(path, riddle, FORM).items == ("a",)
    monkeypatch.setattr(reading, limit, 10)
    with pytest.raises(DataError, match=said):
        Riddles.from_jsonl(path, riddle, FORM)


def test_a_file_that_is_not_there_is_named_with_what_else_could_be_given(tmp_path):
    with pytest.raises(DataError, match=r"gone\.jsonl: cannot be read .*; give 'x', 'y', or a JSONL file of riddles"):
        Riddles.from_jsonl(tmp_path / "gone.jsonl", riddle, FORM, ["x", "y"])


def test_a_subclass_keeps_its_class_in_a_sample():
    assert type(data().sample(2)) is Riddles
    assert replace(data(), name="other").describe()["dataset"] == "other"


def test_a_sample_of_a_sample_tells_of_which():
    """15 of 100 and 15 of 40 are other items: described alike, a fidelity was held against that of other passages."""
    whole = Riddles("riddles", "0", tuple(range(300)), 300)
    ones = [whole.sample(n).sample(15) for n in (40, 100)]
    assert ones[0].items != ones[1].items
    assert ones[0].describe() != ones[1].describe()
    assert ones[1].describe() == whole.sample(100).sample(15).describe()
    assert "sampled_of" not in whole.sample(15).describe()
