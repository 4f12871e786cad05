"""How values of the envelope and of outcomes are written in the spool's database, and read again.

Invariant: what was written is read as the same value; what a newer mailplat wrote beside it is
passed over.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from mailplat.interfaces.store import Target
from mailplat.model.address import Address
from mailplat.model.envelope import (
    BodyType,
    ByMode,
    DeliverBy,
    Notify,
    Recipient,
    Return,
    Sender,
)
from mailplat.model.outcome import Deferred
from mailplat.model.reply import Reply

__all__ = [
    "notify_of",
    "read_last",
    "read_recipient",
    "read_sender",
    "read_targets",
    "sender_key",
    "write_last",
    "write_sender",
    "write_targets",
]


def sender_key(sender: Sender) -> str:
    """Spell the reverse path as it is looked for; ``""`` is the null sender."""
    return str(sender.address).lower() if sender.address is not None else ""


def write_sender(sender: Sender) -> str:
    """Write the sender with its parameters; those at their default are left out."""
    found: dict[str, Any] = {}
    if sender.address is not None:
        found["address"] = [sender.address.local, sender.address.domain]
    if sender.size is not None:
        found["size"] = sender.size
    if sender.body is not BodyType.SEVEN_BIT:
        found["body"] = sender.body.value
    if sender.smtputf8:
        found["smtputf8"] = True
    if sender.returned is not None:
        found["ret"] = sender.returned.value
    if sender.envid:
        found["envid"] = sender.envid
    if sender.require_tls:
        found["requiretls"] = True
    if sender.auth is not None:
        found["auth"] = sender.auth
    if sender.deliver_by is not None:
        by = sender.deliver_by
        found["by"] = [by.seconds, by.mode.value, by.trace]
    if sender.hold_for:
        found["hold_for"] = sender.hold_for
    if sender.hold_until is not None:
        found["hold_until"] = sender.hold_until
    if sender.priority:
        found["priority"] = sender.priority
    return json.dumps(found)


def read_sender(text: str) -> Sender:
    """Read the sender again."""
    found = json.loads(text)
    by = found.get("by")
    return Sender(
        Address(*found["address"]) if "address" in found else None,
        size=found.get("size"),
        body=BodyType(found.get("body", BodyType.SEVEN_BIT.value)),
        smtputf8=found.get("smtputf8", False),
        returned=Return(found["ret"]) if "ret" in found else None,
        envid=found.get("envid", ""),
        require_tls=found.get("requiretls", False),
        auth=found.get("auth"),
        deliver_by=DeliverBy(by[0], ByMode(by[1]), by[2]) if by is not None else None,
        hold_for=found.get("hold_for", 0),
        hold_until=found.get("hold_until"),
        priority=found.get("priority", 0),
    )


def notify_of(recipient: Recipient) -> str:
    """Write when a recipient's fate is reported."""
    return ",".join(sorted(one.value for one in recipient.notify))


def read_recipient(local: str, domain: str, notify: str, original: str) -> Recipient:
    """Read a recipient again."""
    asked = frozenset(map(Notify, notify.split(","))) if notify else frozenset()
    return Recipient(Address(local, domain), asked, original)


def write_last(last: Deferred | None) -> str | None:
    """Write what came of an attempt."""
    if last is None:
        return None
    reply = last.reply
    return json.dumps([reply.code, reply.status, reply.lines, last.where], ensure_ascii=False)


def read_last(text: str | None) -> Deferred | None:
    """Read what came of an attempt again."""
    if text is None:
        return None
    code, status, lines, where = json.loads(text)
    return Deferred(Reply(code, tuple(lines), status), where)


def write_targets(targets: Sequence[Target]) -> str | None:
    """Write the mailboxes that were decided for a recipient."""
    if not targets:
        return None
    return json.dumps([[one.account, one.mailbox, sorted(one.flags)] for one in targets])


def read_targets(text: str | None) -> tuple[Target, ...]:
    """Read them again."""
    if text is None:
        return ()
    return tuple(
        Target(account, mailbox, frozenset(flags)) for account, mailbox, flags in json.loads(text)
    )
