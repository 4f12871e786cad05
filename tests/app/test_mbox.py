"""Tests for `mailplat.app.upkeep.mbox`: what is written is read again; foreign files too."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.app.upkeep.mbox import Mail, read_mbox, written

NOON = 1_767_268_800

LINES = st.sampled_from(
    [
        b"",
        b"text",
        b"From me",
        b">From me",
        b">>From you",
        b"From a Thu Jan  1 00:00:00 2026",
        b"\x00",
    ]
)
FLAGS = st.frozensets(
    st.sampled_from(["\\Seen", "\\Answered", "\\Deleted", "\\Flagged", "\\Draft", "$Junk", "work"])
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.lists(LINES), FLAGS, st.integers(0, 1 << 33)), max_size=4))
def test_there_and_back(given: list[tuple[list[bytes], frozenset[str], int]]) -> None:
    """Any lines, flags and dates."""
    mails = [
        Mail(
            b"Subject: x\r\n\tfolded\r\n\r\n" + b"".join(line + b"\r\n" for line in lines),
            flags,
            date,
        )
        for lines, flags, date in given
    ]
    assert list(read_mbox(b"".join(map(written, mails)))) == mails


def test_a_message_without_an_end() -> None:
    """The last line gets its end, a header its empty line."""
    for data, back in (
        (b"Subject: x\r\n\r\nno end", b"Subject: x\r\n\r\nno end\r\n"),
        (b"Subject: x", b"Subject: x\r\n\r\n"),
        (b"", b"\r\n"),
    ):
        (mail,) = read_mbox(written(Mail(data, frozenset(), NOON)))
        assert mail.data == back


def test_other_programs_files() -> None:
    """Separators as they are met: zones, missing seconds, CRLF, an address with blanks."""
    data = (
        b"From alice@example.org Thu Jan  1 12:00:00 2026\n"
        b"Subject: one\nStatus: RO\nX-Status: AF\nX-Keywords: work (bad\n\n"
        b"text\nFrom here on no separator\n\nFrom neither this\n\n"
        b"From - Thu Jan 01 12:00 2026\nSubject: two\n\n>From quoted\n\n"
        b'From "a b"@example.org Thu Jan  1 12:00:00 CET 2026\r\nSubject: three\r\n\r\nlast'
    )
    one, two, three = read_mbox(data)
    assert one.data == (
        b"Subject: one\r\n\r\ntext\r\nFrom here on no separator\r\n\r\nFrom neither this\r\n"
    )
    assert one.flags == {"\\Seen", "\\Answered", "\\Flagged", "work"}
    assert two.data == b"Subject: two\r\n\r\nFrom quoted\r\n"
    assert three.data == b"Subject: three\r\n\r\nlast"
    assert one.date == two.date == three.date == NOON


def test_no_mbox() -> None:
    """What has no separator has no messages."""
    assert list(read_mbox(b"Subject: x\n\nFrom me\n")) == []
    assert list(read_mbox(b"")) == []


def test_a_date_that_cannot_be() -> None:
    """It is left open."""
    (mail,) = read_mbox(b"From a Thu Feb 31 12:00:00 2026\n\nx\n")
    assert mail.date is None
