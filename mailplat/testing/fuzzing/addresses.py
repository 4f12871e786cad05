"""Addresses: those of header fields, and those of MAIL and RCPT.

Held against: a header field is always read, within its limit; a command is read, or refused by
`CommandFault`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from random import Random

from mailplat.message import addresses
from mailplat.proto.smtp.command_fault import CommandFault
from mailplat.proto.smtp.offers import Limits, Offers
from mailplat.proto.smtp.parse import parse_mail, parse_rcpt
from mailplat.testing.fuzzing.inputs import Language
from mailplat.testing.fuzzing.running import Target

__all__ = ["ADDRESSES"]

_LANGUAGE = Language(
    sentences=[
        b'"Ann, Lee" <ann@a.example>, bob@b.example',
        b"=?utf-8?q?J=C3=B6rg?= (a (nested) comment) <j@[192.0.2.1]>",
        b"Group: a@b.example, c@d.example;, Empty:;",
        b"<@r.example,@s.example:a@b.example>",
        b"FROM:<a@b.example> SIZE=10 BODY=8BITMIME AUTH=<>",
        b'TO:<"a \\" b"@b.example> NOTIFY=NEVER ORCPT=rfc822;a+40b@c',
        b"TO:<postmaster>",
        b"FROM:<>",
        b"TO:<\xc3\xa4@xn--4ca.example>",
        b"undisclosed-recipients:;",
        b"a . b @ c . example",
    ],
    words=[
        b" ", b",", b";", b":", b"<", b">", b"@", b".", b"(", b")", b'"', b"\\", b"[", b"]",
        b"\r\n ", b"\t", b"\x00", b"\xff", b"\xc3\xa4", b"=?", b"?=", b"((((", b'""', b"=",
    ],
    most=3,
)  # fmt: skip

_OFFERS = Offers(smtputf8=True, dsn=True, binary=True, chunking=True, require_tls=True)
_LIMITS = Limits()
_MOST = 20


def _run(pieces: Sequence[bytes], chance: Random) -> None:
    value = b"".join(pieces)
    found = addresses.parse(value, _MOST)
    assert len(found) <= _MOST + 2
    assert all(piece is None or len(piece) <= len(value) for one in found for piece in one)
    for read in (
        lambda: parse_mail(value, _OFFERS, _LIMITS, tls=True),
        lambda: parse_rcpt(value, _OFFERS, smtputf8=chance.random() < 0.5),
    ):
        with suppress(CommandFault):
            read()


ADDRESSES = Target(_LANGUAGE, _run)
