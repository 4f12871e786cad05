"""A message that was accepted, brought to where it is safe.

Mail whose recipients are all here goes straight into the store, in one commit.  As soon as one of
them is elsewhere, or its sender wants to be told of the delivery (RFC 3461 §4.1), all go into the
spool together, so that one commit decides about the message.

Invariants:

- The body is closed on every path, and not before the store or the spool is done with it.
- `Delivery.deliver` stores for everybody or for nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mailplat.interfaces.agents import MAILBOX_AGENT
from mailplat.interfaces.routes import Destination, Local, Remote
from mailplat.interfaces.spool import ISpool
from mailplat.interfaces.store import IStore, NewMessage, Target
from mailplat.model.envelope import Envelope, Notify, Recipient, Sender
from mailplat.model.errors import MailError, OverQuota, Unavailable
from mailplat.model.mailbox import INBOX
from mailplat.model.reply import Reply
from mailplat.model.verdict import Action
from mailplat.sessions.smtp.incoming import EditedBody, Finished

__all__ = ["Delivery", "Parcel"]


@dataclass(frozen=True, slots=True)
class Parcel:
    """A complete message with everything that its delivery needs.

    Attributes:
        queue_id: Its name.
        sender: The reverse path with its parameters.
        destinations: Where each recipient's copy goes; nowhere, if a filter wants that.
        message: What to deliver.
        return_path: Bytes of its Return-Path field, which only a mailbox's copy has.
        arrived: Seconds since 1970 UTC.
        action: Whether it goes into quarantine, or is held.
    """

    queue_id: str
    sender: Sender
    destinations: Mapping[Recipient, Sequence[Destination]]
    message: Finished
    return_path: int
    arrived: int
    action: Action = Action.CONTINUE


class Delivery:
    """Brings parcels into the store or the spool.

    Args:
        store: Everybody's mail.
        spool: Takes what goes elsewhere, or is held; None where there is none.
        quarantine: The mailbox for mail in quarantine.
    """

    def __init__(self, store: IStore, spool: ISpool | None, quarantine: str) -> None:
        self._store = store
        self._spool = spool
        self._quarantine = quarantine

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
            Unavailable: It must be spooled, and there is no spool.
        """
        try:
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
            if parcel.action is Action.HOLD:
                await self._to_spool(parcel)
                return refused
            here: list[Recipient] = []
            for recipient, found in parcel.destinations.items():
                if any(isinstance(one, Remote) for one in found):
                    refused[recipient] = Reply.of(550, "Not a mailbox of this server", "5.1.2")
                else:
                    here.append(recipient)
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
        if parcel.action is Action.HOLD:
            return True
        told = self._spool is not None and parcel.action is not Action.QUARANTINE
        return any(
            isinstance(one, Remote) or (told and Notify.SUCCESS in recipient.notify)
            for recipient, found in parcel.destinations.items()
            for one in found
        )

    async def _to_store(self, parcel: Parcel, recipients: Sequence[Recipient]) -> None:
        quarantined = parcel.action is Action.QUARANTINE
        targets = [
            Target(one.account.name, self._quarantine if quarantined else one.mailbox or INBOX)
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
        agents: dict[Recipient, str] = {}
        for recipient, found in parcel.destinations.items():
            for one in found:
                if isinstance(one, Remote):
                    led = Recipient(one.address, recipient.notify, recipient.original)
                    agents[led] = one.agent
                elif isinstance(one, Local):
                    agents[recipient] = MAILBOX_AGENT
        body = EditedBody(b"", parcel.message.body, parcel.return_path)
        envelope = Envelope(parcel.sender, tuple(agents))
        held = parcel.action is Action.HOLD
        await spool.accept(parcel.queue_id, envelope, agents, body, held)
