"""What torch.compile needs on the CPU, found without importing torch: a C++ compiler, a torch that can be linked."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchgate.core import runtimes


@pytest.mark.parametrize("runtime", ["torch-compile", "torch-training-compile"])
def test_a_missing_compiler_is_named(monkeypatch, runtime):
    monkeypatch.setenv("CXX", sys.executable)
    assert runtimes[runtime].missing("cpu") is None
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert "there is no no-such-compiler; apt install g++" in runtimes[runtime].missing("cpu")
    assert runtimes[runtime].missing("cuda") is None


@pytest.mark.parametrize("runtime", ["torch-compile", "torch-training-compile"])
def test_a_torch_that_no_linker_finds_is_named(monkeypatch, tmp_path, runtime):
    package = tmp_path / "my env" / "torch"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('it is not imported for this')")
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.setenv("CXX", sys.executable)
    assert f"in a folder with a space ({package})" in runtimes[runtime].missing("cpu")
    assert runtimes[runtime].missing("cuda") is None


def test_asking_for_it_imports_no_torch():
    code = (
        "import sys; from benchgate import registration; from benchgate.core import runtimes; "
        "registration.load_builtin(); runtimes['torch-compile'].missing('cpu'); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False"
