"""Tests for `mailplat.message.parts`."""

from __future__ import annotations

import pytest

from mailplat.message.encoding import Encoding
from mailplat.message.parts import Section, Specifier, find_section, pack, unpack
from mailplat.message.scan import scan
from mailplat.message.tree import Kind, Part

SUB = (
    b"From: sub@domain.org\r\nSubject: submsg\r\nContent-Type: multipart/alternative; "
    b"boundary=s\r\n"
    b"\r\nSub prologue\r\n--s\r\nContent-Type: text/html\r\n\r\n<p>Hello</p>\r\n\r\n"
    b"--s\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    b"Hello another\r\n\r\n--s--\r\nSub epilogue\r\n"
)
TEXT = (
    b"Root prologue\r\n--f\r\nContent-Type: text/x-myown\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\n"
    b"aGk=\r\n\r\n--f\r\nContent-Type: message/rfc822\r\n\r\n"
    + SUB
    + b"\r\n--f--\r\nRoot epilogue\r\n"
)
HEADER = b"From: user@domain.org\r\nContent-Type: multipart/mixed; boundary=f\r\n\r\n"
MIXED = HEADER + TEXT

INNER = b"From: in@d\r\nSubject: in\r\n\r\nHello world\r\n"
MIDDLE = b"From: mid@d\r\nContent-Type: message/rfc822\r\n\r\n" + INNER
OUTER = b"From: out@d\r\nContent-Type: message/rfc822\r\n\r\n" + MIDDLE

DIGEST_INNER = b"From: m1@d\r\n\r\nm1 body\r\n"
DIGEST = (
    b"Content-Type: message/rfc822\r\n\r\nSubject: sub\r\n"
    b"Content-Type: multipart/digest; boundary=x\r\n"
    b"\r\n--x \r\n\r\n"
    + DIGEST_INNER
    + b"\r\n--x \r\nX-Mime: m2\r\n\r\nFrom: m2@d\r\n\r\nm2\r\n--x--\r\n"
)
PLAIN = b"A: b\r\n\r\nbody\r\n"


def section(message: bytes, wanted: str) -> bytes | None:
    """Give what BODY[wanted] holds, None if there is no such section."""
    numbers: list[int] = []
    specifier = Specifier.BODY
    for word in wanted.split(".") if wanted else ():
        if word.isdigit():
            numbers.append(int(word))
        else:
            specifier = Specifier(word)
    found = find_section(pack(scan(message).root), numbers, specifier)
    return None if found is None else message[found.start : found.end]


@pytest.mark.parametrize(
    ("message", "wanted", "held"),
    [
        (PLAIN, "", PLAIN),
        (PLAIN, "HEADER", b"A: b\r\n\r\n"),
        (PLAIN, "TEXT", b"body\r\n"),
        (PLAIN, "1", b"body\r\n"),
        (PLAIN, "1.MIME", b"A: b\r\n\r\n"),
        (PLAIN, "1.TEXT", None),
        (PLAIN, "1.HEADER", None),
        (PLAIN, "1.1", None),
        (PLAIN, "2", None),
        (PLAIN, "MIME", None),
        (MIXED, "", MIXED),
        (MIXED, "HEADER", HEADER),
        (MIXED, "TEXT", TEXT),
        (MIXED, "1", b"aGk=\r\n"),
        (
            MIXED,
            "1.MIME",
            b"Content-Type: text/x-myown\r\nContent-Transfer-Encoding: base64\r\n\r\n",
        ),
        (MIXED, "1.1", None),
        (MIXED, "2", SUB),
        (MIXED, "2.MIME", b"Content-Type: message/rfc822\r\n\r\n"),
        (MIXED, "2.HEADER", SUB[: SUB.index(b"Sub prologue")]),
        (MIXED, "2.TEXT", SUB[SUB.index(b"Sub prologue") :]),
        (MIXED, "2.1", b"<p>Hello</p>\r\n"),
        (MIXED, "2.1.MIME", b"Content-Type: text/html\r\n\r\n"),
        (MIXED, "2.2", b"Hello another\r\n"),
        (MIXED, "2.3", None),
        (MIXED, "3", None),
        (OUTER, "HEADER", b"From: out@d\r\nContent-Type: message/rfc822\r\n\r\n"),
        (OUTER, "TEXT", MIDDLE),
        (OUTER, "1", MIDDLE),
        (OUTER, "1.HEADER", b"From: mid@d\r\nContent-Type: message/rfc822\r\n\r\n"),
        (OUTER, "1.TEXT", INNER),
        (OUTER, "1.1", INNER),
        (OUTER, "1.1.HEADER", b"From: in@d\r\nSubject: in\r\n\r\n"),
        (OUTER, "1.1.TEXT", b"Hello world\r\n"),
        (OUTER, "1.1.1", b"Hello world\r\n"),
        (OUTER, "1.1.1.MIME", b"From: in@d\r\nSubject: in\r\n\r\n"),
        (OUTER, "1.1.1.1", None),
        (OUTER, "1.2", None),
        (DIGEST, "1.1", DIGEST_INNER),
        (DIGEST, "1.1.MIME", b"\r\n"),
        (DIGEST, "1.1.HEADER", b"From: m1@d\r\n\r\n"),
        (DIGEST, "1.1.TEXT", b"m1 body\r\n"),
        (DIGEST, "1.2.MIME", b"X-Mime: m2\r\n\r\n"),
        (DIGEST, "1.2.1", b"m2"),
    ],
)
def test_sections(message: bytes, wanted: str, held: bytes | None) -> None:
    """Part numbers and specifiers as RFC 9051 §6.4.5.1 counts them."""
    assert section(message, wanted) == held


def test_encodings() -> None:
    """BINARY learns what to undo; only a leaf's body is encoded."""
    table = pack(scan(MIXED).root)
    found = find_section(table, [1])
    assert found is not None
    assert found.encoding is Encoding.BASE64
    nested = find_section(table, [2, 2])
    assert nested is not None
    assert nested.encoding is Encoding.QUOTED_PRINTABLE
    assert find_section(table, []) == Section(0, len(MIXED), Encoding.IDENTITY)
    assert find_section(table, [], Specifier.TEXT) == Section(len(HEADER), len(MIXED))
    unknown = pack(scan(b"Content-Transfer-Encoding: x-own\r\n\r\nx").root)
    assert find_section(unknown, [1]) == Section(36, 37, Encoding.UNKNOWN)


def test_unpack() -> None:
    """Entries come in the message's order, each with the size of its subtree."""
    entries = list(unpack(pack(scan(MIXED).root)))
    assert [entry.subtree for entry in entries] == [6, 1, 4, 3, 1, 1]
    assert [entry.kind for entry in entries] == [
        Kind.MULTIPART,
        Kind.TEXT,
        Kind.MESSAGE,
        Kind.MULTIPART,
        Kind.HTML,
        Kind.PLAIN,
    ]


def test_beyond_four_gib() -> None:
    """A message larger than 32 bits count has a table all the same."""
    huge = 5 << 30
    child = Part(100, 200, huge - 5)
    root = Part(0, 50, huge, kind=Kind.MULTIPART, children=[child])
    table = pack(root)
    assert find_section(table, [1]) == Section(200, huge - 5)
    assert find_section(table, []) == Section(0, huge)
