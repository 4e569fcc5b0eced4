"""Names in every output format: they come from results files, which anybody may have written."""

from __future__ import annotations

import re
import unicodedata

# Control, format (which can turn the direction of writing), half of a surrogate pair, private, no character at all
# (which XML cannot hold), and line and paragraph separators.
INVISIBLE = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
# What means something else in running LaTeX text.
LATEX = str.maketrans({
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    # After the end of a line these would be its arguments.
    "[": "{[}", "]": "{]}", "*": "{*}",
})  # fmt: skip
# An underscore within a word means nothing in GitHub's Markdown.
MARKDOWN = str.maketrans({
    "\\": "\\\\", "|": "\\|", "<": "&lt;", ">": "&gt;", "*": "\\*", "`": "\\`", "[": "\\[", "]": "\\]",
    "$": "\\$", "~": "\\~",
})  # fmt: skip
# Within a word it means nothing; at the beginning of a line some make a heading, a list or a rule of it.
OUTER_UNDERSCORE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
LINE_START = re.compile(r"^([#+-])(?=[# ])")
ENTITY = re.compile(r"&(?=#?\w+;)")
# At the beginning of a cell a spreadsheet takes these for a formula.
FORMULA = ("=", "+", "-", "@")


def visible(text: str) -> str:
    r"""One line of text that no terminal obeys: `\x1b` for an escape character; spaces for line breaks."""
    return _escaped(" ".join(text.split()))


def lines(text: str) -> str:
    """The text with its lines, none of whose characters a terminal obeys."""
    return "\n".join(map(_escaped, text.split("\n")))


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c.encode("unicode_escape").decode() if unicodedata.category(c) in INVISIBLE else c for c in text)


def markdown(text: str) -> str:
    """One line of GitHub-flavoured Markdown that shows the text as it is."""
    escaped = ENTITY.sub("&amp;", visible(text)).translate(MARKDOWN)
    return LINE_START.sub(r"\\\1", OUTER_UNDERSCORE.sub(r"\_", escaped))


def latex(text: str) -> str:
    """One line of LaTeX that shows the text as it is."""
    return visible(text).translate(LATEX)


def csv_cell(text: str) -> str:
    """The text as a CSV cell that no spreadsheet computes: an apostrophe before what would be a formula."""
    # Some spreadsheets take the wide forms of these characters for the narrow ones.
    computed = unicodedata.normalize("NFKC", text).lstrip().startswith(FORMULA)
    return f"'{lines(text)}" if computed else lines(text)


def in_figure(text: str) -> str:
    r"""The text as matplotlib draws it as it is: `$` begins a formula there."""
    return visible(text).replace("$", r"\$")
