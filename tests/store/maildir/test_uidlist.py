"""Tests for `mailplat.store.maildir.uidlist`."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.store.maildir.uidlist import (
    UidList,
    keywords_file,
    read_keywords,
    read_subscriptions,
    read_uidlist,
)

VERSION_3 = (
    b"3 V1275660208 N25022 G3085f01b7f11094c501100008c4a11c1\n"
    b"25006 W1394 :1276528487.M364837P9451.host,S=1355,W=1394:2,\n"
    b"25017 S10 P25017x :1276533073.M242911P3632.host:2,F\n"
    b"25021 :1276533074.host with blanks\n"
)


def test_version_3() -> None:
    """Header and lines of Dovecot's own format; what follows a base's colon is no part of it."""
    assert read_uidlist(VERSION_3) == UidList(
        1275660208,
        25022,
        {
            "1276528487.M364837P9451.host,S=1355,W=1394": 25006,
            "1276533073.M242911P3632.host": 25017,
            "1276533074.host with blanks": 25021,
        },
    )


def test_version_1() -> None:
    """The format that Courier has too."""
    assert read_uidlist(b"1 99 12\n7 a.b.c:2,S\n11 d.e.f\n") == UidList(
        99, 12, {"a.b.c": 7, "d.e.f": 11}
    )


def test_appended_lines_raise_the_next_uid() -> None:
    """Dovecot appends lines without touching the header."""
    found = read_uidlist(b"3 V5 N2\n1 :a\n2 :b\n3 :c\n")
    assert found is not None
    assert found.uid_next == 4


def test_doubtful_lines() -> None:
    """A UID or a file given twice is believed once; junk and a torn last line never."""
    found = read_uidlist(b"3 V5 N9\n1 :a\n1 :b\n2 :a\n0 :c\nx :d\n99999999999 :e\n3 :f\n4 :tor")
    assert found == UidList(5, 9, {"a": 1, "f": 3})


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"2 V5 N9\n", b"3 N9\n", b"3 V0 N9\n", b"3 V5 Nx\n", b"3 V5 N9999999999\n"]
)
def test_no_uidlist(data: bytes) -> None:
    """What has no believable header is not read at all."""
    assert read_uidlist(data) is None


@settings(max_examples=100)
@given(st.integers(0, len(VERSION_3)), st.binary(max_size=8))
def test_torn_lists_never_lie(cut: int, junk: bytes) -> None:
    """Cut and followed by anything, a list never gives a file another UID than its own."""
    whole, torn = read_uidlist(VERSION_3), read_uidlist(VERSION_3[:cut] + junk)
    assert whole is not None
    for base, uid in (torn.uids if torn else {}).items():
        if base in whole.uids and cut == len(VERSION_3):
            assert uid == whole.uids[base]
        assert torn is not None
        assert uid < torn.uid_next


def test_keywords() -> None:
    """Letters and keywords, there and back; junk is passed over."""
    data = b"0 $Junk\n1 NonJunk\n25 z\n26 late\nx y\n2 bad(word\n3 $Junk\n1 again\n"
    found = read_keywords(data)
    assert found == {"a": "$Junk", "b": "NonJunk", "z": "z"}
    assert read_keywords(keywords_file(found)) == found


def test_subscriptions() -> None:
    """Both versions of the file name mailboxes as their directories are named."""
    assert read_subscriptions(b"V\t2\n\nSent\nLists\tPython\n") == ["Sent", "Lists.Python"]
    assert read_subscriptions(b"Sent\nLists.Python\n") == ["Sent", "Lists.Python"]
    assert read_subscriptions(b"") == []
