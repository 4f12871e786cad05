"""Tests for `mailplat.filters.checking`: no nonsense gets any further."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.filters.checking import Bounds, Unsound, checked, printable
from mailplat.message.edit import edit_header
from mailplat.model.address import Address
from mailplat.model.reply import Reply
from mailplat.model.verdict import (
    Action,
    AddHeader,
    AddRecipient,
    ChangeHeader,
    ChangeSender,
    InsertHeader,
    RemoveHeader,
    ReplaceBody,
    Score,
    Tag,
    Verdict,
)

BOUNDS = Bounds(changes=10, header_bytes=1000, body_bytes=1000)
ANY: Any = object()
ALICE = Address("alice", "example.org")


@pytest.mark.parametrize(
    "nonsense",
    [
        None,
        "reject",
        550,
        ANY,
        Verdict,
        Verdict(ANY),
        Verdict(reason=ANY),
        Verdict(mailbox=ANY),
        Verdict(changes=ANY),
        Verdict(changes=(ANY,)),
        Verdict(Action.REJECT, ANY),
        Verdict(Action.REJECT, Reply(ANY, ("x",))),
        Verdict(Action.REJECT, Reply(550, (ANY,))),
        Verdict(changes=(AddHeader("X", "v"),) * 11),
        Verdict(changes=(AddHeader("X", "v" * 1000),)),
        Verdict(changes=(AddHeader(ANY, "v"),)),
        Verdict(changes=(AddHeader("X-Bad\r\nBcc", "v"),)),
        Verdict(changes=(AddHeader("", "v"),)),
        Verdict(changes=(RemoveHeader(ANY),)),
        Verdict(changes=(InsertHeader("X", b" a\r\nBcc: b"),)),
        Verdict(changes=(InsertHeader("X Y", b" a"),)),
        Verdict(changes=(InsertHeader("X", ANY),)),
        Verdict(changes=(InsertHeader("X", b" a", -1),)),
        Verdict(changes=(InsertHeader("X", b" a" * 450),) * 2),
        Verdict(changes=(ChangeHeader("X", 1, b" a\r\n\r\nbody"),)),
        Verdict(changes=(ChangeHeader("X", ANY, b" a"),)),
        Verdict(changes=(AddRecipient(ALICE, frozenset({ANY})),)),
        Verdict(changes=(AddRecipient(ALICE, original="rfc822;a\r\nb"),)),
        Verdict(changes=(ChangeSender(ALICE, ANY),)),
        Verdict(changes=(ChangeSender(None, None, "a\nb"),)),
        Verdict(changes=(ReplaceBody(b"x" * 1001),)),
        Verdict(changes=(ReplaceBody(ANY),)),
        Verdict(changes=(ChangeSender(Address("a\r\nRCPT TO:<b", "example.org")),)),
        Verdict(changes=(AddRecipient(Address("a", "example.org> BODY=8BITMIME")),)),
        Verdict(changes=(AddRecipient(Address("", "example.org")),)),
        Verdict(changes=(AddRecipient(Address("a" * 300, "example.org")),)),
        Verdict(changes=(Tag("two\nlines"),)),
        Verdict(changes=(Tag(""),)),
        Verdict(changes=(Score("spam", float("nan")),)),
        Verdict(changes=(Score("spam", float("inf")),)),
    ],
)
def test_refuses(nonsense: Any) -> None:
    """Whatever is no sensible verdict is none; the words for the log hold none of its text."""
    with pytest.raises(Unsound) as raised:
        checked(nonsense, BOUNDS, {})
    assert "\n" not in raised.value.reason


def test_makes_replies_fit() -> None:
    """A refusal has a code of its own kind, or the server's words; its lines stay lines."""
    wrong = Verdict(Action.REJECT, Reply.of(250, "Fine", "2.0.0"))
    assert checked(wrong, BOUNDS, {}).reply is None
    assert checked(Verdict(Action.DEFER, Reply.of(550, "No", "5.7.1")), BOUNDS, {}).reply is None
    assert checked(Verdict(Action.REJECT, Reply.of(550, "No", "4.1")), BOUNDS, {}).reply is None
    assert checked(Verdict(Action.HOLD, Reply.of(550, "No")), BOUNDS, {}).reply is None
    broken = checked(Verdict(Action.REJECT, Reply.of(550, "a\r\n250 b", "5.7.1")), BOUNDS, {})
    assert broken.reply == Reply.of(550, "a  250 b", "5.7.1")
    good = Verdict.reject("No")
    assert checked(good, BOUNDS, {}) == good


def test_remaps() -> None:
    """Another action takes the place of one; the words of the reply become the reason."""
    remap = {Action.REJECT: Action.QUARANTINE, Action.ACCEPT: Action.CONTINUE}
    found = checked(Verdict(Action.REJECT, Reply.of(554, "Spam!", "5.7.1")), BOUNDS, remap)
    assert found == Verdict(Action.QUARANTINE, reason="Spam!")
    assert checked(Verdict(Action.ACCEPT), BOUNDS, remap).action is Action.CONTINUE
    assert checked(Verdict.defer("x"), BOUNDS, remap) == Verdict.defer("x")


def test_who_decided_is_not_the_filters_to_say() -> None:
    """A filter cannot speak in another's name."""
    assert checked(Verdict(Action.HOLD, by="somebody"), BOUNDS, {}).by == ""


@given(st.text(), st.text())
def test_reason_and_headers_are_lines(reason: str, value: str) -> None:
    """No text of a filter's begins a line of its own."""
    asked = Verdict(Action.QUARANTINE, changes=(AddHeader("X-Why", value[:900]),), reason=reason)
    found = checked(asked, BOUNDS, {})
    assert found.reason == printable(found.reason)
    header = edit_header(b"A: b\r\n\r\n", found.changes)
    fields = header.removesuffix(b"A: b\r\n\r\n").split(b"\r\n")
    assert fields[0].startswith(b"X-Why:")
    assert fields[-1] == b""
    assert all(line.startswith(b" ") for line in fields[1:-1])
