"""Tests for `mailplat.store.maildir.filename`."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.store.maildir.filename import FileName, UniqueNames, is_as_it_is, letters_of


@pytest.mark.parametrize(
    ("name", "base", "letters"),
    [
        ("1.M2.host:2,FS", "1.M2.host", "FS"),
        ("1.M2.host:2,SF", "1.M2.host", "FS"),
        ("1.M2.host,S=5,W=6:2,", "1.M2.host,S=5,W=6", ""),
        ("1.M2.host", "1.M2.host", ""),
        ("1.M2.host:1,x", "1.M2.host", ""),
        ("1.M2.host:2,aSS,x=1", "1.M2.host", ",1=Sax"),
    ],
)
def test_parse(name: str, base: str, letters: str) -> None:
    """A name has a base and letters, whoever wrote it."""
    assert FileName.parse(name) == FileName(base, letters)


def test_spelling() -> None:
    """In ``cur`` the info is never left out."""
    assert FileName("b").in_cur() == "b:2,"
    assert FileName("b", "FS").in_cur() == "b:2,FS"


def test_flags() -> None:
    """Letters are the specification's flags, and keywords by the mailbox's own table."""
    flags = FileName("b", "DFPRSTabX").flags({"a": "$Junk"})
    assert flags == {
        "\\Draft", "\\Flagged", "$Forwarded", "\\Answered", "\\Seen", "\\Deleted", "$Junk",
    }  # fmt: skip


@settings(max_examples=100)
@given(
    st.frozensets(st.sampled_from(["\\Seen", "\\Deleted", "$Forwarded", "$Junk", "Unlettered"])),
    st.text("DFPRSTabZ", max_size=9),
)
def test_letters_come_back(flags: frozenset[str], before: str) -> None:
    """Flags spelled as letters mean the same again; strange letters stay."""
    letters = letters_of(flags, {"$junk": "a"}, before)
    assert FileName("x", letters).flags({"a": "$Junk"}) == flags - {"Unlettered"}
    assert set(letters) & {"b", "Z"} == set(before) & {"b", "Z"}


def test_unique_names() -> None:
    """Names are never twice the same, tell the sizes, and cannot leave their directory."""
    names = UniqueNames(lambda: 1700000000.25, host="a/b:c,d\n")
    first, second = names.base(12), names.base(12)
    assert first != second
    assert first.startswith("1700000000.M250000P")
    assert first.endswith(".a\\057b\\072c\\054d_,S=12,W=12")
    assert is_as_it_is(first, 12)
    assert not is_as_it_is(first, 11)
    assert not is_as_it_is("1.M2.host", 12)
    assert not is_as_it_is("1.M2.host,S=12,W=13", 12)
    assert UniqueNames(lambda: 1.0).base(1) != UniqueNames(lambda: 1.0).base(1)


def test_names_for_further_files() -> None:
    """Another name of a file keeps what was said of its sizes, and nothing else."""
    names = UniqueNames(lambda: 1.0, host="h")
    assert names.base_like("1.M2.x,S=5,W=6").endswith(".h,S=5,W=6")
    assert names.base_like("1.M2.x").endswith(".h")
