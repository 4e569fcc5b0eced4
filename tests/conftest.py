"""What holds for every test: nobody's cache is touched, the hub is not asked, a backend that is missing is a skip."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from benchgate import registration
from benchgate.core import models, runtimes, schemes, tasks, transforms
from benchgate.machine.packages import missing_packages
from benchgate.pytest_plugin.matrix import is_needed
from tests.loopback import Site, serving
from tests.slow import is_slow

pytest_plugins = ["pytester"]
NUMBERS = itertools.count()

# Before any pytester run: they restore sys.modules, and half of setuptools' replacement of distutils does not work.
if importlib.util.find_spec("setuptools") is not None:
    importlib.import_module("setuptools")

# The plugin does so at the first `cells` mark, and these tests have none.
registration.load_builtin()

# The same examples every time, and no deadline: a busy machine must not fail a test.
settings.register_profile("benchgate", max_examples=50, deadline=None, derandomize=True)
settings.load_profile("benchgate")

# huggingface_hub reads it once, at its import: before any fixture could set it.
os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(autouse=True)
def benchgate_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place of an empty cache of the test's own. Not in `tmp_path`, which most tests do without: pytest looks at
    all folders of that kind before it makes another."""
    folder = tmp_path_factory.getbasetemp() / f"cache-{next(NUMBERS)}"
    monkeypatch.setenv("BENCHGATE_CACHE", str(folder))
    return folder


@pytest.fixture(autouse=True)
def registries_left_alone() -> Iterator[None]:
    """What one test takes away from a registry, or how it leaves names resolved, fails that test and no later one."""
    registries = (models, runtimes, schemes, tasks, transforms)
    before = {registry.kind: (set(registry), registry.resolve) for registry in registries}
    yield
    for registry in registries:
        names, resolve = before[registry.kind]
        assert not names - set(registry), f"{registry.kind}: taken away"
        assert registry.resolve is resolve, f"{registry.kind}: names resolve in another way than before"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what tests/slow.py names."""
    for item in items:
        if is_slow(item.nodeid.partition("tests/")[2]):
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked `backend(name)` need that runtime: without its packages a skip, under `--cell-need` a failure."""
    for mark in item.iter_markers("backend"):
        (name,) = mark.args
        runtime = runtimes[name]
        reason = missing_packages(runtime.needs) or runtime.missing("cpu")
        if reason is None:
            continue
        if is_needed(runtime, "cpu", item.config.option.cell_need):
            pytest.fail(f"{name} is needed (--cell-need) and cannot run: {reason}", pytrace=False)
        pytest.skip(reason)


@pytest.fixture
def sigint_is_heard() -> Iterator[None]:
    """Processes started by the test end by SIGINT, also where this run is in the background and ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def site() -> Iterator[Site]:
    """An empty HTTP server on the loopback interface."""
    with serving() as served:
        yield served


@pytest.fixture
def refused() -> str:
    """A URL whose port refuses connections."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture
def pip_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No pip configuration but what the test sets, and no proxy."""
    for name in list(os.environ):
        if name.startswith("PIP_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return monkeypatch
