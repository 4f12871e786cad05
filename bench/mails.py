"""Mails to measure with: the same ones every time, about 4 KB, every fourth a multipart.

Rare words stand in one of a hundred subjects and in one of fifty bodies, so that searches have
something to find, and something to pass over.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

__all__ = ["RARE", "mail", "mails", "text"]

RARE = ("zebra", "quagmire", "obelisk", "marzipan", "kestrel", "juniper")
"""Words that few mails have."""

_LINE = (
    "the of and to in that is was he for it with as his on be at by this had not are but from or "
    "have an they which one you were all her she there would their we him been has when who will "
    "no more if out so said what up its about than into them can only other time new some could"
)
_WORDS = _LINE.split()
_PEOPLE = ("alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy")
_START = datetime(2015, 1, 1, tzinfo=UTC)


def text(rng: random.Random, size: int) -> str:
    """Make lines of words, at least so many characters."""
    lines: list[str] = []
    left = size
    while left > 0:
        lines.append(" ".join(rng.choices(_WORDS, k=12)))
        left -= len(lines[-1]) + 2
    return "\r\n".join(lines)


def mail(number: int, rng: random.Random, *, size: int = 3000, attached: int = 900) -> bytes:
    """Make one mail.

    Args:
        number: Which; every fourth is a multipart.
        rng: Where its words come from.
        size: Bytes of its text, about.
        attached: Bytes of a multipart's attachment, before base64.
    """
    sender, to = rng.choice(_PEOPLE), rng.choice(_PEOPLE)
    subject = " ".join(rng.choices(_WORDS, k=6))
    if rng.random() < 0.01:
        subject += " " + rng.choice(RARE)
    body = text(rng, size) + "\r\n"
    if rng.random() < 0.02:
        body += rng.choice(RARE) + "\r\n"
    when = (_START + timedelta(hours=5 * number)).strftime("%a, %d %b %Y %H:%M:%S +0000")
    header = (
        f"Return-Path: <{sender}@example.org>\r\n"
        f"Received: from mx{number % 9}.example.org (mx.example.org [192.0.2.{number % 250}])\r\n"
        f"\tby mail.example.net with ESMTPS id q{number:08};\r\n\t{when}\r\n"
        f"From: {sender.title()} Example <{sender}@example.org>\r\n"
        f"To: {to.title()} <{to}@example.net>, team@example.net\r\n"
        f'Cc: "O. Ther" <other{number % 50}@example.com>\r\n'
        f"Subject: {subject}\r\nDate: {when}\r\n"
        f"Message-ID: <{number}.{rng.getrandbits(48):x}@example.org>\r\n"
    )
    if number % 3 == 0:
        header += (
            f"In-Reply-To: <{number - 1}.x@example.org>\r\n"
            f"References: <{number - 2}.x@example.org> <{number - 1}.x@example.org>\r\n"
        )
    header += "MIME-Version: 1.0\r\n"
    plain = "Content-Type: text/plain; charset=utf-8\r\n"
    if number % 4 or not attached:
        return f"{header}{plain}\r\n{body}".encode("ascii")
    data = base64.encodebytes(rng.randbytes(attached)).decode("ascii").replace("\n", "\r\n")
    edge = f"----=_Part_{number}_0123456789"
    return (
        f'{header}Content-Type: multipart/mixed; boundary="{edge}"\r\n\r\nThis is MIME.\r\n'
        f"--{edge}\r\n{plain}Content-Transfer-Encoding: 8bit\r\n\r\n{body}\r\n"
        f'--{edge}\r\nContent-Type: image/png; name="p{number}.png"\r\n'
        "Content-Transfer-Encoding: base64\r\n"
        f'Content-Disposition: attachment; filename="p{number}.png"\r\n\r\n{data}'
        f"--{edge}--\r\n"
    ).encode("ascii")


def mails(count: int) -> Iterator[bytes]:
    """Make mails, the same ones every time."""
    rng = random.Random(1)
    for number in range(count):
        yield mail(number, rng)
