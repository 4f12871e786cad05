r"""FETCH responses in blocks: columns in, joined bytes out (RFC 9051 §7.5.2).

A `FetchWriter` is made once a command from the items asked for; a block is then one format, one
``zip`` and one ``join``.  What a column holds is ready for the wire, or a number; the functions
here make columns ready, each in one pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from enum import Enum

from mailplat.model.flags import flag_wire
from mailplat.proto.imap.spelling import string

__all__ = [
    "FETCH_END",
    "FetchWriter",
    "FlagSpeller",
    "Kind",
    "binary_column",
    "date_column",
    "fetch_start",
    "literal_start",
    "object_id_column",
    "string_column",
    "text_column",
]

FETCH_END = b")\r\n"
"""Ends a response that `fetch_start` began."""


class Kind(Enum):
    """What a column holds, and how it is written."""

    READY = b"%b"
    """``bytes`` that go out as they are."""
    NUMBER = b"%d"
    """``int``."""
    MODSEQ = b"(%d)"
    """``int``, in the parentheses that MODSEQ has (RFC 7162 §7)."""


class FetchWriter:
    """Writes the FETCH responses of one command.

    Args:
        columns: The items in the order of the answer: label and kind.
    """

    def __init__(self, columns: Iterable[tuple[bytes, Kind]]) -> None:
        items = [label.replace(b"%", b"%%") + b" " + kind.value for label, kind in columns]
        self._row = b"* %d FETCH (" + b" ".join(items) + b")\r\n"

    def block(self, numbers: Iterable[int], *columns: Iterable[bytes | int]) -> bytes:
        """Write a block of responses.

        Args:
            numbers: The messages' sequence numbers.
            columns: For each item its values, as many as there are numbers.

        Raises:
            ValueError: A column is longer or shorter than the others.
        """
        row = self._row
        return b"".join([row % values for values in zip(numbers, *columns, strict=True)])


def fetch_start(number: int) -> bytes:
    """Begin a response that is written piece by piece; items are parted by single spaces."""
    return b"* %d FETCH (" % number


def literal_start(size: int, *, binary: bool = False) -> bytes:
    """Announce a literal whose bytes follow by themselves; ``binary``: they may hold NUL."""
    return b"~{%d}\r\n" % size if binary else b"{%d}\r\n" % size


class FlagSpeller:
    r"""Spells masks of one mailbox as they stand behind FLAGS, each mask once.

    Attributes:
        keywords: The mailbox's keywords; set it again whenever they grew.
    """

    def __init__(self, keywords: Sequence[str]) -> None:
        self.keywords = keywords
        self._spelled = _Spelled(self, b"")
        self._recent = _Spelled(self, b"\\Recent")

    def column(self, masks: Iterable[int], *, recent: bool = False) -> list[bytes]:
        r"""Spell masks.

        Args:
            masks: See `model.flags`.
            recent: Whether all of these messages are ``\Recent`` in the session.
        """
        spelled = self._recent if recent else self._spelled
        return list(map(spelled.__getitem__, masks))


class _Spelled(dict[int, bytes]):
    """Mask to wire.  Bounded: a peer that makes many masks makes it begin again."""

    _BOUND = 4096

    def __init__(self, speller: FlagSpeller, more: bytes) -> None:
        super().__init__()
        self._speller = speller
        self._more = more

    def __missing__(self, mask: int) -> bytes:
        if len(self) >= self._BOUND:
            self.clear()
        flags = flag_wire(mask, self._speller.keywords)
        parts = [part for part in (flags, self._more) if part]
        spelled = self[mask] = b"(%b)" % b" ".join(parts)
        return spelled


_DAY = 86400
_EPOCH = date(1970, 1, 1).toordinal()
_MONTHS = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


class _Days(dict[int, bytes]):
    """Days since 1970 to ``"17-Jul-1996``; the bound holds eleven years of mail."""

    _BOUND = 4096

    def __missing__(self, day: int) -> bytes:
        if len(self) >= self._BOUND:
            self.clear()
        try:
            when = date.fromordinal(_EPOCH + day)
        except (ValueError, OverflowError):  # no such year: a damaged index must not stop FETCH
            when = date(1970, 1, 1)
        spelled = self[day] = b'"%02d-%b-%04d' % (when.day, _MONTHS[when.month - 1], when.year)
        return spelled


class _Times(dict[int, bytes]):
    """Seconds of a day to ``02:44:25 +0000"``; at most 86400 of them."""

    def __missing__(self, second: int) -> bytes:
        minutes, seconds = divmod(second, 60)
        spelled = self[second] = b'%02d:%02d:%02d +0000"' % (*divmod(minutes, 60), seconds)
        return spelled


_DAYS = _Days()
_TIMES = _Times()


def date_column(moments: Iterable[int]) -> list[bytes]:
    """Spell seconds since 1970 as INTERNALDATE and SAVEDATE, in UTC (RFC 9051 §9 date-time)."""
    days, times = _DAYS, _TIMES
    return [b"%b %b" % (days[when // _DAY], times[when % _DAY]) for when in moments]


def string_column(values: Iterable[bytes | None]) -> list[bytes]:
    """Spell sections of messages: literals of the very bytes, whatever they are; NIL for None."""
    return [b"NIL" if value is None else b"{%d}\r\n%b" % (len(value), value) for value in values]


def binary_column(values: Iterable[bytes | None]) -> list[bytes]:
    """Spell what BINARY gives: as `string_column`, but literal8 with NUL in it (RFC 3516 §4.3)."""
    return [
        b"NIL" if value is None else literal_start(len(value), binary=b"\0" in value) + value
        for value in values
    ]


def text_column(values: Iterable[str | None], *, utf8: bool) -> list[bytes]:
    """Spell texts such as PREVIEW: quoted where the client takes it, else literals."""
    return [
        b"NIL" if value is None else string(value.encode("utf-8", "replace"), utf8=utf8)
        for value in values
    ]


def object_id_column(values: Iterable[str]) -> list[bytes]:
    """Spell EMAILID or THREADID; NIL where there is none (RFC 8474 §7)."""
    return [b"(%b)" % value.encode("ascii") if value else b"NIL" for value in values]
