"""Tests for `mailplat.proto.pop3.maildrop`."""

from __future__ import annotations

from mailplat.proto.pop3.maildrop import DOVECOT, Maildrop


def test_marks_change_what_is_listed_and_nothing_else() -> None:
    """What is marked is neither counted nor listed; numbers, names and sizes stay."""
    drop = Maildrop(7, [3, 5, 9], [100, 200, 400])
    assert (drop.count, drop.octets, len(drop)) == (3, 700, 3)
    drop.mark(2)
    assert (drop.count, drop.octets, len(drop)) == (2, 500, 3)
    assert [n in drop for n in (-1, 0, 1, 2, 3, 4)] == [False, False, True, False, True, False]
    assert (drop.uid(3), drop.size(3), drop.name(3)) == (9, 400, "7.9")
    assert b"".join(drop.size_listing()) == b"1 100\r\n3 400\r\n"
    assert b"".join(drop.name_listing()) == b"1 7.3\r\n3 7.9\r\n"
    assert drop.marked() == [5]
    drop.unmark()
    assert (drop.count, drop.octets, drop.marked()) == (3, 700, [])


def test_long_listings_come_in_blocks() -> None:
    """A listing of many messages is made a block at a time."""
    drop = Maildrop(1, range(1, 10_001), [1000] * 10_000)
    blocks = list(drop.size_listing())
    assert len(blocks) == 3
    assert max(map(len, blocks)) < 65536
    assert b"".join(blocks) == b"".join(b"%d 1000\r\n" % n for n in range(1, 10_001))
    assert b"".join(drop.name_listing()).endswith(b"\r\n10000 1.10000\r\n")


def test_names_as_dovecot_makes_them() -> None:
    """Who comes from Dovecot finds the names that it gave (seen: UID 20000 of 1795397448)."""
    drop = Maildrop(1795397448, [1, 20000], [10, 20], DOVECOT)
    assert drop.name(1) == "000000016b039748"
    assert b"".join(drop.name_listing()) == b"1 000000016b039748\r\n2 00004e206b039748\r\n"
