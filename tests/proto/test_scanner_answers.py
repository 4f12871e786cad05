"""Tests for what clamd, spamd and rspamd say: answers to the letter, and nothing else."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mailplat.model.errors import Unavailable
from mailplat.proto import clamd, rspamd, spamd
from mailplat.proto.spamd import Command, Report


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"stream: OK", clamd.Clean()),
        (b"fd[10]: OK", clamd.Clean()),
        (b"stream: Eicar FOUND", clamd.Found("Eicar")),
        (b"fd[10]: Win.Test.EICAR_HDB-1 FOUND", clamd.Found("Win.Test.EICAR_HDB-1")),
        (b"stream: FOUND FOUND", clamd.Found("FOUND")),
        (b"INSTREAM size limit exceeded. ERROR", clamd.TooLarge()),
    ],
)
def test_clamd_answers(answer: bytes, expected: object) -> None:
    """The answers that clamd has."""
    assert clamd.read_answer(answer) == expected


@given(st.binary(max_size=60))
@example(b"")
@example(b"OK")
@example(b"stream: OK\n")
@example(b"stream: OK FOUND\nstream: OK")
@example(b"stream:  FOUND")
@example(b"1: stream: OK")
@example(b"stream: Can't allocate memory ERROR")
@example(b"UNKNOWN COMMAND")
@settings(max_examples=100)
def test_clamd_says_nothing_else(answer: bytes) -> None:
    """Whatever else comes is an error."""
    with pytest.raises(Unavailable):
        clamd.read_answer(answer)


def test_clamd_chunks() -> None:
    """A length in front; an empty block does not end the stream."""
    assert clamd.chunk(b"abc") == b"\0\0\0\3abc"
    assert clamd.chunk(b"") == b""


ANSWERS = {
    Command.CHECK: b"SPAMD/1.1 0 EX_OK\r\nSpam: True ; 15.5 / 5.0\r\n\r\n",
    Command.SYMBOLS: b"SPAMD/1.1 0 EX_OK\r\nContent-length: 11\r\nSpam: False ; -1 / 5.0\r\n"
    b"X-Other: 1\r\n\r\nGTUBE,OTHER",
    Command.HEADERS: b"SPAMD/1.1 0 EX_OK\r\nContent-length: 20\r\nSpam: Yes ; 5 / 5\r\n\r\n"
    b"X-Spam-Flag: YES\r\n\r\n",
}


def test_spamd_answers() -> None:
    """The score, the rules, the header."""
    found = {command: spamd.read_answer(answer, command) for command, answer in ANSWERS.items()}
    assert found == {
        Command.CHECK: Report(True, 15.5, 5.0),
        Command.SYMBOLS: Report(False, -1.0, 5.0, ("GTUBE", "OTHER")),
        Command.HEADERS: Report(True, 5.0, 5.0, (), b"X-Spam-Flag: YES\r\n\r\n"),
    }


@pytest.mark.parametrize("command", list(Command))
def test_spamd_answers_cut_anywhere(command: Command) -> None:
    """An answer that is not all there is an error, wherever it ends."""
    for end in range(len(ANSWERS[command])):
        with pytest.raises(Unavailable):
            spamd.read_answer(ANSWERS[command][:end], command)


@pytest.mark.parametrize(
    "answer",
    [
        b"SPAMD/1.0 76 Bad header line: FOO SPAMC/1.5\r\n",
        b"SPAMD/1.1 0 EX_OK\r\nContent-length: 0\r\n\r\n",
        b"SPAMD/1.1 0 EX_OK\r\nSpam: Maybe ; 1 / 2\r\nContent-length: 0\r\n\r\n",
        b"SPAMD/1.1 0 EX_OK\r\nSpam: False ; nan / 5\r\nContent-length: 0\r\n\r\n",
        b"SPAMD/1.1 75 EX_TEMPFAIL\r\nSpam: False ; 1 / 2\r\nContent-length: 0\r\n\r\n",
        b"SPAMD/1.1 0 EX_OK\r\nSpam: False ; 1 / 2\r\nContent-length: 9\r\n\r\nlonger than it said",
        b"HTTP/1.1 200 OK\r\nSpam: False ; 1 / 2\r\nContent-length: 0\r\n\r\n",
    ],
)
def test_spamd_says_nothing_else(answer: bytes) -> None:
    """An error of spamd's, or something strange, is no score."""
    with pytest.raises(Unavailable):
        spamd.read_answer(answer, Command.SYMBOLS)


@pytest.mark.parametrize(
    ("user", "said"),
    [
        ("", b""),
        ("alice", b"User: alice\r\n"),
        ("a.b+c@example.org", b"User: a.b+c@example.org\r\n"),
        ("x\r\nCompress: zlib", b""),
        ("alice and bob", b""),
    ],
)
def test_spamd_requests(user: str, said: bytes) -> None:
    """The request's fields; no user's name makes a second one."""
    expected = b"SYMBOLS SPAMC/1.5\r\nContent-length: 7\r\n" + said + b"\r\n"
    assert spamd.request(Command.SYMBOLS, 7, user) == expected


@given(st.binary(max_size=80) | st.recursive(st.none() | st.text(), st.lists).map(json.dumps))
@settings(max_examples=100)
def test_rspamd_says_nothing_else(content: bytes | str) -> None:
    """What is no answer of rspamd's is an error."""
    with pytest.raises(Unavailable):
        rspamd.read_answer(content if isinstance(content, bytes) else content.encode(), b"\r\n")


def test_rspamd_answers_cut_anywhere() -> None:
    """An answer that is not all there is an error, wherever it ends."""
    whole = b'{"action":"no action","score":1,"required_score":15.0}'
    assert rspamd.read_answer(whole, b"\r\n").score == 1
    for end in range(len(whole)):
        with pytest.raises(Unavailable):
            rspamd.read_answer(whole[:end], b"\r\n")
