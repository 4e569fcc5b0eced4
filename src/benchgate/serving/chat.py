"""`benchgate chat`: a conversation at a terminal, or one query a line through a pipe."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import IO, Any

from benchgate.core import InvalidOutput
from benchgate.serving.reformulate import (
    MAX_CHARACTERS,
    MAX_TURNS,
    BadInput,
    Question,
    Reformulator,
    checked,
    parse_question,
)

HELP = """\
Type a query: it is reformulated with what was asked before as its context.
/reset    forget the conversation
/help     this
Ctrl-C drops the line, Ctrl-D ends; the arrow keys edit and bring back earlier lines."""
# The longest object that can be right: every character of every turn escaped as two surrogates.
MAX_LINE = 12 * MAX_CHARACTERS * (MAX_TURNS + 1)
SOME_FAILED = 1


def converse(reformulator: Reformulator, **terminal: Any) -> int:
    """Talk until Ctrl-D; returns 0, the user having seen each error. `terminal` is prompt_toolkit's, for tests."""
    from prompt_toolkit import PromptSession
    from prompt_toolkit.history import InMemoryHistory

    prompt: PromptSession[str] = PromptSession(history=InMemoryHistory(), **terminal)
    conversation: list[str] = []
    print(f"{reformulator.model.name}; /help says what there is, Ctrl-D ends")
    while True:
        try:
            line = prompt.prompt("> ").strip()
            if line:
                print(reply(reformulator, conversation, line))
        except KeyboardInterrupt:
            # Also while the model works: that answer is dropped, the conversation stays.
            continue
        except EOFError:
            return 0


def reply(reformulator: Reformulator, conversation: list[str], line: str) -> str:
    """Return the text to print for a line that is not empty; `conversation` grows by a query that was answered."""
    if line.startswith("/"):
        return _command(conversation, line)
    try:
        question = checked(conversation[-MAX_TURNS:], line)
        answer = reformulator(question)
    except (BadInput, InvalidOutput) as error:
        return f"error: {error}"
    conversation.append(question.query)
    return f"{answer.text}  ({1000 * answer.seconds:.1f} ms)"


def _command(conversation: list[str], line: str) -> str:
    if line == "/help":
        return HELP
    if line == "/reset":
        conversation.clear()
        return "a new conversation"
    return f"unknown command {line.split(maxsplit=1)[0]!r}; there are /reset and /help"


def answer_lines(reformulator: Reformulator, lines: IO[bytes], out: IO[bytes]) -> int:
    """One JSON object for each line, in order and at once: the reformulation, or the error. Lines are independent.

    A line is a query, or a JSON object with `query` and `context`. Returns 1 if any line had an error, else 0.
    """
    failed = False
    for number, line in enumerate(_bounded(lines), 1):
        try:
            question = _question(line)
            answer = reformulator(question)
        except (BadInput, InvalidOutput) as error:
            failed = True
            result: dict[str, Any] = {"line": number, "error": str(error)}
        else:
            result = {"query": question.query, "reformulation": answer.text, "ms": round(1000 * answer.seconds, 3)}
        out.write(json.dumps(result, ensure_ascii=False).encode() + b"\n")
        out.flush()
    return SOME_FAILED if failed else 0


def _bounded(lines: IO[bytes]) -> Iterator[bytes | None]:
    """The lines without their ends; None for one that is longer than any right one, which is not kept in memory."""
    while line := lines.readline(MAX_LINE + 1):
        if len(line) <= MAX_LINE or line.endswith(b"\n"):
            yield line.rstrip(b"\r\n")
            continue
        while line and not line.endswith(b"\n"):
            line = lines.readline(io.DEFAULT_BUFFER_SIZE)
        yield None


def _question(line: bytes | None) -> Question:
    if line is None:
        raise BadInput(f"the line has more than {MAX_LINE} bytes")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(f"the line is not UTF-8: {error.reason} at byte {error.start}") from None
    if not text.lstrip().startswith("{"):
        return checked([], text)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"the line begins like a JSON object and is none: {error}") from None
    return parse_question(value)
