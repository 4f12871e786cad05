"""Tests for `mailplat.message.ordering`."""

from __future__ import annotations

import pytest

from mailplat.message.ordering import display_key, mailbox_key, text_key


@pytest.mark.parametrize(
    ("value", "mailbox", "display"),
    [
        (b"alice@example.org", "ALICE", "ALICE@EXAMPLE.ORG"),
        (b'"Zoe" <alice@example.org>, bob@example.org', "ALICE", "ZOE"),
        (b"=?utf-8?q?=C3=A9va?= <e@x>", "E", "E\u0301VA"),
        (b"friends: bob@x, eve@x;", "FRIENDS", "FRIENDS"),
        (b"", "", ""),
    ],
)
def test_first_address(value: bytes, mailbox: str, display: str) -> None:
    """Sorting by FROM and TO looks at the local part, DISPLAYFROM at what is shown."""
    header = b"Subject: x\r\nFrom: " + value + b"\r\n\r\n"
    assert mailbox_key(header, b"from") == mailbox
    assert display_key(header, b"from") == display
    assert mailbox_key(header, b"cc") == ""
    assert display_key(header, b"cc") == ""


def test_text_key() -> None:
    """Case does not count, and punctuation between the cases of letters comes behind them."""
    assert sorted(["_", "b", "A", "[x]", ""], key=text_key) == ["", "A", "b", "[x]", "_"]
    assert text_key("É") == text_key("e\u0301")
