"""The names of message files: unique, and telling size and flags (the Maildir specification).

A file is called ``UNIQUE,S=4321,W=4400:2,FS``.  What stands before the colon, the *base*, never
changes while the message lives; what follows it, the *letters*, are its flags and change by
renaming.  ``S`` is the size in bytes of the file, ``W`` its size once every line ends in CRLF;
Dovecot and Courier read both.  In ``new`` a file commonly has no letters at all.

Letters that mean nothing to us (other programs' own) stay where they are through every rename.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import count

__all__ = ["FileName", "UniqueNames", "is_as_it_is", "letters_of", "size_of"]

_SYSTEM = {"\\Draft": "D", "\\Flagged": "F", "\\Answered": "R", "\\Seen": "S", "\\Deleted": "T"}
_FORWARDED = "$Forwarded"  # the specification's "P", passed on
_INFO = ":2,"
_SIZES = re.compile(r",S=(\d{1,18}),W=(\d{1,18})(?=,|$)")
_WIRE_SIZE = re.compile(r",W=(\d{1,18})(?=,|$)")
_HOST_ESCAPES = {"/": "\\057", ":": "\\072", ",": "\\054"}


@dataclass(frozen=True, slots=True)
class FileName:
    """The name of a message file, taken apart.

    Attributes:
        base: What identifies the message.
        letters: Its flags: sorted letters of ``:2,``; ``""`` without any.
    """

    base: str
    letters: str = ""

    @classmethod
    def parse(cls, name: str) -> FileName:
        """Take a file's name apart; what follows a colon other than ``:2,`` says no flags."""
        base, colon, info = name.partition(":")
        letters = info[2:] if colon and info.startswith("2,") else ""
        return cls(base, "".join(sorted(set(letters))))

    def in_cur(self) -> str:
        """Spell it as it stands in ``cur``, where ``:2,`` is never left out."""
        return self.base + _INFO + self.letters

    def flags(self, keywords: Mapping[str, str]) -> frozenset[str]:
        """Tell the flags that the letters mean.

        Args:
            keywords: The keyword that each letter from ``a`` to ``z`` stands for.
        """
        found = {flag for flag, letter in _SYSTEM.items() if letter in self.letters}
        found.update(keywords[letter] for letter in self.letters if letter in keywords)
        if "P" in self.letters:
            found.add(_FORWARDED)
        return frozenset(found)


def letters_of(flags: Iterable[str], keywords: Mapping[str, str], before: str = "") -> str:
    """Spell flags as letters.

    Args:
        flags: Flags and keywords; a keyword without a letter is left out.
        keywords: The letter of each keyword, in lower case.
        before: The letters so far, of which those without a meaning are kept.
    """
    known = {*_SYSTEM.values(), "P", *keywords.values()}
    letters = {letter for letter in before if letter not in known}
    for flag in flags:
        letters.update(_SYSTEM.get(flag, ""), keywords.get(flag.lower(), ""))
        if flag.lower() == _FORWARDED.lower():
            letters.add("P")
    return "".join(sorted(letters))


def is_as_it_is(base: str, size: int) -> bool:
    """Whether the name says that a file of so many bytes is served without a change."""
    match = _SIZES.search(base)
    return match is not None and int(match[1]) == int(match[2]) == size


def size_of(base: str) -> int | None:
    """Give the bytes of the message with CRLFs, if its name says so (Maildir++'s ``W``)."""
    match = _WIRE_SIZE.search(base)
    return int(match[1]) if match is not None else None


class UniqueNames:
    """Makes bases that no other delivery on any machine makes.

    The name has the time, the process, a counter, the machine, and a random part that is
    drawn when the process starts: containers share machine names and process ids.

    Args:
        now: The time in seconds since 1970.
    """

    def __init__(self, now: Callable[[], float], host: str | None = None) -> None:
        self._now = now
        host = socket.gethostname() if host is None else host
        self._host = "".join(_HOST_ESCAPES.get(c, c if c > " " else "_") for c in host)[:64]
        self._middle = f"P{os.getpid()}R{os.urandom(8).hex()}Q"
        self._count = count(1)

    def base(self, size: int) -> str:
        """Make one for a file of so many bytes that is served as it is."""
        return f"{self._unique()},S={size},W={size}"

    def base_like(self, base: str) -> str:
        """Make one for another name of a file that there is."""
        _, comma, sizes = base.partition(",")
        return self._unique() + comma + sizes

    def _unique(self) -> str:
        now = self._now()
        stamp = f"{int(now)}.M{int(now % 1 * 1e6):06d}"
        return f"{stamp}{self._middle}{next(self._count)}.{self._host}"
