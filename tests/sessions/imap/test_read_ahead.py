"""The next part of the bodies is read while one is sent, and never more than that."""

from __future__ import annotations

import pytest

from mailplat.sessions.imap.fetch import _parts
from mailplat.sessions.imap.sections import Piece


@pytest.mark.parametrize(
    ("sizes", "parts"),
    [
        ([], []),
        ([3, 3, 3], [(0, 3, True)]),
        ([5, 5, 1], [(0, 2, True), (2, 3, True)]),
        ([11], [(0, 1, False)]),
        ([1, 11, 1], [(0, 1, True), (1, 2, False), (2, 3, True)]),
    ],
)
def test_parts(sizes: list[int], parts: list[tuple[int, int, bool]]) -> None:
    """Rows are cut at a number of bytes; one that is larger stands alone."""
    pieces = [[Piece(0, size), None] for size in sizes]
    assert list(_parts(pieces, 10)) == parts
