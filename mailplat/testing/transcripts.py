r"""Dialogues as text, played against protocols in memory: what is said, and what must come back.

::

    C: a1 LOGIN alice secret
    S: a1 OK ... Logged in
    2C: b1 NOOP
    2S: b1 OK NOOP completed

``C:`` is what the client sends, a line with its CRLF (``C|`` without one: for literals; ``C+``
without waiting for the answer to the line before); ``S:`` is
the next line that the server must send, in which ``...`` stands for anything; ``S>`` is a line
that must come, after others that do not matter.  A number in front names one of several clients.
Nothing else that the server says may be left out.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from mailplat.testing.wire import MemoryWire

__all__ = ["Step", "play", "steps_of"]

_PATIENCE = 5.0
"""Seconds that a line of the server's may be waited for."""

_LINE = re.compile(r"\s*(\d*)([CS])([:|+>]) ?(.*)")


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a transcript.

    Attributes:
        client: Which client, from 1.
        sent: Whether it is what the client says.
        text: The bytes of the line, with its CRLF where it has one.
        freely: Whether other lines may come before it, or answers still be due.
    """

    client: int
    sent: bool
    text: bytes
    freely: bool = False


def steps_of(transcript: str) -> Iterator[Step]:
    """Read a transcript; empty lines and those that begin with ``#`` are passed over.

    Raises:
        ValueError: A line is neither.
    """
    for line in transcript.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            raise ValueError(f"not a line of a transcript: {line!r}")
        number, side, end, text = found.groups()
        data = text.encode("utf-8", "surrogateescape") + (b"" if end == "|" else b"\r\n")
        yield Step(int(number or 1), side == "C", data, end in ("+", ">"))


async def play(
    transcript: str,
    connect: Callable[[], tuple[MemoryWire, Callable[[bytes], None]]],
    settle: Callable[[], Awaitable[None]],
) -> None:
    """Play a transcript.

    Args:
        transcript: See the module.
        connect: Makes a client: its wire, and what hands bytes to the server.
        settle: Waits until the server has said what it has to say.

    Raises:
        AssertionError: The server said something else, or more.
    """
    clients: dict[int, tuple[MemoryWire, Callable[[bytes], None]]] = {}
    unread: dict[int, bytes] = {}
    for step in steps_of(transcript):
        if step.client not in clients:
            clients[step.client] = connect()
            unread[step.client] = b""
        if step.sent:
            if not step.freely:
                await settle()
                _nothing_left(step, clients, unread)
            clients[step.client][1](step.text)
            continue
        while True:
            line = await _line(step.client, clients, unread, settle)
            if line is not None and re.fullmatch(
                _pattern(step.text.removesuffix(b"\r\n")), line, re.DOTALL
            ):
                break
            if not step.freely or line is None:
                more = (line or b"") + unread[step.client]
                raise AssertionError(f"expected {step.text!r}, got {more!r}")
    await settle()
    _nothing_left(None, clients, unread)


async def _line(
    client: int,
    clients: dict[int, tuple[MemoryWire, Callable[[bytes], None]]],
    unread: dict[int, bytes],
    settle: Callable[[], Awaitable[None]],
) -> bytes | None:
    """Take the next line that the server says, without its CRLF; None if no whole one comes."""
    patient_until = time.monotonic() + _PATIENCE
    while b"\r\n" not in unread[client] and time.monotonic() < patient_until:
        await settle()  # work in threads may take its time
        unread[client] += clients[client][0].take()
    if b"\r\n" not in unread[client]:
        return None
    line, _, unread[client] = unread[client].partition(b"\r\n")
    return line


def _nothing_left(
    step: Step | None,
    clients: dict[int, tuple[MemoryWire, Callable[[bytes], None]]],
    unread: dict[int, bytes],
) -> None:
    for number, (wire, _) in clients.items():
        left = unread[number] + wire.take()
        unread[number] = left
        if left and (step is None or number == step.client):
            raise AssertionError(f"before {step}: client {number} was also told {left!r}")


def _pattern(expected: bytes) -> bytes:
    return b".*".join(re.escape(part) for part in expected.split(b"..."))
