"""Proofs of what both sides ran: hashes of the project's modules that were loaded, of artifacts, versions of packages.

`loaded(tree)` runs in a worker after a call. Where everything is equal nothing needs to be timed.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchgate.core import DataError
from benchgate.gate.side_by_side.verdict import Kind

# Of files that differ so many are named.
NAMED = 3
# Characters of a value that is shown.
LONGEST = 60


@dataclass(frozen=True)
class Proof:
    """All that one side ran: path below its tree -> SHA-256 of each module, artifact -> content, package -> version.

    `facts` are what else decides a time: threads, kernels. `outside` are files of modules that are in no package folder
    and not below its tree either.
    """

    modules: Mapping[str, str]
    artifacts: Mapping[str, str] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    outside: tuple[str, ...] = ()

    def parts(self) -> Mapping[str, Mapping[str, str]]:
        """Everything that must be equal on both sides for a time to be the same."""
        return {"": self.modules, "artifact ": self.artifacts, "package ": self.packages, "other ": self.facts}


def loaded(tree: Path) -> Proof:
    """Return the modules of this process whose files are below `tree`, and those that no package folder holds."""
    root = tree.resolve()
    inside: dict[str, str] = {}
    outside: list[str] = []
    for module in list(sys.modules.values()):
        name = getattr(module, "__file__", None)
        path = Path(name).resolve() if isinstance(name, str) else None
        if path is None or not path.is_file():
            continue
        if "site-packages" in path.parts or "dist-packages" in path.parts:
            # Installed, also where the environment is in the project's folder: told by its version.
            continue
        if path.is_relative_to(root):
            inside[path.relative_to(root).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif not path.is_relative_to(Path(sys.base_prefix).resolve()):
            outside.append(str(path))
    return Proof(dict(sorted(inside.items())), outside=tuple(sorted(outside)))


def foreign(ours: Proof, their_tree: Path) -> str:
    """Return the module that one side loaded from the other's tree, "" where there is none: it was not its own code."""
    root = their_tree.resolve()
    return next((name for name in ours.outside if Path(name).is_relative_to(root)), "")


def differences(baseline: Proof, candidate: Proof) -> tuple[str, ...]:
    """Return what is not the same on both sides: a module's path, `package torch 2.12 -> 2.13`, `threads 1 -> 2`."""
    found = []
    for prefix, old in baseline.parts().items():
        new = candidate.parts()[prefix]
        for name in sorted({*old, *new}):
            if old.get(name) != new.get(name):
                shown = f"{prefix}{name}"
                found.append(shown if prefix == "" else f"{shown} {_short(old.get(name))} -> {_short(new.get(name))}")
    return tuple(found)


def _short(value: str | None) -> str:
    text = "none" if value is None else value
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def unneeded(baseline: Proof, candidate: Proof, changed: Collection[str] | None = None) -> tuple[Kind, str] | None:
    """Return (verdict, reason) where timing would compare a thing with itself, None where it must be timed.

    `changed` are the paths that differ between the trees, None where nobody knows. Where some do and none of them was
    loaded by either side it is "code not exercised": nothing is known of it. Raises DataError for a side that loaded
    nothing of its tree, which proves nothing.
    """
    for name, side in (("baseline", baseline), ("candidate", candidate)):
        if not side.modules and not side.artifacts:
            raise DataError(
                f"the {name} loaded no module of its tree and no artifact: give the folder that it runs from"
            )
    if differences(baseline, candidate):
        return None
    if changed:
        named = ", ".join(sorted(changed)[:NAMED]) + (", ..." if len(changed) > NAMED else "")
        return "code not exercised", f"what differs was not loaded by this cell: {named}"
    return "unchanged", f"both sides ran the same {len(candidate.modules)} modules, artifacts and packages"
