"""Tests for `mailplat.message.summary` and `.text`, and both on the corpus of ugly mail."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mailplat.message import text
from mailplat.message.parts import find_section, unpack
from mailplat.message.scan import ScanLimits, Scanner, scan
from mailplat.message.summary import summarize, summary_of
from mailplat.testing.corpus import cpython_messages, made_messages, ugly_messages

MESSAGE = (
    b"Date: Thu, 01 Jan 2026 12:00:00 +0100\r\nFrom: Alice <a@example.org>\r\n"
    b"Subject: Re: [list] =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <m@example.org>\r\n"
    b"References: <r1@example.org>\r\n <r2@example.org>\r\nIn-Reply-To: <r2@example.org>\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    b"> quoted\r\nHello  W=C3=B6rld,=\r\n  how   are you?\r\n"
)


def test_summary() -> None:
    """Everything an index row holds, from one scan."""
    summary = summary_of(MESSAGE)
    assert summary.size == len(MESSAGE)
    assert summary.header_size == MESSAGE.index(b"> quoted")
    assert summary.header == MESSAGE[: summary.header_size]
    assert summary.envelope.startswith(b'("Thu, 01 Jan 2026 12:00:00 +0100" "Re: [list] =?utf-8?q?')
    assert summary.body == b'("text" "plain" ("charset" "utf-8") NIL NIL "quoted-printable" 49 3)'
    assert summary.bodystructure == summary.body[:-1] + b" NIL NIL NIL NIL)"
    assert summary.preview == "Hello Wörld, how are you?"
    assert summary.sent == 1767265200
    assert summary.message_id == "<m@example.org>"
    assert summary.references == ("<r1@example.org>", "<r2@example.org>")
    assert summary.base_subject == "grüße"
    assert not summary.eight_bit
    assert not summary.nul
    section = find_section(summary.parts, [1])
    assert section is not None
    assert MESSAGE[section.start : section.end].startswith(b"> quoted")


def test_summary_of_nothing() -> None:
    """An empty message has a summary, too."""
    summary = summary_of(b"")
    assert (summary.size, summary.header, summary.header_size) == (0, b"", 0)
    assert summary.sent is None
    assert summary.message_id == summary.base_subject == summary.preview == ""
    assert summary.references == ()


def test_header_beyond_the_limit() -> None:
    """A header larger than the limit is left in the body; what its first bytes tell is kept."""
    message = b"Subject: early\r\n" + b"X: y\r\n" * 100 + b"Date: 1 Jan 2026\r\n\r\nbody\0\xff"
    summary = summary_of(message, ScanLimits(header_bytes=50))
    assert summary.header == b""
    assert summary.header_size == len(message) - 6
    assert summary.base_subject == "early"
    assert summary.sent is None
    assert summary.eight_bit
    assert summary.nul


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (b"\r\nplain   text\r\n\r\nmore", "plain text more"),
        (b"\r\n> only\r\n> quoted", "> only > quoted"),
        (b"\r\n> quoted\r\nown", "own"),
        (
            b"Content-Type: text/html\r\n\r\n<style>p{}</style><p>a&nbsp;&lt;b<!-- no --><br>c<p",
            "a <b c",
        ),
        (b"Content-Type: text/html\r\n\r\n<script>never closed", ""),
        (b"Content-Type: image/png\r\n\r\nx", ""),
        (b"\r\n" + b"ab " * 500, ("ab " * 67)[:200].rstrip()),
        (b"\r\n" + b" \r\n" * 900 + b"word " * 90, ("word " * 40).rstrip()),
        (b"Content-Type: text/plain; charset=iso-8859-1\r\n\r\n\xe4\x00\x1b", "ä"),
        (b"Content-Transfer-Encoding: base64\r\n\r\naGVsbG8gd29ybG", "hello worl"),
    ],
)
def test_preview(message: bytes, shown: str) -> None:
    """Plain text of at most 200 characters, without markup (RFC 8970 §3.3)."""
    assert summary_of(message).preview == shown


def test_search_text() -> None:
    """SEARCH BODY sees decoded text of all parts and their headers, not the message's own."""
    message = (
        b"Subject: outer\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n"
        b"--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\nR1LcU1NF\r\n"
        b"--b\r\nContent-Type: text/html\r\n\r\n<b>K&ouml;ln</b>\r\n"
        b"--b\r\nContent-Type: message/rfc822\r\n\r\n"
        b"Subject: =?utf-8?q?S=C3=BC\r\n =C3=9Fes?=\r\n\r\nINNER\r\n"
        b"--b\r\nContent-Type: image/png; name=Dot.png\r\n\r\nbinary\r\n--b--\r\n"
    )
    found = text.search_text(message, summary_of(message).parts)
    for word in ("grüsse", "köln", "inner", "dot.png"):
        assert word in found, word
    for word in ("outer", "preamble", "binary"):
        assert word not in found, word
    assert text.fold("STRASSE") == text.fold("straße")
    assert "inner" not in text.search_text(message, summary_of(message).parts, limit=20)


def test_search_header() -> None:
    """Fields are unfolded, decoded and case folded, a line each."""
    header = b"Subject: =?utf-8?q?GR=C3=9CN?=\r\n and\r\nTo: X@Y\r\n\r\n"
    assert text.search_header(header) == "subject: grün and\nto: x@y"


def test_corpus_is_what_it_says() -> None:
    """At least 120 messages of distinct names, all ending with CRLF, the same each time."""
    messages = list(ugly_messages())
    assert len({name for name, _ in messages}) == len(messages) >= 120
    assert len(list(made_messages())) >= 100
    assert messages == list(ugly_messages())
    for name, message in messages:
        assert message.endswith(b"\r\n"), name
        if name not in ("line-of-100-kb", "encoding-base64-one-line") and "header" not in name:
            assert max(map(len, message.split(b"\n"))) <= 8000, name


def test_corpus_of_cpython_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where CPython's tests are not installed, their messages are left out."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert list(cpython_messages()) == []


def test_corpus(
    check_envelope: Callable[[bytes], None], check_body: Callable[[bytes, bool], None]
) -> None:
    """Every ugly message has a summary that a client can read, the same from blocks as whole."""
    for name, message in ugly_messages():
        whole = scan(message)
        scanner = Scanner(ScanLimits(block_bytes=500))
        for start in range(0, len(message), 777):
            scanner.receive(message[start : start + 777])
        assert scanner.close() == whole, name
        summary = summarize(whole)
        check_envelope(summary.envelope)
        check_body(summary.body, False)
        check_body(summary.bodystructure, True)
        assert summary.size == len(message)
        assert summary.header in (b"", message[: summary.header_size]), name
        assert len(summary.preview) <= 200
        for entry in unpack(summary.parts):
            assert 0 <= entry.header_start <= entry.body_start <= entry.end <= len(message), name
        text.search_text(message, summary.parts)
        text.search_header(message[: summary.header_size])
