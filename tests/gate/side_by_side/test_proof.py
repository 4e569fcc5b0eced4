"""What both sides ran: equal is not timed, what was not loaded is not called the same, another's code is found."""

from __future__ import annotations

import importlib
import sys

import pytest

from benchgate.core import DataError
from benchgate.gate.side_by_side.proof import Proof, foreign, loaded, unneeded

SAME = Proof({"model.py": "1"}, {"weights": "a"}, {"torch": "2.13.0"})


@pytest.mark.parametrize(
    "other",
    [
        Proof({"model.py": "2"}, {"weights": "a"}, {"torch": "2.13.0"}),
        Proof({"model.py": "1", "new.py": "3"}, {"weights": "a"}, {"torch": "2.13.0"}),
        Proof({"model.py": "1"}, {"weights": "b"}, {"torch": "2.13.0"}),
        Proof({"model.py": "1"}, {"weights": "a"}, {"torch": "2.13.1"}),
        Proof({"model.py": "1"}, {"weights": "a"}, {}),
    ],
    ids=["a module", "one module more", "an artifact", "a version", "a package less"],
)
@pytest.mark.parametrize("changed", [None, ["README.md"]])
def test_what_differs_is_timed(other, changed):
    assert unneeded(SAME, other, changed) is None
    assert unneeded(other, SAME, changed) is None


@pytest.mark.parametrize("changed", [None, []])
def test_what_is_equal_is_unchanged(changed):
    kind, reason = unneeded(SAME, SAME, changed)
    assert kind == "unchanged"
    assert "the same 1 modules" in reason


def test_a_difference_that_nobody_loaded_is_not_called_the_same():
    kind, reason = unneeded(SAME, SAME, ["e.py", "b.py", "c.py", "d.py"])
    assert kind == "code not exercised"
    assert reason.endswith("b.py, c.py, d.py, ...")


@pytest.mark.parametrize("sides", [(Proof({}), SAME), (SAME, Proof({}))])
def test_nothing_loaded_proves_nothing(sides):
    with pytest.raises(DataError, match="loaded no module of its tree"):
        unneeded(*sides)


def test_loaded_modules_are_told_by_content(tmp_path, monkeypatch):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for tree, name in ((ours, "proof_ours_module"), (theirs, "proof_theirs_module")):
        tree.mkdir()
        (tree / f"{name}.py").write_text("VALUE = 1\n")
        monkeypatch.syspath_prepend(str(tree))
        importlib.import_module(name)
    found = loaded(ours)
    assert list(found.modules) == ["proof_ours_module.py"]
    (ours / "proof_ours_module.py").write_text("VALUE = 2\n")
    assert loaded(ours).modules != found.modules
    assert foreign(found, theirs).endswith("proof_theirs_module.py")
    assert foreign(found, tmp_path / "nobody") == ""
    for name in ("proof_ours_module", "proof_theirs_module"):
        del sys.modules[name]


def test_an_environment_in_the_tree_is_told_by_its_versions_only(tmp_path, monkeypatch):
    installed = tmp_path / ".venv" / "lib" / "site-packages"
    installed.mkdir(parents=True)
    (installed / "proof_installed_module.py").write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(str(installed))
    importlib.import_module("proof_installed_module")

    found = loaded(tmp_path)

    assert "proof_installed_module.py" not in "".join(found.modules)
