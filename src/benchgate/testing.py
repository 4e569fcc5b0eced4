"""Contracts as suites to run on one's own runtimes, models and tasks: what benchgate relies on and its own pass.

::

    def test_contract(tmp_path):
        check_model(MyModel())
        check_task(MyTask(), MyModel(), runtime=MyRuntime(), data=examples)
        check_runtime(MyRuntime(), MyModel(), folder=tmp_path)
"""

from __future__ import annotations

import gc
import tempfile
import types
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchgate.core import Model, Runtime, Scheme, Task, contracts, runtimes, schemes, support, tasks
from benchgate.core.arrays import np
from benchgate.core.contracts import ContractBroken, demand, leaves, numbers
from benchgate.core.transformed import for_build, for_load
from benchgate.machine.packages import missing_packages

__all__ = ["Contract", "ContractBroken", "check_model", "check_runtime", "check_task"]
# A device that no runtime can have.
NO_DEVICE = "abacus"


@dataclass(frozen=True)
class Contract:
    """The runtime and model to check, and what the runtime's author states about it.

    `call(session)` runs the model once and returns arrays or numbers in lists, tuples and mappings; `part(outputs, i)`
    is what one call alone gives for item i, checked where `alone(session, i)` is given. `rebuilt_differs` is why two
    builds differ in bytes, "" where they must not. `refused` are schemes, by name, that have no support.
    """

    runtime: Runtime
    model: Model
    folder: Path
    scheme: Scheme
    call: Callable[[Any], Any]
    device: str = "cpu"
    alone: Callable[[Any, int], Any] | None = None
    tolerance: float = 1e-4
    rebuilt_differs: str = ""
    refused: Sequence[str] = ()
    notes: list[str] = field(default_factory=list)


def check_runtime(
    runtime: Runtime,
    model: Model,
    *,
    folder: Path,
    scheme: str = "fp32",
    call: Callable[[Any], Any] | None = None,
    alone: Callable[[Any, int], Any] | None = None,
    rebuilt_differs: str = "",
    refused: Sequence[str] = (),
) -> list[str]:
    """Check what benchgate relies on of a runtime: build, load, run and close `model` in the empty `folder`.

    Args:
        runtime: It needs rows of support for the model's task and the scheme.
        model: A small one.
        folder: An empty one, as `tmp_path`.
        scheme: The name of a scheme.
        call, alone, rebuilt_differs, refused: See Contract. Without `call` the session is called with the task's
            sample of two items, and each item alone must give the same.

    Returns:
        What could not be checked, and why.

    Raises:
        ContractBroken: With a sentence that says what was expected.

    Example::

        def test_my_runtime(tmp_path):
            check_runtime(Plain(), Net(), folder=tmp_path, refused=["int8-dynamic"])
    """
    if call is None:
        inputs = tasks[model.task].sample(model, 2)
        call = lambda session: session(inputs)  # noqa: E731
        alone = alone or (lambda session, item: session(inputs[item : item + 1]))
    contract = Contract(
        runtime, model, folder, schemes[scheme], call, alone=alone, rebuilt_differs=rebuilt_differs, refused=refused
    )
    _can_be_asked(contract)
    _refuses_with_reasons(contract)
    contracts.can_be_sent(runtime, model)
    path = _builds(contract)
    _runs(contract, path)
    _closes(contract, path)
    return contract.notes


def check_model(model: Model, *, rebuilt_differs: str = "") -> list[str]:
    """Check what benchgate relies on of a model: its names, its file or two builds, structure and calibration inputs.

    Args:
        model: It need not be registered, its task must be.
        rebuilt_differs: The reason why two builds differ in their weights, "" where they must not.

    Returns:
        What could not be checked, and why.

    Raises:
        ContractBroken: With a sentence that says what was expected.

    Example::

        def test_my_model():
            check_model(Net())
    """
    contracts.named(model, "model")
    contracts.model_says_what_it_is(model)
    contracts.model_has_a_source(model)
    contracts.can_be_sent(model)
    contracts.model_calibrates(model)
    return contracts.model_builds(model, rebuilt_differs)


def check_task(
    task: Task, model: Model, *, runtime: Runtime | str, scheme: str = "fp32", inputs: Any = None, data: Any = None
) -> list[str]:
    """Check what benchgate relies on of a task: its sample, operations and scores on a model that `runtime` runs.

    Args:
        task: It must be registered under its name, for the runtime to be found.
        model: A small one of the task.
        runtime: What builds and loads the model, an object or a name.
        scheme: The name of a scheme.
        inputs, data: What operations run on and what is scored, the task's own where None.

    Returns:
        What could not be checked, and why.

    Raises:
        ContractBroken: With a sentence that says what was expected.

    Example::

        def test_my_task():
            check_task(Pictures(), Net(), runtime="onnxruntime", data=photographs)
    """
    engine = runtimes[runtime] if isinstance(runtime, str) else runtime
    contracts.named(task, "task")
    demand(model.task == task.name, f"{task.name}: the model is for this task; {model.name} is for {model.task}")
    contracts.task_says_what_it_is(task)
    contracts.task_samples(task, model)
    reason = missing_packages(engine.needs) or support.refusal(model, schemes[scheme], engine)
    demand(reason is None, f"{engine.name} runs {model.name} in {scheme} here; {reason}")
    with tempfile.TemporaryDirectory() as folder:
        engine.build(for_build(model, schemes[scheme]), schemes[scheme], Path(folder))
        session = engine.load(Path(folder), for_load(model, schemes[scheme]), "cpu", 1)
        try:
            notes = contracts.task_works(task, model, session, inputs)
            return notes + contracts.task_scores(task, model, session, data)
        finally:
            session.close()


def _can_be_asked(contract: Contract) -> None:
    runtime = contract.runtime
    contracts.named(runtime, "runtime")
    demand(bool(runtime.format), f"{runtime.name}: format is a text, the name of its artifact's file format")
    demand(
        all(isinstance(k, str) and isinstance(v, str) for k, v in support.all_needs(runtime).items()),
        f"{runtime.name}: needs maps import names to extras, got {dict(runtime.needs)!r}",
    )
    reason = missing_packages(runtime.needs) or runtime.missing(contract.device)
    demand(reason is None, f"{runtime.name} cannot run here: {reason}")
    told = runtime.missing(NO_DEVICE)
    demand(
        told is None or (isinstance(told, str) and bool(told) and "\n" not in told),
        f"{runtime.name}: missing({NO_DEVICE!r}) is None or one line, got {told!r}",
    )


def _refuses_with_reasons(contract: Contract) -> None:
    runtime, model = contract.runtime, contract.model
    reason = support.refusal(model, contract.scheme, runtime)
    demand(reason is None, f"{runtime.name} refuses {model.name} in {contract.scheme.name}: {reason}; add its rows")
    for name in contract.refused:
        told = support.refusal(model, schemes[name], runtime)
        demand(told is not None, f"{runtime.name} takes {name}, which was said to be refused")
        demand(
            isinstance(told, str) and runtime.name in told and "\n" not in told,
            f"{runtime.name}: the refusal of {name} must be one line that names the runtime, got {told!r}",
        )


def _builds(contract: Contract) -> Path:
    runtime, source = contract.runtime, for_build(contract.model, contract.scheme)
    folders = [contract.folder / name for name in ("built", "again")]
    for folder in folders:
        folder.mkdir()
        runtime.build(source, contract.scheme, folder)
    first, second = (_files(folder) for folder in folders)
    demand(bool(first), f"{runtime.name}: build wrote no file into the folder it was given")
    demand(any(first.values()), f"{runtime.name}: the artifact's size is > 0 bytes, build wrote empty files")
    differing = sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))
    if contract.rebuilt_differs:
        demand(bool(differing), f"{runtime.name}: two builds are equal, rebuilt_differs is not needed any more")
        contract.notes.append(f"two builds are not compared: {contract.rebuilt_differs}")
    else:
        demand(not differing, f"{runtime.name}: two builds of one model differ in {', '.join(differing)}; say why")
    return folders[0]


def _files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def _load(contract: Contract, path: Path, threads: int) -> Any:
    model = for_load(contract.model, contract.scheme)
    return contract.runtime.load(path, model, contract.device, threads)


def _runs(contract: Contract, path: Path) -> None:
    name = contract.runtime.name
    for threads in (1, 2):
        session = _load(contract, path, threads)
        try:
            outputs = numbers(contract.call(session))
            demand(outputs.size > 0, f"{name}: one call answered with nothing")
            demand(bool(np.isfinite(outputs).all()), f"{name}: NaN or infinity among the outputs of a sound model")
            again = numbers(contract.call(session))
            demand(np.array_equal(outputs, again), f"{name}: the same call answered otherwise the second time")
            _describes(contract, session, threads)
            if contract.alone is not None:
                _independent(contract, session)
        finally:
            session.close()


def _describes(contract: Contract, session: Any, threads: int) -> None:
    name = contract.runtime.name
    kernel, size = session.kernel, session.weights_bytes
    demand(isinstance(kernel, Mapping) and bool(kernel), f"{name}: kernel is a mapping that says what runs: {kernel!r}")
    demand(
        size is None or (isinstance(size, int) and not isinstance(size, bool) and size > 0),
        f"{name}: weights_bytes is a positive int, or None where it is not known; got {size!r}",
    )
    if size is None:
        contract.notes.append("weights_bytes is not told")
    told = kernel.get("threads")
    demand(told in (None, threads), f"{name}: loaded with {threads} threads, its kernel says {told}")
    if told is None:
        contract.notes.append("the number of threads is not told in kernel['threads']")


def _independent(contract: Contract, session: Any) -> None:
    """Hold that an item's answer does not depend on what is in the batch beside it, beyond rounding."""
    assert contract.alone is not None
    together = [np.asarray(leaf) for leaf in leaves(contract.call(session))]
    for item in range(len(together[0])):
        single = [np.asarray(leaf) for leaf in leaves(contract.alone(session, item))]
        for whole, one in zip(together, single, strict=True):
            scale = max(float(np.abs(whole).max()), 1e-12)
            error = float(np.abs(whole[item : item + 1] - one).max()) / scale
            demand(
                error <= contract.tolerance,
                f"{contract.runtime.name}: item {item} is answered otherwise alone than in a batch, by {error:.2g}",
            )


def _closes(contract: Contract, path: Path) -> None:
    """`close` lets go of the model: what it drops is gone from memory, and it drops something."""
    name = contract.runtime.name
    session = _load(contract, path, 1)
    contract.call(session)
    before = {key: value for key, value in vars(session).items() if _may_be_watched(value)}
    watched = {key: weakref.ref(value) for key, value in before.items()}
    held = {key for key, value in vars(session).items() if value is not None}
    del before
    session.close()
    gc.collect()
    dropped = [key for key in held if vars(session).get(key) is None]
    emptied = [key for key, value in vars(session).items() if isinstance(value, dict | list) and not value]
    demand(bool(dropped or emptied), f"{name}: close() let go of nothing; set the loaded model to None in it")
    alive = sorted(key for key in dropped if key in watched and watched[key]() is not None)
    demand(not alive, f"{name}: close() drops {', '.join(alive)}, which something else still holds")


def _may_be_watched(value: Any) -> bool:
    if isinstance(value, type | types.ModuleType | types.FunctionType):
        return False
    try:
        weakref.ref(value)
    except TypeError:
        return False
    return True
