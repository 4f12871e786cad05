"""Tests for `mailplat.message.auth.arc` and `.arc_sealing`: against dkimpy, both ways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dkim as oracle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.message import headers
from mailplat.message.auth.arc import Chain, ChainVerifier
from mailplat.message.auth.arc_sealing import Sealer
from mailplat.message.auth.canonical import BodyHash, Canonicalisation
from mailplat.message.auth.result import Result

MESSAGE = (
    b"Authentication-Results: mx.d.example; dkim=pass header.d=example.org\r\n"
    b"From: Alice <alice@example.org>\r\n"
    b"To: list@d.example\r\n"
    b"Subject:  two   blanks\t \r\n"
    b"Date: Thu, 01 Jan 2026 12:00:00 +0000\r\n"
    b"Message-ID: <1@example.org>\r\n\r\n"
    b"Hello  there,\t\r\n\r\n  it is me.\r\n\r\n\r\n"
)
NOW = 1_767_268_800


class Way:
    """Servers on a message's way."""

    def __init__(self, pair: Any, run: Any, texts: Any) -> None:
        self.key, self.run = pair("rsa"), run
        self.zone: dict[str, Any] = {
            f"s._domainkey.d{n}.example": self.key.record for n in range(60)
        }
        self.texts = texts(self.zone)

    def verify(self, message: bytes) -> Chain:
        """Verify a chain."""
        header, body = headers.split(message)
        verifier = ChainVerifier(header)
        verifier.receive(body)
        chain = self.run(verifier.result(self.texts))
        assert isinstance(chain, Chain)
        return chain

    def seal(self, message: bytes, number: int = 0) -> bytes:
        """Seal a message as the server of that number."""
        header, body = headers.split(message)
        digest = BodyHash(Canonicalisation.RELAXED)
        digest.receive(body)
        sealer = Sealer(f"d{number}.example", "s", self.key.private)
        results = f"mx.d{number}.example; arc=none"
        fields = sealer.seal(header, digest.finish(), self.verify(message), results, NOW)
        for name, value in fields:
            message = headers.field(name, value) + message
        return message

    def record(self, name: bytes, **_: Any) -> Any:
        """Answer dkimpy's questions."""
        return self.zone.get(name.decode().rstrip("."))


@pytest.fixture
def way(pair: Any, run: Any, texts: Any) -> Way:
    """Servers on a message's way, with a key in a DNS."""
    return Way(pair, run, texts)


def seal_by_dkimpy(way: Way, message: bytes) -> bytes:
    """Let dkimpy seal."""
    fields = oracle.arc_sign(
        message, b"s", b"d0.example", way.key.pem, b"mx.d.example", timestamp=NOW
    )
    return b"".join(fields) + message


def test_none(way: Way) -> None:
    """Most messages have no chain."""
    assert way.verify(MESSAGE) == Chain(Result.NONE)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_seals(way: Way, count: int) -> None:
    """Our seals hold, for dkimpy too."""
    message = MESSAGE
    for number in range(count):
        message = way.seal(message, number)
    chain = way.verify(message)
    assert (chain.result, len(chain.links), chain.domain) == (
        Result.PASS,
        count,
        f"d{count - 1}.example",
    )
    assert oracle.arc_verify(message, dnsfunc=way.record)[0] == oracle.CV_Pass


def test_verifies_dkimpy(way: Way) -> None:
    """The seals of dkimpy hold for us, alone and between ours."""
    message = seal_by_dkimpy(way, MESSAGE)
    assert way.verify(message).result is Result.PASS
    both = seal_by_dkimpy(way, way.seal(MESSAGE))
    assert way.verify(both).result is Result.PASS
    assert way.verify(way.seal(both, 2)).result is Result.PASS


def replaced(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    """Make a change of a message."""

    def change(message: bytes) -> bytes:
        assert old in message
        return message.replace(old, new, 1)

    return change


def without(name: bytes) -> Callable[[bytes], bytes]:
    """Take the fields of a name out."""
    return lambda message: headers.without(headers.split(message)[0], [name])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (replaced(b"Hello", b"Hallo"), "body hash"),
        (replaced(b"two", b"2"), "did not verify"),
        (replaced(b"mx.d0.example; arc=none", b"mx.d0.example; arc=pass"), "did not verify"),
        (replaced(b"cv=pass", b"cv=none"), "what it should"),
        (replaced(b"cv=none", b"cv=pass"), "what it should"),
        (replaced(b"cv=pass", b"cv=fail"), "failed before"),
        (replaced(b"cv=pass", b"h=from; cv=pass"), "names fields"),
        (replaced(b"cv=pass", b"cv=pass; cv=pass"), "not complete"),
        (replaced(b"h=from", b"h=arc-seal: from"), "a seal is signed"),
        (replaced(b"i=2;", b"i=3;"), "not complete"),
        (replaced(b"i=2;", b"i=1;"), "not complete"),
        (replaced(b"i=2;", b"i=x;"), "not complete"),
        (replaced(b"s=s; b", b"s=other; b"), "no key"),
        (without(b"arc-seal"), "not complete"),
        (without(b"arc-message-signature"), "not complete"),
        (without(b"arc-authentication-results"), "not complete"),
        (lambda message: b"ARC-Seal: i=1\r\n" * 51 + message, "too many"),
    ],
)
def test_what_does_not_hold(way: Way, change: Callable[[bytes], bytes], reason: str) -> None:
    """A changed message or chain fails, and is not sealed as if it held."""
    message = change(way.seal(way.seal(MESSAGE), 1))
    chain = way.verify(message)
    assert (chain.result, reason in chain.reason) == (Result.FAIL, True), chain.reason


def test_dns_away(way: Way) -> None:
    """A key that cannot be asked for ends a chain (RFC 8617 §5.2.1)."""
    message = way.seal(MESSAGE)
    way.zone["s._domainkey.d0.example"] = None
    assert way.verify(message).reason == "key cannot be asked for now"


def test_a_failed_chain_is_sealed_once(way: Way) -> None:
    """Who finds a chain broken says so; nobody adds to it after that."""
    broken = way.seal(MESSAGE).replace(b"Hello", b"Hallo")
    message = way.seal(broken, 1)
    assert b"cv=fail" in message
    chain = way.verify(message)
    assert (chain.result, chain.ended, chain.reason) == (
        Result.FAIL,
        True,
        "the chain failed before",
    )
    assert way.seal(message, 2) == message


def test_longest_chain(way: Way) -> None:
    """A chain has fifty sets at most."""
    message = MESSAGE
    for number in range(51):
        message = way.seal(message, number)
    chain = way.verify(message)
    assert (chain.result, len(chain.links)) == (Result.PASS, 50)


def test_large_sets(way: Way) -> None:
    """What would take long to verify is not looked at."""
    message = b"ARC-Authentication-Results: i=1; " + b"x" * 300_000 + b"\r\n" + MESSAGE
    assert way.verify(message).reason == "sets are too large"


@given(st.sampled_from(["Seal", "Message-Signature", "Authentication-Results"]), st.binary())
def test_any_field(name: str, value: bytes) -> None:
    """No field raises."""
    field = f"ARC-{name}: i=1; ".encode() + value.replace(b"\n", b"") + b"\r\n"
    ChainVerifier(field + b"ARC-Seal: i=1; cv=none\r\n")
