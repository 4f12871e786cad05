"""What a web service is told of a mail at a stage, and what it answers (MTA Hooks, version 1).

The request is a JSON object: ``context``, ``envelope``, and at the stage ``data`` a ``message``.
Its contents are the last text of the object, so that they can be written while they are read: what
stands before and behind them is made here, and `Contents` makes JSON of their blocks.

Invariants:

- An answer whose action nobody knows, or one of whose modifications cannot be made, is an error.
- The blocks of a message give the same JSON however they are cut.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mailplat.message import headers
from mailplat.model.address import Address
from mailplat.model.envelope import Recipient, Sender
from mailplat.model.errors import Unavailable
from mailplat.model.peer import Peer
from mailplat.model.verdict import (
    AddHeader,
    AddRecipient,
    Change,
    ChangeSender,
    RemoveHeader,
    RemoveRecipient,
    ReplaceBody,
)
from mailplat.proto.smtp.offers import Offers
from mailplat.proto.smtp.parse import CommandFault, parse_rcpt

__all__ = ["Answer", "Contents", "HookAction", "HookStage", "read_answer", "request"]

_MOST_FIELDS = 1000
_STATUS = re.compile(r"[45]\.\d{1,3}\.\d{1,3}")
_END = b'"}}'


class HookStage(StrEnum):
    """The stages, by the names that the service knows."""

    CONNECT = "connect"
    EHLO = "ehlo"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"


class HookAction(StrEnum):
    """What the service decides."""

    ACCEPT = "accept"
    DISCARD = "discard"
    REJECT = "reject"
    QUARANTINE = "quarantine"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service wants.

    Attributes:
        action: Of the mail.
        code: The reply's code, 400 to 599; 0 where it said none.
        status: The enhanced status code; ``""`` where it said none.
        message: What the peer is told; ``""`` where it said nothing.
        changes: What it wants changed, in order.
    """

    action: HookAction
    code: int = 0
    status: str = ""
    message: str = ""
    changes: tuple[Change, ...] = ()


class Contents:
    """Makes a JSON text of a message's content, a block at a time.

    Bytes that are no UTF-8 become U+FFFD.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def spell(self, block: bytes) -> bytes:
        """Give what stands between the quotes for a block."""
        return _spelled(self._decoder.decode(block))

    def finish(self) -> bytes:
        """Give what is left, and the end of the request."""
        return _spelled(self._decoder.decode(b"", final=True)) + _END


def _spelled(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False).encode("utf-8")[1:-1]


def request(
    stage: HookStage,
    peer: Peer,
    *,
    helo: str = "",
    hostname: str = "",
    login: str = "",
    server: str = "",
    queue_id: str = "",
    sender: Sender | None = None,
    recipients: Sequence[Recipient] = (),
    header: bytes | None = None,
    size: int = 0,
) -> bytes:
    """Write a request.

    Args:
        stage: Where the mail is.
        peer: The two ends of the connection.
        helo: What the client called itself.
        hostname: The confirmed name of its address.
        login: Who logged in.
        server: Our own name.
        queue_id: The mail's.
        sender: The envelope's, once there is one.
        recipients: The envelope's.
        header: The message's header, at the stage ``data``; the object is then not complete: its
            contents follow, as `Contents` gives them.
        size: The bytes of the whole message.
    """
    context: dict[str, Any] = {
        "stage": stage,
        "client": {
            "ip": peer.address,
            "port": peer.port,
            "ptr": hostname or None,
            "helo": helo or None,
            "activeConnections": 1,
        },
        "server": {"name": server, "port": peer.local_port, "ip": peer.local_address},
        "protocol": {"version": 1},
    }
    if login:
        context["sasl"] = {"login": login}
    if peer.tls is not None:
        context["tls"] = {"version": peer.tls.version, "cipher": peer.tls.cipher}
    if queue_id:
        context["queue"] = {"id": queue_id}
    whole: dict[str, Any] = {"context": context}
    if sender is not None:
        whole["envelope"] = {
            "from": {"address": _spell(sender.address), "parameters": _parameters(sender)},
            "to": [{"address": _spell(one.address)} for one in recipients],
        }
    if header is None:
        return json.dumps(whole, ensure_ascii=False).encode("utf-8", "replace")
    fields = headers.pairs(header)[:_MOST_FIELDS]
    whole["message"] = {
        "headers": [[_decoded(name), _decoded(value)] for name, value in fields],
        "size": size,
        "contents": "",
    }
    made = json.dumps(whole, ensure_ascii=False).encode("utf-8", "replace")
    return made.removesuffix(_END)


def _spell(address: Address | None) -> str:
    return "" if address is None else str(address)


def _parameters(sender: Sender) -> dict[str, str]:
    found = {"body": sender.body.value, "envid": sender.envid}
    if sender.size is not None:
        found["size"] = str(sender.size)
    if sender.smtputf8:
        found["smtputf8"] = ""
    return {name: value for name, value in found.items() if value or name == "smtputf8"}


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def read_answer(content: bytes, header: bytes = b"") -> Answer:
    """Read an answer.

    Args:
        content: The JSON.
        header: The message's header, in which fields are to be changed.

    Raises:
        Unavailable: It is none, or asks for what cannot be done.
    """
    try:
        found = json.loads(content)
        action = HookAction(found["action"])
        response = found.get("response") or {}
        code = _of(response, "status", int, 0)
        status = _of(response, "enhancedStatus", str, "")
        message = _of(response, "message", str, "")
        changes = [
            change for one in found.get("modifications") or [] for change in _changes(one, header)
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, CommandFault) as error:
        said = f"{type(error).__name__} in {content[:200]!r}"
        raise Unavailable(f"the hook's answer cannot be used: {said}") from None
    if not 400 <= code <= 599:
        code = 0
    if not _STATUS.fullmatch(status) or status[0] != str(code)[0]:
        status = ""
    return Answer(action, code, status, message, tuple(changes))


def _of(table: Mapping[str, Any], name: str, kind: type, default: Any) -> Any:
    found = table.get(name)
    if found is None:
        return default
    if type(found) is not kind:
        raise TypeError(name)
    return found


def _changes(one: Mapping[str, Any], header: bytes) -> list[Change]:
    """Make a modification a change, or two."""
    match one:
        case {"type": "changeFrom", "value": str(value)}:
            return [ChangeSender(_address(value) if value else None)]
        case {"type": "addRecipient" | "addRcpt", "value": str(value)}:
            return [AddRecipient(_address(value))]
        case {"type": "deleteRecipient" | "deleteRcpt", "value": str(value)}:
            return [RemoveRecipient(_address(value))]
        case {"type": "replaceContents", "value": str(value)}:
            return [ReplaceBody(value.encode("utf-8", "replace"))]
        case {"type": "addHeader", "name": str(name), "value": str(value)}:
            return [AddHeader(_name(name), value, on_top=False)]
        case {"type": "insertHeader", "name": str(name), "value": str(value), "index": int(index)}:
            # a header has a top and a bottom here: whatever is not first goes below
            return [AddHeader(_name(name), value, on_top=index <= 0)]
        case {"type": "changeHeader", "name": str(name), "value": str(value), "index": int(index)}:
            return [*_without(name, index, header), AddHeader(name, value, on_top=False)]
        case {"type": "deleteHeader", "name": str(name), "index": int(index)}:
            return _without(name, index, header)
    raise ValueError("modification")


def _without(name: str, index: int, header: bytes) -> list[Change]:
    """Remove the field of a name that has this number, from 1 on; there may be none."""
    values = headers.every(header, _name(name).encode("ascii"))
    return [RemoveHeader(name, values[max(index, 1) - 1])] if index <= len(values) else []


def _name(name: str) -> str:
    if not headers.is_name(name):
        raise ValueError("name")
    return name


def _address(text: str) -> Address:
    return parse_rcpt(f"TO:<{text}>".encode(), Offers(), smtputf8=True).address
