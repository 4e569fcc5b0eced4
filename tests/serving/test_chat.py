"""The chat: a conversation at a (fake) terminal, and lines through a pipe."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import subprocess
import sys

import pytest
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from benchgate.serving import chat
from benchgate.serving.reformulate import MAX_CHARACTERS
from tests.serving.fakes import EchoSession, echo

CTRL_C, CTRL_D, UP = "\x03", "\x04", b"\x1b[A"
COMMAND = (sys.executable, "-m", "benchgate.commands.main", "chat")


def talk(capsys: pytest.CaptureFixture[str], *typed: str) -> list[str]:
    """The lines that are printed after the greeting, each without its time."""
    with create_pipe_input() as keyboard:
        keyboard.send_text("".join(typed) + CTRL_D)
        assert chat.converse(echo(EchoSession()), input=keyboard, output=DummyOutput()) == 0
    return [line.partition("  (")[0] for line in capsys.readouterr().out.splitlines()[1:]]


def test_what_was_asked_is_the_context_of_what_follows(capsys):
    assert talk(capsys, "dune\r", "who wrote it\r") == ["DUNE", "DUNE", "WHO WROTE IT"]


def test_the_time_is_shown(capsys):
    with create_pipe_input() as keyboard:
        keyboard.send_text(f"dune\r{CTRL_D}")
        chat.converse(echo(EchoSession()), input=keyboard, output=DummyOutput())
    assert capsys.readouterr().out.splitlines()[1].endswith(" ms)")


def test_reset_forgets(capsys):
    assert talk(capsys, "dune\r", "/reset\r", "a\r") == ["DUNE", "a new conversation", "A"]


def test_help_and_an_unknown_command(capsys):
    shown = talk(capsys, "/help\r", "/quit now\r")
    assert "/reset" in " ".join(shown[:-1])
    assert shown[-1] == "unknown command '/quit'; there are /reset and /help"


def test_ctrl_c_drops_the_line_and_goes_on(capsys):
    assert talk(capsys, "half a li", CTRL_C, "dune\r") == ["DUNE"]


def test_the_line_is_edited(capsys):
    assert talk(capsys, "uneX\x7f\x01d\r") == ["DUNE"]


def test_an_empty_line_is_nothing_and_a_bad_one_does_not_stay(capsys):
    assert talk(capsys, "\r", "  \r", "poison\r", "dune\r") == ["error: logits are NaN", "DUNE"]


def test_a_line_that_is_too_long():
    turns: list[str] = []
    said = chat.reply(echo(EchoSession()), turns, "x" * (MAX_CHARACTERS + 1))
    assert (said, turns) == ("error: query has 2001 characters; at most 2000 are allowed", [])


def test_the_command_at_a_terminal(project, environment):
    """History, Ctrl-C and Ctrl-D as a terminal sends them."""
    steps = [(rb"Ctrl-D ends", b"dune\r"), (rb"DUNE  \(.* ms\)", b"half a li\x03"), (rb"half a li", b"/reset\r"),
             (rb"a new conversation", UP + UP + b"\r"), (rb"DUNE  \(.* ms\)", b"\x04")]  # fmt: skip
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "echo", "--runtime", "echoing"],
        cwd=project,
        env={**environment, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"},
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
    )
    os.close(follower)
    shown = b""
    for seen, typed in steps:
        # What the step before shows, and after it the prompt.
        shown += read_until(leader, seen + rb".*\n[^\n]*>[ \x08\r]*$")
        os.write(leader, typed)
    assert process.wait(20) == 0
    os.close(leader)
    assert shown.count(b"DUNE  (") == 2
    assert b"HALF" not in shown
    assert b"Traceback" not in shown


def read_until(terminal: int, pattern: bytes) -> bytes:
    """What the terminal shows until the pattern is seen; escape sequences are left out."""
    shown = b""
    while not re.search(pattern, shown, re.DOTALL):
        ready, _, _ = select.select([terminal], [], [], 20)
        assert ready, (pattern, shown)
        shown = re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", shown + os.read(terminal, 4096))
    return shown


def test_a_long_conversation_keeps_its_last_turns():
    turns = [f"t{i}" for i in range(40)]
    assert chat.reply(echo(EchoSession()), turns, "last").startswith("T8\n")
    assert turns[-1] == "last"


# --- the pipe ---


def piped(lines: bytes) -> tuple[int, list[dict[str, object]]]:
    out = io.BytesIO()
    code = chat.answer_lines(echo(EchoSession()), io.BytesIO(lines), out)
    return code, [json.loads(line) for line in out.getvalue().decode("utf-8").splitlines()]


def test_lines_and_objects_are_answered_one_by_one():
    code, answers = piped('dune\r\n{"query": "who wrote it", "context": ["dune"]}\n日本 😀'.encode())
    assert code == 0
    assert [a["reformulation"] for a in answers] == ["DUNE", "DUNE\nWHO WROTE IT", "日本 😀"]
    assert all(a["ms"] > 0 for a in answers)


def test_nothing_in_is_nothing_out():
    assert piped(b"") == (0, [])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"", "query is empty"),
        (b"   ", "query is empty"),
        (b"\xff\xfe", "the line is not UTF-8: invalid start byte at byte 0"),
        (b"a\0b", "U+0000"),
        (b"x" * 2001, "query has 2001 characters"),
        (b"x" * (chat.MAX_LINE + 1), f"the line has more than {chat.MAX_LINE} bytes"),
        (b"x" * (3 * chat.MAX_LINE), "bytes"),
        (b"{", "begins like a JSON object and is none"),
        (b'{"query": "a"} {', "begins like a JSON object and is none"),
        (b'{"a":' * 100_000, "begins like a JSON object and is none"),
        (b'{"query": 1}', "query must be a text, not int"),
        (b'{"query": "a", "more": 1}', "unknown field 'more'"),
        (b'{"query": "\\ud800"}', "U+D800"),
        (b"poison", "logits are NaN"),
    ],
    ids=lambda value: repr(value[:20]) if isinstance(value, bytes) else None,
)
def test_a_bad_line_is_told_and_the_rest_goes_on(line, said):
    code, answers = piped(b"first\n" + line + b"\nlast\n")
    assert code == 1
    assert [a.get("reformulation") for a in answers] == ["FIRST", None, "LAST"]
    assert answers[1]["line"] == 2
    assert said in str(answers[1]["error"])


def test_the_command_in_a_pipe(project, environment):
    done = subprocess.run(
        [*COMMAND, "echo", "--runtime", "echoing"],
        cwd=project,
        env={**environment, "LC_ALL": "C"},
        input="who wrote dune 😀\n\xff\n".encode() + b"\xff\n",
        capture_output=True,
        timeout=60,
        check=False,
    )
    lines = [json.loads(line) for line in done.stdout.decode("utf-8").splitlines()]
    assert [line.get("reformulation") for line in lines] == ["WHO WROTE DUNE 😀", "Ÿ", None]
    assert (done.returncode, done.stderr) == (1, b"")
