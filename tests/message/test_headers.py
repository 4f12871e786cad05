"""Tests for `mailplat.message.headers`."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.message import headers

HEADER = (
    b"Received: from a\r\n\tby b\r\n"
    b"From: a@example.org\r\n"
    b"Subject: one\r\n two\r\n"
    b"X-From: no\r\n"
    b"subject : again\r\n"
    b"junk\r\n"
    b"To:b@example.org\r\n"
    b"\r\n"
)


@pytest.mark.parametrize(
    ("names", "picked"),
    [
        ([b"from"], b"From: a@example.org\r\n\r\n"),
        ([b"FROM", b"From"], b"From: a@example.org\r\n\r\n"),
        (
            [b"To", b"Subject"],
            b"Subject: one\r\n two\r\nsubject : again\r\nTo:b@example.org\r\n\r\n",
        ),
        ([b"received"], b"Received: from a\r\n\tby b\r\n\r\n"),
        ([b"nothing"], b"\r\n"),
        ([b"fro"], b"\r\n"),
        ([], b"\r\n"),
    ],
)
def test_fields_keep_bytes_and_order(names: list[bytes], picked: bytes) -> None:
    """HEADER.FIELDS gives the message's own bytes, with the empty line (RFC 9051 §6.4.5.1)."""
    assert headers.fields(HEADER, names) == picked
    many = [*names, *(b"x-filler-%d" % i for i in range(100))]
    assert headers.fields(HEADER, many) == picked  # as many names as no expression is made for


LINES = st.lists(
    st.sampled_from(
        [
            b"From: a\r\n",
            b"from : \r\n\tb\r\n",
            b"To:c\n",
            b"X-To: d\r\n",
            b" folded\r\n",
            b"junk\r\n",
            b"\x00\xff\x00\n",
            b"\x00\xff\x00: e\r\n",
        ]
    ),
    max_size=6,
)
ENDS = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b""])


@settings(max_examples=200)
@given(
    st.lists(st.tuples(LINES, ENDS).map(lambda both: b"".join(both[0]) + both[1]), max_size=4),
    st.lists(st.sampled_from([b"FROM", b"To", b"junk", b"x" * 401]), max_size=2),
)
def test_many_headers_at_once(many: list[bytes], names: list[bytes]) -> None:
    """Many headers together give what each gives alone, whatever is in them."""
    assert headers.fields_of_each(many, names) == [headers.fields(one, names) for one in many]
    assert headers.fields_of_each([HEADER, *many], names)[0] == headers.fields(HEADER, names)


def test_without_keeps_the_rest() -> None:
    """HEADER.FIELDS.NOT gives all but the fields named, junk included."""
    names = [b"From", b"Subject", b"Received", b"To"]
    assert headers.without(HEADER, names) == b"X-From: no\r\njunk\r\n\r\n"
    assert headers.without(HEADER, []) == HEADER
    many = [*names, *(b"x-filler-%d" % i for i in range(100))]
    assert headers.without(HEADER, many) == b"X-From: no\r\njunk\r\n\r\n"


@pytest.mark.parametrize("tail", [b"", b"\n", b"\r\n", b"\n\n", b"\r\n\r\n"])
def test_header_without_its_end(tail: bytes) -> None:
    """A message that stops within its header gets no line end that it has not."""
    header = b"From: a\r\nTo: b" + tail
    assert headers.fields(header, [b"to"]) == b"To: b" + tail
    assert headers.without(header, [b"from"]) == b"To: b" + tail
    empty = headers.empty_line(header)
    assert headers.without(header, [b"to"]) == b"From: a\r\n" + empty
    assert headers.fields(header, [b"from"]) == b"From: a\r\n" + empty


def test_values() -> None:
    """Values come unfolded, the first or all of them."""
    assert headers.first(HEADER, b"SUBJECT") == b"one two"
    assert headers.every(HEADER, b"Subject") == [b"one two", b"again"]
    assert headers.first(HEADER, b"cc") is None
    assert headers.first(b"A: \r\n\r\n", b"a") == b""
    assert headers.unfold(b" a\r\n\tb\n c\r\r\n d \r") == b"a\tb c d"


def test_split() -> None:
    """A message is cut behind the first empty line, whatever its line ends."""
    assert headers.split(b"A: b\r\n\r\nbody") == (b"A: b\r\n\r\n", b"body")
    assert headers.split(b"A: b\n\nbody") == (b"A: b\n\n", b"body")
    assert headers.split(b"\r\nbody") == (b"\r\n", b"body")
    assert headers.split(b"A: b\r\n") == (b"A: b\r\n", b"")


LINES = st.sampled_from(
    [
        b"A: 1\r\n",
        b"a : 2\n",
        b"B:\r\n",
        b" fold\r\n",
        b"\tx\n",
        b"junk\r\n",
        b"C: \0\xff\r\n",
        b":\r\n",
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(LINES, max_size=12), st.sampled_from([b"", b"\r\n", b"\n"]))
def test_fields_and_the_others_make_the_whole(lines: list[bytes], end: bytes) -> None:
    """Each line is either in FIELDS or in FIELDS.NOT, and in both the order is kept."""
    header = b"".join(lines) + end
    mine = headers.fields(header, [b"a", b"c"])
    others = headers.without(header, [b"a", b"c"])
    empty = headers.empty_line(header)
    assert mine.endswith(empty)
    kept = mine.removesuffix(empty).splitlines(True) + others.splitlines(True)
    assert sorted(kept) == sorted(header.splitlines(True))


def test_field_cannot_inject() -> None:
    """Line ends in a value become blanks; lines are folded and stay short."""
    assert headers.field("X-Reason", "a\r\nBcc: x\0y") == b"X-Reason: a Bcc: x y\r\n"
    made = headers.field("X-Long", "word " * 100 + "z" * 3000)
    assert max(map(len, made.splitlines())) <= 901
    assert all(line.startswith(b" ") and line.strip() for line in made.split(b"\r\n")[1:-1])
    unfolded = headers.first(made, b"x-long")
    assert unfolded is not None
    assert unfolded.replace(b" ", b"") == b"word" * 100 + b"z" * 3000
    assert headers.field("X", "Grüße") == b"X: =?utf-8?b?R3LDvMOfZQ==?=\r\n"
    assert headers.field("X", "") == b"X:\r\n"


@pytest.mark.parametrize("name", ["", "a b", "a:", "ä", "a\r\n"])
def test_field_refuses_names(name: str) -> None:
    """What is no field name makes no field."""
    with pytest.raises(ValueError, match="field name"):
        headers.field(name, "x")
