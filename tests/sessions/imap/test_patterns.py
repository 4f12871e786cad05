"""Tests for `mailplat.sessions.imap.patterns`."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.sessions.imap.patterns import Matcher

NAMES = ["INBOX", "INBOX/a", "Sent", "Work", "Work/2024", "Work/2024/May", "a*b"]


@pytest.mark.parametrize(
    ("reference", "patterns", "expected"),
    [
        ("", ["*"], NAMES),
        ("", ["%"], ["INBOX", "Sent", "Work", "a*b"]),
        ("", ["%/%"], ["INBOX/a", "Work/2024"]),
        ("", ["inbox"], ["INBOX"]),
        ("", ["InBox/%"], ["INBOX/a"]),
        ("Work/", ["%"], ["Work/2024"]),
        ("Work/", ["*"], ["Work/2024", "Work/2024/May"]),
        ("", ["Work*"], ["Work", "Work/2024", "Work/2024/May"]),
        ("", ["Work%"], ["Work"]),
        ("", ["*May"], ["Work/2024/May"]),
        ("", ["%2024%"], []),
        ("", ["*2024%"], ["Work/2024"]),
        ("", ["Sent", "%/a"], ["INBOX/a", "Sent"]),
        ("", [""], []),
        ("", ["work"], []),
    ],
)
def test_matches(reference: str, patterns: list[str], expected: list[str]) -> None:
    """Names match as RFC 9051 §6.3.9 says."""
    matcher = Matcher(reference, patterns)
    assert [name for name in NAMES if matcher(name)] == expected


def test_a_hostile_pattern_is_cheap() -> None:
    """No pattern makes the server think for long."""
    assert not Matcher("", ["*a" * 200 + "b"])("a" * 1000)
    assert not Matcher("", ["%a" * 200 + "b"])("a" * 1000)


@given(
    st.text("ab/", max_size=8),
    st.text("ab/*%", max_size=8),
)
def test_agrees_with_regular_expressions(name: str, pattern: str) -> None:
    """The walk finds what the obvious, slow expression finds."""
    slow = "".join({"*": ".*", "%": "[^/]*"}.get(c, re.escape(c)) for c in pattern)
    assert Matcher("", [pattern])(name) == bool(re.fullmatch(slow, name))
