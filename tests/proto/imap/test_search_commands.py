"""Tests for SEARCH, SORT and THREAD as they come."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from mailplat.model.numset import NumSet
from mailplat.proto.imap.commands.searches import (
    Search,
    SearchReturn,
    Sort,
    SortCriterion,
    SortKey,
    Thread,
)
from mailplat.proto.imap.search_keys import (
    All,
    And,
    BodyHas,
    DateIs,
    DateOf,
    EmailId,
    HasFlag,
    HeaderHas,
    Larger,
    ModSeq,
    Not,
    Numbers,
    Older,
    Or,
    Recent,
    SaveDateSupported,
    SearchKey,
    Smaller,
    TextHas,
    ThreadId,
    When,
    Younger,
    walk,
)
from mailplat.proto.imap.sets import PartialRange, SequenceSet

SEEN = HasFlag("\\Seen")
DAY = date(1994, 2, 1)
ONE = SequenceSet(NumSet.span(1, 1))


@pytest.mark.parametrize(
    ("wire", "key"),
    [
        (b"ALL", All()),
        (b"ANSWERED", HasFlag("\\Answered")),
        (b"undraft", Not(HasFlag("\\Draft"))),
        (b"UNSEEN", Not(SEEN)),
        (b"NOT UNSEEN", SEEN),
        (b"NOT NOT NOT SEEN", Not(SEEN)),
        (b"NEW", And((Recent(), Not(SEEN)))),
        (b"OLD", Not(Recent())),
        (b"RECENT", Recent()),
        (b"KEYWORD $Junk", HasFlag("$Junk")),
        (b"UNKEYWORD $Junk", Not(HasFlag("$Junk"))),
        (b"FROM smith", HeaderHas("From", "smith")),
        (b'SUBJECT "a b"', HeaderHas("Subject", "a b")),
        (b"BCC x", HeaderHas("Bcc", "x")),
        (b"CC x", HeaderHas("Cc", "x")),
        (b'TO {3+}\r\na"b', HeaderHas("To", 'a"b')),
        (b'HEADER Message-ID ""', HeaderHas("Message-ID", "")),
        (b"BODY x", BodyHas("x")),
        ("TEXT {2+}\r\né".encode(), TextHas("é")),
        (b"BEFORE 1-Feb-1994", DateIs(DateOf.INTERNAL, When.BEFORE, DAY)),
        (b'ON "01-feb-1994"', DateIs(DateOf.INTERNAL, When.ON, DAY)),
        (b"SENTSINCE 1-Feb-1994", DateIs(DateOf.SENT, When.SINCE, DAY)),
        (b"SAVEDON 1-Feb-1994", DateIs(DateOf.SAVED, When.ON, DAY)),
        (b"SAVEDATESUPPORTED", SaveDateSupported()),
        (b"LARGER 5000000000", Larger(5000000000)),
        (b"SMALLER 0", Smaller(0)),
        (b"OLDER 60", Older(60)),
        (b"YOUNGER 60", Younger(60)),
        (b"1", Numbers(ONE, uid=False)),
        (b"*", Numbers(SequenceSet(star=2**32 - 1), uid=False)),
        (b"UID 1", Numbers(ONE, uid=True)),
        (b"$", Numbers(SequenceSet(saved=True), uid=False)),
        (b"MODSEQ 5", ModSeq(5)),
        (b'MODSEQ "/flags/\\\\draft" all 620162338', ModSeq(620162338)),
        (b"EMAILID M6d99", EmailId("M6d99")),
        (b"THREADID T-_1", ThreadId("T-_1")),
        (b"SEEN 1", And((SEEN, Numbers(ONE, uid=False)))),
        (b"(SEEN)", SEEN),
        (b"(SEEN (DRAFT ALL)) ALL", And((SEEN, HasFlag("\\Draft"), All(), All()))),
        (b"OR SEEN DRAFT", Or((SEEN, HasFlag("\\Draft")))),
        (b"OR SEEN OR DRAFT ALL", Or((SEEN, HasFlag("\\Draft"), All()))),
        (b"OR OR SEEN DRAFT ALL", Or((SEEN, HasFlag("\\Draft"), All()))),
        (b"NOT OR SEEN (1 ALL)", Not(Or((SEEN, And((Numbers(ONE, uid=False), All())))))),
    ],
)
def test_keys(play: Any, wire: bytes, key: SearchKey) -> None:
    """Each key; spellings that mean the same become the same."""
    game = play()
    game.feed(b"a SEARCH " + wire + b"\r\n")
    assert game.commands == [Search(b"a", False, key)]


@pytest.mark.parametrize(
    ("wire", "returns"),
    [
        (b"()", SearchReturn(everything=True)),
        (b"(ALL)", SearchReturn(everything=True)),
        (b"(min MAX COUNT)", SearchReturn(minimum=True, maximum=True, count=True)),
        (b"(SAVE)", SearchReturn(save=True)),
        (b"(PARTIAL 1:10 SAVE)", SearchReturn(save=True, partial=PartialRange(1, 10))),
        (b"(PARTIAL -1:-10)", SearchReturn(partial=PartialRange(-1, -10))),
    ],
)
def test_return_options(play: Any, wire: bytes, returns: SearchReturn) -> None:
    """RETURN of SEARCH and of SORT (RFC 9051 §6.4.4, RFC 5267 §3)."""
    game = play()
    game.feed(b"a UID SEARCH RETURN " + wire + b" CHARSET utf-8 ALL\r\n")
    game.feed(b"b SORT RETURN " + wire + b" (DATE) UTF-8 ALL\r\n")
    assert game.commands == [
        Search(b"a", True, All(), returns),
        Sort(b"b", False, (SortCriterion(SortKey.DATE),), All(), returns),
    ]


def test_sort_and_thread(play: Any) -> None:
    """SORT's criteria and THREAD's algorithm (RFC 5256 §3)."""
    game = play()
    game.feed(b"a UID SORT (REVERSE date DISPLAYFROM) US-ASCII UNSEEN 1\r\n")
    game.feed(b'b THREAD references "UTF-8" SEEN\r\n')
    assert game.commands == [
        Sort(
            b"a",
            True,
            (SortCriterion(SortKey.DATE, reverse=True), SortCriterion(SortKey.DISPLAYFROM)),
            And((Not(SEEN), Numbers(ONE, uid=False))),
        ),
        Thread(b"b", False, "REFERENCES", SEEN),
    ]


@pytest.mark.parametrize(
    "wire",
    [
        b"SEARCH",
        b"SEARCH FOO",
        b"SEARCH ()",
        b"SEARCH (SEEN",
        b"SEARCH SEEN)",
        b"SEARCH SEEN  SEEN",
        b"SEARCH NOT",
        b"SEARCH OR SEEN",
        b"SEARCH FROM",
        b"SEARCH HEADER x",
        b"SEARCH ON 31-Feb-1994",
        b"SEARCH ON 1994-02-01",
        b'SEARCH ON "1-Feb-1994',
        b"SEARCH LARGER -1",
        b"SEARCH OLDER 0",
        b"SEARCH 0",
        b"SEARCH UID x",
        b"SEARCH KEYWORD \\Seen",
        b"SEARCH MODSEQ x",
        b'SEARCH MODSEQ "/flags/x" both 1',
        b"SEARCH EMAILID a.b",
        b"SEARCH RETURN (FOO) ALL",
        b"SEARCH RETURN (MIN MIN) ALL",
        b"SEARCH RETURN (ALL PARTIAL 1:2) ALL",  # (RFC 9394 §3.1)
        b"SEARCH RETURN ALL",
        b"SEARCH CHARSET UTF-8",
        b"SEARCH CHARSET US-ASCII TEXT {1+}\r\n\xff",
        b"SORT () UTF-8 ALL",
        b"SORT (FOO) UTF-8 ALL",
        b"SORT (REVERSE) UTF-8 ALL",
        b"SORT (DATE) UTF-8",
        b"THREAD REFERENCES ALL",
    ],
)
def test_refuses(play: Any, wire: bytes) -> None:
    """What is not in the grammar is BAD."""
    output = play().feed(b"a " + wire + b"\r\n")
    assert output.startswith((b"a BAD ", b"a NO [BADCHARSET")), output
    assert output.count(b"\r\n") == 1


def test_charset(play: Any) -> None:
    """Other charsets are refused with those that are known (RFC 9051 §6.4.4)."""
    output = play().feed(b"a SEARCH CHARSET KOI8-R TEXT x\r\n")
    assert output.startswith(b"a NO [BADCHARSET (US-ASCII UTF-8)] ")
    output = play(enable=["UTF8=ACCEPT"]).feed(b"a SEARCH CHARSET UTF-8 ALL\r\n")
    assert output.startswith(b"a BAD ")  # (RFC 6855 §3)


def test_long_chains_are_flat(play: Any) -> None:
    """Clients chain hundreds of OR: no depth comes of it."""
    game = play()
    game.feed(b"a SEARCH " + b"OR FROM x " * 1000 + b"ALL\r\n")
    (search,) = game.commands
    assert isinstance(search.key, Or)
    assert len(search.key.keys) == 1001
    assert len(list(walk(search.key))) == 1002


@pytest.mark.parametrize("opening", [b"(", b"NOT (", b"OR ALL (", b"OR "])
def test_nesting_is_bounded(play: Any, opening: bytes) -> None:
    """Depth ends in BAD, not in a recursion error."""
    output = play().feed(b"a SEARCH " + opening * 5000 + b"\r\n")
    assert output.startswith(b"a BAD ")


@pytest.mark.parametrize(
    ("key", "tells"),
    [
        (All(), True),
        (Numbers(ONE, uid=True), True),
        (Numbers(SequenceSet(saved=True), uid=False), True),
        (Numbers(ONE, uid=False), False),
        (And((All(), Not(Or((SEEN, Numbers(ONE, uid=False)))))), False),
    ],
)
def test_when_expunges_may_be_told(key: SearchKey, tells: bool) -> None:
    """A UID SEARCH with sequence numbers in it must not change them (RFC 7162 §3.2.10.2)."""
    assert Search(b"a", True, key).tells_expunge is tells
    assert Sort(b"a", True, (), key).tells_expunge is tells
    assert Thread(b"a", True, "REFS", key).tells_expunge is tells
    assert not Search(b"a", False, key).tells_expunge


def test_condstore_is_noticed() -> None:
    """A search by MODSEQ shows that a client knows CONDSTORE (RFC 7162 §3.1)."""
    assert Search(b"a", True, Not(ModSeq(1))).enables_condstore
    assert Thread(b"a", True, "REFS", ModSeq(1)).enables_condstore
    assert not Sort(b"a", True, (), All()).enables_condstore
