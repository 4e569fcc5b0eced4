"""Messages between a run and the versions it compares."""

from __future__ import annotations

import json
from dataclasses import replace
from multiprocessing import Pipe
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.core import Unavailable
from benchgate.executors import wire
from benchgate.executors.captured import described
from benchgate.executors.wire import Asked, SideError, SideOutOfMemory
from benchgate.gate.side_by_side.proof import Proof
from benchgate.gate.side_by_side.timed import Block
from tests.executors.sides import ASKED

numbers = st.floats(allow_nan=False, allow_infinity=False)
texts = st.dictionaries(st.text(), st.text())
blocks = st.builds(
    Block,
    st.integers(1),
    st.lists(numbers).map(tuple),
    st.lists(numbers).map(tuple),
    st.none() | st.lists(numbers).map(tuple),
)
proofs = st.builds(Proof, texts, texts, texts, texts, st.lists(st.text()).map(tuple))


@given(blocks | proofs)
def test_what_is_packed_is_unpacked(value: Any) -> None:
    assert wire.unpacked(type(value), json.loads(json.dumps(wire.packed(value)))) == value


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_what_is_no_answer_is_an_error_of_that_side(raw: Any) -> None:
    with pytest.raises(SideError):
        wire.unpacked(Block, raw)
    with pytest.raises(SideError):
        wire.asked(raw)


@pytest.mark.parametrize(
    ("error", "shape"),
    [
        (MemoryError("no more of it"), SideOutOfMemory),
        (Unavailable("no such kernel"), Unavailable),
        (ValueError("bad shape"), SideError),
    ],
)
def test_an_error_crosses_with_its_kind_and_text(error: BaseException, shape: type[BaseException]) -> None:
    with pytest.raises(shape, match=str(error)):
        wire.value_of(json.loads(json.dumps(wire.failure(error))))


@pytest.mark.parametrize("answer", [{"error": "broken"}, {"error": {"kind": 3}}, {"error": []}])
def test_an_odd_error_is_an_error_all_the_same(answer: dict[str, Any]) -> None:
    with pytest.raises(SideError):
        wire.value_of(answer)


@pytest.mark.parametrize("sent", [b"", b"[1]", b"{", b"\xff"])
def test_what_is_no_message_is_refused(sent: bytes) -> None:
    ours, theirs = Pipe()
    theirs.send_bytes(sent)

    with pytest.raises(SideError, match="no message"):
        wire.receive(ours)


def test_a_gone_side_is_the_end() -> None:
    ours, theirs = Pipe()
    theirs.close()

    with pytest.raises(EOFError):
        wire.receive(ours)


@pytest.mark.parametrize("part", ["operation", "params", "inputs", "data", "scored"])
def test_another_question_is_named(part: str) -> None:
    other: Asked = replace(ASKED, **{part: "x" * 100})  # type: ignore[arg-type]

    assert [line.partition(":")[0] for line in other.differences(ASKED)] == [f"other {part}"]
    assert "..." in other.differences(ASKED)[0]
    assert ASKED.differences(replace(ASKED, threads=2)) == []


class Data:
    def describe(self) -> dict[str, Any]:
        return {"name": "words", "n": 3, "path": object}


@pytest.mark.parametrize("plain", [None, True, 3, 0.5, "text"])
def test_plain_inputs_describe_themselves(plain: Any) -> None:
    assert described(plain) == plain


def test_data_tell_what_they_are_and_others_have_a_hash() -> None:
    assert described(Data()) == {"name": "words", "n": 3, "path": str(object)}
    assert described([1, 2]) == described([1, 2]) != described([1, 3])
    assert set(described((1,))) == {"type", "sha256"}
