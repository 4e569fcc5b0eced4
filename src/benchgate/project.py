"""The project's settings, `[tool.benchgate]` in its pyproject.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from benchgate.core import BenchgateError, unknown_name

KNOWN = ("gate",)


def read_settings(root: Path) -> dict[str, Any]:
    """The table as it is, {} where there is none. Raises BenchgateError for a broken file or an unknown entry."""
    path = root / "pyproject.toml"
    if not path.is_file():
        return {}
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("benchgate", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BenchgateError(f"{path}: not valid TOML ({error})") from error
    for name in settings:
        if name not in KNOWN:
            raise BenchgateError(f"{path}, [tool.benchgate]: {unknown_name('entry', name, KNOWN)}")
    return dict(settings)
