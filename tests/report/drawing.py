"""What a terminal of a width shows, as text."""

from __future__ import annotations

import io
from collections.abc import Callable

from rich.console import Console


def as_drawn(draw: Callable[[Console], None], width: int, color: bool = False) -> str:
    """What `draw` writes to a terminal that is `width` columns wide, without spaces at the ends of lines."""
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        highlight=False,
        markup=False,
        _environ={},
    )
    draw(console)
    return "".join(line.rstrip() + "\n" for line in console.file.getvalue().splitlines())
