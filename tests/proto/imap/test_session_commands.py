"""Tests for `mailplat.proto.imap.session_commands`: each command as it comes."""

from __future__ import annotations

from typing import Any

import pytest

from mailplat.proto.imap.commands.event import Command
from mailplat.proto.imap.commands.mailboxes import Check, Close, Namespace, Unselect
from mailplat.proto.imap.commands.session import (
    Authenticate,
    Capability,
    Compress,
    Enable,
    Id,
    Idle,
    Login,
    Logout,
    Noop,
    StartTLS,
)
from mailplat.proto.imap.syntax import State

BEFORE = State.NOT_AUTHENTICATED
AFTER = State.AUTHENTICATED
OPEN = State.SELECTED


@pytest.mark.parametrize(
    ("state", "wire", "event"),
    [
        (BEFORE, b"a1 CAPABILITY", Capability(b"a1")),
        (OPEN, b"a1 capability ", Capability(b"a1")),  # a blank at the end is forgiven
        (BEFORE, b"] noop", Noop(b"]")),  # (RFC 9051 §9 tag)
        (BEFORE, b"a1 LOGOUT", Logout(b"a1")),
        (BEFORE, b"a1 ID NIL", Id(b"a1")),
        (BEFORE, b"a1 ID ()", Id(b"a1")),
        (BEFORE, b"a1 ID ( )", Id(b"a1")),
        (AFTER, b'a ID ( "name" "x" )', Id(b"a", (("name", "x"),))),  # aioimaplib's
        (AFTER, b'a ID ("name" "x" "os" NIL)', Id(b"a", (("name", "x"), ("os", None)))),
        (BEFORE, b"a1 STARTTLS", StartTLS(b"a1")),
        (BEFORE, b"a1 AUTHENTICATE plain", Authenticate(b"a1", "PLAIN")),
        (BEFORE, b"a AUTHENTICATE PLAIN =", Authenticate(b"a", "PLAIN", b"=")),
        (BEFORE, b"a AUTHENTICATE PLAIN AGE/Yg+=", Authenticate(b"a", "PLAIN", b"AGE/Yg+=")),
        (BEFORE, b"a LOGIN joe secret", Login(b"a", "joe", "secret")),
        (BEFORE, b'a LOGIN "j\\"oe" "a\\\\b c"', Login(b"a", 'j"oe', "a\\b c")),
        (BEFORE, b"a LOGIN joe {6+}\r\nse ret", Login(b"a", "joe", "se ret")),
        (BEFORE, b"a LOGIN {3+}\r\njoe {0+}\r\n", Login(b"a", "joe", "")),
        (BEFORE, 'a LOGIN "jö" x]'.encode(), Login(b"a", "jö", "x]")),
        (AFTER, b"a ENABLE condstore X-A condstore", Enable(b"a", ("CONDSTORE", "X-A"))),
        (OPEN, b"a ENABLE UTF8=ACCEPT", Enable(b"a", ("UTF8=ACCEPT",))),
        (AFTER, b"a IDLE", Idle(b"a")),
        (AFTER, b"a NAMESPACE", Namespace(b"a")),
        (AFTER, b"a COMPRESS deflate", Compress(b"a", "DEFLATE")),
        (OPEN, b"a CHECK", Check(b"a")),
        (OPEN, b"a CLOSE", Close(b"a")),
        (OPEN, b"a UNSELECT", Unselect(b"a")),
    ],
)
def test_reads(play: Any, state: State, wire: bytes, event: Command) -> None:
    """A command becomes its event, in the states where it may come."""
    game = play(state)
    game.feed(wire + b"\r\n")
    assert game.commands == [event]


@pytest.mark.parametrize(
    ("state", "wire"),
    [
        (BEFORE, b"a CAPABILITY x"),
        (BEFORE, b"a LOGIN joe"),
        (BEFORE, b"a LOGIN joe secret more"),
        (BEFORE, b"a LOGIN  joe secret"),  # SP is exactly one space
        (BEFORE, b'a LOGIN "joe secret'),
        (BEFORE, b'a LOGIN "j\\oe" secret'),
        (BEFORE, b'a LOGIN "\xff" secret'),
        (BEFORE, b"a LOGIN jo(e secret"),
        (BEFORE, b"a LOGIN joe {3+}\r\na\x00b"),
        (BEFORE, b"a LOGIN joe {3}x"),  # a literal is announced at the end of a line
        (BEFORE, b"a LOGIN {3+} {3+}\r\njoe"),
        (BEFORE, b"a LOGIN joe {" + 99 * b"1" + b"+}"),
        (BEFORE, b"a AUTHENTICATE"),
        (BEFORE, b"a ID"),
        (BEFORE, b"a ID NILS"),
        (BEFORE, b'a ID ("name")'),
        (BEFORE, b'a ID ("name" "x"'),
        (BEFORE, b"a IDLE"),
        (BEFORE, b"a SELECT inbox"),
        (BEFORE, b"a FETCH 1 FLAGS"),
        (AFTER, b"a ENABLE"),
        (AFTER, b"a LOGIN joe secret"),
        (AFTER, b"a STARTTLS"),
        (AFTER, b"a CLOSE"),
        (AFTER, b"a COMPRESS"),
        (AFTER, b"a NOSUCH"),
        (AFTER, b"a"),
        (AFTER, b"a "),
        (AFTER, b"a UID"),
        (AFTER, b"a UID NOOP"),
        (AFTER, b"a NOOP\x00"),
        (AFTER, b"a NOOP\r"),
        (AFTER, b"a (NOOP"),
    ],
)
def test_refuses(play: Any, state: State, wire: bytes) -> None:
    """What is not in the grammar, or not allowed now, is BAD by its tag."""
    game = play(state)
    output = game.feed(wire + b"\r\n")
    assert output.startswith(b"a BAD "), output
    assert not game.events
    assert game.conversation.state is state


@pytest.mark.parametrize("wire", [b" a NOOP", b"+ NOOP", b"\x00\x01", b"(", b"a+b NOOP", b"\xff x"])
def test_without_a_tag(play: Any, wire: bytes) -> None:
    """Where no tag can be read the answer is untagged."""
    assert play().feed(wire + b"\r\n").startswith(b"* BAD ")


def test_secrets_are_not_shown() -> None:
    """A log line that shows an event shows no password."""
    assert "secret" not in repr(Login(b"a", "joe", "secret"))
    assert "c2VjcmV0" not in repr(Authenticate(b"a", "PLAIN", b"c2VjcmV0"))
