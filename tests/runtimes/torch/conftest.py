"""Sessions that train."""

from __future__ import annotations

import pytest

from benchgate import core, registration
from fixtures.decoder_lm import DecoderModel


@pytest.fixture
def registered():
    registration.load_builtin()


@pytest.fixture
def open_session(tmp_path, registered):
    """A factory of sessions of torch-training, closed after the test."""
    opened = []

    def make(model=None, scheme="fp32", runtime="torch-training", threads=1):
        runtime, model = core.runtimes[runtime], model or DecoderModel("tiny")
        folder = tmp_path / str(len(opened))
        folder.mkdir()
        runtime.build(model, core.schemes[scheme], folder)
        opened.append(runtime.load(folder, model, "cpu", threads))
        return opened[-1]

    yield make
    for session in opened:
        session.close()
