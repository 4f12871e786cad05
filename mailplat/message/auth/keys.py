"""Public keys in the DNS and private keys in files (RFC 6376 §3.6.1, RFC 8301, RFC 8463)."""

from __future__ import annotations

from binascii import b2a_base64
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_private_key,
)

from mailplat.message.auth.tags import base64_value, tag_list, words

__all__ = ["KeyFault", "PrivateKey", "PublicKey", "key_record", "load_private_key"]

_LARGEST = 4096
"""Bits of the largest RSA key that is worth the time to verify with (RFC 8301 §3.2)."""

_LONGEST_RECORD = 8192
"""Bytes of a record that is looked at, and perhaps remembered."""


class KeyFault(ValueError):
    """A key cannot be used; the text says why and can be shown to anyone."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key record.

    Attributes:
        kind: ``rsa`` or ``ed25519``.
        key: The key itself; None if it was revoked.
        bits: Its size.
        hashes: The hash algorithms that it may be used with; empty for all.
        for_mail: Whether it may be used for mail.
        testing: Whether the domain tests DKIM.
        strict: Whether signatures may not be for a subdomain's identity.
    """

    kind: str
    key: RSAPublicKey | Ed25519PublicKey | None
    bits: int
    hashes: tuple[str, ...]
    for_mail: bool
    testing: bool
    strict: bool

    def verify(self, signature: bytes, signed: bytes) -> bool:
        """Tell whether a signature of these bytes is this key's."""
        try:
            if isinstance(self.key, RSAPublicKey):
                self.key.verify(signature, signed, PKCS1v15(), SHA256())
            elif self.key is not None:
                self.key.verify(signature, sha256(signed).digest())  # RFC 8463 §3
        except InvalidSignature:
            return False
        return self.key is not None


@lru_cache(maxsize=512)
def key_record(text: bytes) -> PublicKey:
    """Read a key record (RFC 6376 §3.6.1).

    Raises:
        KeyFault: It is none, or holds no key that can be used.
    """
    if len(text) > _LONGEST_RECORD:
        raise KeyFault("key record is too long")
    try:
        tags = tag_list(text)
        data = base64_value(tags["p"])
    except (ValueError, KeyError):
        raise KeyFault("key record cannot be read") from None
    if tags.get("v", "DKIM1") != "DKIM1" or ("v" in tags and next(iter(tags)) != "v"):
        raise KeyFault("key record of another version")
    kind = tags.get("k", "rsa").lower()
    key, bits = _key(kind, data)
    services, flags = words(tags.get("s", "*")), words(tags.get("t", ""))
    return PublicKey(
        kind=kind,
        key=key,
        bits=bits,
        hashes=tuple(words(tags["h"])) if "h" in tags else (),
        for_mail="*" in services or "email" in services,
        testing="y" in flags,
        strict="s" in flags,
    )


def _key(kind: str, data: bytes) -> tuple[RSAPublicKey | Ed25519PublicKey | None, int]:
    if kind not in ("rsa", "ed25519"):
        raise KeyFault("key of an unknown kind")
    if not data:
        return None, 0  # revoked
    try:
        if kind == "ed25519":
            return Ed25519PublicKey.from_public_bytes(data), 256  # RFC 8463 §4.2
        key = load_der_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyFault("key cannot be read") from None
    if not isinstance(key, RSAPublicKey) or key.key_size > _LARGEST:
        raise KeyFault("key cannot be used")
    return key, key.key_size


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A key that signs.

    Attributes:
        key: The key itself.
    """

    key: RSAPrivateKey | Ed25519PrivateKey

    @property
    def algorithm(self) -> str:
        """The algorithm's name in a signature."""
        return "rsa-sha256" if isinstance(self.key, RSAPrivateKey) else "ed25519-sha256"

    @property
    def record(self) -> str:
        """What the DNS has to say of it (RFC 6376 §3.6.1, RFC 8463 §4.2)."""
        public = self.key.public_key()
        if isinstance(public, RSAPublicKey):
            kind = "rsa"
            data = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        else:
            kind, data = "ed25519", public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        return f"v=DKIM1; k={kind}; p={b2a_base64(data, newline=False).decode()}"

    def sign(self, signed: bytes) -> bytes:
        """Sign these bytes; takes about a millisecond with RSA."""
        if isinstance(self.key, RSAPrivateKey):
            return self.key.sign(signed, PKCS1v15(), SHA256())
        return self.key.sign(sha256(signed).digest())  # RFC 8463 §3


def load_private_key(pem: bytes) -> PrivateKey:
    """Read a private key.

    Raises:
        KeyFault: It is none, is encrypted, or may not be used (RFC 8301 §3.2: RSA keys have at
            least 1024 bits; signers should use 2048).
    """
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyFault("not a private key in PEM without a password") from None
    if isinstance(key, RSAPrivateKey) and key.key_size >= 1024:
        return PrivateKey(key)
    if isinstance(key, Ed25519PrivateKey):
        return PrivateKey(key)
    raise KeyFault("neither an RSA key of 1024 bits or more nor an Ed25519 key")
