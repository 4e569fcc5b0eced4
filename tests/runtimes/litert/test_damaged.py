"""A .tflite file that is not as it should be: read, refused, or the end of a process that is none of ours."""

from __future__ import annotations

import contextlib
import os
import signal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.core import BenchgateError, DataError
from benchgate.machine import workers
from benchgate.runtimes.litert import session as sessions
from benchgate.runtimes.litert.runtime import LiteRT
from benchgate.runtimes.litert.session import LiteRTSession, tried
from tests.runtimes.helpers import file_model, scheme
from tests.runtimes.litert.small import small
from tests.test_readers_fuzz import FUZZ, changed

pytestmark = pytest.mark.backend("litert")


def used(path):
    """All that is asked of an opened file."""
    opened = LiteRTSession(path, True, 1)
    return opened.weights_bytes, opened.kernel["delegates"], opened(np.array([[1, 1, 1]], dtype=np.float32))


def test_a_small_file_is_read(tmp_path):
    path = tmp_path / "small.tflite"
    path.write_bytes(small())
    weights, _, answer = used(tried(path, True))
    assert weights == 4 * (6 + 2)
    assert answer["y"].tolist() == [[6.5, 14.5]]


def test_a_damaged_file_is_read_or_refused_or_ends_its_own_process(tmp_path):
    whole, path, running = small(), tmp_path / "small.tflite", []

    @FUZZ
    @given(st.integers(0, 1 << 62))
    def damaged(seed):
        path.write_bytes(changed(whole, seed))
        if not running or not running[-1].alive:
            running.append(workers.start(["ai_edge_litert.interpreter"]))
        with contextlib.suppress(BenchgateError):
            running[-1].call(used, path, timeout_s=10)

    try:
        damaged()
        path.write_bytes(whole)
        with workers.start() as worker:
            assert worker.call(used, path)[0] == 32
    finally:
        for worker in running:
            worker.close()


def killed(path, xnnpack):
    os.kill(os.getpid(), signal.SIGSEGV)


def test_a_file_that_ends_its_reader_is_not_built(tmp_path, monkeypatch):
    path = tmp_path / "small.tflite"
    path.write_bytes(small())
    monkeypatch.setattr(sessions, "_open", killed)
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError, match=r"small\.tflite: cannot be read .*its reader was killed by signal 11.*again$"):
        LiteRT().build(file_model(path), scheme("fp32"), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_file_that_cannot_be_read_is_refused_by_name(tmp_path):
    path = tmp_path / "small.tflite"
    path.write_bytes(small()[:100])
    with pytest.raises(DataError, match=r"small\.tflite: cannot be read as a LiteRT file \(.*\); convert it again"):
        tried(path, True)


def test_inputs_that_the_file_has_not_are_refused(tmp_path):
    path = tmp_path / "small.tflite"
    path.write_bytes(small())
    one = np.zeros((1, 3), dtype=np.float32)
    with pytest.raises(DataError, match=r"small\.tflite takes 1 inputs \(x\), got 2"):
        LiteRTSession(path, True, 1)((one, one))
