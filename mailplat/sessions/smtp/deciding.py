"""A message is complete: what filters say of it and of each recipient's copy, put into a parcel.

Invariants:

- Nobody's copy is neither stored nor refused, but where a filter said discard.
- SMTP has one reply for all recipients (RFC 5321 §4.2.5): a copy that cannot be refused by itself
  is put into quarantine, and one that is to come later puts the whole mail off.
- Header and body are the same for all recipients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mailplat.interfaces.filters import Context, Stage
from mailplat.interfaces.filters import Mail as FilteredMail
from mailplat.interfaces.routes import Destination, IRoutes
from mailplat.message import trace
from mailplat.model.envelope import Envelope, Recipient
from mailplat.model.reply import Reply
from mailplat.model.verdict import Action, AddHeader, RemoveHeader
from mailplat.sessions.smtp.delivery import Parcel
from mailplat.sessions.smtp.filtering import Filtering
from mailplat.sessions.smtp.incoming import Finished, edited
from mailplat.sessions.smtp.options import SmtpOptions
from mailplat.sessions.smtp.submission import Submission
from mailplat.sessions.smtp.trace_fields import front
from mailplat.sessions.smtp.transaction import Noted, Transaction

__all__ = ["Deciding"]

_LOOP = Reply.of(554, "Too many hops: the message goes round in circles", "5.4.6")

_REASON = "X-Quarantine-Reason"
_LONGEST = 300
"""Characters of a reason in the header."""


@dataclass(frozen=True, slots=True)
class Deciding:
    """Decides about the messages of one connection.

    Attributes:
        context: What is known of the connection.
        filters: Its filters.
        submission: What is done to the mail of who logged in.
        routes: Where mail leads that filters send elsewhere.
        options: What the listener does.
    """

    context: Context
    filters: Filtering
    submission: Submission
    routes: IRoutes
    options: SmtpOptions

    async def filtered(
        self, transaction: Transaction, message: Finished, now: int
    ) -> tuple[Reply | None, Finished]:
        """Ask the filters about the whole message, and make the changes that they want.

        Args:
            transaction: Gets what they want.
            message: As it came.
            now: Seconds since 1970 UTC.

        Returns:
            A refusal for all, or None; and the message as it is to be delivered.
        """
        context, noted = self.context, transaction.noted
        if trace.received_count(message.header) > self.options.max_received:
            return _LOOP, message
        assert context.sender is not None
        if context.account is not None and self.options.submission:
            refusal, wanted = await self.submission.look(
                context.account,
                context.sender.address,
                message.header,
                transaction.queue_id,
                now,
            )
            if refusal is not None:
                return refusal, message
            noted.changes.extend(wanted)
        mail = FilteredMail(
            transaction.queue_id,
            Envelope(context.sender, tuple(context.recipients)),
            message.header,
            message.body,
            tuple(noted.changes),
            front=len(transaction.front),
            trace=transaction.trace,
        )
        refusal = await self.filters.ask(Stage.MESSAGE, noted, mail)
        each = self.filters.wants(Stage.RECIPIENT_OF_MESSAGE)
        if each and refusal is None and noted.action is not Action.DISCARD:
            mail = replace(mail, changes=tuple(noted.changes))
            refusal = await self._each_recipient(transaction, mail)
        if refusal is not None or noted.action is Action.DISCARD:
            return refusal, message
        reason = self._quarantine_reason(transaction)
        if reason:
            noted.changes += [RemoveHeader(_REASON), AddHeader(_REASON, reason[:_LONGEST])]
        before, after = transaction.front, front(context)
        if noted.changes or after != before:
            message = await edited(message, len(before), after, noted.changes, self.options.scan)
        return None, message

    async def _each_recipient(self, transaction: Transaction, mail: FilteredMail) -> Reply | None:
        """Ask about each recipient's copy; give a refusal for all."""
        rejected: dict[Recipient, Reply] = {}
        for recipient in tuple(self.context.recipients):
            noted = Noted()
            refusal = await self.filters.ask(Stage.RECIPIENT_OF_MESSAGE, noted, mail, recipient)
            if refusal is not None and self.options.lmtp:
                transaction.refused[recipient] = refusal
                self._drop(recipient)
            elif refusal is not None and refusal.transient:
                return refusal
            elif refusal is not None:
                rejected[recipient] = refusal
            elif noted.action is Action.DISCARD:
                self._drop(recipient)
            elif noted.action is Action.QUARANTINE:
                transaction.quarantined[recipient] = noted
            elif noted.action is Action.HOLD:
                transaction.noted.merge(replace(noted, changes=[]))
        there = self.context.recipients
        if rejected and all(one in rejected for one in there):
            return next(iter(rejected.values()))
        for recipient, refusal in rejected.items():
            transaction.quarantined[recipient] = Noted([], Action.QUARANTINE, refusal.text)
        if not there and not transaction.refused:
            transaction.noted.merge(Noted([], Action.DISCARD, "discarded for every recipient"))
        return None

    def _drop(self, recipient: Recipient) -> None:
        if recipient in self.context.recipients:
            self.context.recipients.remove(recipient)

    def _quarantine_reason(self, transaction: Transaction) -> str:
        """Say why all copies are in quarantine; ``""`` if not all of them are."""
        noted, there = transaction.noted, self.context.recipients
        if noted.action is Action.QUARANTINE:
            return noted.why
        apart = transaction.quarantined
        if there and all(one in apart for one in there):
            return "; ".join(dict.fromkeys(apart[one].why for one in there))
        return ""

    async def parcel(self, transaction: Transaction, message: Finished, now: int) -> Parcel:
        """Put down where each recipient's copy goes; filters may have added some.

        Args:
            transaction: What was decided.
            message: As it is to be delivered.
            now: Seconds since 1970 UTC.
        """
        context, noted = self.context, transaction.noted
        assert context.sender is not None
        destinations: dict[Recipient, Sequence[Destination]] = {}
        rewritten = context.sender.address != transaction.sender
        for recipient in context.recipients:
            known = transaction.destinations.get(recipient)
            if known is None or (known and rewritten):
                known = await self.routes.route(recipient.address, context.sender.address)
            destinations[recipient] = known
        usual = self.options.quarantine
        apart = {one: why.mailbox or usual for one, why in transaction.quarantined.items()}
        if noted.action is Action.QUARANTINE:
            everywhere = dict.fromkeys(destinations, noted.mailbox or usual)
            apart = {**everywhere, **apart}
        return Parcel(
            queue_id=transaction.queue_id,
            sender=context.sender,
            destinations=destinations,
            message=message,
            front=len(front(context)),
            arrived=now,
            held=noted.action is Action.HOLD,
            quarantined=apart,
            why=noted.why or "; ".join(one.why for one in transaction.quarantined.values()),
        )
