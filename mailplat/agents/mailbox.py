"""The delivery agent for mailboxes here: what was decided at acceptance is done, the store keeps.

Routes and filters said which mailboxes when the mail was accepted, and the spool kept that.  Only a
recipient for whom nothing was decided (an agent expanded another one, the operator rerouted it) is
looked up in the routes now.

All recipients of one attempt are stored in one call, so that they share one flush and a crash
leaves all of them or none.  Where that call is refused because of one recipient (a quota), each is
tried for itself, so that one full mailbox holds up nobody else.

A mailbox's copy begins with Return-Path, for this is the final delivery (RFC 5321 §4.4).  With one
recipient it also says whom it was delivered to; with several that would tell each of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from twisted.internet.threads import deferToThread
from zope.interface import implementer

from mailplat.interfaces.agents import Attempt, IDeliveryAgent
from mailplat.interfaces.bodies import IBody
from mailplat.interfaces.routes import IRoutes, Local, Refused
from mailplat.interfaces.store import IStore, NewMessage, Target
from mailplat.message.scan import ScanLimits, Scanner
from mailplat.message.summary import summarize
from mailplat.message.trace import delivered_to_field, return_path
from mailplat.model.envelope import Recipient, Sender
from mailplat.model.errors import MailError, OverQuota
from mailplat.model.outcome import Bounced, Deferred, Delivered, Outcome
from mailplat.model.reply import Reply
from mailplat.model.summary import Summary

__all__ = ["MailboxAgent"]

_BLOCK = 256 * 1024
"""Bytes of a body that are read at once."""

_NOT_OURS = Reply.of(550, "Not a mailbox of this server", "5.1.2")


@implementer(IBody)
class _Returnable:
    """A message behind its last fields; closing it closes nothing, for the message is not ours."""

    def __init__(self, sender: Sender, recipients: Sequence[Recipient], body: IBody) -> None:
        self._head = return_path(str(sender.address) if sender.address is not None else "")
        if len(recipients) == 1:
            self._head += delivered_to_field(str(recipients[0].address))
        self._body = body
        self.size = len(self._head) + body.size
        self.in_memory = body.in_memory

    def read(self, start: int, stop: int) -> bytes:
        """See `IBody.read`."""
        shift = len(self._head)
        head = self._head[start:stop]
        return (
            head if stop <= shift else head + self._body.read(max(start - shift, 0), stop - shift)
        )

    def close(self) -> None:
        """See `IBody.close`."""


@implementer(IDeliveryAgent)
class MailboxAgent:
    """Delivers to mailboxes of this server.

    Args:
        routes: Say whose a recipient is, where nothing was decided.
        store: Keeps the mail.
        now: The time, seconds since 1970 UTC, for INTERNALDATE.
        limits: How far a message is taken apart.
    """

    def __init__(
        self, routes: IRoutes, store: IStore, now: Callable[[], float], limits: ScanLimits
    ) -> None:
        self._routes = routes
        self._store = store
        self._now = now
        self._limits = limits

    async def deliver(self, attempt: Attempt) -> Mapping[Recipient, Outcome]:
        """See `IDeliveryAgent.deliver`."""
        outcomes: dict[Recipient, Outcome] = {}
        targets: dict[Recipient, Sequence[Target]] = {}
        for recipient in attempt.recipients:
            found = attempt.targets.get(recipient) or await self._targets(recipient)
            if isinstance(found, Reply):
                outcomes[recipient] = Deferred(found) if found.transient else Bounced(found)
            else:
                targets[recipient] = found
        if targets:
            outcomes.update(await self._store_all(await self._message(attempt), targets))
        return outcomes

    async def _targets(self, recipient: Recipient) -> list[Target] | Reply:
        targets: list[Target] = []
        for destination in await self._routes.route(recipient.address):
            if isinstance(destination, Refused):
                return destination.reply
            if not isinstance(destination, Local):
                return _NOT_OURS
            targets.append(Target(destination.account.name, destination.mailbox))
        return targets

    async def _message(self, attempt: Attempt) -> NewMessage:
        body = _Returnable(attempt.sender, attempt.recipients, attempt.body)
        return NewMessage(body, await self._summarize(body), frozenset(), int(self._now()))

    async def _summarize(self, body: IBody) -> Summary:
        """Scan a body, a block at a time."""
        scanner = Scanner(self._limits)
        for start in range(0, body.size, _BLOCK):
            if body.in_memory:
                scanner.receive(body.read(start, start + _BLOCK))
            else:
                scanner.receive(await deferToThread(body.read, start, start + _BLOCK))
        return summarize(scanner.close())

    async def _store_all(
        self, message: NewMessage, targets: Mapping[Recipient, Sequence[Target]]
    ) -> dict[Recipient, Outcome]:
        """Store for all at once; where somebody's quota refuses that, for each alone."""
        together = [target for group in targets.values() for target in group]
        try:
            await self._store.deliver(message, list(dict.fromkeys(together)))
        except OverQuota as error:
            if len(targets) > 1:
                alone = [await self._store_all(message, {one: targets[one]}) for one in targets]
                return {recipient: outcome for each in alone for recipient, outcome in each.items()}
            return dict.fromkeys(targets, Deferred(Reply.to_error(error)))
        except MailError as error:
            reply = Reply.to_error(error)
            return dict.fromkeys(targets, Bounced(reply) if reply.permanent else Deferred(reply))
        return {
            recipient: Delivered(f"{group[0].account}:{group[0].mailbox}")
            for recipient, group in targets.items()
        }
