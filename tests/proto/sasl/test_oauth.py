"""Tests for `mailplat.proto.sasl.oauth` and `mailplat.proto.sasl.external`."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.model.credentials import CertificateCredentials, Denied, TokenCredentials
from mailplat.proto.sasl.exchange import Challenge, Failed, Failure, go_on
from mailplat.proto.sasl.external import ExternalExchange
from mailplat.proto.sasl.oauth import OAuthBearerExchange, XOAuth2Exchange
from mailplat.proto.sasl.password import PlainExchange

REFUSED, MALFORMED = Failed(Failure.REFUSED), Failed(Failure.MALFORMED)

BEARER = (
    b"n,a=user@example.com,\1host=server.example.com\1port=143\1"
    b"auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\1\1"
)
XOAUTH2 = b"user=someuser@example.com\1auth=Bearer ya29.vF9dft4qmTc2Nvb3\1\1"


def test_oauthbearer() -> None:
    """The example of RFC 7628 §4.1, with and without a name."""
    token = TokenCredentials("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==", "user@example.com")
    assert OAuthBearerExchange().start(BEARER) == token
    exchange = OAuthBearerExchange()
    assert exchange.start(None) == Challenge(b"")
    assert exchange.receive(b"n,,\1auth=bearer abc\1\1") == TokenCredentials("abc")
    assert "vF9dft" not in repr(token)


def test_xoauth2() -> None:
    """Google's example."""
    assert XOAuth2Exchange().start(XOAUTH2) == TokenCredentials(
        "ya29.vF9dft4qmTc2Nvb3", "someuser@example.com"
    )


@pytest.mark.parametrize("kind", [OAuthBearerExchange, XOAuth2Exchange])
@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xff",
        b"n,,",
        b"n,,\1",
        b"n,,\1\1",
        b"n,,\1host=x\1\1",
        b"p=tls-exporter,,\1auth=Bearer x\1\1",
        b"n,b=x,\1auth=Bearer x\1\1",
        b"n,a=x=y,\1auth=Bearer x\1\1",
        b"n,,\1auth=Bearer x\1",
        b"n,,\1auth=Basic x\1\1",
        b"n,,\1auth=Bearer x\1auth=Bearer y\1\1",
        b"n,,\1auth\1\1",
        b"user=x\1auth=Bearer x",
        b"user=x\1auth=Basic x\1\1",
        b"name=x\1auth=Bearer x\1\1",
    ],
)
def test_messages_that_are_none(
    kind: type[OAuthBearerExchange] | type[XOAuth2Exchange], message: bytes
) -> None:
    """What does not fit the grammar ends the exchange."""
    assert kind().start(message) == MALFORMED


def test_tokens_that_are_none() -> None:
    """A token of other characters is never sent on."""
    for token in (b"", b"a b", b"a\tb", b"a,b", b'"a"'):
        assert OAuthBearerExchange().start(b"n,,\1auth=Bearer " + token + b"\1\1") == REFUSED


def test_denied_tokens() -> None:
    """The client is told why, says one word more, and has failed (RFC 7628 §3.2.3)."""
    exchange = OAuthBearerExchange()
    exchange.start(BEARER)
    step = go_on(exchange, Denied("mail", "https://example.org/x"))
    assert isinstance(step, Challenge)
    assert json.loads(step.data) == {
        "status": "invalid_token",
        "scope": "mail",
        "openid-configuration": "https://example.org/x",
    }
    assert exchange.receive(b"\1") == REFUSED
    other = XOAuth2Exchange()
    other.start(XOAUTH2)
    step = other.answer(Denied())
    assert isinstance(step, Challenge)
    assert json.loads(step.data)["status"] == "400"
    assert other.receive(b"") == REFUSED


def test_who_asked_nothing_gets_no_answer() -> None:
    """A session that answers an exchange that did not ask has erred."""
    with pytest.raises(RuntimeError):
        go_on(PlainExchange(), Denied())


@settings(max_examples=60)
@given(st.integers(0, len(BEARER)), st.binary(max_size=8))
def test_every_cut(cut: int, more: bytes) -> None:
    """A message that is cut, or goes on, is never another token than it says."""
    step = OAuthBearerExchange().start(BEARER[:cut] + more)
    assert isinstance(step, Failed | TokenCredentials)


def test_external() -> None:
    """The one message is whom to act as, or nothing."""
    assert ExternalExchange().start(None) == Challenge(b"")
    assert ExternalExchange().start(b"") == CertificateCredentials()
    assert ExternalExchange().receive("jörg".encode()) == CertificateCredentials("jörg")
    for bad in (b"\xff", b"a\0b", b"x" * 2000):
        assert ExternalExchange().receive(bad) == MALFORMED
