"""Keys for tests of DKIM and ARC: the private half in PEM, the public half as the DNS has it."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from functools import cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from mailplat.message.auth.keys import PrivateKey, load_private_key

__all__ = ["DomainKey", "domain_key"]


@dataclass(frozen=True, slots=True)
class DomainKey:
    """A pair of keys.

    Attributes:
        pem: The private key.
        private: What signs with it.
        record: The TXT record for the public key.
    """

    pem: bytes
    private: PrivateKey
    record: bytes


def domain_key(kind: str = "rsa", bits: int = 2048) -> DomainKey:
    """Give a key of a kind (``rsa``, ``ed25519``) and size; always the same one in a process."""
    return _rsa(bits) if kind == "rsa" else _ed25519()


@cache
def _rsa(bits: int) -> DomainKey:
    key = generate_private_key(65537, bits)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return DomainKey(pem, load_private_key(pem), b"v=DKIM1; k=rsa; p=" + b64encode(public))


@cache
def _ed25519() -> DomainKey:
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return DomainKey(pem, load_private_key(pem), b"v=DKIM1; k=ed25519; p=" + b64encode(public))
