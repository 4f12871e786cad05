"""Address lists of header fields, as ENVELOPE shows them (RFC 5322 §3.4 and §4.4).

Every list can be read: what breaks the grammar becomes an address with an empty host, never an
error and never a group, whose mark is a host that is missing (RFC 9051 §7.5.2).  Names keep
their encoded words.  The work is linear in the size of the field.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["MAX_ADDRESSES", "Mailbox", "parse"]


class Mailbox(NamedTuple):
    """One address structure of ENVELOPE.

    Attributes:
        name: The display name, or else the comment behind the address; without quoting.
        route: The source route ``@a,@b`` of RFC 5322 §4.4, without the colon.
        local: The local part without quoting; the group's name where ``host`` is None; None
            together with ``host`` at a group's end.
        host: The domain, ``b""`` if the address lacks one.
    """

    name: bytes | None
    route: bytes | None
    local: bytes | None
    host: bytes | None


MAX_ADDRESSES = 4000
"""Addresses of one field; more are left out of ENVELOPE, which is several times their size."""

_END_OF_GROUP = Mailbox(None, None, None, None)

# the spelling of nearly all addresses: "Name" <local@host>, Name <local@host>, local@host
_SIMPLE = re.compile(
    rb"""\s*+(?:
      (?:"([^"\\\r\n]*+)"|([^\s"(),:;<>@\[\]\\]++(?:[ \t]++[^\s"(),:;<>@\[\]\\]++)*+))?+
        [ \t]*+<([^\s"(),:;<>@\[\]\\]++)@([^\s"(),:;<>@\[\]\\]++)>
      |([^\s"(),:;<>@\[\]\\]++)@([^\s"(),:;<>@\[\]\\]++)
    )\s*+(?:,|\Z)""",
    re.VERBOSE,
)
_TOKEN = re.compile(
    rb"""([ \t\r\n]++)                       # 1 blanks
    |"((?:[^"\\]++|\\.)*+)(?:"|\\?\Z)        # 2 a quoted string, closed or not
    |(\()                                    # 3 a comment begins
    |(\[(?:[^\[\]\\]++|\\.)*+\]?+)           # 4 a domain literal
    |([^\s"(),:;<>@\[\]\\]++)                # 5 an atom, dots included
    |(.)                                     # 6 anything else, one by one
    """,
    re.VERBOSE | re.DOTALL,
)

_COMMENT = re.compile(rb"([^()\\]++)|\\(.)|([()])|(\\)", re.DOTALL)
_QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)
_FOLD = re.compile(rb"\r*\n")


class _Gap(bytes):
    """Blanks between words: not the same as a quoted word that is a blank."""


_GAP = _Gap(b" ")


def parse(value: bytes, limit: int = MAX_ADDRESSES) -> list[Mailbox]:
    """Read an address list; empty members are passed over (RFC 5322 §4.4).

    Args:
        value: The field's value, folded or not.
        limit: Members to read at most, the marks of groups included; the address and the group
            that are begun then are still ended.
    """
    found: list[Mailbox] = []
    at, size = 0, len(value)
    while at < size and len(found) < limit:
        simple = _SIMPLE.match(value, at)
        if simple is None:
            return found + _Reader(value, at, limit - len(found)).read()
        quoted, phrase, local, host, bare, bare_host = simple.groups()
        if bare is not None:
            found.append(Mailbox(None, None, bare, bare_host))
        else:
            name = quoted if quoted is not None else phrase
            found.append(Mailbox(name or None, None, local, host))
        at = simple.end()
    return found


class _Reader:
    """Reads lists of any spelling, token by token."""

    def __init__(self, value: bytes, at: int, limit: int) -> None:
        self._limit = limit
        self._value = _FOLD.sub(b"", value[at:])
        self._found: list[Mailbox] = []
        self._in_group = False
        self._clear()

    def _clear(self) -> None:
        self._words: list[bytes] = []  # the phrase, or the local part before "<" decides
        self._gap = False  # blanks were before the next word
        self._comment: bytes | None = None
        self._angle = False  # inside <...>
        self._angle_seen = False
        self._route: list[bytes] = []
        self._local: list[bytes] = []
        self._host: list[bytes] | None = None  # None until the "@"

    def read(self) -> list[Mailbox]:
        """Go through the tokens, an address being done at a comma or at the end."""
        value, at, size = self._value, 0, len(self._value)
        while at < size and len(self._found) < self._limit:
            token = _TOKEN.match(value, at)
            if token is None:  # a lone backslash at the end
                break
            at = token.end()
            kind = token.lastindex
            if kind == 1:
                self._gap = True
            elif kind == 3:
                at = self._read_comment(at)
            elif kind == 6:
                self._special(token[6])
            elif kind == 2:
                quoted = token[2]
                self._word(_QUOTED_PAIR.sub(rb"\1", quoted) if b"\\" in quoted else quoted, True)
            else:
                self._word(token[kind or 0], False)
        self._finish()
        if self._in_group:
            self._found.append(_END_OF_GROUP)
        return self._found

    def _read_comment(self, at: int) -> int:
        """Read a comment with those inside it; give where it ends."""
        text: list[bytes] = []
        depth = 1
        for token in _COMMENT.finditer(self._value, at):
            at = token.end()
            if token[3] == b"(":
                depth += 1
            elif token[3] == b")":
                depth -= 1
                if not depth:
                    break
            text.append(token[1] or token[2] or token[3] or b"")
        self._comment = b"".join(text).strip()
        self._gap = True
        return at

    def _word(self, word: bytes, quoted: bool) -> None:
        if self._angle_seen and not self._angle:
            pass  # behind the ">"
        elif self._host is not None:
            dotted = word.startswith(b".") or self._host[-1:] == [] or self._host[-1].endswith(b".")
            if dotted or not self._gap:
                self._host.append(word)  # "a@b and words" ends at the blank
        elif self._angle:
            self._local.append(word)
        else:
            if self._words and (self._gap or quoted):
                self._words.append(_GAP)
            self._words.append(word)
        self._gap = False

    def _special(self, mark: bytes) -> None:
        if mark == b",":
            if self._angle and self._host is not None and not self._local:
                self._add_route()  # <@a,@b:local@host>
            else:
                self._finish()
        elif mark == b"<":
            self._open_angle()
        elif mark == b">":
            self._angle = False
        elif mark == b"@":
            self._at()
        elif mark == b":":
            self._colon()
        elif mark == b";":
            self._finish()
            if self._in_group:
                self._found.append(_END_OF_GROUP)
                self._in_group = False
        else:
            self._word(mark, False)

    def _open_angle(self) -> None:
        if self._host is not None:  # "a@b <a@b>": what was read is the name
            self._words = [*self._local, b"@", *self._host]
        self._angle, self._angle_seen = True, True
        self._local, self._host = [], None

    def _at(self) -> None:
        if self._angle_seen and not self._angle:
            return
        if self._host is not None:
            if self._angle and not self._local:
                self._add_route()  # <@a@b:...>, the comma left out
                self._host = []
                return
            self._local += [b"@", *self._host]  # a@b@c: the last one divides
        elif not self._angle:
            self._take_local()
        self._host = []

    def _take_local(self) -> None:
        """Make the words before a bare "@" a local part, and a name of what cannot be of it."""
        words = self._words
        cut = len(words)
        while cut:
            if words[cut - 1] is _GAP:
                around_dot = words[cut].startswith(b".") or words[cut - 2].endswith(b".")
                if not around_dot:  # "A name a@b" lacks its brackets; "a . b@c" is one local part
                    break
            cut -= 1
        self._local = [word for word in words[cut:] if word is not _GAP]
        self._words = words[: max(cut - 1, 0)]

    def _add_route(self) -> None:
        if self._host:
            self._route.append(b"@" + b"".join(self._host))
        self._host = None

    def _colon(self) -> None:
        if self._angle:
            self._add_route()
            self._local = []
        elif self._host is None and not self._in_group and not self._angle_seen:
            name = b"".join(self._words)
            self._clear()
            self._found.append(Mailbox(None, None, name, None))
            self._in_group = True
        else:
            self._word(b":", False)

    def _finish(self) -> None:
        """Add the address that was read, if there is anything of it."""
        name = b"".join(self._words) or None
        if self._host is not None or self._angle_seen:
            route = b",".join(self._route) or None
            local, host = b"".join(self._local), b"".join(self._host or ())
            if local or host or name:
                name = name if name is not None else self._comment or None
                self._found.append(Mailbox(name, route, local, host))
        elif name is not None:
            self._found.append(Mailbox(self._comment or None, None, name, b""))
        self._clear()
