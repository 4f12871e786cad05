"""Ugly mail, continued: multiparts, nesting, transfer encodings, and what programs send.

`mailplat.testing.corpus.ugly_messages` gives them together with the others.
"""

from __future__ import annotations

import base64
import quopri
from collections.abc import Iterator

from mailplat.testing.made_mail import (
    HTML,
    INNER,
    MIME,
    PLAIN,
    base64_lines,
    mail,
    multipart,
    of,
)

__all__ = ["mime_messages"]

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)


def mime_messages() -> Iterator[tuple[str, bytes]]:
    """Give the messages of this file, each with its name."""
    yield from _multiparts()
    yield from _broken_multiparts()
    yield from _nested()
    yield from _encodings()
    yield from _kinds()


def _multiparts() -> Iterator[tuple[str, bytes]]:
    """Multiparts as they should be, at least for most readers."""
    image = (
        b"Content-Type: image/png; name=dot.png\r\nContent-Transfer-Encoding: base64\r\n"
        b"Content-ID: <dot@example.org>\r\nContent-Disposition: inline; filename=dot.png\r\n\r\n"
    ) + base64_lines(PNG)
    yield (
        "alternative",
        mail("alt", multipart(b"b", PLAIN, HTML), MIME, of(b"alternative", b"b")),
    )
    yield "related", mail("rel", multipart(b"b", HTML, image), MIME, of(b"related", b"b"))
    yield (
        "mixed-preamble-epilogue",
        mail(
            "pre",
            b"preamble\r\n" + multipart(b"b", PLAIN) + b"epilogue\r\n",
            MIME,
            of(b"mixed", b"b"),
        ),
    )
    inner = of(b"alternative", b"inner") + b"\r\n\r\n" + multipart(b"inner", PLAIN, HTML)
    yield "mixed-in-mixed", mail("nest", multipart(b"b", inner, image), MIME, of(b"mixed", b"b"))
    digest = multipart(b"d", b"\r\n" + INNER, b"X-Note: n\r\n\r\n" + INNER, PLAIN)
    yield "digest", mail("digest", digest, MIME, of(b"digest", b"d"))
    yield (
        "boundary-with-blanks",
        mail("bb", multipart(b"a b  c", PLAIN), MIME, of(b"mixed", b"a b  c")),
    )
    yield (
        "boundary-odd-characters",
        mail("bo", multipart(b"'()+_,-./:=?", PLAIN), MIME, of(b"mixed", b"'()+_,-./:=?")),
    )
    yield (
        "boundary-folded",
        mail(
            "bf",
            multipart(b"foo bar", PLAIN),
            b'Content-Type: multipart/mixed; boundary="foo\r\n bar"',
        ),
    )
    yield (
        "boundary-padded",
        mail("bp", b"--b \t \r\n" + PLAIN + b"\r\n--b-- \t\r\n", MIME, of(b"mixed", b"b")),
    )
    yield (
        "parts-without-headers",
        mail("pwh", multipart(b"b", b"\r\none\r\n", b"\r\ntwo"), MIME, of(b"mixed", b"b")),
    )
    yield (
        "parts-1000",
        mail("p1000", multipart(b"b", *([b"\r\nx"] * 1000)), MIME, of(b"mixed", b"b")),
    )
    yield (
        "form-data",
        mail(
            "form",
            multipart(b"b", b'Content-Disposition: form-data; name="f"\r\n\r\nv'),
            MIME,
            of(b"form-data", b"b"),
        ),
    )


def _broken_multiparts() -> Iterator[tuple[str, bytes]]:
    """Multiparts that are not."""

    def broken(name: str, body: bytes, field: bytes = of(b"mixed", b"b")) -> tuple[str, bytes]:
        return f"multipart-{name}", mail(name, body, MIME, field)

    yield broken("never-begun", b"text without any delimiter\r\n")
    yield broken("empty-body", b"")
    yield broken("only-the-end", b"--b--\r\n")
    yield broken("not-ended", multipart(b"b", PLAIN, HTML, end=False))
    yield broken("ends-in-header", b"--b\r\nContent-Type: text/plain\r\n")
    yield broken("ends-at-delimiter", b"--b\r\n")
    yield broken("no-boundary", multipart(b"b", PLAIN), b"Content-Type: multipart/mixed")
    yield broken(
        "empty-boundary", b"--\r\nx\r\n----\r\n", b'Content-Type: multipart/mixed; boundary=""'
    )
    yield broken("wrong-boundary", multipart(b"other", PLAIN))
    yield broken("long-boundary", multipart(b"l" * 300, PLAIN), of(b"mixed", b"l" * 300))
    yield broken("boundary-71", multipart(b"m" * 71, PLAIN), of(b"mixed", b"m" * 71))
    yield broken(
        "header-runs-into-delimiter", b"--b\r\nContent-Type: text/html\r\n--b\r\nX: y\r\n--b--\r\n"
    )
    yield broken("delimiters-only", b"--b\r\n--b\r\n--b\r\n\r\n--b--\r\n")
    yield broken("text-behind-the-end", multipart(b"b", PLAIN) + multipart(b"b", HTML))
    yield broken("bare-lf", b"--b\nContent-Type: text/html\n\n<p>\n--b\n\ntwo\n--b--\r\n")
    yield broken("delimiter-in-a-line", b"--b\r\n\r\nx --b\r\ny--b--\r\n --b\r\n--b--\r\n")
    yield broken("base64-multipart", base64_lines(multipart(b"b", PLAIN)))
    yield broken(
        "dashes", b"--b\r\n\r\n--\r\n---\r\n----\r\n--b-\r\n--b---\r\n-----b--\r\n--b--\r\n"
    )
    prefix = b'Content-Type: multipart/mixed; boundary="bb"\r\n\r\n' + multipart(b"bb", PLAIN, HTML)
    yield broken("boundary-prefix-of-inner", multipart(b"b", prefix, PLAIN))
    inner = of(b"mixed", b"b") + b"\r\n\r\n" + multipart(b"b", PLAIN)
    yield broken("same-boundary-inside", multipart(b"b", inner, PLAIN))
    unclosed = of(b"mixed", b"in") + b"\r\n\r\n" + multipart(b"in", PLAIN, end=False)
    yield broken("inner-not-ended", multipart(b"b", unclosed, PLAIN))
    yield broken(
        "boundary-ends-with-dashes",
        multipart(b"b", of(b"mixed", b"b--") + b"\r\n\r\n" + multipart(b"b--", PLAIN)),
    )


def _nested() -> Iterator[tuple[str, bytes]]:
    """Mail in mail."""
    rfc822 = b"Content-Type: message/rfc822\r\n\r\n"
    yield "message-in-mail", mail("mm", INNER, MIME, b"Content-Type: message/rfc822")
    yield "message-twice", mail("mmm", rfc822 + INNER, MIME, b"Content-Type: message/rfc822")
    yield "message-without-header", mail("mwh", b"\r\nbody\r\n", b"Content-Type: message/rfc822")
    yield "message-empty", mail("me", b"", b"Content-Type: message/rfc822")
    yield (
        "message-base64",
        mail(
            "mb",
            base64_lines(INNER),
            b"Content-Type: message/rfc822",
            b"Content-Transfer-Encoding: base64",
        ),
    )
    yield (
        "message-global",
        mail("mg", "Subject: Grüße\r\n\r\nя\r\n".encode(), MIME, b"Content-Type: message/global"),
    )
    with_parts = INNER.replace(
        b"\r\n\r\ninner text\r\n",
        b"\r\n" + of(b"mixed", b"in") + b"\r\n\r\n" + multipart(b"in", PLAIN, rfc822 + INNER),
    )
    yield (
        "message-with-parts",
        mail("mp", multipart(b"b", PLAIN, rfc822 + with_parts), MIME, of(b"mixed", b"b")),
    )
    yield "messages-200-deep", mail("m200", rfc822 * 199 + INNER, MIME, rfc822[:-4])
    body = b"\r\ndeep\r\n"
    for level in range(200, 0, -1):
        boundary = b"level-%d" % level
        body = b"%b\r\n\r\n%b" % (of(b"mixed", boundary), multipart(boundary, body))
    yield "multiparts-200-deep", b"From: a@b\r\nSubject: deep\r\nMIME-Version: 1.0\r\n" + body
    body = b"\r\nopen\r\n"
    for level in range(200, 0, -1):
        boundary = b"o%d" % level
        body = b"%b\r\n\r\n--%b\r\n%b" % (of(b"mixed", boundary), boundary, body)
    yield "multiparts-200-deep-unclosed", b"From: a@b\r\nSubject: open\r\n" + body
    same = (of(b"mixed", b"s") + b"\r\n\r\n--s\r\n") * 150
    yield "multiparts-150-deep-one-boundary", b"From: a@b\r\n" + same + b"\r\nx\r\n"


def _encodings() -> Iterator[tuple[str, bytes]]:
    """Transfer encodings, right and wrong."""

    def encoded(name: str, encoding: bytes, body: bytes) -> tuple[str, bytes]:
        return f"encoding-{name}", mail(
            name,
            body,
            MIME,
            b"Content-Type: text/plain; charset=utf-8",
            b"Content-Transfer-Encoding: " + encoding,
        )

    text = "Grüße aus Köln. " * 30
    quoted = quopri.encodestring(text.encode()).replace(b"\n", b"\r\n") + b"\r\n"
    yield encoded("base64", b"base64", base64_lines(text.encode()))
    yield encoded("base64-blanks", b"BASE64", b"  aGVs \r\n\tbG8g\r\n d29y  \r\n   bGQ= \r\n\r\n")
    yield encoded("base64-cut", b"base64", b"aGVsbG8gd29ybG\r\n")
    yield encoded("base64-junk", b"base64", b"a!G@V#s\r\n----\r\nbG8=bG8=\r\n")
    yield encoded("base64-one-line", b"base64", base64.b64encode(b"long " * 15_000) + b"\r\n")
    yield encoded("quoted", b"quoted-printable", quoted)
    yield encoded("quoted-lower", b"Quoted-Printable", b"gr=c3=bc=c3=9fe=\r\n=3d\r\n")
    yield encoded(
        "quoted-broken", b"quoted-printable", b"a=\r\n=\r\n==3D =ZZ =4\r\nsoft= \t\r\nend=\r\n"
    )
    yield encoded("binary", b"binary", b"\x00\x01\xff\xfe\r\n\r\0\n\r\n")
    yield encoded("8bit", b"8bit", text.encode()[:800] + b"\r\n")
    yield encoded("7bit-with-8", b"7bit", text.encode()[:800] + b"\r\n")
    yield encoded("unknown", b"x-own-invention", b"?\r\n")
    yield encoded("uuencode", b"x-uuencode", b"begin 644 f\r\n#0V%T\r\n`\r\nend\r\n")
    yield encoded("twice", b"base64\r\nContent-Transfer-Encoding: 7bit", b"aGk=\r\n")
    yield "uuencode-inline", mail("uu", b"see\r\nbegin 644 cat.txt\r\n#0V%T\r\n`\r\nend\r\n")


def _kinds() -> Iterator[tuple[str, bytes]]:
    """What programs send."""

    def attachment(kind: bytes, name: bytes, data: bytes) -> bytes:
        return (
            b'Content-Type: %b; name="%b"\r\nContent-Transfer-Encoding: base64\r\n'
            b'Content-Disposition: attachment; filename="%b"\r\n\r\n%b'
        ) % (kind, name, name, base64_lines(data))

    def mixed(name: str, subtype: bytes, *parts: bytes) -> tuple[str, bytes]:
        return name, mail(name, multipart(b"=_b", *parts), MIME, of(subtype, b"=_b"))

    calendar = (
        b"Content-Type: text/calendar; method=REQUEST; charset=utf-8\r\n\r\n"
        b"BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:1\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
    yield mixed("calendar", b"alternative", PLAIN, HTML, calendar)
    yield mixed(
        "winmail", b"mixed", attachment(b"application/ms-tnef", b"winmail.dat", b'x\x9f>"' * 9)
    )
    yield (
        "smime-opaque",
        mail(
            "smime",
            base64_lines(b"\x30\x80\x06\x09" * 200),
            b'Content-Type: application/pkcs7-mime; smime-type=signed-data; name="smime.p7m"',
            b"Content-Transfer-Encoding: base64",
        ),
    )
    signature = attachment(b"application/pkcs7-signature", b"smime.p7s", b"\x30\x82" * 300)
    yield mixed("smime-signed", b"signed", PLAIN, signature)
    armour = b"-----BEGIN PGP SIGNATURE-----\r\n\r\niQ==\r\n-----END PGP SIGNATURE-----\r\n"
    yield mixed(
        "pgp-signed", b"signed", PLAIN, b"Content-Type: application/pgp-signature\r\n\r\n" + armour
    )
    yield mixed(
        "pgp-encrypted",
        b"encrypted",
        b"Content-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n",
        b"Content-Type: application/octet-stream\r\n\r\n-----BEGIN PGP MESSAGE-----\r\n",
    )
    yield (
        "pgp-inline",
        mail("pgp", b"-----BEGIN PGP SIGNED MESSAGE-----\r\n\r\n- -- \r\nx\r\n" + armour),
    )
    report = (
        b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.org\r\n\r\n"
        b"Final-Recipient: rfc822; b@example.net\r\nAction: failed\r\nStatus: 5.1.1\r\n"
    )
    headers = b"Content-Type: text/rfc822-headers\r\n\r\nSubject: x\r\n"
    yield mixed("dsn", b"report", PLAIN, report, headers)
    whole = b"Content-Type: message/rfc822\r\n\r\n" + INNER
    yield mixed("dsn-whole", b"report", PLAIN, report, whole)
    receipt = (
        b"Content-Type: message/disposition-notification\r\n\r\nReporting-UA: x\r\n"
        b"Disposition: manual-action/MDN-sent-manually; displayed\r\n"
    )
    yield mixed("mdn", b"report", PLAIN, receipt)
    yield (
        "partial",
        mail("part", b"x\r\n", b'Content-Type: message/partial; id="a"; number=1; total=2'),
    )
    yield (
        "external-body",
        mail(
            "ext",
            b"Content-Type: image/png\r\nContent-ID: <x@y>\r\n\r\n",
            b'Content-Type: message/external-body; access-type=URL; URL="http://example.org/"',
        ),
    )
    yield (
        "html-only",
        mail(
            "html",
            b"<html><head><style>p{}</style></head><body><!-- no --><p>Hi&nbsp;&amp;<br>you<p\r\n",
            b"Content-Type: text/html",
        ),
    )
    yield "enriched", mail("rich", b"<bold>x</bold>\r\n", b"Content-Type: text/enriched")
    yield (
        "flowed",
        mail("flow", b"a \r\nb \r\nc\r\n", b"Content-Type: text/plain; format=flowed; delsp=yes"),
    )
    yield (
        "languages",
        mail(
            "lang",
            b"x\r\n",
            b"Content-Language: en, de-CH , ,fr",
            b"Content-Location: http://example.org/\r\n x",
            b"Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==",
            b"Content-ID: <c@d>",
            "Content-Description: Grüße".encode(),
        ),
    )
    yield (
        "autoreply",
        mail("auto", b"away\r\n", b"Auto-Submitted: auto-replied", b"Precedence: bulk"),
    )
    yield (
        "list-mail",
        mail(
            "list",
            b"x\r\n",
            b"List-Id: <l.example.org>",
            b"List-Unsubscribe: <mailto:u@example.org>",
        ),
    )
    yield (
        "resent",
        mail("resent", b"x\r\n", b"Resent-From: r@example.org", b"Resent-To: s@example.org"),
    )
