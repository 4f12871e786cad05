"""Password hashes, each with its scheme's name in front: ``{ARGON2ID}$argon2id$v=19$…``.

Names and formats are Dovecot's, so that its password files can be taken over.  Schemes that need
the system's crypt(3) (SHA512-CRYPT and its kin) are not here: Python gives them up.

A password may have several hashes, a line each: a slow one, and keys for SCRAM (RFC 5802), which
proves a password without showing it.

Invariants:

- Everything here takes time on purpose: call it in a thread.
- Passwords are compared as UTF-8 in NFC, with one kind of blank (RFC 8265 §4.2.2), in constant
  time; SCRAM's as SASLprep spells them (RFC 4013).
- `matches` answers False for any password whatever; only a hash that cannot be read raises.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
import secrets
import unicodedata
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from stringprep import in_table_c12

import argon2
import bcrypt

from mailplat.model.credentials import ScramKeys
from mailplat.model.errors import Cannot, Corrupt
from mailplat.proto.sasl import scram

__all__ = [
    "DEFAULT_SCHEME",
    "SCHEMES",
    "Scheme",
    "hash_password",
    "hashes_of",
    "matches",
    "scheme_of",
    "scram_keys_of",
]

DEFAULT_SCHEME = "ARGON2ID"

_PBKDF2_ROUNDS = 600_000
"""OWASP's cheat sheet of 2023, for passwords that must be hashed with what FIPS 140 allows."""

_SCRAM_ITERATIONS = 100_000
"""Where SCRAM is the scheme itself; clients have to do the same work at each log-in."""

_STORED = re.compile(r"\{([A-Za-z0-9-]+)\}(.*)", re.DOTALL)

_NEXT = re.compile(r"\n(?=\{[A-Za-z0-9-]+\})")

_SALT = 16
"""Bytes of a salt for SCRAM."""

_argon2 = argon2.PasswordHasher()  # RFC 9106 §4, the second recommended option: 64 MiB


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a kind of hash is made and checked.

    Attributes:
        make: Hashes a password.
        check: Whether a hash is this password's; ValueError if the hash cannot be read.
    """

    make: Callable[[bytes], str]
    check: Callable[[str, bytes], bool]


def hash_password(
    password: str,
    scheme: str = DEFAULT_SCHEME,
    algorithms: Sequence[str] = (),
    iterations: int = scram.MIN_ITERATIONS,
) -> str:
    """Hash a password, with the scheme's name in front.

    Args:
        password: Not empty.
        scheme: How it is hashed.
        algorithms: For which SCRAM algorithms it gets keys as well, a line each.
        iterations: Of SCRAM's keys.

    Raises:
        Cannot: The scheme cannot hash this password, or there is no such scheme.
    """
    if scheme not in SCHEMES:
        raise Cannot(f"there is no password scheme {scheme}; known are {', '.join(SCHEMES)}")
    if not password:
        raise Cannot("an empty password", public="The password is empty")
    try:
        hashes = [f"{{{scheme}}}{SCHEMES[scheme].make(_prepared(password))}"]
        for algorithm in algorithms:
            if algorithm != scheme:
                keys = scram.keys_of(
                    algorithm, password, secrets.token_bytes(_SALT), max(1, iterations)
                )
                hashes.append(f"{{{algorithm}}}{scram.spell_keys(keys)}")
        return "\n".join(hashes)
    except ValueError as error:
        raise Cannot(f"{scheme} cannot hash this password: {error}") from None


def hashes_of(stored: str) -> list[str]:
    """Give the hashes of one password, the one that passwords are checked against in front."""
    return _NEXT.split(stored) if stored else []


def scram_keys_of(stored: str, algorithm: str) -> ScramKeys | None:
    """Give the keys for a SCRAM algorithm among a password's hashes; None if there are none.

    Raises:
        Corrupt: They cannot be read.
    """
    for one in hashes_of(stored):
        if one.upper().startswith(f"{{{algorithm}}}"):
            try:
                return scram.read_keys(algorithm, one.partition("}")[2])
            except ValueError:
                raise Corrupt(f"keys for {algorithm} cannot be read") from None
    return None


def scheme_of(stored: str) -> str:
    """Give the scheme of a stored hash.

    Raises:
        Corrupt: It names none, or one that is not known here; the reason says which are.
    """
    found = _STORED.fullmatch(stored)
    if found is None:
        raise Corrupt(
            "the password hash does not begin with its scheme, as in {ARGON2ID}$argon2id$"
        )
    scheme = found[1].upper()
    if scheme not in SCHEMES:
        known = ", ".join(SCHEMES)
        raise Corrupt(f"the password scheme {{{scheme}}} is not known here; known are {known}")
    return scheme


def matches(stored: str, password: str) -> bool:
    """Tell whether a password is the one of a stored hash; of several, the first one counts.

    Raises:
        Corrupt: The stored hash cannot be read.
    """
    stored = next(iter(hashes_of(stored)), stored)
    scheme = scheme_of(stored)
    try:
        return bool(password) and SCHEMES[scheme].check(
            stored.partition("}")[2], _prepared(password)
        )
    except ValueError:
        raise Corrupt(f"a password hash of the scheme {scheme} cannot be read") from None


def _prepared(password: str) -> bytes:
    """Spell a password as RFC 8265 §4.2.2 does: one kind of blank, and NFC."""
    if not password.isascii():
        password = "".join(" " if in_table_c12(char) else char for char in password)
        password = unicodedata.normalize("NFC", password)
    return password.encode("utf-8", "surrogatepass")


def _make_argon2(password: bytes) -> str:
    return _argon2.hash(password)


def _check_argon2(stored: str, password: bytes) -> bool:
    try:
        return _argon2.verify(stored, password)
    except argon2.exceptions.VerifyMismatchError:
        return False
    except argon2.exceptions.Argon2Error as error:
        raise ValueError(str(error)) from None


def _make_bcrypt(password: bytes) -> str:
    if b"\0" in password:
        raise ValueError("it holds a NUL")
    return bcrypt.hashpw(password, bcrypt.gensalt()).decode("ascii")  # over 72 bytes: ValueError


def _check_bcrypt(stored: str, password: bytes) -> bool:
    if len(password) > 72 or b"\0" in password:
        return False  # no such password was ever hashed
    return bcrypt.checkpw(password, stored.encode())


def _make_pbkdf2(password: bytes) -> str:
    salt = secrets.token_hex(8)
    digest = hashlib.pbkdf2_hmac("sha1", password, salt.encode(), _PBKDF2_ROUNDS)
    return f"$1${salt}${_PBKDF2_ROUNDS}${digest.hex()}"


def _check_pbkdf2(stored: str, password: bytes) -> bool:
    _, version, salt, rounds, digest = stored.split("$")
    if version != "1":
        raise ValueError(version)
    made = hashlib.pbkdf2_hmac("sha1", password, salt.encode(), int(rounds))
    return hmac.compare_digest(made, bytes.fromhex(digest))


def _salted(name: str) -> Scheme:
    size = hashlib.new(name).digest_size

    def make(password: bytes) -> str:
        salt = secrets.token_bytes(16)
        return b64encode(hashlib.new(name, password + salt).digest() + salt).decode("ascii")

    def check(stored: str, password: bytes) -> bool:
        try:
            both = b64decode(stored, validate=True)
        except binascii.Error as error:
            raise ValueError(str(error)) from None
        if len(both) < size:
            raise ValueError("too short")
        made = hashlib.new(name, password + both[size:]).digest()
        return hmac.compare_digest(made, both[:size])

    return Scheme(make, check)


def _scram(algorithm: str) -> Scheme:
    def make(password: bytes) -> str:
        text, salt = password.decode("utf-8", "surrogatepass"), secrets.token_bytes(_SALT)
        return scram.spell_keys(scram.keys_of(algorithm, text, salt, _SCRAM_ITERATIONS))

    def check(stored: str, password: bytes) -> bool:
        keys = scram.read_keys(algorithm, stored)
        text = password.decode("utf-8", "surrogatepass")
        made = scram.keys_of(algorithm, text, keys.salt, keys.iterations)
        return hmac.compare_digest(made.stored_key, keys.stored_key)

    return Scheme(make, check)


def _make_plain(password: bytes) -> str:
    return password.decode("utf-8", "surrogatepass")


def _check_plain(stored: str, password: bytes) -> bool:
    return hmac.compare_digest(_prepared(stored), password)


SCHEMES: dict[str, Scheme] = {
    "ARGON2ID": Scheme(_make_argon2, _check_argon2),
    "ARGON2I": Scheme(_make_argon2, _check_argon2),  # the hash itself says its variant
    "BLF-CRYPT": Scheme(_make_bcrypt, _check_bcrypt),
    "PBKDF2": Scheme(_make_pbkdf2, _check_pbkdf2),
    "SSHA512": _salted("sha512"),
    "SSHA256": _salted("sha256"),
    "SSHA": _salted("sha1"),
    "SCRAM-SHA-256": _scram("SCRAM-SHA-256"),
    "SCRAM-SHA-1": _scram("SCRAM-SHA-1"),
    "PLAIN": Scheme(_make_plain, _check_plain),
    "CLEARTEXT": Scheme(_make_plain, _check_plain),
}
"""What each {SCHEME} means (Dovecot, *Password schemes*)."""
