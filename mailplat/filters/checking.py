"""What a filter answered, looked at before anybody believes it.

Invariant: a verdict that comes out of `checked` can be logged, written into a header, said to a
client and applied, whatever the filter had in mind: its types are right, its size is bounded, no
text of it breaks a line, and its reply is a refusal of the action's own kind.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mailplat.message import headers
from mailplat.model.address import Address
from mailplat.model.envelope import Notify, Return
from mailplat.model.reply import Reply
from mailplat.model.verdict import (
    Action,
    AddHeader,
    AddRecipient,
    ChangeHeader,
    ChangeSender,
    InsertHeader,
    RemoveHeader,
    RemoveRecipient,
    ReplaceBody,
    Score,
    Tag,
    Verdict,
)

__all__ = ["Bounds", "Unsound", "checked", "printable"]

_REASON = 500
"""Characters of a reason, a reply's line, a tag or a mailbox name."""

_NO_DOMAIN = set(' <>()@,;\\"')
_LINES = 20
"""Lines of a reply."""


class Unsound(Exception):
    """An answer that no filter may give.

    Attributes:
        reason: For the log; holds none of the filter's text.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much one verdict may ask for.

    Attributes:
        changes: How many.
        header_bytes: Bytes of names and values that it adds to the header.
        body_bytes: Bytes of a body that it puts in place of the message's.
    """

    changes: int = 100
    header_bytes: int = 64 * 1024
    body_bytes: int = 50 * 1024 * 1024


def printable(text: str, longest: int = _REASON) -> str:
    """Make a line of somebody's text: bounded, and blanks for what is not printable."""
    return "".join(char if char.isprintable() else " " for char in text[:longest])


def checked(answer: Any, bounds: Bounds, remap: Mapping[Action, Action]) -> Verdict:
    """Give the verdict that an answer is.

    Args:
        answer: Anything.
        bounds: How much it may ask for.
        remap: Other actions for some, as the operator wants it.

    Raises:
        Unsound: It is none.
    """
    if not isinstance(answer, Verdict):
        raise Unsound(f"it answered a {type(answer).__name__}")
    verdict: Verdict = answer
    if not isinstance(verdict.action, Action):
        raise Unsound("its verdict has no action")
    if not isinstance(verdict.reason, str) or not isinstance(verdict.mailbox, str):
        raise Unsound("its verdict's reason or mailbox is no text")
    if verdict.changes:
        _check_changes(verdict.changes, bounds)
    action = remap.get(verdict.action, verdict.action)
    reply = _reply(verdict)
    reason = verdict.reason or (reply.text if reply is not None else "")
    return Verdict(
        action,
        reply if action is verdict.action else None,
        verdict.changes,
        printable(reason),
        printable(verdict.mailbox),
    )


def _reply(verdict: Verdict) -> Reply | None:
    """Give a reply of the action's own kind; None lets the server find the words."""
    reply = verdict.reply
    if reply is None:
        return None
    if (
        not isinstance(reply, Reply)
        or not isinstance(reply.code, int)
        or not isinstance(reply.lines, tuple)
        or not isinstance(reply.status, str)
        or not all(isinstance(line, str) for line in reply.lines)
    ):
        raise Unsound("its reply is none")
    fits = reply.permanent if verdict.action is Action.REJECT else reply.transient
    if verdict.action not in (Action.REJECT, Action.DEFER) or not fits:
        return None
    if not 0 < len(reply.lines) <= _LINES or not _is_status(reply.status, reply.code):
        return None
    lines = tuple(printable(line) for line in reply.lines)
    return reply if lines == reply.lines else Reply(reply.code, lines, reply.status)


def _is_status(status: str, code: int) -> bool:
    """Tell whether it is an enhanced status code of the reply's own class (RFC 2034 §4)."""
    if not status:
        return True
    words = status.split(".")
    numbers = len(words) == 3 and all(w.isascii() and w.isdigit() and len(w) < 4 for w in words)
    return numbers and words[0] == str(code // 100)


def _check_changes(changes: Any, bounds: Bounds) -> None:
    if not isinstance(changes, tuple):
        raise Unsound("its changes are no tuple")
    if len(changes) > bounds.changes:
        raise Unsound(f"it asked for {len(changes)} changes")
    added = 0
    for change in changes:
        match change:
            case AddHeader(str() as name, str() as value):
                added += len(name) + len(value)
                if not headers.is_name(name):
                    raise Unsound("it asked for a header field of an impossible name")
            case InsertHeader(
                str() as name, bytes() as exact, None | int() as index
            ) | ChangeHeader(str() as name, int() as index, bytes() as exact):
                added += len(name) + len(exact)
                _check_exact(name, exact, index)
            case RemoveHeader(str(), None | bytes()):
                pass
            case ReplaceBody(bytes() as body):
                if len(body) > bounds.body_bytes:
                    raise Unsound(f"it asked for a body of {len(body)} bytes")
            case ChangeSender(None | Address() as address, None | Return(), str() as parameter):
                _check_address(address, parameter)
            case AddRecipient(Address() as address, frozenset() as notify, str() as parameter):
                if not all(isinstance(one, Notify) for one in notify):
                    raise Unsound("it asked for a notification that there is not")
                _check_address(address, parameter)
            case RemoveRecipient(Address() as address):
                _check_address(address)
            case Tag(str() as name):
                if not name or printable(name) != name:
                    raise Unsound("it asked for a tag that is no word")
            case Score(str() as name, int() | float() as points):
                if printable(name) != name or not math.isfinite(points):
                    raise Unsound("it gave points that are no number")
            case _:
                raise Unsound(f"it asked for a {type(change).__name__}")
    if added > bounds.header_bytes:
        raise Unsound(f"it asked for {added} bytes of header fields")


def _check_exact(name: str, value: bytes, index: int | None) -> None:
    """Let nothing into a header that would leave its field."""
    try:
        headers.exact_field(name, value)
    except ValueError:
        raise Unsound("it asked for a header field that cannot be") from None
    if index is not None and index < 0:
        raise Unsound("it asked for a header field at a place that is none")


def _check_address(address: Address | None, parameter: str = "") -> None:
    """Let no address onto the wire that is two lines, or more than a path (RFC 5321 §4.5.3.1)."""
    if printable(parameter) != parameter:
        raise Unsound("it asked for a parameter that is no word")
    if address is None:
        return
    halves = (address.local, address.domain)
    if not all(isinstance(half, str) and printable(half) == half for half in halves):
        raise Unsound("it asked for an address that is none")
    if not address.local or len(str(address)) > 254 or _NO_DOMAIN & set(address.domain):
        raise Unsound("it asked for an address that is none")
