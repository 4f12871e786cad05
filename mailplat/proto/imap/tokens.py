"""The words of a command, read one after the other (RFC 9051 §9).

A command's text is one ``bytes`` in which each literal is still announced (``{5}`` CRLF) and its
bytes stand aside; each method reads one thing at the cursor with one compiled pattern.

Invariants:

- SP is exactly one space; NUL and other controls stand nowhere but in a literal8.
- Quoted strings may hold UTF-8, whatever is enabled (RFC 6855 §3): what is no UTF-8 is BAD.
- Every fault raises `Refusal`; nothing else is ever raised on any input.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from typing import Any, NoReturn, TypeVar

from mailplat.model.errors import MailError
from mailplat.model.flags import SYSTEM_FLAGS, is_keyword
from mailplat.model.mailbox import normal_name
from mailplat.model.numset import MAX_NUMBER, NumSet
from mailplat.proto.imap import utf7
from mailplat.proto.imap.refusal import bad, no
from mailplat.proto.imap.sets import PartialRange, SequenceSet

__all__ = [
    "MAX_MODSEQ",
    "MAX_NUMBER64",
    "Announced",
    "LiteralMissing",
    "Mode",
    "Tokens",
    "announced_in",
]

T = TypeVar("T")

MAX_NUMBER64 = 0x7FFFFFFFFFFFFFFF
"""The highest number64 (RFC 9051 §9)."""

MAX_MODSEQ = 0x7FFFFFFFFFFFFFFF
"""The highest MODSEQ (RFC 7162 §7)."""

_LITERAL = re.compile(rb"(~?)\{(\d+)(\+?)\}")
_LITERAL_AT_END = re.compile(rb"(~?)\{(\d+)(\+?)\}\Z")
_ATOM = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\\]]+')
_ASTRING = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\]+')
_PATTERN = re.compile(rb'[^\x00-\x20\x7f-\xff(){"\\]+')
_QUOTED = re.compile(rb'"([^"\\\r\n\x00]*(?:\\["\\][^"\\\r\n\x00]*)*)"')
_ESCAPED = re.compile(rb"\\(.)")
_WORD = re.compile(rb"[A-Za-z0-9.\-_=+]+")
_NUMBER = re.compile(rb"\d{1,20}")
_FLAG = re.compile(rb'\\?[^\x00-\x20\x7f-\xff(){%*"\\\]]+')
_SET = re.compile(
    rb"\$|(?:\d{1,10}|\*)(?::(?:\d{1,10}|\*))?(?:,(?:\d{1,10}|\*)(?::(?:\d{1,10}|\*))?)*"
)
_AFTER_SET = frozenset({b"", b" ", b")"})
_PARTIAL_RANGE = re.compile(rb"(\d{1,10}):(\d{1,10})|(-\d{1,10}):(-\d{1,10})")
_DATE = re.compile(rb'("?)(\d{1,2})-([A-Za-z]{3})-(\d{4})\1')
_DATE_TIME = re.compile(
    rb'"([ \d]?\d)-([A-Za-z]{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)"'
)
_OBJECT_ID = re.compile(rb"[A-Za-z0-9_\-]{1,255}")
_MONTHS = {
    name: number
    for number, name in enumerate(
        b"JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split(), start=1
    )
}
_SYSTEM = {name.upper().encode("ascii"): name for name in SYSTEM_FLAGS}


class LiteralMissing(Exception):
    """The text wants a literal whose bytes have not been asked for yet."""


@dataclass(frozen=True, slots=True)
class Announced:
    """A literal that the end of a line announces.

    Attributes:
        size: Its bytes.
        synchronizing: Whether the client waits for a continuation request (RFC 7888 §3).
        binary: Whether it is a literal8, and may hold NUL (RFC 3516 §7).
    """

    size: int
    synchronizing: bool
    binary: bool


def announced_in(line: bytes) -> Announced | None:
    """Find the literal that a line announces at its end, whatever else it says (RFC 7888 §3)."""
    if not line.endswith(b"}"):
        return None
    found = _LITERAL_AT_END.search(line[-64:])
    if found is None:
        return None
    size = int(found[2]) if len(found[2]) <= 19 else MAX_NUMBER64
    return Announced(size, not found[3], bool(found[1]))


@dataclass(frozen=True, slots=True)
class Mode:
    """What the reading of a command depends on, besides its text.

    Attributes:
        utf8: Whether mailbox names are UTF-8, not modified UTF-7 (RFC 6855, RFC 9051 §5.1).
        enabled: What ENABLE turned on, in capitals.
        nesting: How deep lists and search keys may go.
        charsets: Names in capitals that SEARCH takes, with Python's for them.
        fetch_items: Further FETCH items: name in capitals, and what reads the rest of one.
        search_keys: Likewise for SEARCH.
    """

    utf8: bool = False
    enabled: frozenset[str] = frozenset()
    nesting: int = 50
    charsets: Mapping[str, str] = field(
        default_factory=lambda: {"US-ASCII": "ascii", "UTF-8": "utf-8"}
    )
    fetch_items: Mapping[bytes, Callable[[Tokens], Any]] = field(default_factory=dict)
    search_keys: Mapping[bytes, Callable[[Tokens], Any]] = field(default_factory=dict)


class Tokens:
    """A cursor on the text of one command.

    Attributes:
        text: All lines of the command, each literal announced and followed by CRLF.
        at: The cursor.
        literals: The literals' bytes, in order.
        mode: What the reading depends on.
    """

    __slots__ = ("_next_literal", "at", "literals", "mode", "text")

    def __init__(
        self, text: bytes, literals: Sequence[bytes] = (), mode: Mode | None = None, at: int = 0
    ) -> None:
        self.text = text
        self.at = at
        self.literals = literals
        self.mode = mode or Mode()
        self._next_literal = 0

    # punctuation

    def space(self) -> None:
        """Read one SP."""
        self.expect(b" ")

    def expect(self, what: bytes) -> None:
        """Read exactly these bytes."""
        if not self.found(what):
            self.fail("Missing argument" if self.at_end else "Syntax error in the arguments")

    def found(self, what: bytes) -> bool:
        """Read these bytes if they come next; tell whether they did."""
        if self.text.startswith(what, self.at):
            self.at += len(what)
            return True
        return False

    def follows(self, what: bytes) -> bool:
        """Whether these bytes come next, without reading them."""
        return self.text.startswith(what, self.at)

    @property
    def at_end(self) -> bool:
        """Whether the whole text was read."""
        return self.at >= len(self.text)

    def end(self) -> None:
        """Make sure that nothing but blanks is left: some clients leave one at the end."""
        if self.text[self.at :].strip(b" "):
            self.fail("Too many arguments")

    def fail(self, text: str) -> NoReturn:
        """Refuse the command: BAD."""
        raise bad(text)

    # words and numbers

    def word(self) -> bytes:
        """Read a keyword of the protocol; give it in capitals."""
        return self._match(_WORD, "Syntax error in the arguments").upper()

    def atom(self) -> bytes:
        """Read an atom."""
        return self._match(_ATOM, "Expected an atom")

    def number(self, highest: int = MAX_NUMBER, lowest: int = 0) -> int:
        """Read a number; 32 bits if not said otherwise."""
        value = int(self._match(_NUMBER, "Expected a number"))
        if not lowest <= value <= highest:
            self.fail("Number out of range")
        return value

    def nz_number(self) -> int:
        """Read a number from 1 to 4294967295."""
        return self.number(lowest=1)

    def number64(self) -> int:
        """Read a number of up to 63 bits."""
        return self.number(MAX_NUMBER64)

    def object_id(self) -> str:
        """Read an objectid (RFC 8474 §7), quoted or not."""
        value = self.astring()
        if not _OBJECT_ID.fullmatch(value):
            self.fail("Not an object identifier")
        return value.decode("ascii")

    # strings

    def astring(self) -> bytes:
        """Read an atom (``]`` allowed), a quoted string or a literal."""
        return self._string_or(_ASTRING)

    def list_mailbox(self) -> bytes:
        """Read a pattern of LIST: wildcards may stand in it unquoted."""
        return self._string_or(_PATTERN)

    def string(self) -> bytes:
        """Read a quoted string or a literal."""
        value = self._string()
        return value if value is not None else self.fail("Expected a string")

    def nstring(self) -> bytes | None:
        """Read a string, or NIL for None."""
        value = self._string()
        if value is None and self.word() != b"NIL":
            self.fail("Expected a string or NIL")
        return value

    def text_argument(self) -> str:
        """Read an astring that must be UTF-8."""
        return self._utf8(self.astring())

    def charset(self) -> str:
        """Read a charset's name; give Python's name for it (RFC 9051 §6.4.4).

        Raises:
            Refusal: NO [BADCHARSET] if it is none of the mode's.
        """
        value = self._string()
        name = (self.atom() if value is None else value).decode("utf-8", "replace").upper()
        try:
            return self.mode.charsets[name]
        except KeyError:
            known = " ".join(self.mode.charsets)
            raise no("Charset not supported", f"BADCHARSET ({known})") from None

    # mailboxes

    def mailbox(self) -> str:
        """Read a mailbox name, and put it in its normal spelling.

        Raises:
            Refusal: NO [CANNOT] if no mailbox can have that name.
        """
        return self._normal(self.astring())

    def mailbox_to_create(self) -> str:
        """Read a mailbox name; a separator at its end says nothing to us (RFC 9051 §6.3.4)."""
        name = self.astring()
        return self._normal(name[:-1] if name.endswith(b"/") else name)

    def pattern(self) -> str:
        """Read a pattern or a reference of LIST; its text, wildcards and all.

        One that no name in modified UTF-7 can match is no fault: it matches nothing.
        """
        pattern = self.list_mailbox()
        if self.mode.utf8:
            return self._utf8(pattern)
        try:
            return utf7.decode(pattern)
        except ValueError:
            return pattern.decode("utf-8", "replace")

    # sets

    def sequence_set(self) -> SequenceSet:
        """Read a sequence set."""
        text = self._match(_SET, "Invalid message set")
        if self.text[self.at : self.at + 1] not in _AFTER_SET:
            self.fail("Invalid message set")
        if text == b"$":
            return SequenceSet(saved=True)
        pairs: list[tuple[int, int]] = []
        star: int | None = None
        for part in text.split(b","):
            first, colon, last = part.partition(b":")
            if first == b"*" or last == b"*":
                low = int(first) if first != b"*" else int(last) if last.isdigit() else MAX_NUMBER
                star = low if star is None else min(low, star)
            else:
                pairs.append((int(first), int(last) if colon else int(first)))
        if star == 0 or any(min(pair) < 1 or max(pair) > MAX_NUMBER for pair in pairs):
            self.fail("Invalid message set")
        if star is not None:
            star = min(star, MAX_NUMBER)
        return SequenceSet(NumSet.from_ranges(pairs), star)

    def known_set(self) -> NumSet:
        """Read a set in which ``*`` and ``$`` mean nothing (RFC 7162 §7 known-uids)."""
        numbers = self.sequence_set()
        if numbers.star is not None or numbers.saved:
            self.fail("Only numbers are allowed here")
        return numbers.fixed

    def partial_range(self) -> PartialRange:
        """Read the page of PARTIAL (RFC 9394 §4)."""
        found = _PARTIAL_RANGE.match(self.text, self.at)
        if found is None:
            self.fail("Invalid range")
        first, last = (int(end) for end in found.groups() if end is not None)
        if not (0 < abs(first) <= MAX_NUMBER and 0 < abs(last) <= MAX_NUMBER):
            self.fail("Invalid range")
        self.at = found.end()
        return PartialRange(first, last)

    # flags and dates

    def flag(self) -> str:
        """Read a flag that a client may set."""
        word = self._match(_FLAG, "Expected a flag")
        if word.startswith(b"\\"):
            name = _SYSTEM.get(word.upper())
            if name is None:
                self.fail("No such system flag")
            return name
        return self._keyword(word)

    def keyword(self) -> str:
        """Read a keyword."""
        return self._keyword(self.atom())

    def flag_list(self) -> frozenset[str]:
        """Read flags in parentheses; there may be none."""
        return frozenset(self.listed(Tokens.flag, empty=True))

    def date(self) -> date:
        """Read a day, quoted or not."""
        found = _DATE.match(self.text, self.at)
        if found is None:
            self.fail("Invalid date")
        self.at = found.end()
        try:
            return date(int(found[4]), _MONTHS[found[3].upper()], int(found[2]))
        except (KeyError, ValueError):
            self.fail("Invalid date")

    def date_time(self) -> datetime:
        """Read a moment with its zone, quoted."""
        found = _DATE_TIME.match(self.text, self.at)
        if found is None:
            self.fail("Invalid date-time")
        self.at = found.end()
        day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = found.groups()
        away = timedelta(hours=int(zone_hours), minutes=int(zone_minutes))
        try:
            return datetime(
                int(year),
                _MONTHS[month.upper()],
                int(day),
                int(hour),
                int(minute),
                min(int(second), 59),  # a leap second has no place in a datetime
                tzinfo=timezone(-away if sign == b"-" else away),
            )
        except (KeyError, ValueError):
            self.fail("Invalid date-time")

    # lists and literals

    def listed(self, read: Callable[[Tokens], T], *, empty: bool = False) -> list[T]:
        """Read a list in parentheses, its members parted by single spaces.

        Some clients put a blank behind the opening one and one in front of the closing one.
        """
        self.expect(b"(")
        self.found(b" ")
        found: list[T] = []
        if empty and self.found(b")"):
            return found
        while True:
            found.append(read(self))
            if self.found(b")"):
                return found
            self.space()
            if self.found(b")"):
                return found

    def announced(self) -> Announced | None:
        """The literal announced here, at the end of the text, whose bytes are still to come."""
        if self._next_literal < len(self.literals):
            return None
        return announced_in(self.text) if _LITERAL.fullmatch(self.text, self.at) else None

    # within

    def _match(self, pattern: re.Pattern[bytes], fault: str) -> bytes:
        found = pattern.match(self.text, self.at)
        if found is None:
            self.fail("Missing argument" if self.at_end else fault)
        self.at = found.end()
        return found[0]

    def _string_or(self, pattern: re.Pattern[bytes]) -> bytes:
        value = self._string()
        return self._match(pattern, "Expected a string") if value is None else value

    def _string(self) -> bytes | None:
        """Read a quoted string or a literal, or nothing."""
        if self.follows(b'"'):
            found = _QUOTED.match(self.text, self.at)
            if found is None:
                self.fail("Invalid quoted string")
            self.at = found.end()
            value = found[1]
            if not value.isascii():
                self._utf8(value)
            return _ESCAPED.sub(rb"\1", value) if b"\\" in value else value
        found = _LITERAL.match(self.text, self.at)
        if found is None:
            return None
        if not self.text.startswith(b"\r\n", found.end()) and found.end() < len(self.text):
            self.fail("A literal is announced at the end of a line")
        if self._next_literal >= len(self.literals):
            raise LiteralMissing
        value = self.literals[self._next_literal]
        if b"\0" in value:  # (RFC 9051 §4.3: CHAR8)
            self.fail("NUL is not allowed here")
        self._next_literal += 1
        self.at = found.end() + 2
        return value

    def _utf8(self, value: bytes) -> str:
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            self.fail("Invalid UTF-8")

    def _decoded(self, name: bytes) -> str:
        if self.mode.utf8:
            return self._utf8(name)
        try:
            return utf7.decode(name)
        except ValueError:
            raise no("Mailbox name is not in modified UTF-7", "CANNOT") from None

    def _normal(self, name: bytes) -> str:
        try:
            return normal_name(self._decoded(name))
        except MailError as error:
            raise no(error.public, error.imap_code) from None

    def _keyword(self, word: bytes) -> str:
        name = word.decode("ascii")
        if not is_keyword(name):
            self.fail("Invalid keyword")
        return name
