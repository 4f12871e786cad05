"""Tests for `mailplat.store.index.statements`: many rows and ranges in few statements."""

from __future__ import annotations

import sqlite3

from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.model.numset import NumSet
from mailplat.store.index.statements import Insert, Ranges


@given(st.integers(0, 1000))
@settings(max_examples=40)
def test_insert(count: int) -> None:
    """Any number of rows is inserted, all and once."""
    raw = sqlite3.connect(":memory:")
    raw.execute("CREATE TABLE t (a, b)")
    values = [number for row in range(count) for number in (row, -row)]
    insert = Insert("t", "a b")
    statements = list(insert.pieces(len(values)))
    for sql, start, stop in statements:
        raw.execute(sql, values[start:stop])
    assert raw.execute("SELECT a, b FROM t ORDER BY a").fetchall() == [
        (row, -row) for row in range(count)
    ]
    assert len(statements) <= 3 + 3 * 4
    raw.close()


@given(st.sets(st.integers(1, 2000), max_size=700))
@settings(max_examples=40)
def test_ranges(uids: set[int]) -> None:
    """A set of UIDs finds just its members, however many ranges it has."""
    raw = sqlite3.connect(":memory:")
    raw.execute("CREATE TABLE t (uid INTEGER PRIMARY KEY)")
    raw.executemany("INSERT INTO t VALUES (?)", [(uid,) for uid in range(1, 2001)])
    ranges = Ranges(
        "{want} SELECT uid FROM want CROSS JOIN t WHERE uid BETWEEN want.first AND want.last"
    )
    found = [
        row[0]
        for sql, args in ranges.pieces(NumSet.of(uids))
        for row in raw.execute(sql, args).fetchall()
    ]
    assert found == sorted(uids)
    raw.close()
