"""Tests for `mailplat.accounts.schemes`."""

from __future__ import annotations

from functools import partial

import argon2
import bcrypt
import pytest

from mailplat.accounts.schemes import SCHEMES, hash_password, matches, scheme_of
from mailplat.model.errors import Cannot, Corrupt


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let new hashes cost little."""
    hasher = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr("mailplat.accounts.schemes._argon2", hasher)
    monkeypatch.setattr("mailplat.accounts.schemes._PBKDF2_ROUNDS", 1000)
    monkeypatch.setattr(bcrypt, "gensalt", partial(bcrypt.gensalt, 4))


@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize("scheme", sorted(SCHEMES))
def test_round_trip(scheme: str) -> None:
    """What a scheme hashes it knows again, and nothing else; each hash is salted."""
    stored = hash_password("pässword", scheme)
    assert stored.startswith(f"{{{scheme}}}")
    assert scheme_of(stored) == scheme
    assert matches(stored, "pässword")
    assert matches(stored, "pa\u0308ssword")  # the same letters, composed otherwise
    assert not matches(stored, "password")
    assert not matches(stored, "")
    if scheme not in {"PLAIN", "CLEARTEXT"}:
        assert "pässword" not in stored
        assert hash_password("pässword", scheme) != stored


@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize("scheme", sorted(SCHEMES))
@pytest.mark.parametrize("password", ["\0", "x\0", "\udcff", "x" * 5000, "{x}$1$:"])
def test_no_password_makes_it_fail(scheme: str, password: str) -> None:
    """Any password is simply right or wrong."""
    assert matches(hash_password("right", scheme), password) is False


@pytest.mark.parametrize(
    ("stored", "password"),
    [
        ("{PBKDF2}$1$salt$2$ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957", "password"),
        ("{PBKDF2}$1$salt$4096$4b007901b765489abead49d926f721d065a429c1", "password"),
        ("{pbkdf2}$1$salt$1$0c60c80f961f0e71f3a9b524af6012062fe037a6", "password"),
        ("{BLF-CRYPT}$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"),
        ("{PLAIN}{SSHA}x", "{SSHA}x"),
    ],
)
def test_foreign_hashes(stored: str, password: str) -> None:
    """Hashes that other programs made are known (RFC 6070 §2, crypt_blowfish's tests)."""
    assert matches(stored, password)


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "secret",
        "$argon2id$v=19$m=65536",
        "{NEW}x",
        "{SHA512-CRYPT}$6$x$y",
        "{ARGON2ID}",
        "{ARGON2ID}$argon2id$v=19$m=65536",
        "{BLF-CRYPT}x",
        "{PBKDF2}$1$salt$many$00",
        "{PBKDF2}$9$salt$1$00",
        "{PBKDF2}$1$salt",
        "{PBKDF2}$1$salt$1$zz",
        "{SSHA512}!",
        "{SSHA512}eA==",
    ],
)
def test_damaged_hashes(stored: str) -> None:
    """A hash that cannot be read is told as damaged, without being quoted."""
    with pytest.raises(Corrupt) as caught:
        matches(stored, "x")
    assert "secret" not in caught.value.reason


@pytest.mark.parametrize(
    ("password", "scheme"),
    [("", "SSHA512"), ("x", "NEW"), ("x" * 73, "BLF-CRYPT"), ("x\0", "BLF-CRYPT")],
)
def test_what_cannot_be_hashed(password: str, scheme: str) -> None:
    """A scheme does not cut a password short in silence, and an empty one is none."""
    with pytest.raises(Cannot):
        hash_password(password, scheme)
