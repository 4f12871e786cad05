"""Ugly mail for tests: named, made by code, the same every time.

``ugly_messages`` gives what real servers meet: broken MIME, wrong charsets, bare line ends, NUL,
headers of 200 KiB, nesting 200 deep.  Every message ends with CRLF, as one that came by SMTP does.
Where CPython's own test suite is installed, its messages come along.

    for name, message in ugly_messages():
        assert round_trip(message) == message, name
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from mailplat.testing.corpus_mime import mime_messages
from mailplat.testing.made_mail import MIME, mail

__all__ = ["cpython_messages", "made_messages", "ugly_messages"]


def ugly_messages() -> Iterator[tuple[str, bytes]]:
    """Give every message with a name that no other has."""
    yield from made_messages()
    yield from cpython_messages()


def cpython_messages() -> Iterator[tuple[str, bytes]]:
    """Give the messages of CPython's tests for the email package; none if they are not there."""
    try:
        spec = importlib.util.find_spec("test")
    except (ImportError, ValueError):
        return
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        for path in sorted(Path(folder, "test_email", "data").glob("msg_*.txt")):
            lines = path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
            yield f"cpython-{path.stem}", lines if lines.endswith(b"\r\n") else lines + b"\r\n"


def made_messages() -> Iterator[tuple[str, bytes]]:
    """Give the messages that are made here, more than a hundred."""
    yield from _bare()
    yield from _headers()
    yield from _addresses_and_dates()
    yield from _words()
    yield from _charsets()
    yield from _lines()
    yield from mime_messages()


def _bare() -> Iterator[tuple[str, bytes]]:
    """Mail that lacks what every mail has."""
    yield "empty-line-only", b"\r\n"
    yield "two-empty-lines", b"\r\n\r\n"
    yield "body-only", b"\r\nonly a body\r\n"
    yield "one-field-no-body", b"Subject: no empty line\r\n"
    yield "header-only", mail("header-only", b"")
    yield "no-header-at-all", b"Hello,\r\nthis never was a header\r\nbye\r\n"
    yield "first-line-is-a-blank", b" folded onto nothing\r\nSubject: x\r\n\r\nbody\r\n"
    yield "body-is-one-crlf", mail("body-is-one-crlf", b"\r\n")
    yield "body-of-empty-lines", mail("body-of-empty-lines", b"\r\n" * 50)
    yield "single-dot-body", mail("single-dot-body", b".\r\n")
    yield "lf-line-only", b"\n\r\n"
    yield "tiny", b"a\r\n"


def _headers() -> Iterator[tuple[str, bytes]]:
    """Headers that strain or break the grammar."""
    yield "header-8-bit-latin1", mail("h8", b"x\r\n", b"X-Name: J\xf6rg M\xfcller")
    yield "header-8-bit-utf8", mail("h8u", b"x\r\n", "X-Name: Jörg 日本".encode())
    yield (
        "subject-raw-8-bit",
        mail("s8", b"x\r\n", top=b"From: J\xf6rg <j@example.org>\r\nSubject: gr\xfc\xdfe\r\n"),
    )
    yield "header-nul", mail("nul", b"x\r\n", b"X-Nul: a\0b\0", b"Comments: \0")
    yield "header-200-kib-one-line", mail("wide", b"x\r\n", b"X-Wide: " + b"w" * 200 * 1024)
    yield (
        "header-200-kib-folded",
        mail("folded", b"x\r\n", b"X-Folded: start" + b"\r\n " + b"\r\n ".join([b"y" * 70] * 2900)),
    )
    yield "header-5000-fields", mail("many", b"x\r\n", *(b"X-%d: %d" % (i, i) for i in range(5000)))
    yield "header-300-kib", mail("beyond", b"x\r\n", *([b"X-Long: " + b"z" * 900] * 340))
    yield (
        "header-fold-blank-only",
        mail("fold", b"x\r\n", b"X-Fold: a\r\n \r\n\t\r\n b", b"X-Next: c"),
    )
    yield "header-bare-lf", b"From: a@example.org\nSubject: bare lf\n\nbody\nmore\r\n"
    yield "header-mixed-line-ends", b"From: a@example.org\r\nSubject: mixed\nTo: b@x\r\n\nbody\r\n"
    yield "header-bare-cr", mail("cr", b"x\r\n", b"X-Cr: a\rb", b"X-\rName: c")
    yield (
        "header-junk-lines",
        mail("junk", b"x\r\n", b"this is no field", b"neither = this", b"X: y"),
    )
    yield "header-no-names", mail("noname", b"x\r\n", b": empty name", b" :blank name", b"::")
    yield (
        "header-blank-before-colon",
        mail(
            "colon", b"x\r\n", b"X-Blank : a", b"Cc\t: c@example.org", b"Content-Type : text/html"
        ),
    )
    yield (
        "header-no-blank-after-colon",
        b"From:a@example.org\r\nSubject:tight\r\nTo:b@x\r\n\r\nx\r\n",
    )
    yield (
        "header-duplicates",
        mail(
            "twice",
            b"x\r\n",
            b"Subject: second",
            b"From: second@example.org",
            b"To: second@example.net",
            b"Date: Fri, 02 Jan 2026 12:00:00 +0000",
            b"Message-ID: <second@example.org>",
            b"Content-Type: text/plain",
            b"Content-Type: text/html",
        ),
    )
    yield (
        "header-odd-case",
        b"fROM: a@example.org\r\nSUBJECT: x\r\ncontent-TYPE: TEXT/html\r\n\r\nx\r\n",
    )
    yield "header-empty-values", b"From:\r\nTo: \r\nSubject:\r\nDate:\r\nContent-Type:\r\n\r\nx\r\n"
    yield (
        "mbox-from-line",
        b"From a@example.org Thu Jan  1 12:00:00 2026\r\n" + mail("mbox", b"x\r\n"),
    )
    yield (
        "mbox-quoted-from-line",
        b">From a@example.org\r\n" + mail("mboxq", b"From here\r\n>From\r\n"),
    )
    yield (
        "many-received",
        mail("hops", b"x\r\n", *([b"Received: from a by b; 1 Jan 2026 1:1 GMT"] * 90)),
    )
    yield "name-of-900-bytes", mail("name", b"x\r\n", b"X-" + b"n" * 898 + b": v")
    yield (
        "references-500",
        mail(
            "refs",
            b"x\r\n",
            b"References:" + b"\r\n ".join(b" <%d@example.org>" % i for i in range(500)),
            b"In-Reply-To: <499@example.org> and words",
        ),
    )
    yield (
        "message-ids-odd",
        mail(
            "ids",
            b"x\r\n",
            b'In-Reply-To: Your message of "Thu" <"quoted id"@example.org>',
            b"References: <no-at> <a@b> <<c@d>> <e@f <g@h>",
            top=b'Message-ID: <"quoted"@example.org>\r\nFrom: a@b\r\n',
        ),
    )


def _addresses_and_dates() -> Iterator[tuple[str, bytes]]:
    """Addresses and dates as people and programs write them."""

    def to(name: str, value: bytes) -> tuple[str, bytes]:
        return f"to-{name}", b"From: a@b\r\nTo: %b\r\nSubject: %b\r\n\r\nx\r\n" % (
            value,
            name.encode(),
        )

    yield to("group", b"Team: a@example.org, B <b@example.org>;, c@example.org")
    yield to("undisclosed", b"undisclosed-recipients:;")
    yield to("group-unclosed", b"Team: a@example.org, b@example.org")
    yield to("no-at", b"everyone, Some Body, root")
    yield to("route", b"<@one.example,@two.example:user@three.example>")
    yield to("comments", b"a(c1)@(c2)example.org (The (nested) Name), (only a comment)")
    yield to("quotes", b'"A \\"quoted\\", name" <"odd local"@example.org>, "unclosed <x@y>')
    yield to("angles", b"<>, <<a@b>>, A <a@b, B b@c>, >c@d<")
    yield to("ats", b"a@b@c, @d, e@, @, @@")
    yield to("commas", b",,, a@b,,c@d, ,")
    yield to("literal", b"root@[192.0.2.1], root@[IPv6:2001:db8::1], x@[broken")
    yield to("backslashes", b'a\\@b, "c\\" <d@e>, \\')
    yield to("8-bit", b"J\xf6rg <j\xf6rg@ex\xe4mple.org>, \xff@\xfe")
    yield to("2000", b",\r\n ".join(b"User %d <u%d@example.org>" % (i, i) for i in range(2000)))
    for name, value in {
        "obsolete": b"Fri, 21 Nov 97 09(comment):   55  :  06 -0600",
        "asctime": b"Fri Nov 21 09:55:06 1997",
        "zone-name": b"21 Nov 1997 09:55 CEST (Central)",
        "impossible": b"Thu, 31 Feb 2026 25:61:61 +9999",
        "words": b"yesterday, about noon",
        "far": b"Thu, 01 Jan 99999 00:00:00 +0000",
        "epoch": b"Thu, 1 Jan 1970 00:00:00 +0000",
    }.items():
        yield f"date-{name}", b"From: a@b\r\nDate: %b\r\nSubject: x\r\n\r\nx\r\n" % value


def _words() -> Iterator[tuple[str, bytes]]:
    """Encoded words and parameters, right and wrong (RFC 2047, RFC 2231)."""

    def subject(name: str, value: bytes) -> tuple[str, bytes]:
        return f"subject-{name}", b"From: a@b\r\nSubject: %b\r\n\r\nx\r\n" % value

    yield subject("two-words", b"=?utf-8?q?caf=C3?= =?utf-8?q?=A9?=")
    yield subject("folded-words", b"=?iso-8859-1?q?a?=\r\n =?utf-8?b?w6Q=?=\r\n\tend")
    yield subject("unknown-charset", b"=?x-no-such?q?=E4=F6?= =?zlib?b?eJw=?=")
    yield subject("unclosed-word", b"=?utf-8?q?never closed and =?utf-8?b?!!!!")
    yield subject("bad-base64", b"=?utf-8?b?w6Q?= =?utf-8?b?====?= =?utf-8?b?A?=")
    yield subject("bad-quoted", b"=?utf-8?q?=ZZ=4?= =?utf-8?x?abc?=")
    yield subject("word-in-word", b"=?utf-8?q?=3D=3Futf-8=3Fq=3Fx=3F=3D?=")
    yield subject("forwards", b"Re: [list] Fwd: RE: [fwd: Aw: (fwd) what] (fwd) (fwd)")
    yield subject("blobs", b"[a] " * 200 + b"end")
    yield subject("only-blob", b"[only]")
    yield subject("tabs", b"a\t\tb\r\n\t c")

    def named(name: str, *fields: bytes) -> tuple[str, bytes]:
        return f"parameters-{name}", mail(name, b"x\r\n", MIME, *fields)

    yield named(
        "continued",
        b"Content-Type: text/plain; name*0=one; name*1=two;\r\n name*2=three",
        b"Content-Disposition: attachment; filename*0*=utf-8''%c3%a4; filename*1=x; f*2*=%20y",
    )
    yield named("charset", b"Content-Type: text/plain; name*=iso-8859-1'de'gr%FC%DFe.txt")
    yield named("gap", b"Content-Type: text/plain; name*0=a; name*2=c; name*x=d; name*=''")
    yield named(
        "300", b"Content-Type: text/plain" + b"".join(b"; p%d=%d" % (i, i) for i in range(300))
    )
    yield named(
        "unquoted-blanks", b"Content-Type: text/plain; name=a file of mine.txt; charset=utf-8"
    )
    yield named("unclosed", b'Content-Type: text/plain; name="never closed; charset=utf-8')
    yield named("semicolons", b"Content-Type: text/plain;;; ;charset=utf-8;;")
    yield named("comments", b"Content-Type: text/plain (plain) ; charset=utf-8 (see (RFC) 3629)")
    yield named("words", b"Content-Type: image/png; name==?utf-8?q?a=20b?=")
    yield named("8-bit", b'Content-Disposition: attachment; filename="gr\xfc\xdfe.txt"')
    yield named("no-subtype", b"Content-Type: text", b"Content-Disposition: ;filename=x")
    yield named("slashes", b"Content-Type: a/b/c; x", b"Content-Transfer-Encoding: (none)")


def _charsets() -> Iterator[tuple[str, bytes]]:
    """Bodies in charsets, told and mistold."""
    text = "Grüße, привет, 日本語"
    for charset, data in {
        "utf-8": text.encode(),
        "iso-8859-1": "Grüße".encode("latin-1"),
        "windows-1252": "“quoted” €".encode("cp1252"),
        "koi8-r": "привет".encode("koi8-r"),
        "iso-2022-jp": "日本語".encode("iso-2022-jp"),
        "shift_jis": "日本語".encode("shift_jis"),
        "gb2312": "中文".encode("gb2312"),
        "utf-7": "Grüße".encode("utf-7"),
        "x-unknown": b"\xe4\xf6\xfc",
        "us-ascii": b"\xe4\xf6\xfc not ascii",
        "utf-16": text.encode("utf-16"),
        "rot13": b"uryyb",
    }.items():
        field = b"Content-Type: text/plain; charset=" + charset.encode()
        yield f"charset-{charset}", mail("charset", data + b"\r\n", MIME, field)
    yield (
        "charset-broken-utf-8",
        mail("cut", b"gr\xc3\r\n\xc3\xbc\xc3", MIME, b"Content-Type: text/plain; charset=utf-8")
        + b"\r\n",
    )


def _lines() -> Iterator[tuple[str, bytes]]:
    """Line ends and line lengths."""
    yield "bare-cr-in-body", mail("bcr", b"a\rb\r\rc\r\r\nd\r\n")
    yield "bare-lf-in-body", mail("blf", b"a\nb\n\nc\n.\nd\r\n")
    yield "nul-in-body", mail("bnul", b"a\0b\r\n\0\r\n" + b"\0" * 500 + b"\r\n")
    yield "every-byte", mail("bytes", bytes(range(256)) + b"\r\n")
    yield "lines-of-dots", mail("dots", b"".join(b"." * i + b"\r\n" for i in range(60)))
    yield "dot-starts", mail("dotted", b".\r\n..\r\n.a\r\n..b\r\n.\r\n")
    yield "line-of-900-bytes", mail("l900", (b"x" * 898 + b"\r\n") * 20)
    yield "line-of-100-kb", mail("l100k", b"y" * 100_000 + b"\r\n")
    yield "no-line-end-but-the-last", mail("nle", b"z" * 5000 + b"\r\n")
    yield "cr-at-buffer-edges", mail("edges", (b"e" * 1021 + b"\r\n") * 70)
    yield "blanks-at-line-ends", mail("blanks", b"a \r\nb\t\r\n   \r\n-- \r\nsignature\r\n")
    yield "smuggling-lf-dot", mail("smuggle", b"x\n.\r\ny\r\n.\nMAIL FROM:<a@b>\n.\r\n")
    yield "looks-like-imap", mail("imap", b"* 1 FETCH (FLAGS ())\r\n{10}\r\na1 OK\r\n)\r\n")
    yield "control-characters", mail("control", b"\x1b[2J\x07\x08\x0b\x0c\x7f\r\n")
    yield "one-megabyte", mail("big", (b"0123456789abcde " * 4 + b"\r\n") * 16_000)
