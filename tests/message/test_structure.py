"""Tests for `mailplat.message.structure`, `.envelope` and `.nstring`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mailplat.message.envelope import envelope
from mailplat.message.nstring import nstring, string
from mailplat.message.scan import scan
from mailplat.message.structure import structure

DATE = b"Date: Thu, 15 Feb 2007 01:02:03 +0200\r\n"


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        (None, b"NIL"),
        (b"", b'""'),
        (b"NIL", b'"NIL"'),
        (b'a"b\\c', b'"a\\"b\\\\c"'),
        (b"gr\xfcn", b"{4}\r\ngr\xfcn"),
        (b"a\r\nb", b"{4}\r\na\r\nb"),
        (b"a\0b", b"{2}\r\nab"),
        (b"\x1b", b"{1}\r\n\x1b"),
        (b"x" * 1001, b"{1001}\r\n" + b"x" * 1001),
    ],
)
def test_nstring(value: bytes | None, wire: bytes) -> None:
    """Quoted where it can be, else a literal; never NUL (RFC 9051 §9)."""
    assert nstring(value) == wire
    if value is not None:
        assert string(value) == wire


@pytest.mark.parametrize(
    ("header", "wire"),
    [
        (
            b"Message-ID: <msg@id>\r\nIn-Reply-To: <reply@to.id>\r\n" + DATE + b"Subject: s h\r\n"
            b"From: F R <f@d.org>\r\nTo: T R <t@d.org>\r\nCc: C R <c@d.org>\r\nBcc: B <b@d.org>\r\n"
            b"Sender: S R <s@d.org>\r\nReply-To: R R <r@d.org>\r\n\r\n",
            b'("Thu, 15 Feb 2007 01:02:03 +0200" "s h" (("F R" NIL "f" "d.org")) '
            b'(("S R" NIL "s" "d.org")) (("R R" NIL "r" "d.org")) (("T R" NIL "t" "d.org")) '
            b'(("C R" NIL "c" "d.org")) (("B" NIL "b" "d.org")) "<reply@to.id>" "<msg@id>")',
        ),
        (
            DATE + b"From: user@domain\r\nSender: \r\nReply-To:\r\n\r\n",
            b'("Thu, 15 Feb 2007 01:02:03 +0200" NIL ((NIL NIL "user" "domain")) '
            b'((NIL NIL "user" "domain")) ((NIL NIL "user" "domain")) NIL NIL NIL NIL NIL)',
        ),
        (
            b"From: <@route:user@domain>\r\nTo: group: g1@d1.org;, g2:;\r\n\r\n",
            b'(NIL NIL ((NIL "@route" "user" "domain")) ((NIL "@route" "user" "domain")) '
            b'((NIL "@route" "user" "domain")) ((NIL NIL "group" NIL)(NIL NIL "g1" "d1.org")'
            b'(NIL NIL NIL NIL)(NIL NIL "g2" NIL)(NIL NIL NIL NIL)) NIL NIL NIL NIL)',
        ),
        (b"", b"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"),
        (
            b"Subject:\r\nsubject: second\r\nTo: a@b\r\nFrom: x@y\r\nTO: c@d\r\n",
            b'(NIL "" ((NIL NIL "x" "y")) ((NIL NIL "x" "y")) ((NIL NIL "x" "y")) '
            b'((NIL NIL "a" "b")(NIL NIL "c" "d")) NIL NIL NIL NIL)',
        ),
        (
            b"Subject: a\r\n\tb \xfc\r\n",
            b"(NIL {5}\r\na\tb \xfc NIL NIL NIL NIL NIL NIL NIL NIL)",
        ),
    ],
)
def test_envelope(header: bytes, wire: bytes) -> None:
    """ENVELOPE with its defaults (RFC 9051 §7.5.2)."""
    assert envelope(header) == wire


def body(message: bytes) -> bytes:
    """BODY of a message."""
    return structure(scan(message).root)[0]


def bodystructure(message: bytes) -> bytes:
    """BODYSTRUCTURE of a message."""
    return structure(scan(message).root)[1]


def test_defaults() -> None:
    """Without any MIME field: text/plain, US-ASCII, 7bit (RFC 2045 §5.2, §6.1)."""
    plain = b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 6 2'
    assert body(b"A: b\r\n\r\nx\r\ny\r\n") == plain + b")"
    assert bodystructure(b"A: b\r\n\r\nx\r\ny\r\n") == plain + b" NIL NIL NIL NIL)"


def test_all_fields() -> None:
    """Basic fields and extension data, as the message spells them."""
    message = (
        b"Content-Type: TEXT/Enriched; FOO=bar\r\nContent-ID: <i@d>\r\n"
        b"Content-Description: some\r\n text\r\nContent-Transfer-Encoding: Base64 (c)\r\n"
        b"Content-MD5: md5==\r\nContent-Language: en, de\r\nContent-Location: http://x/\r\n"
        b'Content-Disposition: Attachment; filename="a b"; size=3\r\n\r\neA==\r\n'
    )
    assert bodystructure(message) == (
        b'("TEXT" "Enriched" ("FOO" "bar" "charset" "us-ascii") "<i@d>" "some text" "Base64" 6 1 '
        b'"md5==" ("Attachment" ("filename" "a b" "size" "3")) ("en" "de") "http://x/")'
    )


def test_multipart() -> None:
    """Parts without blanks between them, then the subtype (RFC 9051 §9 body-type-mpart)."""
    message = (
        b'Content-Type: multipart/mixed; boundary="foo\r\n bar"\r\nContent-Language: e\r\n\r\n'
        b"--foo bar\r\nContent-Type: text/x-myown; charset=us-ascii\r\n\r\nhello\r\n\r\n"
        b"--foo bar\r\nContent-Type: image/png\r\n\r\nx\r\n--foo bar--\r\n"
    )
    assert body(message) == (
        b'(("text" "x-myown" ("charset" "us-ascii") NIL NIL "7bit" 7 1)'
        b'("image" "png" NIL NIL NIL "7bit" 1) "mixed")'
    )
    assert bodystructure(message) == (
        b'(("text" "x-myown" ("charset" "us-ascii") NIL NIL "7bit" 7 1 NIL NIL NIL NIL)'
        b'("image" "png" NIL NIL NIL "7bit" 1 NIL NIL NIL NIL) "mixed" ("boundary" "foo bar") '
        b'NIL "e" NIL)'
    )


def test_multipart_without_parts() -> None:
    """A multipart in which nothing was found has one empty part: the grammar wants one."""
    assert body(b"Content-Type: multipart/x; boundary=b\r\n\r\nnothing\r\n") == (
        b'(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0) "x")'
    )


def test_message() -> None:
    """An embedded message brings its envelope, its body and its lines."""
    message = b"Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nx\r\ny\r\n"
    inner = b'(NIL "in" NIL NIL NIL NIL NIL NIL NIL NIL) '
    text = b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 6 2'
    head = b'("message" "rfc822" NIL NIL NIL "7bit" 21 ' + inner + text
    assert body(message) == head + b") 4)"
    assert bodystructure(message) == head + b" NIL NIL NIL NIL) 4 NIL NIL NIL NIL)"


def test_digest() -> None:
    """The parts of a digest are messages unless they say otherwise (RFC 2046 §5.1.5)."""
    message = (
        b"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: m\r\n\r\nx\r\n"
        b"--b\r\nContent-Type: text/plain\r\n\r\ny\r\n--b--\r\n"
    )
    assert body(message) == (
        b'(("message" "rfc822" NIL NIL NIL "7bit" 15 (NIL "m" NIL NIL NIL NIL NIL NIL NIL NIL) '
        b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 1 0) 2)'
        b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 1 0) "digest")'
    )


def test_deepest(read_wire: Callable[[bytes], Any]) -> None:
    """Beyond the depth limit a part is an opaque leaf, and the whole can still be read."""
    message = b"Content-Type: message/rfc822\r\n\r\n" * 150
    value = read_wire(bodystructure(message))
    depth = 0
    while value[0] == b"message":
        value, depth = value[8], depth + 1
    assert depth == 100
    assert value[:2] == [b"application", b"octet-stream"]


def test_rfc2231_stays_ascii() -> None:
    """Continuations are joined; values with a charset go out percent-encoded in UTF-8."""
    message = (
        b"Content-Type: a/b; n*0*=iso-8859-1''%fc; n*1=x\r\nContent-Disposition: x; f*=q\r\n\r\n"
    )
    assert bodystructure(message) == (
        b'("a" "b" ("n*" "utf-8\'\'%C3%BCx") NIL NIL "7bit" 0 NIL '
        b'("x" ("f*" "utf-8\'\'q")) NIL NIL)'
    )
