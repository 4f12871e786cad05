"""A DNS of a few names, and keys for the tests of authentication."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from mailplat.message.auth.keys import PrivateKey, load_private_key
from mailplat.model.errors import Unavailable


class Pair:
    """A key: its PEM, what signs with it, and its record in the DNS."""

    def __init__(self, key: Any, kind: str) -> None:
        form = PrivateFormat.TraditionalOpenSSL if kind == "rsa" else PrivateFormat.PKCS8
        public = (
            key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            if kind == "rsa"
            else key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        )
        self.pem: bytes = key.private_bytes(Encoding.PEM, form, NoEncryption())
        self.raw: bytes = (
            b""
            if kind == "rsa"
            else key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        )
        self.private: PrivateKey = load_private_key(self.pem)
        self.record = b"v=DKIM1; k=%s; p=%s" % (kind.encode(), b64encode(public))


@cache
def _pair(kind: str, bits: int) -> Pair:
    if kind == "rsa":
        return Pair(rsa.generate_private_key(65537, bits), kind)
    return Pair(ed25519.Ed25519PrivateKey.generate(), kind)


@pytest.fixture
def pair() -> Callable[..., Pair]:
    """Makes keys, each kind and size once."""
    return lambda kind, bits=2048: _pair(kind, bits)


@pytest.fixture
def run() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Runs a coroutine that never has to wait."""

    def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
        try:
            coroutine.send(None)
        except StopIteration as done:
            return done.value
        raise AssertionError("it waits")

    return run


@pytest.fixture
def texts() -> Callable[[dict[str, Any]], Callable[[str], Awaitable[Sequence[bytes]]]]:
    """Makes a DNS of TXT records; None stands for a name that nobody answers for."""

    def texts(zone: dict[str, Any]) -> Callable[[str], Awaitable[Sequence[bytes]]]:
        async def asked(name: str) -> Sequence[bytes]:
            found = zone.get(name, ())
            if found is None:
                raise Unavailable(f"no answer for {name}")
            return [found] if isinstance(found, bytes) else found

        return asked

    return texts
