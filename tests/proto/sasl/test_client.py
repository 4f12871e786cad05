"""Tests for `mailplat.proto.sasl.client`."""

from __future__ import annotations

import pytest

from mailplat.model.credentials import (
    CertificateCredentials,
    PasswordCredentials,
    TokenCredentials,
)
from mailplat.proto.sasl.client import choose
from mailplat.proto.sasl.scram_client import ServerNotProved

ME = PasswordCredentials("me", "secret")
TOKEN = TokenCredentials("abc", "me")
BINDINGS = {"tls-server-end-point": b"s", "tls-exporter": b"e"}


def nonce() -> str:
    """Give a nonce."""
    return "nonce"


@pytest.mark.parametrize(
    ("offered", "expected", "first"),
    [
        (
            "LOGIN PLAIN SCRAM-SHA-1 SCRAM-SHA-256 SCRAM-SHA-256-PLUS",
            "SCRAM-SHA-256-PLUS",
            b"p=tls-exporter,,n=me,r=nonce",
        ),
        ("LOGIN SCRAM-SHA-1-PLUS SCRAM-SHA-256", "SCRAM-SHA-256", b"y,,n=me,r=nonce"),
        ("LOGIN PLAIN SCRAM-SHA-1", "SCRAM-SHA-1", b"y,,n=me,r=nonce"),
        ("LOGIN PLAIN XOAUTH2", "PLAIN", b"\0me\0secret"),
        ("CRAM-MD5 LOGIN", "LOGIN", None),
    ],
)
def test_the_strongest_is_chosen(offered: str, expected: str, first: bytes | None) -> None:
    """SCRAM comes before a password that is shown, and -PLUS before everything."""
    chosen = choose(offered.split(), ME, nonce, bindings=BINDINGS)
    assert chosen is not None
    assert (chosen[0], chosen[1].start()) == (expected, first)


def test_nothing_is_shown_in_clear() -> None:
    """Without TLS neither a password nor a token goes out, unless the operator says so."""
    offered = {"PLAIN", "LOGIN", "OAUTHBEARER"}
    assert choose(offered, ME, nonce, show=False) is None
    assert choose(offered, TOKEN, nonce, show=False) is None
    chosen = choose(offered | {"SCRAM-SHA-256"}, ME, nonce, show=False)
    assert chosen is not None
    assert chosen[1].start() == b"n,,n=me,r=nonce"
    assert choose({"GSSAPI"}, ME, nonce) is None


def test_tokens_and_certificates() -> None:
    """Each kind of credentials has mechanisms of its own."""
    chosen = choose({"XOAUTH2", "OAUTHBEARER", "PLAIN"}, TOKEN, nonce)
    assert chosen is not None
    assert (chosen[0], chosen[1].start()) == ("OAUTHBEARER", b"n,a=me,\1auth=Bearer abc\1\1")
    chosen = choose({"XOAUTH2"}, TOKEN, nonce)
    assert chosen is not None
    assert chosen[1].start() == b"user=me\1auth=Bearer abc\1\1"
    chosen = choose({"EXTERNAL"}, CertificateCredentials(), nonce)
    assert chosen is not None
    assert (chosen[0], chosen[1].start()) == ("EXTERNAL", b"")
    assert choose({"PLAIN"}, TOKEN, nonce) is None
    assert choose({"PLAIN"}, CertificateCredentials(), nonce) is None


def test_login_word_by_word() -> None:
    """LOGIN says the name, then the password, then nothing."""
    chosen = choose({"LOGIN"}, ME, nonce)
    assert chosen is not None
    assert [chosen[1].receive(b"?"), chosen[1].receive(b"?")] == [b"me", b"secret"]
    with pytest.raises(ServerNotProved):
        chosen[1].receive(b"?")
