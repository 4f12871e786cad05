"""Tests for `mailplat.store.maildir.listing`."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.store.maildir.listing import Difference, Moved, base_of, difference, locations


def test_nothing_changed() -> None:
    """The same on both sides is no difference."""
    assert not difference({"cur/a:2,S": 1, "new/b": 2}, {"new/b", "cur/a:2,S"})


def test_locations() -> None:
    """Dot files are no messages."""
    assert locations(["a", ".x"], [".y", "b:2,"]) == {"new/a", "cur/b:2,"}


def test_each_kind() -> None:
    """Added, moved to cur, given flags, removed."""
    known = {"new/a": 1, "cur/b:2,": 2, "cur/c:2,S": 3, "cur/d:2,": 4}
    found = difference(known, {"cur/a:2,", "cur/b:2,FS", "cur/d:2,", "new/f", "new/e"})
    assert found == Difference(
        added=("new/e", "new/f"),
        moved=(Moved(1, "new/a", "cur/a:2,"), Moved(2, "cur/b:2,", "cur/b:2,FS")),
        missing=(3,),
    )
    assert found.moved[1].letters == ("", "FS")


def test_doubled() -> None:
    """Of two files with one base, one is the message: where it is known, else in cur."""
    assert difference({"new/a": 1}, {"new/a", "cur/a:2,"}).doubled == ("cur/a:2,",)
    found = difference({}, {"new/a", "cur/a:2,"})
    assert (found.added, found.doubled) == (("cur/a:2,",), ("new/a",))


NAMES = st.sampled_from([f"{where}/{base}{info}" for where, base, info in [
    ("new", "a", ""), ("cur", "a", ":2,"), ("cur", "a", ":2,S"), ("new", "b", ""),
    ("cur", "b", ":2,F"), ("cur", "c", ":2,"), ("new", "d", ""),
]])  # fmt: skip


@settings(max_examples=200)
@given(st.frozensets(NAMES), st.frozensets(NAMES))
def test_applied_it_leaves_no_difference(before: frozenset[str], now: frozenset[str]) -> None:
    """Each base is accounted for exactly once, and what was applied is not found again."""
    bases: set[str] = set()
    known: dict[str, int] = {}
    for location in sorted(before):
        if base_of(location) not in bases:
            bases.add(base_of(location))
            known[location] = len(bases)
    found = difference(known, set(now))
    after = {location: uid for location, uid in known.items() if uid not in found.missing}
    for moved in found.moved:
        assert after.pop(moved.before) == moved.uid
        after[moved.now] = moved.uid
    for number, location in enumerate(found.added, 100):
        after[location] = number
    assert {base_of(location) for location in after} == {base_of(location) for location in now}
    assert len(after) == len({base_of(location) for location in after})
    assert set(after) | set(found.doubled) == set(now)
    assert not difference(after, set(now) - set(found.doubled))
