"""Models over a folder: what is in it decides what they are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from benchgate.tasks.text2text.models import HubT5
from benchgate.tasks.text2text.over_folder import OverFolder, Place, over
from benchgate.tasks.text2text.prompted import PLAIN, Prompted


@dataclass(frozen=True)
class Asked(OverFolder):
    path: Path
    name: str = "a"
    version: str = "1"
    prompt: str = PLAIN
    max_source: int = 30
    max_target: int = 9

    def folder(self) -> Path:
        return self.path


@pytest.mark.parametrize(("kind", "expected"), [("t5", HubT5), ("llama", Prompted)])
def test_a_t5_folder_is_a_t5_and_any_other_a_causal_language_model(kind, expected, tmp_path):
    (tmp_path / "config.json").write_text(f'{{"model_type": "{kind}", "vocab_size": 99}}')
    model = Asked(tmp_path)
    found = over(model, Place(tmp_path, "1"))
    assert isinstance(found, expected)
    assert (found.max_source, found.max_target) == (30, 9)
    assert model.vocabulary == 99
