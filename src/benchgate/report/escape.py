"""Names in every output format: they come from results files, which anybody may have written."""

from __future__ import annotations

import re
import unicodedata

# Control, format (which can turn the direction of writing) and half of a surrogate pair.
INVISIBLE = ("Cc", "Cf", "Cs")
# What means something else in running LaTeX text.
LATEX = str.maketrans({
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
})  # fmt: skip
# An underscore within a word means nothing in GitHub's Markdown.
MARKDOWN = str.maketrans({
    "\\": "\\\\", "|": "\\|", "<": "&lt;", ">": "&gt;", "*": "\\*", "`": "\\`", "[": "\\[", "]": "\\]",
})  # fmt: skip
ENTITY = re.compile(r"&(?=#?\w+;)")
# At the beginning of a cell a spreadsheet takes these for a formula.
FORMULA = ("=", "+", "-", "@")


def visible(text: str) -> str:
    r"""One line of text that no terminal obeys: `\x1b` for an escape character; spaces for line breaks."""
    return _escaped(" ".join(text.split()))


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c.encode("unicode_escape").decode() if unicodedata.category(c) in INVISIBLE else c for c in text)


def markdown(text: str) -> str:
    """One line of GitHub-flavoured Markdown that shows the text as it is."""
    return ENTITY.sub("&amp;", visible(text)).translate(MARKDOWN)


def latex(text: str) -> str:
    """One line of LaTeX that shows the text as it is."""
    return visible(text).translate(LATEX)


def csv_cell(text: str) -> str:
    """The text as a CSV cell that no spreadsheet computes: an apostrophe before what would be a formula."""
    lines = "\n".join(_escaped(line) for line in text.split("\n"))
    return f"'{lines}" if text.lstrip().startswith(FORMULA) else lines


def in_figure(text: str) -> str:
    r"""The text as matplotlib draws it as it is: `$` begins a formula there."""
    return visible(text).replace("$", r"\$")
