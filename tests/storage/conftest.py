"""The project of models that artifacts are built from."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from tests.storage.zoo import DEEPER, HELPER, NAME, ZOO, forget


@pytest.fixture
def zoo(tmp_path, monkeypatch) -> Path:
    """A project with models in a module of its own; `load()` imports it anew, as another session would."""
    project = tmp_path / "project"
    (project / "data").mkdir(parents=True)
    for name, text in ((NAME, ZOO), ("zoo_helper", HELPER), ("zoo_deeper", DEEPER)):
        (project / f"{name}.py").write_text(text)
    (project / "data" / "weights.json").write_text("[1, 2]")
    np.save(project / "data" / "weights.npy", np.array([1, 2]))
    (project / "model.onnx").write_bytes(b"onnx" * 10)
    (project / "folder" / "sub").mkdir(parents=True)
    (project / "folder" / "config.json").write_text('{"layers": 2}')
    (project / "folder" / "sub" / "weights.bin").write_bytes(b"w" * 10)
    monkeypatch.syspath_prepend(str(project))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield project
    forget()
