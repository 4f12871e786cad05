"""Tests for `mailplat.proto.sasl.password` and what carries it."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.model.credentials import PasswordCredentials
from mailplat.proto.sasl.exchange import (
    MAX_RESPONSE,
    Challenge,
    Failed,
    Failure,
    begin,
    respond,
)
from mailplat.proto.sasl.password import PASSWORD_MECHANISMS, LoginExchange, PlainExchange

MALFORMED = Failed(Failure.MALFORMED)


def test_plain_with_an_initial_response() -> None:
    """One message names the identities and the password."""
    step = begin(PlainExchange(), b64encode(b"\0tim\0tanstaaftanstaaf"))
    assert step == PasswordCredentials("tim", "tanstaaftanstaaf")
    step = begin(PlainExchange(), b64encode(b"Ursel\0Kurt\0xipj3plmq"))
    assert step == PasswordCredentials("Kurt", "xipj3plmq", authzid="Ursel")


def test_plain_without_an_initial_response() -> None:
    """The message is asked for by an empty challenge."""
    exchange = PlainExchange()
    step = begin(exchange, None)
    assert step == Challenge(b"")
    assert isinstance(step, Challenge)
    assert step.line == b""
    assert respond(exchange, b64encode(b"\0tim\0pw")) == PasswordCredentials("tim", "pw")


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"tim",
        b"\0tim",
        b"\0tim\0pw\0",
        b"\0t\xff\0pw",
        b"\xff\0tim\0pw",
        b"\0tim\0" + b"x" * 1025,
    ],
)
def test_plain_refuses(message: bytes) -> None:
    """Missing, over-long or undecodable fields fail (RFC 4616 §2)."""
    assert begin(PlainExchange(), b64encode(message) or b"=") == MALFORMED


@pytest.mark.parametrize("message", [b"\0\0pw", b"\0tim\0", b"\0\0"])
def test_plain_refuses_what_is_empty(message: bytes) -> None:
    """An empty name or password is never right (RFC 4616 §2)."""
    assert begin(PlainExchange(), b64encode(message)) == Failed(Failure.REFUSED)


def test_plain_takes_the_lengths_asked_for() -> None:
    """255 bytes of each field pass (RFC 4616 §2)."""
    long = "ü" * 127 + "x"
    step = begin(PlainExchange(), b64encode(f"{long}\0{long}\0{long}".encode()))
    assert step == PasswordCredentials(long, long, long)


def test_login() -> None:
    """The name, then the password, each asked for."""
    exchange = LoginExchange()
    assert begin(exchange, None) == Challenge(b"Username:")
    assert respond(exchange, b"dGlt") == Challenge(b"Password:")
    assert respond(exchange, b"dGFuc3RhYWY=") == PasswordCredentials("tim", "tanstaaf")


def test_login_with_the_name_at_once() -> None:
    """Clients that send the name as initial response are asked for the password."""
    exchange = LoginExchange()
    assert begin(exchange, b"dGlt") == Challenge(b"Password:")


@pytest.mark.parametrize("response", [b"a\0b", b"\xff", b"x" * 1025])
def test_login_refuses(response: bytes) -> None:
    """An over-long or unreadable name or password fails."""
    exchange = LoginExchange()
    begin(exchange, None)
    assert respond(exchange, b64encode(response)) == MALFORMED
    exchange = LoginExchange()
    begin(exchange, b"dGlt")
    assert respond(exchange, b64encode(response)) == MALFORMED


def test_login_refuses_what_is_empty() -> None:
    """An empty name or password is never right."""
    exchange = LoginExchange()
    begin(exchange, None)
    assert respond(exchange, b"") == Failed(Failure.REFUSED)
    begin(exchange, b"dGlt")
    assert respond(exchange, b"") == Failed(Failure.REFUSED)


def test_cancel() -> None:
    """A line with ``*`` ends the exchange (RFC 4954 §4)."""
    exchange = LoginExchange()
    begin(exchange, None)
    assert respond(exchange, b"*") == Failed(Failure.CANCELLED)


@pytest.mark.parametrize("line", [b"dGl", b"d G l t", b"dGlt\0", b"=", b"====", b"dGlt=", b"\xff"])
def test_strict_base64(line: bytes) -> None:
    """Nothing but well-formed base64 is a response."""
    exchange = LoginExchange()
    begin(exchange, None)
    assert respond(exchange, line) == MALFORMED


def test_too_long() -> None:
    """The longest response is read, one above it is not."""
    fits = b64encode(b"x" * MAX_RESPONSE)
    assert begin(PlainExchange(), fits) == MALFORMED
    assert begin(PlainExchange(), fits + b"xxxx") == Failed(Failure.TOO_LONG)


def test_no_password_is_shown() -> None:
    """A password is in no representation."""
    assert "geheim" not in repr(PasswordCredentials("tim", "geheim"))


@settings(max_examples=50)
@given(st.binary(max_size=60), st.sampled_from(sorted(PASSWORD_MECHANISMS)))
def test_junk(junk: bytes, name: str) -> None:
    """Whatever comes, an exchange gives a step."""
    exchange = PASSWORD_MECHANISMS[name]()
    assert isinstance(begin(exchange, junk), Challenge | Failed | PasswordCredentials)
    exchange = PASSWORD_MECHANISMS[name]()
    begin(exchange, None)
    assert isinstance(respond(exchange, junk), Challenge | Failed | PasswordCredentials)
