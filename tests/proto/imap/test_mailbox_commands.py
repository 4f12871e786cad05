"""Tests for `mailplat.proto.imap.mailbox_commands`: each command as it comes."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from mailplat.model.mailbox import SpecialUse
from mailplat.model.numset import NumSet
from mailplat.proto.imap.commands.append import Append, AppendMessage, Replace
from mailplat.proto.imap.commands.event import Command
from mailplat.proto.imap.commands.mailboxes import (
    Create,
    Delete,
    GetQuota,
    GetQuotaRoot,
    List,
    ListReturn,
    ListSelect,
    Lsub,
    Qresync,
    Rename,
    Select,
    SetQuota,
    Status,
    StatusItem,
    Subscribe,
    Unsubscribe,
    Xlist,
)
from mailplat.proto.imap.sets import SequenceSet

JUNK, SENT = SpecialUse.JUNK, SpecialUse.SENT
FIVE = SequenceSet(NumSet.span(5, 5))
ZONE = timezone(timedelta(hours=-8))
NOON = datetime(1994, 2, 7, 21, 52, 25, tzinfo=ZONE)


@pytest.mark.parametrize(
    ("wire", "event"),
    [
        (b"a SELECT inbox", Select(b"a", "INBOX")),
        (b"a EXAMINE Sent/2020", Select(b"a", "Sent/2020", read_only=True)),
        (b'a SELECT "a b"', Select(b"a", "a b")),
        (b"a SELECT {3+}\r\na b", Select(b"a", "a b")),
        (b"a SELECT x&AOk-", Select(b"a", "xé")),
        (b"a SELECT x (CONDSTORE)", Select(b"a", "x", condstore=True)),
        (b"a CREATE foo/bar/", Create(b"a", "foo/bar")),
        (b"a CREATE Bulk (USE (\\junk \\Sent))", Create(b"a", "Bulk", frozenset({JUNK, SENT}))),
        (b"a CREATE Bulk (USE ())", Create(b"a", "Bulk")),
        (b"a DELETE foo", Delete(b"a", "foo")),
        (b"a RENAME foo inBox/bar", Rename(b"a", "foo", "INBOX/bar")),
        (b"a SUBSCRIBE foo]", Subscribe(b"a", "foo]")),
        (b"a UNSUBSCRIBE foo", Unsubscribe(b"a", "foo")),
        (b'a LIST "" *', List(b"a", "", ("*",))),
        (b'a LIST "" ""', List(b"a", "", ("",))),
        (b'a LIST "" "%/%"', List(b"a", "", ("%/%",))),
        (b"a LIST foo &AOk-%", List(b"a", "foo", ("é%",))),
        (b'a LIST () "" %', List(b"a", "", ("%",), extended=True)),
        (b'a LIST "" (INBOX "a b" %/x)', List(b"a", "", ("INBOX", "a b", "%/x"), extended=True)),
        (
            b'a LIST (SUBSCRIBED RECURSIVEMATCH) "" * RETURN (CHILDREN SPECIAL-USE)',
            List(
                b"a",
                "",
                ("*",),
                frozenset({ListSelect.SUBSCRIBED, ListSelect.RECURSIVEMATCH}),
                frozenset({ListReturn.CHILDREN, ListReturn.SPECIAL_USE}),
                extended=True,
            ),
        ),
        (
            b'a LIST "" % RETURN (STATUS (MESSAGES UNSEEN) SUBSCRIBED)',
            List(
                b"a",
                "",
                ("%",),
                returns=frozenset({ListReturn.SUBSCRIBED}),
                status=(StatusItem.MESSAGES, StatusItem.UNSEEN),
                extended=True,
            ),
        ),
        (b'a LIST "" % RETURN ()', List(b"a", "", ("%",), extended=True)),
        (b'a LSUB "" *', Lsub(b"a", "", "*")),
        (b'a XLIST "" %', Xlist(b"a", "", "%")),
        (
            b"a STATUS foo (MESSAGES uidnext MESSAGES HIGHESTMODSEQ)",
            Status(
                b"a", "foo", (StatusItem.MESSAGES, StatusItem.UIDNEXT, StatusItem.HIGHESTMODSEQ)
            ),
        ),
        (b"a GETQUOTA joe", GetQuota(b"a", "joe")),
        (b'a GETQUOTA ""', GetQuota(b"a", "")),
        (b"a GETQUOTAROOT inbox", GetQuotaRoot(b"a", "INBOX")),
        (
            b'a SETQUOTA "" (STORAGE 512 message 3)',
            SetQuota(b"a", "", (("STORAGE", 512), ("MESSAGE", 3))),
        ),
        (b'a SETQUOTA "" ()', SetQuota(b"a", "", ())),
        (b"a APPEND foo {0+}\r\n", Append(b"a", "foo", AppendMessage(0))),
        (
            b'a APPEND foo (\\seen $Junk) " 7-Feb-1994 21:52:25 -0800" {3+}\r\nabc',
            Append(b"a", "foo", AppendMessage(3, frozenset({"\\Seen", "$Junk"}), NOON)),
        ),
        (
            b'a APPEND {3+}\r\nfoo "07-feb-1994 21:52:25 -0800" ~{3+}\r\na\x00c',
            Append(b"a", "foo", AppendMessage(3, date=NOON, binary=True)),
        ),
        (
            b"a APPEND foo () UTF8 (~{3+}\r\nabc)",
            Append(b"a", "foo", AppendMessage(3, binary=True, utf8=True)),
        ),
        (b"a REPLACE 5 foo {1+}\r\nx", Replace(b"a", FIVE, False, "foo", AppendMessage(1))),
        (b"a UID REPLACE 5 foo {1+}\r\nx", Replace(b"a", FIVE, True, "foo", AppendMessage(1))),
    ],
)
def test_reads(play: Any, wire: bytes, event: Command) -> None:
    """A command becomes its event."""
    game = play()
    output = game.feed(wire + b"\r\n")
    assert game.commands == [event]
    assert output == b"a OK done\r\n"


@pytest.mark.parametrize(
    ("wire", "event"),
    [
        (b"(1 2)", Qresync(1, 2)),
        (b"(1 2 3:5,7)", Qresync(1, 2, NumSet(((3, 5), (7, 7))))),
        (b"(1 2 (1,4 6,9))", Qresync(1, 2, None, NumSet.of([1, 4]), NumSet.of([6, 9]))),
        (b"(1 2 3 (1 3))", Qresync(1, 2, NumSet.of([3]), NumSet.of([1]), NumSet.of([3]))),
    ],
)
def test_qresync(play: Any, wire: bytes, event: Qresync) -> None:
    """What a client remembers (RFC 7162 §3.2.5)."""
    game = play(enable=["QRESYNC"])
    game.feed(b"a SELECT foo (QRESYNC " + wire + b")\r\n")
    assert game.commands == [Select(b"a", "foo", condstore=True, qresync=event)]
    assert play().feed(b"a SELECT foo (QRESYNC " + wire + b")\r\n").startswith(b"a BAD ")


@pytest.mark.parametrize(
    "wire",
    [
        b"a SELECT foo (QRESYNC (0 1))",
        b"a SELECT foo (QRESYNC (1 1 1:*))",
        b"a SELECT foo (QRESYNC (1 1 (1 2,3)))",
        b"a SELECT foo (QRESYNC (1 1)",
        b"a SELECT foo ()",
        b"a SELECT foo (FOO)",
        b"a SELECT foo bar",
        b"a SELECT {3+}\r\na\x00b",
        b"a CREATE foo (ABUSE (\\Junk))",
        b'a LIST ""',
        b'a LIST "" ()',
        b'a LIST (FOO) "" *',
        b'a LIST (RECURSIVEMATCH) "" *',  # (RFC 5258 §3.1)
        b'a LIST "" * RETURN (FOO)',
        b'a LIST "" * RETURNS ()',
        b"a STATUS foo ()",
        b"a STATUS foo (MESSAGES",
        b"a STATUS foo MESSAGES",
        b"a STATUS foo (FOO)",
        b"a RENAME foo",
        b"a SETQUOTA foo (STORAGE)",
        b"a SETQUOTA foo (STORAGE -1)",
        b"a APPEND foo",
        b"a APPEND foo bar",
        b"a APPEND foo (\\Recent) {1+}\r\nx",
        b"a APPEND foo (\\Foo) {1+}\r\nx",
        b'a APPEND foo "32-Jan-2020 00:00:00 +0000" {1+}\r\nx',
        b'a APPEND foo "1-Foo-2020 00:00:00 +0000" {1+}\r\nx',
        b'a APPEND foo "01-Jan-2020 24:00:00 +0000" {1+}\r\nx',
        b'a APPEND foo "01-Jan-0000 00:00:00 +0000" {1+}\r\nx',
        b'a APPEND foo "01-Jan-2020 00:00:00 +9900" {1+}\r\nx',
        b"a APPEND foo UTF8 ({1+}\r\nx)",
        b"a APPEND foo UTF7 (~{1+}\r\nx)",
        b"a APPEND foo {1+} {1+}\r\nx",
        b"a REPLACE 1:2 foo {1+}\r\nx",
        b"a REPLACE $ foo {1+}\r\nx",
    ],
)
def test_refuses(play: Any, wire: bytes) -> None:
    """What is not in the grammar is BAD, once, and a literal in it is no command."""
    game = play(enable=["QRESYNC"])
    output = game.feed(wire + b"\r\nb NOOP\r\n")
    assert output.startswith(b"a BAD "), output
    assert output.endswith(b"\r\nb OK done\r\n")
    assert output.count(b"\r\n") == 2


@pytest.mark.parametrize(
    "name",
    [b'""', b"foo//bar", b"/foo", b"../x", b'"a\tb"', b"a&b", b"&AGE-", b"{2+}\r\n\xc3\xa9"],
)
def test_impossible_names(play: Any, name: bytes) -> None:
    """A name that no mailbox can have is refused as such, not as a fault of syntax."""
    assert play().feed(b"a SELECT " + name + b"\r\n").startswith(b"a NO [CANNOT] ")


def test_utf8_names(play: Any) -> None:
    """Once UTF-8 is enabled, names are UTF-8, and "&" is a letter (RFC 6855 §3)."""
    for capability in ("UTF8=ACCEPT", "IMAP4rev2"):
        game = play(enable=[capability])
        game.feed('a SELECT "é&b"\r\nb SELECT a&AOk-\r\n'.encode())
        assert game.commands == [Select(b"a", "é&b"), Select(b"b", "a&AOk-")]
        assert game.feed(b'c SELECT "\xff"\r\n').startswith(b"c BAD ")
        assert game.feed(b"d SELECT {1+}\r\n\xff\r\n").startswith(b"d BAD ")


def test_unknown_use(play: Any) -> None:
    """A use that we do not know is refused with its own code (RFC 6154 §3)."""
    assert play().feed(b"a CREATE x (USE (\\Foo))\r\n").startswith(b"a NO [USEATTR] ")


def test_condstore_is_noticed() -> None:
    """Commands that show that a client knows CONDSTORE (RFC 7162 §3.1)."""
    assert Select(b"a", "x", condstore=True).enables_condstore
    assert not Select(b"a", "x").enables_condstore
    assert Status(b"a", "x", (StatusItem.HIGHESTMODSEQ,)).enables_condstore
    assert not Delete(b"a", "x").enables_condstore
