"""Tests for `mailplat.message.edit`."""

from __future__ import annotations

import pytest

from mailplat.message.edit import edit_body, edit_header
from mailplat.model.verdict import AddHeader, Change, RemoveHeader, ReplaceBody, Tag

HEADER = b"A: 1\r\nX-Spam: yes\r\n folded\r\nB: 2\r\nx-spam: no\r\n\r\n"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (AddHeader("C", "3"), b"C: 3\r\n" + HEADER),
        (AddHeader("C", "3", on_top=False), HEADER[:-2] + b"C: 3\r\n\r\n"),
        (AddHeader("C", "3\r\nEvil: 4\n\n\nbody"), b"C: 3 Evil: 4 body\r\n" + HEADER),
        (AddHeader("C", "nul\0 del\x7f e"), b"C: nul del e\r\n" + HEADER),
        (AddHeader("C", "caf\u00e9"), b"C: =?utf-8?b?Y2Fmw6k=?=\r\n" + HEADER),
        (AddHeader("C", "x " * 50), b"C:" + b" x" * 38 + b"\r\n" + b" x" * 12 + b"\r\n" + HEADER),
        (AddHeader("No good", "3"), HEADER),
        (AddHeader("", "3"), HEADER),
        (RemoveHeader("X-SPAM"), b"A: 1\r\nB: 2\r\n\r\n"),
        (RemoveHeader("X-Spa"), HEADER),
        (RemoveHeader(".*"), HEADER),
        (Tag("nothing"), HEADER),
        (RemoveHeader("a", b"no such value"), HEADER),
        (RemoveHeader("X-Spam", b"yes folded"), b"A: 1\r\nB: 2\r\nx-spam: no\r\n\r\n"),
    ],
)
def test_changes_a_field(change: Change, expected: bytes) -> None:
    """A change touches its field alone, and its words stay inside."""
    assert edit_header(HEADER, [change]) == expected


@pytest.mark.parametrize("header", [b"", b"\r\n", b"A: 1", b"A: 1\r\n", b"A: 1\r\n\r\n"])
def test_adds_at_the_bottom_of_any_header(header: bytes) -> None:
    """A field at the bottom stands before the empty line, where there is one."""
    edited = edit_header(header, [AddHeader("C", "3", on_top=False)])
    assert edited.replace(b"C: 3\r\n", b"").rstrip() == header.rstrip()
    assert b"\r\n\r\nC:" not in edited


def test_replaces_the_body() -> None:
    """The last replacement holds; without one the body stays."""
    assert edit_body([Tag("x")]) is None
    assert edit_body([ReplaceBody(b"1"), ReplaceBody(b"2")]) == b"2"
