"""The contract of a runtime, as a suite to run on one's own: what benchgate relies on and its own runtimes pass.

::

    def test_contract(tmp_path):
        check_runtime(MyRuntime(), MyModel(), folder=tmp_path)
"""

from __future__ import annotations

import gc
import math
import pickle
import types
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchgate.core import Model, Runtime, Scheme, schemes, support, tasks
from benchgate.core.transformed import for_build, for_load
from benchgate.machine.packages import missing_packages

# A device that no runtime can have.
NO_DEVICE = "abacus"


class ContractBroken(AssertionError):
    """A runtime that does not do what benchgate relies on; the message says what it must do."""


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
    """Build, load, run and close `model` in the empty `folder`; see Contract for the arguments.

    Without `call` the session is called with the task's sample of two items, and each item alone must give the same.
    Returns what could not be checked and why. Raises ContractBroken.
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
    _can_be_sent(contract)
    path = _builds(contract)
    _runs(contract, path)
    _closes(contract, path)
    return contract.notes


def _demand(holds: bool, what: str) -> None:
    if not holds:
        raise ContractBroken(what)


def _can_be_asked(contract: Contract) -> None:
    runtime = contract.runtime
    _demand(bool(runtime.name) and bool(runtime.format), "a runtime has a name and a format, both text")
    _demand(
        all(isinstance(k, str) and isinstance(v, str) for k, v in support.all_needs(runtime).items()),
        f"{runtime.name}: needs maps import names to extras, got {dict(runtime.needs)!r}",
    )
    reason = missing_packages(runtime.needs) or runtime.missing(contract.device)
    _demand(reason is None, f"{runtime.name} cannot run here: {reason}")
    told = runtime.missing(NO_DEVICE)
    _demand(
        told is None or (isinstance(told, str) and bool(told) and "\n" not in told),
        f"{runtime.name}: missing({NO_DEVICE!r}) is None or one line, got {told!r}",
    )


def _refuses_with_reasons(contract: Contract) -> None:
    runtime, model = contract.runtime, contract.model
    reason = support.refusal(model, contract.scheme, runtime)
    _demand(reason is None, f"{runtime.name} refuses {model.name} in {contract.scheme.name}: {reason}; add its rows")
    for name in contract.refused:
        told = support.refusal(model, schemes[name], runtime)
        _demand(told is not None, f"{runtime.name} takes {name}, which was said to be refused")
        _demand(
            isinstance(told, str) and runtime.name in told and "\n" not in told,
            f"{runtime.name}: the refusal of {name} must be one line that names the runtime, got {told!r}",
        )


def _can_be_sent(contract: Contract) -> None:
    for what in (contract.runtime, contract.model):
        try:
            pickle.dumps(what)
        except Exception as error:
            raise ContractBroken(
                f"{type(what).__name__} cannot be sent to a process of its own ({error}); define it in a module"
            ) from error


def _builds(contract: Contract) -> Path:
    runtime, source = contract.runtime, for_build(contract.model, contract.scheme)
    folders = [contract.folder / name for name in ("built", "again")]
    for folder in folders:
        folder.mkdir()
        runtime.build(source, contract.scheme, folder)
    first, second = (_files(folder) for folder in folders)
    _demand(bool(first), f"{runtime.name}: build wrote no file into the folder it was given")
    differing = sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))
    if contract.rebuilt_differs:
        _demand(bool(differing), f"{runtime.name}: two builds are equal, rebuilt_differs is not needed any more")
        contract.notes.append(f"two builds are not compared: {contract.rebuilt_differs}")
    else:
        _demand(not differing, f"{runtime.name}: two builds of one model differ in {', '.join(differing)}; say why")
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
            outputs = _numbers(contract.call(session))
            _demand(outputs.size > 0, f"{name}: one call answered with nothing")
            _demand(bool(np.isfinite(outputs).all()), f"{name}: NaN or infinity among the outputs of a sound model")
            again = _numbers(contract.call(session))
            _demand(np.array_equal(outputs, again), f"{name}: the same call answered otherwise the second time")
            _describes(contract, session, threads)
            if contract.alone is not None:
                _independent(contract, session)
        finally:
            session.close()


def _describes(contract: Contract, session: Any, threads: int) -> None:
    name = contract.runtime.name
    kernel, size = session.kernel, session.weights_bytes
    _demand(
        isinstance(kernel, Mapping) and bool(kernel), f"{name}: kernel is a mapping that says what runs: {kernel!r}"
    )
    _demand(
        size is None or (isinstance(size, int) and not isinstance(size, bool) and size > 0),
        f"{name}: weights_bytes is a positive int, or None where it is not known; got {size!r}",
    )
    if size is None:
        contract.notes.append("weights_bytes is not told")
    told = kernel.get("threads")
    _demand(told in (None, threads), f"{name}: loaded with {threads} threads, its kernel says {told}")
    if told is None:
        contract.notes.append("the number of threads is not told in kernel['threads']")


def _independent(contract: Contract, session: Any) -> None:
    """Hold that an item's answer does not depend on what is in the batch beside it, beyond rounding."""
    assert contract.alone is not None
    together = [np.asarray(leaf) for leaf in _leaves(contract.call(session))]
    for item in range(len(together[0])):
        single = [np.asarray(leaf) for leaf in _leaves(contract.alone(session, item))]
        for whole, one in zip(together, single, strict=True):
            scale = max(float(np.abs(whole).max()), 1e-12)
            error = float(np.abs(whole[item : item + 1] - one).max()) / scale
            _demand(
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
    _demand(bool(dropped or emptied), f"{name}: close() let go of nothing; set the loaded model to None in it")
    alive = sorted(key for key in dropped if key in watched and watched[key]() is not None)
    _demand(not alive, f"{name}: close() drops {', '.join(alive)}, which something else still holds")


def _may_be_watched(value: Any) -> bool:
    if isinstance(value, type | types.ModuleType | types.FunctionType):
        return False
    try:
        weakref.ref(value)
    except TypeError:
        return False
    return True


def _leaves(outputs: Any) -> list[Any]:
    if isinstance(outputs, Mapping):
        return [leaf for value in outputs.values() for leaf in _leaves(value)]
    if isinstance(outputs, list | tuple):
        return [leaf for value in outputs for leaf in _leaves(value)]
    return [outputs]


def _numbers(outputs: Any) -> np.ndarray[Any, Any]:
    """All numbers of an answer, one after the other."""
    found = [np.asarray(leaf, dtype=np.float64).ravel() for leaf in _leaves(outputs)]
    return np.concatenate(found) if found else np.array([math.nan])[:0]
