"""Tests for `mailplat.proto.sasl.saslprep`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.proto.sasl.saslprep import saslprep


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        # RFC 4013 §3
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b", "a b"),
        ("\u0627\u0628", "\u0627\u0628"),
    ],
)
def test_examples(text: str, prepared: str) -> None:
    """The examples of the RFC, and blanks and writing from right to left."""
    assert saslprep(text) == prepared


@pytest.mark.parametrize(
    "text", ["\u0007", "\u06271", "a\u0627", "\ue000", "\ufffd", "\u0627a\u0628"]
)
def test_prohibited(text: str) -> None:
    """Control and private characters, and both directions in one, are refused."""
    with pytest.raises(ValueError):
        saslprep(text)


def test_unassigned() -> None:
    """What Unicode 3.2 does not know may be asked for, but not be kept."""
    assert saslprep("\u0221") == "\u0221"
    with pytest.raises(ValueError, match="unassigned"):
        saslprep("\u0221", stored=True)


@given(st.text(max_size=20))
def test_once_is_enough(text: str) -> None:
    """What comes out comes out the same when it is put in again."""
    try:
        prepared = saslprep(text)
    except ValueError:
        return
    assert saslprep(prepared) == prepared
