"""A message that was accepted, brought to where it is safe.

Mail whose recipients are all here goes straight into the store, in one commit.  As soon as one of
them is elsewhere, or its sender wants to be told of the delivery (RFC 3461 §4.1), all go into the
spool together, so that one commit decides about the message (`mailplat.sessions.smtp.copies`).

Invariants:

- The body is closed on every path, and not before the store or the spool is done with it.
- `Delivery.deliver` stores for everybody or for nobody.
- A message that comes again for an address that it was delivered to is refused: it goes round in
  circles (RFC 5321 §6.3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from mailplat.interfaces.hooks import IQueueHooks, tell_queued
from mailplat.interfaces.routes import Destination, Local, Remote
from mailplat.interfaces.spool import ISpool
from mailplat.interfaces.store import IStore, NewMessage, Target
from mailplat.message.trace import delivered_to
from mailplat.model.envelope import Notify, Recipient, Sender
from mailplat.model.errors import Loop, MailError, OverQuota, Unavailable
from mailplat.model.mailbox import INBOX
from mailplat.model.reply import Reply
from mailplat.sessions.smtp.copies import Copies, leads_elsewhere, leads_on
from mailplat.sessions.smtp.incoming import Finished

__all__ = ["Delivery", "Parcel"]


@dataclass(frozen=True, slots=True)
class Parcel:
    """A complete message with everything that its delivery needs.

    Attributes:
        queue_id: Its name.
        sender: The reverse path with its parameters.
        destinations: Where each recipient's copy goes; nowhere, if a filter wants that.
        message: What to deliver.
        front: Bytes of the fields at its beginning that only a mailbox's copy has: Return-Path,
            Delivered-To.
        arrived: Seconds since 1970 UTC.
        held: Whether it is kept in the queue for the operator.
        quarantined: For recipients whose copies are put aside, into which mailbox.
        why: Why it is held, or put aside.
    """

    queue_id: str
    sender: Sender
    destinations: Mapping[Recipient, Sequence[Destination]]
    message: Finished
    front: int
    arrived: int
    held: bool = False
    quarantined: Mapping[Recipient, str] = field(default_factory=dict)
    why: str = ""


class Delivery:
    """Brings parcels into the store or the spool.

    Args:
        store: Everybody's mail.
        spool: Takes what goes elsewhere, or is held; None where there is none.
        hooks: Told of what goes into the spool; None for nobody.
    """

    def __init__(
        self, store: IStore, spool: ISpool | None, hooks: IQueueHooks | None = None
    ) -> None:
        self._store = store
        self._spool = spool
        self._hooks = hooks

    async def over_quota(self, account: str, size: int | None) -> Reply | None:
        """Tell, before a message comes, that there will be no room for it.

        Args:
            account: Whose mailbox.
            size: What the client declared, in bytes; None if it did not.
        """
        home = await self._store.open_home(account)
        limit = await home.limit()
        if limit.storage is None and limit.messages is None:
            return None
        usage = await home.usage()
        full = limit.messages is not None and usage.messages >= limit.messages
        if limit.storage is not None:
            full = full or usage.storage + max(size or 0, 1) > limit.storage
        return Reply.to_error(OverQuota()) if full else None

    async def deliver(self, parcel: Parcel) -> None:
        """Bring a parcel to safety for all recipients, or for none.

        Raises:
            OverQuota: One of the recipients has no room.
            Loop: It was delivered to one of them before.
            Unavailable: It must be spooled, and there is no spool.
        """
        try:
            _check_loops(parcel)
            if self._belongs_in_spool(parcel):
                await self._to_spool(parcel)
            else:
                await self._to_store(parcel, list(parcel.destinations))
        finally:
            parcel.message.body.close()

    async def deliver_each(self, parcel: Parcel) -> dict[Recipient, Reply]:
        """Bring a parcel to safety for as many as possible (RFC 2033 §4.2).

        Returns:
            What those are told for whom nothing was stored.
        """
        refused: dict[Recipient, Reply] = {}
        try:
            if parcel.held:
                await self._to_spool(parcel)
                return refused
            here: list[Recipient] = []
            onward: dict[Recipient, Sequence[Destination]] = {}
            for recipient, found in parcel.destinations.items():
                if leads_elsewhere(found):
                    refused[recipient] = Reply.of(550, "Not a mailbox of this server", "5.1.2")
                elif self._spool is not None and leads_on(found):
                    onward[recipient] = found
                else:
                    here.append(recipient)
            if onward:
                try:
                    await self._to_spool(replace(parcel, destinations=onward))
                except MailError as error:
                    refused.update(dict.fromkeys(onward, Reply.to_error(error)))
            try:
                await self._to_store(parcel, here)
            except OverQuota:
                for recipient in here:
                    try:
                        await self._to_store(parcel, [recipient])
                    except MailError as error:
                        refused[recipient] = Reply.to_error(error)
            return refused
        finally:
            parcel.message.body.close()

    def _belongs_in_spool(self, parcel: Parcel) -> bool:
        if parcel.held:
            return True
        if any(leads_elsewhere(found) for found in parcel.destinations.values()):
            return True
        if self._spool is None:
            return False
        if parcel.sender.released(parcel.arrived) > parcel.arrived:  # RFC 4865 §4
            return True
        aside = parcel.quarantined
        return any(
            leads_on(found)
            or (recipient not in aside and bool(found) and Notify.SUCCESS in recipient.notify)
            for recipient, found in parcel.destinations.items()
        )

    async def _to_store(self, parcel: Parcel, recipients: Sequence[Recipient]) -> None:
        aside = parcel.quarantined
        targets = [
            Target(one.account.name, aside.get(recipient) or one.mailbox or INBOX)
            for recipient in recipients
            for one in parcel.destinations[recipient]
            if isinstance(one, Local)
        ]
        if targets:
            message = parcel.message
            await self._store.deliver(
                NewMessage(message.body, message.summary, frozenset(), parcel.arrived),
                list(dict.fromkeys(targets)),  # who is named twice gets one copy
            )

    async def _to_spool(self, parcel: Parcel) -> None:
        spool = self._spool
        if spool is None:
            raise Unavailable(f"{parcel.queue_id} must be spooled, and there is no spool")
        copies = Copies(
            parcel.queue_id,
            parcel.sender,
            parcel.held,
            parcel.quarantined,
            parcel.why,
            parcel.message.body,
            parcel.front,
        )
        mails = copies.of(parcel.destinations)
        if mails:
            await spool.accept(mails)
        if self._hooks is not None:
            for mail in mails:
                tell_queued(self._hooks, mail, parcel.arrived)


def _check_loops(parcel: Parcel) -> None:
    """Refuse what was delivered to, or forwarded by, one of its recipients before.

    Raises:
        Loop: It was.
    """
    passed = delivered_to(parcel.message.header[parcel.front :])
    if not passed:
        return
    for recipient, found in parcel.destinations.items():
        stations = [recipient.address]
        stations += [
            one.onward.via
            for one in found
            if isinstance(one, Local | Remote) and one.onward is not None
        ]
        for address in stations if found else ():
            if str(address).lower() in passed:
                raise Loop(f"{parcel.queue_id} was delivered to <{address}> already")
