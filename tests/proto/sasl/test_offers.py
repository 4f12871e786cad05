"""Tests for `mailplat.proto.sasl.offers`."""

from __future__ import annotations

from mailplat.model.credentials import ScramRequest
from mailplat.proto.sasl.exchange import Failed, Failure
from mailplat.proto.sasl.offers import offered

ALL = (
    "SCRAM-SHA-256-PLUS",
    "SCRAM-SHA-256",
    "OAUTHBEARER",
    "XOAUTH2",
    "EXTERNAL",
    "PLAIN",
    "LOGIN",
)


def nonce() -> str:
    """Give a nonce."""
    return "nonce"


def test_only_what_can_work_is_offered() -> None:
    """What accounts, TLS and the operator do not provide is left out; the order stays."""
    assert list(offered(ALL, nonce)) == ["PLAIN", "LOGIN"]
    scram = {"SCRAM-SHA-256"}
    assert list(offered(ALL, nonce, scram_able=scram)) == ["SCRAM-SHA-256", "PLAIN", "LOGIN"]
    everything = offered(
        ALL,
        nonce,
        scram_able=scram,
        bindings={"tls-exporter": b"x"},
        certificate=True,
        tokens=True,
    )
    assert tuple(everything) == ALL
    assert list(offered(("LOGIN", "SCRAM-SHA-1"), nonce, scram_able=scram)) == ["LOGIN"]
    for start in everything.values():
        start().start(None)


def test_plus_is_known_to_its_brother() -> None:
    """SCRAM without -PLUS knows whether there was one, and so finds out who took it away."""
    with_plus = offered(ALL, nonce, scram_able=ALL, bindings={"tls-exporter": b"x"})
    without = offered(ALL[1:], nonce, scram_able=ALL, bindings={"tls-exporter": b"x"})
    assert with_plus["SCRAM-SHA-256"]().start(b"y,,n=a,r=b") == Failed(Failure.REFUSED)
    assert without["SCRAM-SHA-256"]().start(b"y,,n=a,r=b") == ScramRequest("a", "SCRAM-SHA-256")
