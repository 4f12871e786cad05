"""What is said to clamd, and what it answers (clamd(8)), without a connection.

A command begins with ``z``, so that it and its answer end with NUL.  A body goes in chunks, each
behind its length in four bytes; an empty one ends it.

Invariant: an answer is one of those that clamd gives, to the letter, or it is an error: what is
not understood is never taken for a clean bill.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mailplat.model.errors import Unavailable

__all__ = [
    "END",
    "FILDES",
    "INSTREAM",
    "MOST_ANSWER",
    "Clean",
    "Found",
    "TooLarge",
    "chunk",
    "read_answer",
]

INSTREAM = b"zINSTREAM\0"
FILDES = b"zFILDES\0"
END = bytes(4)
MOST_ANSWER = 4096
"""Bytes of an answer; a signature's name has some tens."""

_ANSWER = re.compile(rb"(?:stream|fd\[\d+\]): (?:(OK)|([\x21-\x7e][\x20-\x7e]*) FOUND)")
_TOO_LARGE = b"INSTREAM size limit exceeded. ERROR"


@dataclass(frozen=True, slots=True)
class Clean:
    """Nothing was found."""


@dataclass(frozen=True, slots=True)
class Found:
    """Something was found.

    Attributes:
        name: The signature's name, printable ASCII.
    """

    name: str


@dataclass(frozen=True, slots=True)
class TooLarge:
    """The body is beyond clamd's StreamMaxLength: it was not scanned."""


def chunk(block: bytes) -> bytes:
    """Frame a block of the body; an empty one would end it, and gives nothing."""
    return len(block).to_bytes(4, "big") + block if block else b""


def read_answer(answer: bytes) -> Clean | Found | TooLarge:
    """Read an answer, without its NUL.

    Raises:
        Unavailable: clamd said that it failed, or nothing that it says.
    """
    if answer == _TOO_LARGE:
        return TooLarge()
    found = _ANSWER.fullmatch(answer)
    if found is None:
        raise Unavailable(f"clamd answered {answer[:200]!r}")
    return Clean() if found[1] else Found(found[2].decode("ascii"))
