r"""The mbox format: many messages in one file, each behind a line ``From sender date``.

Written as *mboxrd*: a line of a message that could be taken for a separator, ``From `` with any
number of ``>`` before it, gets one more ``>``.  Read likewise.  Flags are in the fields ``Status``
(``R`` read, ``O`` old), ``X-Status`` (``A`` answered, ``D`` deleted, ``F`` flagged, ``T`` draft)
and ``X-Keywords``, as Dovecot, mutt and Pine have them; on their way in these fields are taken off.

Lines end in LF in the file, and in CRLF in a message.  A message without a last line end gets one:
the format cannot say otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from time import gmtime

from mailplat.message import headers
from mailplat.model.flags import is_keyword

__all__ = ["Mail", "read_mbox", "written"]

_SEPARATOR = re.compile(
    rb"(?:\A|(?<=\n)\r?\n)From [^\n]*?"
    rb"([A-Z][a-z]{2}) +(\d{1,2}) +(\d{1,2}):(\d\d)(?::(\d\d))?"
    rb"(?: +[A-Z]{1,5})?(?: +[+-]\d{4})? +(\d{4})(?: +[+-]\d{4})?[^\S\n]*(?:\n|\Z)"
)
_MONTHS = (
    b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()  # in the file, whatever the locale
)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_QUOTED = re.compile(rb"^>(>*From )", re.MULTILINE)
_TO_QUOTE = re.compile(rb"^(>*From )", re.MULTILINE)
_BARE = re.compile(rb"(?<!\r)\n")
_FLAG_FIELDS = (b"Status", b"X-Status", b"X-Keywords")
_LETTERS = {
    "R": "\\Seen",
    "A": "\\Answered",
    "D": "\\Deleted",
    "F": "\\Flagged",
    "T": "\\Draft",
}


@dataclass(frozen=True, slots=True)
class Mail:
    """A message on its way in or out.

    Attributes:
        data: Its bytes, with CRLF.
        flags: Its flags and keywords.
        date: INTERNALDATE, seconds since 1970 UTC; None if nothing says it.
    """

    data: bytes
    flags: frozenset[str]
    date: int | None


def read_mbox(data: bytes) -> Iterator[Mail]:
    """Take the messages out of a file, one by one.

    Args:
        data: The file; a memory map does.
    """
    before: re.Match[bytes] | None = None
    for found in _SEPARATOR.finditer(data):
        if before is not None:
            yield _mail(data[before.end() : found.start()], before)
        before = found
    if before is not None:
        text = data[before.end() :]
        # the empty line behind the last message
        end = 2 if text.endswith(b"\n\r\n") else 1 if text.endswith(b"\n\n") else 0
        yield _mail(text[: len(text) - end], before)


def _mail(text: bytes, separator: re.Match[bytes]) -> Mail:
    text = _BARE.sub(b"\r\n", _QUOTED.sub(rb"\1", text))
    header, body = headers.split(text)
    flags: set[str] = set()
    for name in _FLAG_FIELDS[:2]:
        for value in headers.every(header, name):
            letters = value.decode("ascii", "replace").upper()
            flags.update(_LETTERS[letter] for letter in letters if letter in _LETTERS)
    for value in headers.every(header, b"X-Keywords"):
        words = value.decode("ascii", "replace").split()
        flags.update(word for word in words if is_keyword(word))
    return Mail(headers.without(header, _FLAG_FIELDS) + body, frozenset(flags), _date(separator))


def _date(separator: re.Match[bytes]) -> int | None:
    month, day, hour, minute, second, year = separator.groups()
    try:
        moment = datetime(
            int(year),
            _MONTHS.index(month) + 1,
            int(day),
            int(hour),
            int(minute),
            int(second or 0),
            tzinfo=UTC,
        )
    except ValueError:
        return None
    return int(moment.timestamp())


def written(mail: Mail) -> bytes:
    """Write a message as it stands in a file, with its separator and an empty line."""
    header, body = headers.split(mail.data)
    header = headers.without(header, _FLAG_FIELDS)
    end = headers.empty_line(header)
    fields = header[: len(header) - len(end)]
    if fields and not fields.endswith(b"\n"):
        fields += b"\r\n"
    fields += _flag_fields(mail.flags)
    text = (fields + (end or b"\r\n") + body).replace(b"\r\n", b"\n")
    if not text.endswith(b"\n"):
        text += b"\n"
    moment = gmtime(mail.date or 0)
    line = (
        f"From MAILER-DAEMON {_DAYS[moment.tm_wday]} {_MONTHS[moment.tm_mon - 1].decode()}"
        f" {moment.tm_mday:2} {moment.tm_hour:02}:{moment.tm_min:02}:{moment.tm_sec:02}"
        f" {moment.tm_year:04}\n"
    )
    return line.encode("ascii") + _TO_QUOTE.sub(rb">\1", text) + b"\n"


def _flag_fields(flags: Iterable[str]) -> bytes:
    flags = set(flags)
    seen = "R" if "\\Seen" in flags else ""
    others = "".join(letter for letter, flag in _LETTERS.items() if letter != "R" and flag in flags)
    lines = [f"Status: {seen}O"]
    if others:
        lines.append(f"X-Status: {others}")
    keywords = sorted(flag for flag in flags if not flag.startswith("\\"))
    if keywords:
        lines.append(f"X-Keywords: {' '.join(keywords)}")
    return "".join(f"{line}\r\n" for line in lines).encode("ascii")
