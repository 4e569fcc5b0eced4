"""Artifacts that cannot be loaded: built again once, and said."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchgate.storage.artifacts import opened, prepared
from tests.storage.zoo import FP32, Plain, load


class Loading:
    """`load` fails on the artifacts that it is told to."""

    def __init__(self, *errors: BaseException | None) -> None:
        self.errors = list(errors)

    def __call__(self, path: Path) -> str:
        error = self.errors.pop(0)
        if error is not None:
            raise error
        return (path / "model.txt").read_text()


MISMATCH = RuntimeError("Error(s) in loading state_dict for Net:\n\tsize mismatch for w: [2] from checkpoint, is [3]")


def test_an_artifact_that_cannot_be_loaded_is_built_again_once_and_said(zoo, capsys):
    prepared(load().Seeded(), FP32, Plain())
    made, loaded = opened(load().Seeded(), FP32, Plain(), "cpu", Loading(MISMATCH, None))
    assert made.seconds is not None
    assert loaded == "State(values=(0, 4))"
    (said,) = capsys.readouterr().err.splitlines()
    assert said == (
        f"benchgate: {made.path}: cannot be loaded (Error(s) in loading state_dict for Net:); building it again"
    )


@pytest.mark.parametrize(
    ("built", "errors"),
    [
        (False, [MISMATCH]),
        (True, [MISMATCH, MISMATCH]),
        (True, [MemoryError()]),
        (True, [RuntimeError("CUDA out of memory")]),
        (True, [KeyboardInterrupt()]),
    ],
)
def test_what_a_rebuild_does_not_cure_is_raised(zoo, built, errors):
    if built:
        prepared(load().Seeded(), FP32, Plain())
    loading = Loading(*errors)
    with pytest.raises(type(errors[-1])):
        opened(load().Seeded(), FP32, Plain(), "cpu", loading)
    assert loading.errors == []
