"""Tests for `mailplat.message.trace`."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.message import headers, trace


def test_received() -> None:
    """The field has the clauses of RFC 5321 §4.4 in their order."""
    assert trace.received(
        helo="client.example.org",
        ip="2001:db8::1",
        reverse="host.example.org",
        host="mx.example.net",
        protocol=trace.protocol(tls=True, authenticated=True),
        queue_id="4Xq1",
        recipient="bob@example.net",
        seconds=0,
        offset=60,
        tls="TLSv1.3 TLS_AES_256_GCM_SHA384",
    ) == (
        b"Received: from client.example.org (host.example.org [IPv6:2001:db8::1])\r\n"
        b"\t(using TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n"
        b"\tby mx.example.net with ESMTPSA id 4Xq1\r\n"
        b"\tfor <bob@example.net>;\r\n"
        b"\tThu, 01 Jan 1970 01:00:00 +0100\r\n"
    )


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_peers_cannot_leave_their_place(helo: str, ip: str, reverse: str, recipient: str) -> None:
    """Whatever the peer says, one field comes out, its comments closed where they should be."""
    made = trace.received(
        helo=helo,
        ip=ip,
        reverse=reverse,
        host="mx",
        protocol="ESMTP",
        queue_id="q)\r\n",
        recipient=recipient,
        seconds=0,
        tls="x)\r\n",
    )
    assert made.count(b"\r\n\t") == made.count(b"\n") - 1 == made.count(b"\r") - 1
    assert headers.every(made, b"received") == [headers.unfold(made[9:])]
    first = made.split(b"\r\n")[0]
    assert first.count(b"(") == first.count(b")") == 1
    path = trace.return_path(recipient)
    assert path.count(b"\n") == path.count(b"\r") == path.count(b"<") == path.count(b">") == 1


def test_lines_stay_short() -> None:
    """No line passes 998 bytes, however long the names are (RFC 5322 §2.1.1)."""
    long = "ä\udc80" * 5000
    made = trace.received(
        helo=long,
        ip=long,
        reverse=long,
        host="mx",
        protocol="x",
        queue_id=long,
        recipient=long,
        seconds=0,
    )
    assert max(map(len, made.split(b"\r\n"))) <= 998


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ({"extended": False}, "SMTP"),
        ({}, "ESMTP"),
        ({"tls": True}, "ESMTPS"),
        ({"authenticated": True}, "ESMTPA"),
        ({"tls": True, "authenticated": True}, "ESMTPSA"),
        ({"lmtp": True}, "LMTP"),
        ({"lmtp": True, "tls": True}, "LMTPS"),
        ({"utf8": True, "tls": True}, "UTF8SMTPS"),
        ({"utf8": True, "lmtp": True, "authenticated": True}, "UTF8LMTPA"),
    ],
)
def test_protocol(flags: dict[str, bool], name: str) -> None:
    """The names are those registered (RFC 3848, RFC 6531 §4.3)."""
    assert trace.protocol(**flags) == name


def test_loops() -> None:
    """Received fields are counted, Delivered-To fields read back."""
    header = (
        trace.delivered_to_field("Bob@example.net") + b"Received: a\r\n b\r\nreceived: c\r\n\r\n"
    )
    assert trace.received_count(header) == 2
    assert trace.delivered_to(header) == {"bob@example.net"}
    assert trace.return_path("") == b"Return-Path: <>\r\n"
