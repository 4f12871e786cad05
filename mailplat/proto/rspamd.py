"""What rspamd is told of a message besides its bytes, and what it answers (/checkv2).

The envelope travels in the request's fields, the answer is JSON.

Invariants:

- An answer that names no action, or one that nobody knows, is an error and never "no action".
- What rspamd wants done to the header becomes changes of the model, a bounded number of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mailplat.message import headers
from mailplat.model.errors import Unavailable
from mailplat.model.verdict import AddHeader, Change, RemoveHeader

__all__ = ["Answer", "RspamdAction", "read_answer", "request_fields"]

_MOST_CHANGES = 80
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


class RspamdAction(StrEnum):
    """What rspamd would do with a message."""

    NO_ACTION = "no action"
    GREYLIST = "greylist"
    ADD_HEADER = "add header"
    REWRITE_SUBJECT = "rewrite subject"
    SOFT_REJECT = "soft reject"
    REJECT = "reject"
    QUARANTINE = "quarantine"
    DISCARD = "discard"


@dataclass(frozen=True, slots=True)
class Answer:
    """What rspamd thinks of a message.

    Attributes:
        action: What it would do.
        score: The points that the message got.
        required: The points for a refusal.
        symbols: The rules that matched, in order.
        message: What to tell the peer; ``""`` leaves it to us.
        subject: The subject to give it, where the action is to rewrite it.
        changes: Fields to remove and to add, DKIM-Signature among them.
    """

    action: RspamdAction
    score: float
    required: float
    symbols: tuple[str, ...]
    message: str
    subject: str
    changes: tuple[Change, ...]


def request_fields(
    *,
    sender: str,
    recipients: Sequence[str],
    address: str,
    helo: str,
    hostname: str = "",
    user: str = "",
    queue_id: str = "",
    server: str = "",
    settings: str = "",
    password: str = "",
    everything: bool = False,
    most_recipients: int = 100,
) -> dict[str, str]:
    """Say what is known of a message.

    Args:
        sender: The envelope's sender; ``""`` is the null sender.
        recipients: The envelope's recipients.
        address: The client's IP address.
        helo: What it called itself.
        hostname: The confirmed name of the address.
        user: Who logged in.
        queue_id: For rspamd's log.
        server: Our own name, for Authentication-Results of rspamd's.
        settings: An id of settings to use.
        password: That of rspamd, where it wants one.
        everything: Whether all rules are to be tried, whatever the score is already (Pass).
        most_recipients: How many are told; rspamd takes no fields without end.
    """
    fields = {
        "From": f"<{sender}>",
        "Rcpt": ", ".join(f"<{one}>" for one in recipients[:most_recipients]),
        "IP": address,
        "Helo": helo,
        "Hostname": hostname,
        "User": user,
        "Queue-Id": queue_id,
        "MTA-Name": server,
        "Settings-ID": settings,
        "Password": password,
        "Pass": "all" if everything else "",
    }
    return {
        name: _UNPRINTABLE.sub(" ", value).encode("utf-8").decode("latin-1")
        for name, value in fields.items()
        if value
    }


def read_answer(content: bytes, header: bytes) -> Answer:
    """Read an answer.

    Args:
        content: The JSON.
        header: The message's header, in which fields are to be removed.

    Raises:
        Unavailable: It is not rspamd's, or says that it failed.
    """
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise Unavailable(f"rspamd answered {content[:200]!r}") from None
    if not isinstance(found, dict) or "error" in found:
        raise Unavailable(f"rspamd answered {content[:200]!r}")
    try:
        action = RspamdAction(_text(found.get("action")))
        score, required = _number(found.get("score")), _number(found.get("required_score"))
    except ValueError:
        raise Unavailable(f"rspamd's answer has no action or no score: {content[:200]!r}") from None
    milter = _table(found.get("milter"))
    changes = [*_removed(milter, header), *_added(milter), *_signatures(found)]
    if len(changes) > _MOST_CHANGES:
        raise Unavailable(f"rspamd wants {len(changes)} changes of the header")
    return Answer(
        action,
        score,
        required,
        tuple(_table(found.get("symbols"))),
        _text(_table(found.get("messages")).get("smtp_message")),
        _text(found.get("subject")),
        tuple(changes),
    )


def _removed(milter: Mapping[str, Any], header: bytes) -> Iterator[Change]:
    """Remove fields: 0 is all of a name, a number the one of that number, from the top or below."""
    for name, which in _table(milter.get("remove_headers")).items():
        for number in which if isinstance(which, list) else [which]:
            if not headers.is_name(name) or type(number) is not int:
                continue
            values = headers.every(header, name.encode("ascii"))
            if number == 0:
                yield RemoveHeader(name)
            elif -len(values) <= number <= len(values):
                yield RemoveHeader(name, values[number - 1 if number > 0 else number])


def _added(milter: Mapping[str, Any]) -> Iterator[Change]:
    """Add fields: a value, a table with its place (``order`` 0 or above is the top), or a list."""
    for name, found in _table(milter.get("add_headers")).items():
        for one in found if isinstance(found, list) else [found]:
            value = one.get("value") if isinstance(one, dict) else one
            if headers.is_name(name) and isinstance(value, str):
                below = isinstance(one, dict) and _is_below(one.get("order"))
                yield AddHeader(name, value, on_top=not below)


def _is_below(order: Any) -> bool:
    return type(order) is int and order < 0


def _signatures(found: Mapping[str, Any]) -> Iterator[Change]:
    """Add the signatures that rspamd made, as it folded them or not."""
    signatures = found.get("dkim-signature")
    for one in signatures if isinstance(signatures, list) else [signatures]:
        if isinstance(one, str) and one:
            yield AddHeader("DKIM-Signature", one)


def _table(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, dict) else {}


def _text(found: Any) -> str:
    return found if isinstance(found, str) else ""


def _number(found: Any) -> float:
    if type(found) not in (int, float):
        raise ValueError
    return float(found)
