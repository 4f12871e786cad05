"""Tests for `mailplat.message.threading`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.message.threading import MAX_DEPTH, References, Thread, by_subject

Rows = Sequence[tuple[str, Sequence[str], int, str]]
"""Message-ID, references, date, base subject; a subject that begins with "re " is a reply."""


def spelled(threads: Iterable[Thread]) -> str:
    """Spell threads as THREAD does, with "-" for a message that is not there."""

    def one(thread: Thread) -> str:
        number = "-" if thread.number is None else str(thread.number)
        if not thread.children:
            return number
        if len(thread.children) == 1:
            return f"{number} {one(thread.children[0])}"
        return number + "".join(f"({one(child)})" for child in thread.children)

    return "".join(f"({one(thread)})" for thread in threads)


def threads_of(rows: Rows) -> list[Thread]:
    """Thread by references and subjects."""
    bases = [subject.removeprefix("re ") for *_, subject in rows]
    linked = References(
        [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]
    )
    replies = {at for at in linked.doubtful(bases) if rows[at][3].startswith("re ")}
    return linked.threads(bases, replies)


def test_by_subject() -> None:
    """All answers hang from the oldest message; threads go by that one's date."""
    subjects = ["b", "a", "b", "a", "c", "b"]
    dates = [5, 2, 4, 3, 1, 9]
    assert spelled(by_subject(subjects, dates)) == "(4)(1 3)(2(0)(5))"
    assert by_subject([], []) == []


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], ""),
        # a chain, told of by full and by truncated references
        (
            [
                ("a", (), 1, "x"),
                ("b", ("a",), 2, "re x"),
                ("c", ("a", "b"), 3, "re x"),
                ("d", ("c",), 4, "re x"),
            ],
            "(0 1 2 3)",
        ),
        # siblings go by date, then by number
        (
            [("a", (), 1, ""), ("c", ("a",), 9, ""), ("b", ("a",), 3, ""), ("d", ("a",), 3, "")],
            "(0(2)(3)(1))",
        ),
        # the parent comes later than its answer
        ([("b", ("a",), 2, ""), ("a", (), 1, "")], "(1 0)"),
        # a parent that is not there: kept for two, gone for one
        ([("b", ("a",), 2, ""), ("c", ("a",), 1, "")], "(-(1)(0))"),
        ([("b", ("a",), 2, ""), ("d", ("z", "b"), 1, "")], "(0 1)"),
        # ... nor ever below another message
        ([("a", (), 1, ""), ("b", ("a", "z"), 2, ""), ("c", ("a", "z"), 3, "")], "(0(1)(2))"),
        # a message's own references win over what others say of it
        ([("c", ("a", "b"), 3, ""), ("b", ("z",), 2, ""), ("z", (), 0, "")], "(2 1 0)"),
        # no loops
        ([("a", ("b",), 1, ""), ("b", ("a",), 2, "")], "(1 0)"),
        ([("a", ("a",), 1, "")], "(0)"),
        ([("a", ("b", "a", "b"), 1, ""), ("b", ("a",), 2, "")], "(1 0)"),
        # of two messages with one id, the first has it
        ([("a", (), 1, ""), ("a", (), 2, ""), ("b", ("a",), 3, "")], "(0 2)(1)"),
        # messages without ids
        ([("", (), 2, ""), ("", (), 1, "")], "(1)(0)"),
        # one subject: the reply goes below the original, whichever comes first
        ([("a", (), 2, "x"), ("b", (), 1, "re x")], "(0 1)"),
        ([("a", (), 1, "x"), ("b", (), 2, "re x"), ("c", (), 3, "re x")], "(0(1)(2))"),
        # ... two originals, or two replies, below one that is not there
        ([("a", (), 1, "x"), ("b", (), 2, "x")], "(-(0)(1))"),
        ([("a", (), 1, "re x"), ("b", (), 2, "re x"), ("c", (), 3, "re x")], "(-(0)(1)(2))"),
        # ... two headless threads become one
        (
            [
                ("a", ("y",), 1, "x"),
                ("b", ("y",), 2, "x"),
                ("c", ("z",), 3, "x"),
                ("d", ("z",), 4, "x"),
            ],
            "(-(0)(1)(2)(3))",
        ),
        # ... and a message goes below the headless thread
        ([("a", (), 9, "x"), ("b", ("z",), 1, "x"), ("c", ("z",), 2, "x")], "(-(1)(2)(0))"),
        # an empty subject gathers nothing
        ([("a", (), 1, ""), ("b", (), 2, "")], "(0)(1)"),
    ],
)
def test_by_references(rows: Rows, expected: str) -> None:
    """Threads as the steps of RFC 5256 §3 make them."""
    assert spelled(threads_of(rows)) == expected


def test_by_arrival() -> None:
    """REFS: no subjects, and the thread with the newest message comes last."""
    linked = References(["a", "b", "c"], [(), (), ("a",)], [1, 2, 3])
    assert spelled(linked.threads_by_arrival([10, 20, 30])) == "(1)(0 2)"
    assert spelled(linked.threads_by_arrival([10, 40, 30])) == "(0 2)(1)"


_IDS = st.sampled_from(["", "a", "b", "c", "d", "e", "f"])


@given(
    st.lists(
        st.tuples(
            _IDS,
            st.lists(_IDS.filter(bool), max_size=4),
            st.integers(0, 5),
            st.sampled_from(["", "x", "re x", "y"]),
        ),
        max_size=12,
    )
)
def test_every_message_once(rows: Rows) -> None:
    """Whatever the references say, each message is in one place, and dummies on top alone."""
    seen: list[int] = []
    tops = threads_of(rows)
    waiting = [(top, True) for top in tops]
    while waiting:
        thread, on_top = waiting.pop()
        if thread.number is None:
            assert on_top
            assert len(thread.children) > 1
        else:
            seen.append(thread.number)
        waiting += [(child, False) for child in thread.children]
    assert sorted(seen) == list(range(len(rows)))


def test_hostile_references_are_cheap() -> None:
    """Neither a very long thread nor a heap of loops takes long."""
    count = 3000
    ids = [f"m{number}" for number in range(count)]
    chain = [[f"m{number - 1}"] if number else [] for number in range(count)]
    loops = [[ids[-1 - at % 50], ids[at % 50]] * 50 for at in range(count)]
    began = time.perf_counter()
    References(ids, chain, [0] * count)
    References(ids, loops, [0] * count)
    both = References([*ids, *map(str, range(count))], chain + loops, [0] * 2 * count)
    assert both.threads([""] * 2 * count, ())
    assert time.perf_counter() - began < 5
    assert count > MAX_DEPTH
