"""Tests for `mailplat.proto.imap.utf7`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.proto.imap import utf7


@pytest.mark.parametrize(
    ("wire", "text"),
    [
        (b"INBOX", "INBOX"),
        (b"", ""),
        (b"~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語"),  # RFC 3501 §5.1.3
        (b"A&-B", "A&B"),
        (b"&AOk-t&AOk-", "été"),
        (b"&2D3eAA-", "\U0001f600"),
    ],
)
def test_examples(wire: bytes, text: str) -> None:
    """Names read and written both ways."""
    assert utf7.decode(wire) == text
    assert utf7.encode(text) == wire


@pytest.mark.parametrize(
    "wire",
    [
        b"a&b",  # a shift that never ends
        b"&AGE-",  # "a" needs no shift (RFC 3501 §5.1.3)
        b"&AOk-&AOk-",  # two runs that are one
        b"&2D0-",  # half of a surrogate pair
        b"&AO-",  # bits left over
        b"&AO/p-",  # "/" is "," here
        "é".encode(),  # raw UTF-8
        b"a\x7fb",
        b"a\tb",
        b"&*-",
        b"&a&b-",
        b"&" * 60000,  # takes no time either
    ],
)
def test_other_spellings_are_refused(wire: bytes) -> None:
    """One name has one spelling."""
    with pytest.raises(ValueError):
        utf7.decode(wire)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_round_trip(text: str) -> None:
    """Any text comes back."""
    assert utf7.encode(text).isascii()
    assert utf7.decode(utf7.encode(text)) == text


@given(st.binary())
def test_decode_raises_nothing_else(wire: bytes) -> None:
    """Whatever comes is read, and spelled the same again, or refused."""
    try:
        text = utf7.decode(wire)
    except ValueError:
        return
    assert utf7.encode(text) == wire
