"""One command, from its first byte to a value of `proto.imap.commands`, or to its refusal.

Invariants:

- A literal is taken only if the command is known, allowed now, and within the limits; only
  then is a synchronizing one asked for (RFC 7888 §3).
- ``pending`` is always the literal that was announced last and not read: what `drain` goes by.
- A message (APPEND, REPLACE) is not read here: reading stops at its announcement.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from dataclasses import dataclass

from mailplat.proto.imap.commands.event import Command
from mailplat.proto.imap.fragments import Flooded, Fragments, LongLine
from mailplat.proto.imap.limits import Limits
from mailplat.proto.imap.refusal import bad, no
from mailplat.proto.imap.syntax import Grammar, State, Syntax
from mailplat.proto.imap.tokens import Announced, LiteralMissing, Mode, Tokens, announced_in

__all__ = ["CommandReader", "Reading", "tag_of"]

# a tag is echoed, so it is kept short
_TAG = re.compile(rb'([^\x00-\x20\x7f-\xff(){%*"\\+]{1,255})(?= |\Z)')
_WORD = re.compile(rb" ([A-Za-z0-9.\-_]+)(?= |\Z)")
_ID = re.compile(rb"[^ ]+ ID ", re.IGNORECASE)
_CONTINUE = b"+ OK\r\n"


def tag_of(line: bytes) -> bytes | None:
    """The tag that a line begins with, if it can be read."""
    found = _TAG.match(line)
    return found[1] if found else None


@dataclass(frozen=True, slots=True)
class Reading:
    """A command that was read; of a message that follows, the literal is still ``pending``.

    Attributes:
        command: What was asked.
        name: By what name, for the answer.
    """

    command: Command
    name: str


class CommandReader:
    """Reads commands of one connection.

    Attributes:
        state: Decides what may come, and the limits.
        mode: What is enabled.
        pending: The literal announced by the last line, not read yet.
        tag: The tag of the command being read, None if it has none that can be read.
        non_synchronizing: As in `Limits`; may be changed between commands.
    """

    def __init__(
        self, fragments: Fragments, grammar: Grammar, limits: Limits, send: Callable[[bytes], None]
    ) -> None:
        self.state = State.NOT_AUTHENTICATED
        self.mode = Mode()
        self.pending: Announced | None = None
        self.tag: bytes | None = None
        self.non_synchronizing = limits.non_synchronizing
        self._fragments = fragments
        self._grammar = grammar
        self._limits = limits
        self._send = send

    @property
    def line_limit(self) -> int:
        """Bytes that a line may have now."""
        if self.state is State.NOT_AUTHENTICATED:
            return self._limits.line_before_login
        return self._limits.line

    @property
    def longest_line(self) -> int:
        """Bytes that a line may have whatever it says: only ID may be longer than others."""
        if self.state is State.NOT_AUTHENTICATED:
            return max(self.line_limit, self._limits.id_line)
        return self.line_limit

    @property
    def literal_limit(self) -> int:
        """Bytes that a literal may have now, unless it is a message."""
        if self.state is State.NOT_AUTHENTICATED:
            return min(self._limits.literal, self._limits.line_before_login)
        return self._limits.literal

    def line(self) -> Generator[None, None, bytes]:
        """Read a line, and note the literal that it announces."""
        self.pending = None
        try:
            line = yield from self._fragments.line(self.line_limit)
        except LongLine as fault:
            if self.longest_line == self.line_limit or not _ID.match(fault.head):
                raise
            line = yield from self._fragments.line(self.longest_line)
        self.pending = announced_in(line)
        return line

    def command(self, line: bytes) -> Generator[None, None, Reading]:
        """Read the command that begins with a line.

        Raises:
            Refusal: It makes no sense, or not now, or is too large; it is to be drained.
            BadLine: A further line of it cannot be read.
        """
        name, syntax, start = self._head(line)
        literals: list[bytes] = []
        while self.pending is not None:
            if syntax.streams:
                try:
                    command = self._parsed(syntax, line, literals, start)
                except LiteralMissing:
                    pass  # the literal is the mailbox's name, not the message
                else:
                    self.check_message(self.pending, 1)
                    return Reading(command, name)
            held = len(line) + sum(map(len, literals))
            self._check_literal(self.pending, len(literals), held)
            literals.append((yield from self._literal(self.pending)))
            line += b"\r\n" + (yield from self.line())
        try:
            return Reading(self._parsed(syntax, line, literals, start), name)
        except LiteralMissing:  # it looks like one, and is none: a size of a hundred digits
            raise bad("Invalid literal") from None

    def go_on(self) -> None:
        """Ask for the pending literal, if the client waits for that (RFC 9051 §7.6)."""
        if self.pending is not None and self.pending.synchronizing:
            self._send(_CONTINUE)

    def check_message(self, announced: Announced, number: int) -> None:
        """See whether a message may come.

        Args:
            announced: Its literal.
            number: The how manieth message of its command it is, from 1.

        Raises:
            Refusal: It may not.
        """
        if announced.size > self._limits.message:
            raise no("Message size exceeds the limit", "TOOBIG")  # (RFC 7889 §4)
        if number > self._limits.messages:
            raise no("Too many messages in one command", "LIMIT")
        self._check_synchronizing(announced)

    def rest_of_line(self) -> Generator[None, None, None]:
        """After `BadLine`: pass over the line's rest.

        Raises:
            Flooded: It is too long even for that.
        """
        self.pending = None
        self.pending = yield from self._fragments.rest_of_line(self._drain_limit)

    def drain(self) -> Generator[None, None, None]:
        """Pass over what the client sends of a command, whatever we answer (RFC 7888 §4).

        Raises:
            Flooded: It is too much.
        """
        left = self._drain_limit
        while self.pending is not None and not self.pending.synchronizing:
            left -= self.pending.size
            if left < 0:
                raise Flooded
            yield from self._fragments.pass_over(self.pending.size)
            yield from self.rest_of_line()
        self.pending = None

    @property
    def _drain_limit(self) -> int:
        if self.state is State.NOT_AUTHENTICATED:
            return self._limits.drained_before_login
        return self._limits.drained

    def _head(self, line: bytes) -> tuple[str, Syntax, int]:
        """Name the command of a line; tell where its arguments begin."""
        self.tag = tag_of(line)
        if self.tag is None:
            raise bad("Expected a tag")
        word = _WORD.match(line, len(self.tag))
        if word is None:
            raise bad("Expected a command")
        name, start = word[1].upper(), word.end()
        if name == b"UID":
            second = _WORD.match(line, start)
            if second is not None:
                name, start = b"UID " + second[1].upper(), second.end()
        syntax = self._grammar.commands.get(name)
        if syntax is None:
            raise bad("Unknown command")
        shown = name.decode("ascii")
        if self.state not in syntax.states:
            raise bad(f"{shown} is not allowed in the state: {self.state.value}")
        return shown, syntax, start

    def _parsed(self, syntax: Syntax, text: bytes, literals: list[bytes], start: int) -> Command:
        tokens = Tokens(text, literals, self.mode, start)
        return syntax.read(tokens, self.tag or b"")

    def _literal(self, announced: Announced) -> Generator[None, None, bytes]:
        self.go_on()
        self.pending = None
        return (yield from self._fragments.literal(announced.size))

    def _check_literal(self, announced: Announced, count: int, held: int) -> None:
        if announced.size > self.literal_limit or held + announced.size > self._limits.command:
            raise bad("Literal too large", "TOOBIG")
        if count >= self._limits.literals:
            raise bad("Too many literals", "LIMIT")
        self._check_synchronizing(announced)

    def _check_synchronizing(self, announced: Announced) -> None:
        limit = self.non_synchronizing
        if limit is not None and not announced.synchronizing and announced.size > limit:
            raise bad("Non-synchronizing literal too large", "TOOBIG")  # (RFC 7888 §5)
