"""How fast mail is read: ``python bench/message.py``.

Prints messages a second on one core, best of several rounds, beside the standard library's parser
in the same run.  Read the ratios; absolute figures are those of one machine.
"""

from __future__ import annotations

import base64
import email
import random
import sys
import timeit
from collections.abc import Callable, Sequence
from typing import TypeVar

from mailplat.message import headers
from mailplat.message.parts import find_section
from mailplat.message.scan import Scanner, scan
from mailplat.message.summary import summarize, summary_of

T = TypeVar("T")

_WORDS = ("the", "of", "and", "to", "in", "that", "is", "was", "he", "for", "it", "with", "as")
_ROUNDS = 5


def _text(rng: random.Random, size: int) -> bytes:
    lines: list[str] = []
    left = size
    while left > 0:
        lines.append(" ".join(rng.choices(_WORDS, k=14)))
        left -= len(lines[-1]) + 2
    return "\r\n".join(lines).encode("ascii")


def _mail(number: int, rng: random.Random, text: int, attached: int) -> bytes:
    """Make a mail with so many bytes of text and of attachment, the latter before base64."""
    header = (
        "Return-Path: <alice@example.org>\r\n"
        "Received: from mx.example.org (mx.example.org [192.0.2.1])\r\n"
        f"\tby mail.example.net with ESMTPS id q{number};\r\n\tThu, 01 Jan 2026 12:00:00 +0000\r\n"
        "From: Alice Example <alice@example.org>\r\n"
        f"To: Bob <bob{number}@example.net>, team@example.net\r\n"
        'Cc: "O. Ther" <other@example.com>\r\n'
        f"Subject: Re: {_text(rng, 30).decode('ascii')}\r\n"
        "Date: Thu, 01 Jan 2026 12:00:00 +0000\r\n"
        f"Message-ID: <{number}.abcdef@example.org>\r\n"
        f"In-Reply-To: <{number - 1}.abcdef@example.org>\r\n"
        f"References: <{number - 2}.abcdef@example.org> <{number - 1}.abcdef@example.org>\r\n"
        "MIME-Version: 1.0\r\n"
    ).encode("ascii")
    body = _text(rng, text)
    if not attached:
        return header + b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + body + b"\r\n"
    data = base64.encodebytes(rng.randbytes(attached)).replace(b"\n", b"\r\n")
    return (
        header + b'Content-Type: multipart/mixed; boundary="----=_Part_%d_0123456789"\r\n\r\n'
        b"------=_Part_%d_0123456789\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n%b\r\n"
        b'------=_Part_%d_0123456789\r\nContent-Type: image/png; name="p.png"\r\n'
        b"Content-Transfer-Encoding: base64\r\n"
        b'Content-Disposition: attachment; filename="p.png"\r\n\r\n%b'
        b"------=_Part_%d_0123456789--\r\n"
    ) % (number, number, body, number, data, number)


def _rate(do: Callable[[T], object], things: Sequence[T]) -> float:
    def once() -> None:
        for thing in things:
            do(thing)

    return len(things) / min(timeit.repeat(once, number=1, repeat=_ROUNDS))


def _in_blocks(blocks: Sequence[bytes]) -> object:
    scanner = Scanner()
    for block in blocks:
        scanner.receive(block)
    return scanner.close()


def main() -> None:
    """Print the table."""
    rng = random.Random(1)
    sets = {
        "4 KB, text": [_mail(n, rng, 3200, 0) for n in range(500)],
        "4 KB, a quarter multipart": [
            _mail(n, rng, 2500 if n % 4 == 0 else 3200, 900 if n % 4 == 0 else 0)
            for n in range(500)
        ],
        "1 MB, attachment": [_mail(n, rng, 2000, 760 * 1024) for n in range(8)],
        "1 MB, text": [_mail(n, rng, 1 << 20, 0) for n in range(8)],
    }
    out = sys.stdout.write
    out(f"{'messages a second':28}{'scan':>10}{'in blocks':>11}{'summary':>10}{'stdlib':>9}\n")
    for name, messages in sets.items():
        scanned = _rate(scan, messages)
        cut = [[mail[i : i + 65536] for i in range(0, len(mail), 65536)] for mail in messages]
        blocks = _rate(_in_blocks, cut)
        summarized = _rate(summary_of, messages)
        library = _rate(email.message_from_bytes, messages[:100])
        out(f"{name:28}{scanned:10,.0f}{blocks:11,.0f}{summarized:10,.0f}{library:9,.0f}")
        out(f"   scan/stdlib {scanned / library:.1f}\n")
    small = sets["4 KB, a quarter multipart"]
    blocks_of_header = [headers.split(message)[0] for message in small]
    names = (b"FROM", b"TO", b"SUBJECT", b"DATE")
    size = sum(map(len, blocks_of_header)) // len(blocks_of_header)
    picked = _rate(lambda header: headers.fields(header, names), blocks_of_header)
    out(f"HEADER.FIELDS (FROM TO SUBJECT DATE), header of {size} bytes: {picked:,.0f}/s\n")
    left = _rate(lambda header: headers.without(header, names), blocks_of_header)
    out(f"HEADER.FIELDS.NOT of the same: {left:,.0f}/s\n")
    tables = [summarize(scan(message)).parts for message in small]
    found = _rate(lambda table: find_section(table, (1,)), tables)
    out(f"BODY[1] in the part table: {found:,.0f}/s\n")


if __name__ == "__main__":
    main()
