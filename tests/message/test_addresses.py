"""Tests for `mailplat.message.addresses`."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.message.addresses import Mailbox, parse

END = (None, None, None, None)


@pytest.mark.parametrize(
    ("value", "mailboxes"),
    [
        (b"a@b", [(None, None, b"a", b"b")]),
        (b"Joe Q. Public <j@b>", [(b"Joe Q. Public", None, b"j", b"b")]),
        (b'"Joe \\"Q\\" P" <j@b>', [(b'Joe "Q" P', None, b"j", b"b")]),
        (b"user@domain (Real Name)", [(b"Real Name", None, b"user", b"domain")]),
        (b"a(c)@(d)b.org (x (y) z)", [(b"x (y) z", None, b"a", b"b.org")]),
        (b"A <a@b>,\r\n C <c@d>", [(b"A", None, b"a", b"b"), (b"C", None, b"c", b"d")]),
        (b",, a@b ,,", [(None, None, b"a", b"b")]),
        (
            b"group: g1@d1.org, g2@d2.org;, group2: g3@d3.org;",
            [
                (None, None, b"group", None),
                (None, None, b"g1", b"d1.org"),
                (None, None, b"g2", b"d2.org"),
                END,
                (None, None, b"group2", None),
                (None, None, b"g3", b"d3.org"),
                END,
            ],
        ),
        (
            b"group:;, g2: (foo) ;",
            [(None, None, b"group", None), END, (None, None, b"g2", None), END],
        ),
        (b"open: a@b", [(None, None, b"open", None), (None, None, b"a", b"b"), END]),
        (b"<@route:user@domain>", [(None, b"@route", b"user", b"domain")]),
        (b"<@a,@b:c@d>", [(None, b"@a,@b", b"c", b"d")]),
        (b'"odd local"@b', [(None, None, b"odd local", b"b")]),
        (b"john . smith @ x . org", [(None, None, b"john.smith", b"x.org")]),  # RFC 5322 §4.4
        (b"a@[192.0.2.1]", [(None, None, b"a", b"[192.0.2.1]")]),
        (b"=?utf-8?q?J=C3=B6rg?= <j@b>", [(b"=?utf-8?q?J=C3=B6rg?=", None, b"j", b"b")]),
        (b"J\xf6rg <j@b>", [(b"J\xf6rg", None, b"j", b"b")]),
        (b"root", [(None, None, b"root", b"")]),
        (b"Some Body", [(None, None, b"Some Body", b"")]),
        (b"Some Body s@b", [(b"Some Body", None, b"s", b"b")]),
        (b"a@b.org and more", [(None, None, b"a", b"b.org")]),
        (b"a@b <a@b>", [(b"a@b", None, b"a", b"b")]),
        (b"a@b@c", [(None, None, b"a@b", b"c")]),
        (b"<a@b", [(None, None, b"a", b"b")]),
        (b"Daemon <>", [(b"Daemon", None, b"", b"")]),
        (b"<>", []),
        (b"(only a comment)", []),
        (b"", []),
    ],
)
def test_reads(value: bytes, mailboxes: list[tuple[bytes | None, ...]]) -> None:
    """Good addresses as ENVELOPE shows them, bad ones with what can be made out of them."""
    assert [tuple(mailbox) for mailbox in parse(value)] == mailboxes


def test_limit() -> None:
    """A field has no more members than the limit says."""
    value = b",".join([b"a@b"] * 5)
    assert len(parse(value, 3)) == 3
    assert len(parse(value + b",", 9)) == 5
    assert len(parse(b"x y," * 10, 4)) == 4


ATOMS = st.sampled_from(
    [
        b'"',
        b"\\",
        b"(",
        b")",
        b"<",
        b">",
        b"@",
        b",",
        b":",
        b";",
        b".",
        b"[",
        b"]",
        b" ",
        b"\r\n ",
        b"a",
        b"b.c",
        b"\xe4",
        b"\0",
        b"a@b",
        b"<a@b>",
        b"g:",
    ]
)


def test_a_quoted_blank_is_a_word() -> None:
    """It is no gap between words, wherever it stands."""
    assert parse(b'a " "@b.example') == [Mailbox(b"a", None, b" ", b"b.example")]
    assert parse(b'" " "x"@b.example') == [Mailbox(b" ", None, b"x", b"b.example")]
    assert parse(b'(c)" "@b.example') == [Mailbox(b"c", None, b" ", b"b.example")]


@settings(max_examples=300, deadline=None)
@given(st.lists(ATOMS, max_size=25).map(b"".join))
def test_any_bytes_give_a_sound_list(value: bytes) -> None:
    """Groups begin and end in turn, and every address has a host or an empty one."""
    inside = False
    for mailbox in parse(value):
        assert isinstance(mailbox, Mailbox)
        if mailbox.host is None:
            assert inside == (mailbox.local is None)
            inside = not inside
            assert mailbox.name is None
        else:
            assert mailbox.local is not None
    assert not inside
