"""The base of models that lie in a folder."""

from __future__ import annotations

import pytest

from benchgate.tasks.file_models import FolderModel


@pytest.mark.parametrize("lacking", ["folder", "_load", "_empty"])
def test_a_model_without_one_of_its_parts_is_refused_when_it_is_made(lacking):
    parts = dict.fromkeys({"folder", "_load", "_empty"} - {lacking}, lambda self, *folder: None)
    with pytest.raises(TypeError, match=f"abstract method '?{lacking}"):
        type("Incomplete", (FolderModel,), parts)()
