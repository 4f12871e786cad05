"""Tests for `mailplat.proto.smtp.timing`, `xclient`, and what EHLO says of LIMITS."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.model.envelope import ByMode, DeliverBy
from mailplat.proto.smtp.command_fault import CommandFault
from mailplat.proto.smtp.offers import Limits, Offers, keywords
from mailplat.proto.smtp.timing import (
    parse_by,
    parse_hold_for,
    parse_hold_until,
    parse_priority,
)
from mailplat.proto.smtp.xclient import Introduction, parse_xclient


@pytest.mark.parametrize(
    ("value", "by"),
    [
        ("120;R", DeliverBy(120, ByMode.RETURN)),
        ("+120;nT", DeliverBy(120, ByMode.NOTIFY, True)),
        ("-999999999;N", DeliverBy(-999_999_999, ByMode.NOTIFY)),
    ],
)
def test_by(value: str, by: DeliverBy) -> None:
    """Seconds, a mode, perhaps a trace."""
    assert parse_by(value, 60) == by


def test_times() -> None:
    """Dates of RFC 3339 in any zone, with parts of seconds or without."""
    assert parse_hold_until("2026-01-01T12:00:00Z") == 1_767_268_800
    assert parse_hold_until("2026-01-01t13:30:00.999+01:30") == 1_767_268_800
    assert parse_hold_until("0001-01-01T00:00:00Z") < 0
    for wrong in (
        None,
        "",
        "2026-02-30T00:00:00Z",
        "2026-01-01T12:00:00",
        "0001-01-01T00:00:00+09:00",
    ):
        with pytest.raises(CommandFault):
            parse_hold_until(wrong)
    assert parse_hold_for("60", 60) == 60
    for wrong in (None, "61", "-1", "1234567890", "\u0661"):
        with pytest.raises(CommandFault):
            parse_hold_for(wrong, 60)


@settings(max_examples=100)
@given(st.text(max_size=30))
def test_any_text_is_a_value_or_a_fault(text: str) -> None:
    """Nothing else comes of whatever stands there."""
    for parse in (
        lambda: parse_by(text, 0),
        lambda: parse_hold_for(text, 10**9),
        lambda: parse_hold_until(text),
        lambda: parse_priority(text),
        lambda: parse_xclient(text.encode()),
    ):
        with contextlib.suppress(CommandFault):
            parse()


def test_xclient() -> None:
    """Attributes in any case, values as xtext; what is unavailable is known not to be known."""
    assert parse_xclient(b"name=c.example ADDR=192.0.2.9 PORT=25 Helo=a+2Bb LOGIN=a@b") == (
        Introduction("c.example", "192.0.2.9", 25, None, "a+b", "a@b")
    )
    assert parse_xclient(b"ADDR=[TEMPUNAVAIL] NAME=[unavailable] PORT=[UNAVAILABLE]") == (
        Introduction(name="", address="", port=0)
    )
    assert parse_xclient(b"DESTADDR=IPV6:2001:DB8::1 DESTPORT=0") == (
        Introduction(local_address="2001:db8::1", local_port=0)
    )
    for wrong in (b"", b"ADDR", b"ADDR=", b"ADDR=1.2.3", b"NAME=a\xe9", b"HELO=+0a", b"HELO=+0A"):
        with pytest.raises(CommandFault):
            parse_xclient(wrong)


def test_limits_are_told_and_kept(dialogue: Any) -> None:
    """What LIMITS says is what holds (RFC 9422)."""
    limits = Limits(recipients=3, messages=2, recipient_domains=2)
    assert "LIMITS MAILMAX=2 RCPTMAX=3 RCPTDOMAINMAX=2" in keywords(Offers(), limits, tls=False)
    client = dialogue(limits=limits)
    envelope = (
        b"MAIL FROM:<a@b>\r\nRCPT TO:<c@D>\r\nRCPT TO:<c@e>\r\nRCPT TO:<c@f>\r\nRCPT TO:<x@d>\r\n"
    )
    said = client.codes(envelope + b"RCPT TO:<y@d>\r\nDATA\r\n.\r\n")
    assert said[1:6] == ["250 2.1.5", "250 2.1.5", "452 4.5.3", "250 2.1.5", "452 4.5.3"]
    said = client.codes(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@f>\r\nRCPT TO:<c@e>\r\nDATA\r\n.\r\n")
    assert said == ["250 2.1.0", "452 4.5.3", "250 2.1.5", "354 End", "250 2.0.0"]
    assert client.codes(b"MAIL FROM:<a@b>\r\n") == ["421 4.7.0"]
