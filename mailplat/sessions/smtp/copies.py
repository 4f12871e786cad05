"""From where a message's recipients lead to the mails that go into the spool, decided once.

A message becomes one mail for everybody it came for, and one more for each address that forwards
it, since a forwarded copy may have a sender of its own and says in Delivered-To who forwarded it.
Whatever routes and filters decided (the mailbox, the quarantine) is kept with each recipient, so
that the queue does not decide again.

Invariants:

- Every destination is in exactly one mail; all mails are accepted in one commit.
- What a sender asked to be told is told once (RFC 3461 §5.2.7): an alias with one member hands it
  on; of several members none reports success, the alias reports that it was expanded; a mailing
  list reports its delivery, and its members' fates go to its owner.
- A mail in quarantine that leads elsewhere has no mailbox here: its copy is held.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from mailplat.interfaces.agents import ALIAS_AGENT, LIST_AGENT, MAILBOX_AGENT
from mailplat.interfaces.bodies import IBody
from mailplat.interfaces.routes import Destination, Local, Onward, Refused, Remote
from mailplat.interfaces.spool import NewMail
from mailplat.interfaces.store import Target
from mailplat.message.trace import delivered_to_field
from mailplat.model.envelope import Envelope, Notify, Recipient, Sender
from mailplat.model.mailbox import INBOX
from mailplat.model.outcome import Deferred
from mailplat.model.reply import Reply
from mailplat.sessions.smtp.incoming import EditedBody

__all__ = ["Copies", "leads_elsewhere", "leads_on"]


def leads_elsewhere(destinations: Sequence[Destination]) -> bool:
    """Tell whether a delivery agent is needed."""
    return any(isinstance(one, Remote) for one in destinations)


def leads_on(destinations: Sequence[Destination]) -> bool:
    """Tell whether there is more to do than to store: another sender, or somebody to report."""
    return any(isinstance(one, Refused) or one.onward is not None for one in destinations)


@dataclass(frozen=True, slots=True)
class _Key:
    """What the recipients of one mail have in common."""

    onward: Onward | None
    held: bool
    number: int = 0


@dataclass(slots=True)
class _Copy:
    """One mail to be."""

    agents: dict[Recipient, str] = field(default_factory=dict)
    targets: dict[Recipient, tuple[Target, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Copies:
    """What the mails of one message have in common.

    Attributes:
        queue_id: Names the first; the others are ``ID-1``, ``ID-2``...
        sender: The reverse path that the message came with.
        held: Whether all of it is kept back.
        quarantined: For recipients whose copies are put aside, into which mailbox.
        why: Why it is held, or put aside.
        body: The message.
        front: Bytes at its beginning that only a mailbox's copy has.
    """

    queue_id: str
    sender: Sender
    held: bool
    quarantined: Mapping[Recipient, str]
    why: str
    body: IBody
    front: int

    def of(self, destinations: Mapping[Recipient, Sequence[Destination]]) -> list[NewMail]:
        """Make the mails; none, if nobody leads anywhere."""
        copies: dict[_Key, _Copy] = {}
        for recipient, found in destinations.items():
            told = self._expansion(recipient, found)
            if told:
                _place(copies, _Key(None, self.held), recipient, told)
            for one in found:
                held = recipient in self.quarantined and isinstance(one, Remote)
                key = _Key(one.onward, held or self.held)
                led = _led(recipient, one, several=len(found) > 1)
                agent = one.agent if isinstance(one, Remote) else MAILBOX_AGENT
                copy = _place(copies, key, led, agent)
                if isinstance(one, Local):
                    mailbox = self.quarantined.get(recipient) or one.mailbox or INBOX
                    target = Target(one.account.name, mailbox)
                    there = copy.targets.get(led, ())
                    copy.targets[led] = tuple(dict.fromkeys((*there, target)))
        return [self._mail(number, *one) for number, one in enumerate(copies.items())]

    def _expansion(self, recipient: Recipient, found: Sequence[Destination]) -> str:
        """Name the agent that lets the queue report an expansion; ``""`` if nobody asked."""
        if Notify.SUCCESS not in recipient.notify:
            return ""
        if any(one.onward is not None and one.onward.mailing_list for one in found):
            return LIST_AGENT  # RFC 3461 §5.2.7.1
        return ALIAS_AGENT if len(found) > 1 else ""  # RFC 3461 §5.2.7.3 (c)

    def _mail(self, number: int, key: _Key, copy: _Copy) -> NewMail:
        onward, sender, head = key.onward, self.sender, b""
        if onward is not None:
            head = delivered_to_field(str(onward.via))
            if onward.sender is not None:
                sender = replace(sender, address=onward.sender)
            if onward.mailing_list:
                sender = replace(sender, returned=None, envid="")
        return NewMail(
            self.queue_id if not number else f"{self.queue_id}-{number}",
            Envelope(sender, tuple(copy.agents)),
            copy.agents,
            EditedBody(head, self.body, self.front),
            copy.targets,
            key.held,
            Deferred(Reply.of(450, f"Held by {self.why}", "4.7.1")) if key.held else None,
        )


def _led(recipient: Recipient, one: Destination, *, several: bool) -> Recipient:
    """Give who takes a recipient's place, with what is reported of it."""
    address = one.address or recipient.address
    if one.onward is not None and one.onward.mailing_list:
        return Recipient(address)  # RFC 3461 §5.2.7.1 (b)
    notify = recipient.notify
    if several and Notify.SUCCESS in notify:
        notify = notify - {Notify.SUCCESS} or frozenset({Notify.NEVER})
    return Recipient(address, notify, recipient.original)


def _place(copies: dict[_Key, _Copy], key: _Key, led: Recipient, agent: str) -> _Copy:
    """Put a recipient into a copy where no other agent takes it on."""
    while True:
        copy = copies.setdefault(key, _Copy())
        if copy.agents.setdefault(led, agent) == agent:
            return copy
        key = replace(key, number=key.number + 1)
