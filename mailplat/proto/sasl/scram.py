"""SCRAM's arithmetic and spelling, for both sides and for stored keys (RFC 5802, RFC 7677).

Deriving keys takes time on purpose: `salted_password` and what calls it belong in a thread.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping

from mailplat.model.credentials import ScramKeys
from mailplat.proto.sasl.saslprep import saslprep

__all__ = [
    "HASHES",
    "MAX_ITERATIONS",
    "MIN_ITERATIONS",
    "attributes_of",
    "client_key",
    "digest",
    "escape",
    "keys_of",
    "mac",
    "read_keys",
    "salted_password",
    "server_key",
    "spell_keys",
    "unescape",
    "xor",
]

HASHES = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-1": "sha1"}
"""Mechanisms, strongest first, with the hash each is built on."""

MIN_ITERATIONS = 4096
"""RFC 5802 §5.1, RFC 7677 §4: the least that a client may put up with."""

MAX_ITERATIONS = 2_000_000
"""About a second of work; a server that asks for more wants to keep the client busy."""


def digest(name: str, data: bytes) -> bytes:
    """H(data) of RFC 5802 §2.2."""
    return hashlib.new(name, data).digest()


def mac(name: str, key: bytes, data: bytes | str) -> bytes:
    """HMAC(key, data) of RFC 5802 §2.2."""
    return hmac.digest(key, data.encode() if isinstance(data, str) else data, name)


def xor(one: bytes, other: bytes) -> bytes:
    """Exclusive or of two texts of the same length."""
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def salted_password(name: str, password: str, salt: bytes, iterations: int) -> bytes:
    """Hi(Normalize(password), salt, i): slow (RFC 5802 §2.2).

    A password that SASLprep does not take is used as it is: no other rule would be the same
    on both sides.
    """
    try:
        prepared = saslprep(password)
    except ValueError:
        prepared = password
    return hashlib.pbkdf2_hmac(name, prepared.encode("utf-8", "surrogatepass"), salt, iterations)


def client_key(name: str, salted: bytes) -> bytes:
    """ClientKey of RFC 5802 §3."""
    return mac(name, salted, b"Client Key")


def server_key(name: str, salted: bytes) -> bytes:
    """ServerKey of RFC 5802 §3."""
    return mac(name, salted, b"Server Key")


def keys_of(algorithm: str, password: str, salt: bytes, iterations: int) -> ScramKeys:
    """Derive what a server keeps.  Takes time: call it in a thread."""
    name = HASHES[algorithm]
    salted = salted_password(name, password, salt, iterations)
    return ScramKeys(
        salt, iterations, digest(name, client_key(name, salted)), server_key(name, salted)
    )


def spell_keys(keys: ScramKeys) -> str:
    """Write keys as Dovecot does: ``4096,SALT,STORED,SERVER`` in base64."""
    parts = (keys.salt, keys.stored_key, keys.server_key)
    return ",".join((str(keys.iterations), *(b64encode(part).decode("ascii") for part in parts)))


def read_keys(algorithm: str, text: str) -> ScramKeys:
    """Read what `spell_keys` wrote.

    Raises:
        ValueError: It is something else.
    """
    number, *coded = text.split(",")
    if not (number.isascii() and number.isdigit() and len(coded) == 3):
        raise ValueError("not iterations,salt,stored key,server key")
    salt, stored, server = (b64decode(part, validate=True) for part in coded)
    size = hashlib.new(HASHES[algorithm]).digest_size
    iterations = int(number)
    if not (salt and len(stored) == len(server) == size and 0 < iterations <= MAX_ITERATIONS):
        raise ValueError("keys of the wrong size")
    return ScramKeys(salt, iterations, stored, server)


def attributes_of(message: str) -> Mapping[str, str] | None:
    """Read ``a=value,b=value``; None if it is something else, or one comes twice."""
    found: dict[str, str] = {}
    for field in message.split(","):
        name, equals, value = field.partition("=")
        if len(name) != 1 or not name.isascii() or not name.isalpha() or not equals:
            return None
        if name in found or "\0" in value:
            return None
        found[name] = value
    return found


def escape(name: str) -> str:
    """Write a name as a saslname (RFC 5802 §5.1)."""
    return name.replace("=", "=3D").replace(",", "=2C")


def unescape(text: str) -> str | None:
    """Read a saslname; None if it is none: a ``=`` stands for itself nowhere (RFC 5802 §5.1)."""
    if "=" in text.replace("=2C", "").replace("=3D", "") or "\0" in text:
        return None
    return text.replace("=2C", ",").replace("=3D", "=")
