"""How fast DKIM signatures are made and verified, on one core, beside dkimpy and OpenDKIM."""

from __future__ import annotations

import random
import timeit
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import dkim
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from twisted.internet.defer import Deferred

from bench.figures import Figure, Table
from bench.mails import mail
from bench.opendkim import opendkim
from bench.options import Options
from mailplat.message import headers
from mailplat.message.auth.canonical import BodyHash
from mailplat.message.auth.dkim import Verifier
from mailplat.message.auth.dkim_signing import NAME, Signer
from mailplat.message.auth.keys import load_private_key
from mailplat.message.auth.result import Result

__all__ = ["measure"]

_BLOCK = 65536
_NOW = 1_767_268_800


def _rate(do: Callable[[bytes], object], messages: Sequence[bytes], rounds: int) -> float:
    def once() -> None:
        for message in messages:
            do(message)

    return len(messages) / min(timeit.repeat(once, number=1, repeat=rounds))


def measure(options: Options) -> Iterator[Table]:
    """Sign and verify with RSA of 2048 bits, relaxed/relaxed; the DNS answers at once."""
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    record = b"v=DKIM1; k=rsa; p=" + b64encode(der)
    signer = Signer("example.org", "sel", load_private_key(pem))

    async def texts(name: str) -> Sequence[bytes]:
        return [record]

    def signed(message: bytes) -> bytes:
        header, _ = headers.split(message)
        body = BodyHash(signer.body_form)
        for at in range(len(header), len(message), _BLOCK):
            body.receive(message[at : at + _BLOCK])
        return headers.field(NAME, signer.sign(header, body.finish(), _NOW))

    def verified(message: bytes) -> None:
        header, _ = headers.split(message)
        verifier = Verifier(header)
        for at in range(len(header), len(message), _BLOCK):
            verifier.receive(message[at : at + _BLOCK])
        found: Any = Deferred.fromCoroutine(verifier.results(texts, _NOW)).result
        assert [one.result for one in found] == [Result.PASS]

    def signed_by_dkimpy(message: bytes) -> None:
        dkim.sign(message, b"sel", b"example.org", pem, canonicalize=(b"relaxed", b"relaxed"))

    def verified_by_dkimpy(message: bytes) -> None:
        assert dkim.verify(message, dnsfunc=lambda name, **_: record)

    rng = random.Random(1)
    count = 20 if options.small else 200
    sets = {
        "4 KB": [mail(n, rng) for n in range(count)],
        "1 MB, attachment": [mail(0, rng, attached=760 * 1024) for n in range(1 + count // 60)],
        "1 MB, text": [mail(1, rng, size=1 << 20) for n in range(1 + count // 60)],
    }
    figures: list[Figure] = []
    beside: list[Figure] = []
    library = opendkim(pem, record)
    for name, messages in sets.items():
        with_signature = [signed(message) + message for message in messages]
        for what, ours, theirs, subjects in (
            ("sign", signed, signed_by_dkimpy, messages),
            ("verify", verified, verified_by_dkimpy, with_signature),
        ):
            figures.append(
                Figure(
                    f"{what}, {name}",
                    "/s",
                    _rate(ours, subjects, options.rounds),
                    _rate(theirs, subjects[:50], 2),
                    3,
                )
            )
        if library is not None:
            for what, ours, peers, subjects in (
                ("sign", signed, library.sign, messages),
                ("verify", verified, library.verify, with_signature),
            ):
                beside.append(
                    Figure(
                        f"{what}, {name}",
                        "/s",
                        _rate(ours, subjects, options.rounds),
                        _rate(peers, subjects, options.rounds),
                    )
                )
    yield Table(
        "DKIM",
        options.command("auth"),
        figures,
        "dkimpy",
        "RSA of 2048 bits, relaxed/relaxed; ours reads the body in blocks of 64 KiB.",
    )
    if library is not None:
        yield Table(
            "DKIM beside OpenDKIM",
            options.command("auth"),
            beside,
            "libopendkim",
            "The same, with OpenDKIM's library in this process: neither starts nor asks a daemon.",
        )
