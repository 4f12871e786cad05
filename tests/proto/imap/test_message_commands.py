"""Tests for FETCH, STORE, COPY, MOVE, EXPUNGE as they come."""

from __future__ import annotations

from typing import Any

import pytest

from mailplat.model.flags import FlagAction
from mailplat.model.numset import NumSet
from mailplat.proto.imap.commands.event import Command
from mailplat.proto.imap.commands.messages import Copy, Expunge, Fetch, Move, Store
from mailplat.proto.imap.fetch_items import (
    Attribute,
    BinarySize,
    FetchItem,
    Preview,
    Section,
    SectionText,
)
from mailplat.proto.imap.sets import PartialRange, SequenceSet
from mailplat.proto.imap.syntax import State

ONE = SequenceSet(NumSet.span(1, 1))
A = Attribute
FIELDS = SectionText.HEADER_FIELDS


def section(label: str, *args: object, **more: object) -> Section:
    """Make a section with its label as bytes."""
    return Section(label.encode(), *args, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wire", "items"),
    [
        ("FLAGS", [A.FLAGS]),
        ("(FLAGS)", [A.FLAGS]),
        ("fast", [A.FLAGS, A.INTERNALDATE, A.SIZE]),
        ("ALL", [A.FLAGS, A.INTERNALDATE, A.SIZE, A.ENVELOPE]),
        ("FULL", [A.FLAGS, A.INTERNALDATE, A.SIZE, A.ENVELOPE, A.BODY]),
        ("(BODYSTRUCTURE UID FLAGS UID)", [A.UID, A.BODYSTRUCTURE, A.FLAGS]),  # UID goes first
        ("(MODSEQ EMAILID THREADID SAVEDATE)", [A.MODSEQ, A.EMAILID, A.THREADID, A.SAVEDATE]),
        ("PREVIEW", [Preview()]),
        ("(PREVIEW (LAZY) BODY)", [Preview(lazy=True), A.BODY]),
        ("BODY[]", [section("BODY[]")]),
        ("body.peek[]<0.10>", [section("BODY[]<0>", partial=(0, 10), peek=True)]),
        ("BODY[TEXT]", [section("BODY[TEXT]", text=SectionText.TEXT)]),
        ("BODY[header]", [section("BODY[HEADER]", text=SectionText.HEADER)]),
        ("BODY[1]", [section("BODY[1]", (1,))]),
        ("BODY[4.2.1]", [section("BODY[4.2.1]", (4, 2, 1))]),
        ("BODY[1.MIME]", [section("BODY[1.MIME]", (1,), SectionText.MIME)]),
        ("BODY[2.1.HEADER]", [section("BODY[2.1.HEADER]", (2, 1), SectionText.HEADER)]),
        (
            'BODY.PEEK[HEADER.FIELDS (From "To" {2+}\r\nCC)]',
            [
                section(
                    "BODY[HEADER.FIELDS (From To CC)]", (), FIELDS, ("From", "To", "CC"), peek=True
                )
            ],
        ),
        (
            "BODY[1.HEADER.FIELDS.NOT (X)]<5.6>",
            [
                section(
                    "BODY[1.HEADER.FIELDS.NOT (X)]<5>",
                    (1,),
                    SectionText.HEADER_FIELDS_NOT,
                    ("X",),
                    (5, 6),
                )
            ],
        ),
        ("RFC822", [section("RFC822")]),
        ("RFC822.HEADER", [section("RFC822.HEADER", text=SectionText.HEADER, peek=True)]),
        ("(RFC822.TEXT RFC822.SIZE)", [section("RFC822.TEXT", text=SectionText.TEXT), A.SIZE]),
        ("BINARY[1]", [section("BINARY[1]", (1,), binary=True)]),
        ("BINARY.PEEK[]<1.2>", [section("BINARY[]<1>", partial=(1, 2), peek=True, binary=True)]),
        ("BINARY.SIZE[2.1]", [BinarySize(b"BINARY.SIZE[2.1]", (2, 1))]),
    ],
)
def test_fetch_items(play: Any, wire: str, items: list[FetchItem]) -> None:
    """Each item, macro and section."""
    game = play()
    game.feed(b"a FETCH 1 " + wire.encode() + b"\r\n")
    assert game.commands == [Fetch(b"a", ONE, False, tuple(items))]


@pytest.mark.parametrize(
    ("wire", "event"),
    [
        (b"a UID FETCH 1 FLAGS", Fetch(b"a", ONE, True, (A.UID, A.FLAGS))),
        (b"a UID FETCH $ UID", Fetch(b"a", SequenceSet(saved=True), True, (A.UID,))),
        (
            b"a FETCH 1:* (FLAGS) (CHANGEDSINCE 0)",
            Fetch(b"a", SequenceSet(star=1), False, (A.FLAGS, A.MODSEQ), 0),
        ),
        (
            b"a UID FETCH 1 (MODSEQ FLAGS) (VANISHED CHANGEDSINCE 9223372036854775807)",
            Fetch(b"a", ONE, True, (A.UID, A.MODSEQ, A.FLAGS), 2**63 - 1, True),
        ),
        (
            b"a UID FETCH 1 UID (PARTIAL -1:-30 CHANGEDSINCE 5)",
            Fetch(b"a", ONE, True, (A.UID, A.MODSEQ), 5, partial=PartialRange(-1, -30)),
        ),
        (
            b"a STORE 1 FLAGS (\\deleted Foo)",
            Store(b"a", ONE, False, FlagAction.REPLACE, frozenset({"\\Deleted", "Foo"})),
        ),
        (
            b"a UID STORE 1 +flags.silent \\Seen $X",
            Store(b"a", ONE, True, FlagAction.ADD, frozenset({"\\Seen", "$X"}), True),
        ),
        (
            b"a STORE 1 (UNCHANGEDSINCE 7) -FLAGS ()",
            Store(b"a", ONE, False, FlagAction.REMOVE, frozenset(), False, 7),
        ),
        (b"a COPY 1 foo", Copy(b"a", ONE, False, "foo")),
        (b"a UID COPY 1 inbox", Copy(b"a", ONE, True, "INBOX")),
        (b"a MOVE 1 foo", Move(b"a", ONE, False, "foo")),
        (b"a UID MOVE 1 foo", Move(b"a", ONE, True, "foo")),
        (b"a EXPUNGE", Expunge(b"a")),
        (b"a UID EXPUNGE 1", Expunge(b"a", ONE)),
    ],
)
def test_reads(play: Any, wire: bytes, event: Command) -> None:
    """A command becomes its event."""
    game = play(enable=["QRESYNC"])
    game.feed(wire + b"\r\n")
    assert game.commands == [event]


@pytest.mark.parametrize(
    "wire",
    [
        b"FETCH 1",
        b"FETCH 1 ()",
        b"FETCH 1 (FLAGS",
        b"FETCH 1 (FLAGS))",
        b"FETCH 1 (FLAGS  UID)",
        b"FETCH 1 (ALL)",
        b"FETCH 1 FOO",
        b"FETCH 1 FLAGS UID",
        b"FETCH x FLAGS",
        b"FETCH 1 BODY[",
        b"FETCH 1 BODY[FOO]",
        b"FETCH 1 BODY[MIME]",
        b"FETCH 1 BODY[0]",
        b"FETCH 1 BODY[1.]",
        b"FETCH 1 BODY[1TEXT]",
        b"FETCH 1 BODY[" + b".".join([b"1"] * 101) + b"]",
        b"FETCH 1 BODY[HEADER.FIELDS]",
        b"FETCH 1 BODY[HEADER.FIELDS ()]",
        b"FETCH 1 BODY[HEADER.FIELDS (a]",
        b"FETCH 1 BODY[]<0.0>",
        b"FETCH 1 BODY[]<0>",
        b"FETCH 1 BODY[]<-1.2>",
        b"FETCH 1 BODY.SIZE[1]",
        b"FETCH 1 RFC822[]",
        b"FETCH 1 BINARY[TEXT]",
        b"FETCH 1 BINARY",
        b"FETCH 1 BODY.PEEK",
        b"FETCH 1 PREVIEW (EAGER)",
        b"FETCH 1 UID (VANISHED)",
        b"FETCH 1 UID (CHANGEDSINCE 1 VANISHED)",  # not UID FETCH
        b"FETCH 1 UID (PARTIAL 1:2)",  # not UID FETCH
        b"UID FETCH 1 UID (VANISHED)",  # no CHANGEDSINCE
        b"UID FETCH 1 UID (CHANGEDSINCE 1 CHANGEDSINCE 2)",
        b"UID FETCH 1 UID (CHANGEDSINCE 9223372036854775808)",
        b"UID FETCH 1 UID (FOO)",
        b"STORE 1 FLAGS",
        b"STORE 1 FOO (\\Seen)",
        b"STORE 1 *FLAGS (\\Seen)",
        b"STORE 1 FLAGS (\\Recent)",
        b"STORE 1 FLAGS (\\Seen",
        b"STORE 1 FLAGS (" + b"x" * 256 + b")",
        b"STORE 1 (CHANGEDSINCE 1) FLAGS ()",
        b"COPY 1",
        b"COPY foo 1",
        b"EXPUNGE 1",
        b"UID EXPUNGE",
    ],
)
def test_refuses(play: Any, wire: bytes) -> None:
    """What is not in the grammar is BAD."""
    output = play(enable=["QRESYNC"]).feed(b"a " + wire + b"\r\n")
    assert output.startswith(b"a BAD "), output
    assert output.count(b"\r\n") == 1


def test_vanished_needs_qresync(play: Any) -> None:
    """VANISHED before ENABLE QRESYNC is BAD (RFC 7162 §3.2.6)."""
    output = play().feed(b"a UID FETCH 1 UID (CHANGEDSINCE 1 VANISHED)\r\n")
    assert output.startswith(b"a BAD ")


def test_not_before_a_mailbox_is_open(play: Any) -> None:
    """Message commands need an open mailbox."""
    assert play(State.AUTHENTICATED).feed(b"a UID FETCH 1 UID\r\n").startswith(b"a BAD ")


@pytest.mark.parametrize(
    ("event", "tells"),
    [
        (Fetch(b"a", ONE, False, ()), False),
        (Fetch(b"a", ONE, True, ()), True),
        (Store(b"a", ONE, False, FlagAction.ADD, frozenset()), False),
        (Store(b"a", ONE, True, FlagAction.ADD, frozenset()), True),
        (Copy(b"a", ONE, False, "x"), True),
        (Expunge(b"a"), True),
    ],
)
def test_when_expunges_may_be_told(event: Command, tells: bool) -> None:
    """FETCH and STORE by number must not change the numbers (RFC 9051 §7.5.1)."""
    assert event.tells_expunge is tells


def test_condstore_is_noticed() -> None:
    """Commands that show that a client knows CONDSTORE (RFC 7162 §3.1)."""
    assert Fetch(b"a", ONE, False, (A.MODSEQ,)).enables_condstore
    assert not Fetch(b"a", ONE, False, (A.FLAGS,)).enables_condstore
    assert Store(b"a", ONE, False, FlagAction.ADD, frozenset(), False, 0).enables_condstore
