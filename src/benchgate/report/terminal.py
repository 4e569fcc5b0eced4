"""The console of the command line: what is printed there is text, whatever it says."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from benchgate.report.escape import lines


class Terminal(Console):
    """A rich Console that shows control characters instead of passing them on, in lines and in tables alike.

    Names come from results files, folders and registries that anybody may have written; a terminal would obey them.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(lines(text), **options)
