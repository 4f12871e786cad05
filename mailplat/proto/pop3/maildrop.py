"""A maildrop as one session sees it: numbers, sizes and unique names, fixed at login.

Invariants:

- Message n keeps its number, size and name for the whole session (RFC 1939 §4), whatever
  happens in the mailbox.
- A mark for deletion is only a mark: nothing here deletes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

__all__ = ["DOVECOT", "PLAIN", "Maildrop"]

PLAIN = "{validity}.{uid}"
"""Unique names as we make them."""

DOVECOT = "{uid:08x}{validity:08x}"
"""Unique names as Dovecot makes them by default (``pop3_uidl_format = %08Xu%08Xv``)."""

_LINES = 4096
"""Lines of a listing that are made at a time: some 64 KiB."""


class Maildrop:
    """The messages of one maildrop.

    Args:
        uid_validity: The mailbox's; part of each unique name.
        uids: Ascending.
        sizes: In octets, one for one.
        names: How unique names are made of ``validity`` and ``uid``.

    Attributes:
        count: Messages that are not marked.
        octets: Their sizes' sum.
    """

    def __init__(
        self, uid_validity: int, uids: Sequence[int], sizes: Sequence[int], names: str = PLAIN
    ) -> None:
        self._uid_validity = uid_validity
        self._names = names
        self._uids = uids
        self._sizes = sizes
        self._marks = bytearray(len(uids))
        self.count = len(uids)
        self.octets = sum(sizes)

    def __len__(self) -> int:
        return len(self._uids)

    def __contains__(self, number: int) -> bool:
        """Whether there is a message of that number that is not marked."""
        return 0 < number <= len(self._uids) and not self._marks[number - 1]

    def uid(self, number: int) -> int:
        """Give a message's UID."""
        return self._uids[number - 1]

    def size(self, number: int) -> int:
        """Give a message's size, in octets."""
        return self._sizes[number - 1]

    def name(self, number: int) -> str:
        """Give a message's unique name (RFC 1939 §7 UIDL)."""
        return self._names.format(validity=self._uid_validity, uid=self._uids[number - 1])

    def mark(self, number: int) -> None:
        """Mark a message that is there for deletion."""
        self._marks[number - 1] = 1
        self.count -= 1
        self.octets -= self._sizes[number - 1]

    def unmark(self) -> None:
        """Take all marks back."""
        self._marks = bytearray(len(self._uids))
        self.count = len(self._uids)
        self.octets = sum(self._sizes)

    def marked(self) -> list[int]:
        """Give the UIDs of the messages marked, ascending."""
        return [uid for uid, mark in zip(self._uids, self._marks, strict=True) if mark]

    def size_listing(self) -> Iterator[bytes]:
        """Give LIST's lines, in blocks."""
        for first in range(0, len(self._uids), _LINES):
            rows = zip(count(first + 1), self._sizes[first : first + _LINES], self._marks[first:])
            yield "".join([f"{n} {size}\r\n" for n, size, mark in rows if not mark]).encode()

    def name_listing(self) -> Iterator[bytes]:
        """Give UIDL's lines, in blocks."""
        line = f"{{}} {self._names}\r\n".format
        validity = self._uid_validity
        for first in range(0, len(self._uids), _LINES):
            rows = zip(count(first + 1), self._uids[first : first + _LINES], self._marks[first:])
            lines = [line(n, validity=validity, uid=uid) for n, uid, mark in rows if not mark]
            yield "".join(lines).encode()
