"""Tests for `mailplat.proto.imap.responses` and `mailplat.proto.imap.spelling`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.message.threading import Thread
from mailplat.model.numset import NumSet
from mailplat.proto.imap import responses, spelling
from mailplat.proto.imap.commands.mailboxes import StatusItem
from mailplat.proto.imap.sets import PartialRange
from mailplat.proto.imap.tokens import Mode, Tokens


@pytest.mark.parametrize(
    ("value", "plain", "utf8"),
    [
        (b"", b'""', b'""'),
        (b"abc", b'"abc"', b'"abc"'),
        (b'a"b\\', b'"a\\"b\\\\"', b'"a\\"b\\\\"'),
        ("é".encode(), b"{2}\r\n\xc3\xa9", b'"\xc3\xa9"'),
        (b"\xff", b"{1}\r\n\xff", b"{1}\r\n\xff"),
        (b"a\r\nb", b"{4}\r\na\r\nb", b"{4}\r\na\r\nb"),
        (b"a\0b", b"{3}\r\na\0b", b"{3}\r\na\0b"),
    ],
)
def test_strings(value: bytes, plain: bytes, utf8: bytes) -> None:
    """Quoted where that is allowed, else a literal."""
    assert spelling.string(value) == plain
    assert spelling.string(value, utf8=True) == utf8
    assert spelling.nstring(value) == plain
    assert spelling.nstring(None) == b"NIL"


def test_long_strings_are_literals() -> None:
    """A client need not read a line without end."""
    assert spelling.string(b"x" * 1001) == b"{1001}\r\n" + b"x" * 1001


@pytest.mark.parametrize(
    ("name", "plain", "utf8"),
    [
        ("INBOX", b"INBOX", b"INBOX"),
        ("a b", b'"a b"', b'"a b"'),
        ("nil", b'"nil"', b'"nil"'),
        ("é", b"&AOk-", b'"\xc3\xa9"'),
        ("a&b", b"a&-b", b"a&b"),
        ("", b'""', b'""'),
        ("a]", b'"a]"', b'"a]"'),
    ],
)
def test_mailbox_names(name: str, plain: bytes, utf8: bytes) -> None:
    """In the client's way."""
    assert spelling.mailbox(name, utf8=False) == plain
    assert spelling.mailbox(name, utf8=True) == utf8


@given(st.binary(), st.booleans())
def test_strings_are_read_back(value: bytes, utf8: bool) -> None:
    """What is spelled can be read, by the same grammar."""
    value = value.replace(b"\0", b"")
    for spelled in (spelling.string(value, utf8=utf8), spelling.astring(value, utf8=utf8)):
        head, _, rest = spelled.partition(b"\r\n")
        if head != spelled:  # it is a literal
            tokens = Tokens(head + b"\r\n", [rest], Mode(utf8=utf8))
        else:
            tokens = Tokens(spelled, mode=Mode(utf8=utf8))
        assert tokens.astring() == value
        tokens.end()


def test_resp_text() -> None:
    """Never empty, never more than a line."""
    assert spelling.resp_text("") == b"-"
    assert spelling.resp_text("\r\n") == b"-"
    assert spelling.resp_text("a\r\nb OK c") == b"a b OK c"
    assert spelling.resp_text("x", "A\r\nB") == b"[A B] x"
    assert spelling.resp_text("é", utf8=True) == "é".encode()


def test_simple_responses() -> None:
    """One of each."""
    assert responses.condition("OK", "x", "CLOSED") == b"* OK [CLOSED] x\r\n"
    assert responses.capability(["IMAP4rev1", "IDLE"]) == b"* CAPABILITY IMAP4rev1 IDLE\r\n"
    assert responses.enabled([]) == b"* ENABLED\r\n"
    assert responses.exists(3) == b"* 3 EXISTS\r\n"
    assert responses.recent(0) == b"* 0 RECENT\r\n"
    assert responses.expunged([5, 3]) == b"* 5 EXPUNGE\r\n* 3 EXPUNGE\r\n"
    assert responses.namespace() == b'* NAMESPACE (("" "/")) NIL NIL\r\n'
    assert responses.flags(["$Junk"]) == (
        b"* FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft $Junk)\r\n"
    )
    assert b"[PERMANENTFLAGS ()]" in responses.permanent_flags([], read_only=True)
    assert b"$Junk \\*)]" in responses.permanent_flags(["$Junk"], read_only=False)
    assert responses.identity({}) == b"* ID NIL\r\n"
    assert responses.identity({"name": "mailplat", "os": None}) == (
        b'* ID ("name" "mailplat" "os" NIL)\r\n'
    )
    assert responses.quota("", [("STORAGE", 10, 512)], utf8=False) == (
        b'* QUOTA "" (STORAGE 10 512)\r\n'
    )
    assert responses.quota_roots("INBOX", [""], utf8=False) == b'* QUOTAROOT INBOX ""\r\n'


def test_vanished() -> None:
    """One line, or as many as it takes; none for nothing."""
    assert responses.vanished(NumSet()) == b""
    assert responses.vanished(NumSet.of([1, 2, 4])) == b"* VANISHED 1:2,4\r\n"
    assert responses.vanished(NumSet.of([7]), earlier=True) == b"* VANISHED (EARLIER) 7\r\n"
    lines = responses.vanished(NumSet.of(range(1, 20001, 2))).split(b"\r\n")
    assert len(lines) == 4
    assert lines[1].startswith(b"* VANISHED 8001,")


def test_search_and_sort() -> None:
    """Numbers as they were found; MODSEQ only with numbers (RFC 7162 §3.1.5)."""
    assert responses.search([]) == b"* SEARCH\r\n"
    assert responses.search([2, 84, 882]) == b"* SEARCH 2 84 882\r\n"
    assert responses.search([2], modseq=9) == b"* SEARCH 2 (MODSEQ 9)\r\n"
    assert responses.search([], modseq=9) == b"* SEARCH\r\n"
    assert responses.sort([5, 3], modseq=9) == b"* SORT 5 3 (MODSEQ 9)\r\n"


def test_esearch() -> None:
    """All parts of it, and none (RFC 9051 §7.3.4)."""
    assert responses.esearch(b"A1", uid=False) == b'* ESEARCH (TAG "A1")\r\n'
    assert responses.esearch(
        b'A"1',
        uid=True,
        minimum=1,
        maximum=9,
        count=3,
        everything=NumSet.of([1, 2, 9]),
        modseq=7,
    ) == (b'* ESEARCH (TAG "A\\"1") UID MIN 1 MAX 9 COUNT 3 ALL 1:2,9 MODSEQ 7\r\n')
    assert responses.esearch(b"A", uid=False, count=0, everything=NumSet()) == (
        b'* ESEARCH (TAG "A") COUNT 0\r\n'
    )
    assert responses.esearch(b"A", uid=False, everything=[5, 3, 4, 5, 1]) == (
        b'* ESEARCH (TAG "A") ALL 5,3:5,1\r\n'
    )
    page = PartialRange(-1, -3)
    assert responses.esearch(b"A", uid=True, partial=(page, NumSet.of([8, 9]))) == (
        b'* ESEARCH (TAG "A") UID PARTIAL (-1:-3 8:9)\r\n'
    )
    assert responses.esearch(b"A", uid=True, partial=(page, NumSet())).endswith(b"(-1:-3 NIL)\r\n")


def test_threads() -> None:
    """The examples of RFC 5256 §4, and a thread of any depth."""
    assert responses.thread([], []) == b"* THREAD\r\n"
    numbers = [2, 3, 6, 4, 23, 44, 7, 96]
    answers = [Thread(3, [Thread(4)]), Thread(5, [Thread(6, [Thread(7)])])]
    tree = Thread(1, [Thread(2, answers)])
    told = responses.thread([Thread(0), tree], numbers)
    assert told == b"* THREAD (2)(3 6 (4 23)(44 7 96))\r\n"
    headless = Thread(None, [Thread(1), Thread(3)])
    assert responses.thread([headless], numbers) == b"* THREAD ((3)(4))\r\n"
    deep = Thread(1)
    for number in range(2, 5000):
        deep = Thread(number, [deep])
    assert responses.thread([deep], range(5000)).startswith(b"* THREAD (4999 4998 ")


def test_list_rows() -> None:
    """LIST with what can hang on it."""
    assert responses.list_separator() == b'* LIST (\\Noselect) "/" ""\r\n'
    assert responses.list_row(["\\HasNoChildren", "\\Sent"], "a b", utf8=False) == (
        b'* LIST (\\HasNoChildren \\Sent) "/" "a b"\r\n'
    )
    row = responses.list_row(
        [], "é", utf8=False, response="LSUB", child_info=["SUBSCRIBED"], old_name="b"
    )
    assert row == b'* LSUB () "/" &AOk- ("CHILDINFO" ("SUBSCRIBED") "OLDNAME" (b))\r\n'


def test_status() -> None:
    """Numbers bare, a MAILBOXID in parentheses."""
    row = responses.status("x", {StatusItem.MESSAGES: 3, StatusItem.MAILBOXID: "M1"}, utf8=False)
    assert row == b"* STATUS x (MESSAGES 3 MAILBOXID (M1))\r\n"
