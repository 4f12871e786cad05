"""What the two sides of a milter connection agree on before anything else.

We offer all that we can do; the milter takes from that what it wants, and may name the macros that
it wants at each stage.

Invariant: nothing is agreed on that was not offered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag

from mailplat.model.errors import Unavailable
from mailplat.proto.milter.packets import packet

__all__ = ["OURS", "VERSION", "Actions", "Agreed", "MacroStage", "Steps", "offer", "read_agreed"]

VERSION = 6
_OLDEST = 2
_MOST_MACROS = 100
_TOP = 0x70000000
"""Bits that libmilter and sendmail use among themselves."""


class Actions(IntFlag):
    """What a milter may do to a message (SMFIF)."""

    ADD_HEADERS = 0x1
    CHANGE_BODY = 0x2
    ADD_RECIPIENTS = 0x4
    REMOVE_RECIPIENTS = 0x8
    CHANGE_HEADERS = 0x10
    QUARANTINE = 0x20
    CHANGE_SENDER = 0x40
    ADD_RECIPIENTS_WITH_PARAMETERS = 0x80
    NAME_MACROS = 0x100


class Steps(IntFlag):
    """What a milter does not want to be told, and what it does not answer (SMFIP)."""

    NO_CONNECT = 0x1
    NO_HELO = 0x2
    NO_MAIL = 0x4
    NO_RCPT = 0x8
    NO_BODY = 0x10
    NO_HEADERS = 0x20
    NO_END_OF_HEADERS = 0x40
    NO_REPLY_TO_HEADER = 0x80
    NO_UNKNOWN = 0x100
    NO_DATA = 0x200
    SKIP = 0x400
    REJECTED_RECIPIENTS = 0x800
    NO_REPLY_TO_CONNECT = 0x1000
    NO_REPLY_TO_HELO = 0x2000
    NO_REPLY_TO_MAIL = 0x4000
    NO_REPLY_TO_RCPT = 0x8000
    NO_REPLY_TO_DATA = 0x10000
    NO_REPLY_TO_UNKNOWN = 0x20000
    NO_REPLY_TO_END_OF_HEADERS = 0x40000
    NO_REPLY_TO_BODY = 0x80000
    LEADING_SPACE = 0x100000


class MacroStage(IntEnum):
    """Where macros are told (SMFIM)."""

    CONNECT = 0
    HELO = 1
    MAIL = 2
    RCPT = 3
    DATA = 4
    END_OF_MESSAGE = 5
    END_OF_HEADERS = 6


_ALL_ACTIONS = Actions(0x1FF)
_ALL_STEPS = Steps(0x1FFFFF)


@dataclass(frozen=True, slots=True)
class Agreed:
    """What holds on a connection.

    Attributes:
        version: The protocol's.
        actions: What the milter may do.
        steps: What it does not want, and does not answer.
        macros: The macros that it named, by stage; a stage that is missing has the usual ones.
    """

    version: int
    actions: Actions
    steps: Steps
    macros: Mapping[MacroStage, tuple[str, ...]] = field(default_factory=dict)


OURS = Agreed(VERSION, _ALL_ACTIONS, _ALL_STEPS)
"""All that we can do."""


def offer(ours: Agreed = OURS) -> bytes:
    """Write the offer."""
    numbers = (ours.version, int(ours.actions), int(ours.steps))
    return packet("O", b"".join(number.to_bytes(4, "big") for number in numbers))


def read_agreed(data: bytes, ours: Agreed = OURS) -> Agreed:
    """Read what a milter takes of an offer.

    Raises:
        Unavailable: It wants what was not offered, or cannot be understood.
    """
    if len(data) < 12:
        raise Unavailable("the milter's answer to the offer is cut short")
    version, actions, steps = (int.from_bytes(data[at : at + 4], "big") for at in (0, 4, 8))
    if not _OLDEST <= version <= ours.version:
        raise Unavailable(f"the milter speaks version {version}")
    steps &= ~_TOP
    if actions & ~int(ours.actions):
        raise Unavailable(f"the milter wants actions {actions:#x}, which there are not")
    if steps & ~int(ours.steps):
        raise Unavailable(f"the milter wants steps {steps:#x}, which there are not")
    return Agreed(version, Actions(actions), Steps(steps), read_macros(data[12:]))


def read_macros(data: bytes) -> Mapping[MacroStage, tuple[str, ...]]:
    """Read the macros that a milter wants: a stage in four bytes, and their names as a string.

    Raises:
        Unavailable: It is none, or there are too many.
    """
    found: dict[MacroStage, tuple[str, ...]] = {}
    while data:
        stage, (names, end, rest) = data[:4], data[4:].partition(b"\0")
        number = int.from_bytes(stage, "big")
        words = names.decode("ascii", "replace").replace(",", " ").split()
        if len(stage) < 4 or not end or len(words) > _MOST_MACROS:
            raise Unavailable("the milter's list of macros cannot be read")
        try:
            found[MacroStage(number)] = tuple(words)
        except ValueError:
            raise Unavailable(f"the milter wants macros at stage {number}") from None
        data = rest
    return found
