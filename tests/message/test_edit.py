"""Tests for `mailplat.message.edit`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.message import headers
from mailplat.message.edit import edit_body, edit_header
from mailplat.model.verdict import (
    AddHeader,
    Change,
    ChangeHeader,
    InsertHeader,
    RemoveHeader,
    ReplaceBody,
    Tag,
)

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


THREE = b"A: 1\r\nB: 2\r\n more\r\nA: 3\r\n\r\n"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (InsertHeader("X", b" y"), b"X: y\r\n" + THREE),
        (InsertHeader("X", b"y", 1), b"A: 1\r\nX:y\r\n" + THREE[6:]),
        (
            InsertHeader("X", b" y\r\n\tz", 2),
            b"A: 1\r\nB: 2\r\n more\r\nX: y\r\n\tz\r\nA: 3\r\n\r\n",
        ),
        (InsertHeader("X", b" y", 3), THREE[:-2] + b"X: y\r\n\r\n"),
        (InsertHeader("X", b" y", 99), THREE[:-2] + b"X: y\r\n\r\n"),
        (InsertHeader("X", b" y", None), THREE[:-2] + b"X: y\r\n\r\n"),
        (ChangeHeader("a", 1, b" 9"), b"a: 9\r\n" + THREE[6:]),
        (ChangeHeader("A", 2, b""), THREE[:19] + b"\r\n"),
        (ChangeHeader("B", 1, b" x"), b"A: 1\r\nB: x\r\nA: 3\r\n\r\n"),
        (ChangeHeader("A", 3, b""), THREE),
        (ChangeHeader("A", 3, b" 9"), THREE[:-2] + b"A: 9\r\n\r\n"),
        (ChangeHeader("C", 1, b" 9"), THREE[:-2] + b"C: 9\r\n\r\n"),
    ],
)
def test_exact_changes(change: Change, expected: bytes) -> None:
    """Fields by their place and number, to the byte."""
    assert edit_header(THREE, [change]) == expected


@pytest.mark.parametrize("header", [b"", b"\r\n", b"A: 1\r\n", b"A: 1", b"junk\r\n\r\n"])
def test_exact_changes_of_any_header(header: bytes) -> None:
    """A header without an end, without fields, or of junk takes a field all the same."""
    for index in (0, 1, None):
        made = edit_header(header, [InsertHeader("X", b" y", index)])
        assert headers.every(made, b"x") == [b"y"]
        assert headers.every(made, b"a") == headers.every(header, b"a")
    made = edit_header(header, [ChangeHeader("A", 1, b" 2")])
    assert headers.every(made, b"a") == [b"2"]


@pytest.mark.parametrize(
    "value",
    [b"x\r\nB: 1", b"x\nB: 1", b"x\r\n\r\nbody", b"x\r\n \r\n y", b"\0", b"x\r y", b"x" * 1000],
)
def test_no_value_leaves_its_field(value: bytes) -> None:
    """What would be a second field, or the body, is passed over."""
    for change in (InsertHeader("X", value), ChangeHeader("A", 1, value)):
        assert edit_header(THREE, [change]) == THREE


@given(st.binary(max_size=60), st.integers(0, 5))
def test_whatever_the_value(value: bytes, index: int) -> None:
    """The other fields stay as they are, and there is at most one more."""
    made = edit_header(THREE, [InsertHeader("X", value, index)])
    assert headers.names(made).count("x") <= 1
    assert [name for name in headers.names(made) if name != "x"] == ["a", "b", "a"]
    assert made.endswith(b"\r\n\r\n")
    assert made.count(b"\r\n\r\n") == 1
