"""Tests for `mailplat.store.index.recent`."""

from __future__ import annotations

from mailplat.interfaces.store import Column
from mailplat.store.index.recent import BODY, MISSING, Recent


def test_values_of_a_content() -> None:
    """Each column of a content is found by itself, also one that is None."""
    recent = Recent(10_000, 100)
    recent.keep(7, Column.ENVELOPE, b"envelope")
    recent.keep(7, Column.SENT, None)
    recent.keep(7, BODY, b"body")
    assert recent.find(7, Column.ENVELOPE) == b"envelope"
    assert recent.find(7, Column.SENT) is None
    assert recent.find(7, BODY) == b"body"
    assert recent.find(7, Column.PREVIEW) is MISSING
    assert recent.find(8, BODY) is MISSING


def test_bounded() -> None:
    """What was not asked for longest goes first, with all that belongs to it."""
    recent = Recent(3500, 1000)
    for content in range(3):
        recent.keep(content, BODY, b"x" * 1000)
    recent.keep(0, BODY, b"y" * 1000)  # is here already
    assert recent.find(0, BODY) == b"x" * 1000
    recent.keep(3, BODY, b"z" * 1000)
    assert recent.find(1, BODY) is MISSING
    assert recent.find(0, BODY) is not MISSING
    assert 0 < recent.bytes <= 3500
    recent.keep(4, BODY, b"z" * 9000)  # larger than all there is room for
    assert recent.bytes == 0
    recent.keep(5, BODY, b"z")
    recent.clear()
    assert recent.find(5, BODY) is MISSING
    assert recent.bytes == 0
