"""Rewrites in groups, to see where a model is good: by their own label, else by kind of change and by context."""

from __future__ import annotations

from collections.abc import Sequence

from benchgate.tasks.text2text.rewrites import Rewrite, normalise

# Words that stand for something said before.
PERSONS_AND_THINGS = ("he", "she", "it", "they", "him", "her", "them", "his", "hers", "its", "their", "theirs")
PRONOUNS = frozenset([*PERSONS_AND_THINGS, "this", "that", "these", "those", "there", "one", "ones"])
NO_CHANGE, PRONOUN, ELLIPSIS = "no change", "pronoun", "ellipsis"
# (turns before the query at most, what such a context is called)
CONTEXTS = ((0, "no context"), (2, "context of 1-2 turns"), (6, "context of 3-6 turns"))
LONG = "context of 7 turns or more"


def grouped(examples: Sequence[Rewrite]) -> dict[str, list[int]]:
    """The places of each group's examples: phenomena or kinds in the order in which they first come, then contexts.

    An example with a phenomenon is in its group alone; any other in that of its `kind` and in that of its context.
    """
    groups: dict[str, list[int]] = {}
    for name_of in (_name, _context):
        for place, example in enumerate(examples):
            if (name := name_of(example)) is not None:
                groups.setdefault(name, []).append(place)
    return groups


def kind(example: Rewrite) -> str:
    """The change that the right answer makes of the query: none, or it puts in what a pronoun stands for or what was
    left out.

    By the words of the query alone: one with a pronoun that also leaves something out counts as pronoun.
    """
    query = normalise(example.query)
    if query == normalise(example.reformulation):
        return NO_CHANGE
    return ELLIPSIS if PRONOUNS.isdisjoint(query.split()) else PRONOUN


def _name(example: Rewrite) -> str:
    return example.phenomenon or kind(example)


def _context(example: Rewrite) -> str | None:
    if example.phenomenon:
        return None
    return next((name for most, name in CONTEXTS if len(example.context) <= most), LONG)
