"""The project that one stands in: its root, and its settings, `[tool.benchgate]` in pyproject.toml."""

from __future__ import annotations

import tomllib
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchgate.core import BenchgateError, unknown_name

KNOWN = ("gate", "fleet")


def working_folder() -> Path:
    """The folder that the command was called in. Raises BenchgateError where it has been removed."""
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        raise BenchgateError("the working folder no longer exists; cd to one that does") from error


def find_root(start: Path) -> Path:
    """The project's folder: the nearest with [tool.benchgate] in its pyproject.toml, else with a conftest.py.

    Looked for from `start` upwards, but not outside of its repository; `start` itself where there is neither.
    """
    folders = list(_upwards(start))
    for folder in folders:
        if _benchgate_table(folder) is not None:
            return folder
    return next((folder for folder in folders if (folder / "conftest.py").is_file()), start)


def read_settings(root: Path) -> dict[str, Any]:
    """The table as it is, {} where there is none. Raises BenchgateError for a broken file or an unknown entry."""
    settings = _benchgate_table(root)
    if settings is None:
        return {}
    path = root / "pyproject.toml"
    if not isinstance(settings, dict):
        raise BenchgateError(f"{path}: [tool.benchgate] must be a table, got {settings!r}")
    for name in settings:
        if name not in KNOWN:
            raise BenchgateError(f"{path}, [tool.benchgate]: {unknown_name('entry', name, KNOWN)}")
    return settings


def _upwards(start: Path) -> Iterator[Path]:
    for folder in (start, *start.parents):
        yield folder
        if (folder / ".git").exists():
            return


def _benchgate_table(folder: Path) -> Any:
    path = folder / "pyproject.toml"
    if not path.is_file():
        return None
    try:
        tool = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BenchgateError(f"{path}: not valid TOML ({error})") from error
    except OSError as error:
        raise BenchgateError(f"{path}: cannot be read ({error.strerror})") from error
    return tool.get("benchgate") if isinstance(tool, dict) else None


def told_with_place(error: BaseException, root: Path) -> str:
    """Return `file:line: Type: message` in one line, the place being the last one in a file of the project.

    Without a place where no file of the project had a part in it.
    """
    said = " ".join(str(error.msg if isinstance(error, SyntaxError) else error).split())
    place = _place(error, root.resolve())
    return f"{place}: {type(error).__name__}: {said}" if place else f"{type(error).__name__}: {said}"


def _place(error: BaseException, root: Path) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = ((Path(frame.f_code.co_filename), line) for frame, line in traceback.walk_tb(error.__traceback__))
    ours = [f"{file}:{line}" for file, line in frames if _is_of(file, root)]
    return ours[-1] if ours else ""


def _is_of(file: Path, root: Path) -> bool:
    """True for a file of the project that is no installed package's: an environment may be in its folder."""
    return file.is_relative_to(root) and "site-packages" not in file.parts
