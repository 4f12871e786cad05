"""When a filter is asked: what the operator wrote beside it about connection and mail.

What cannot be known yet at a stage holds: a filter that is for one sender's mail is asked at
`connect` too, so that it sees the whole of a connection; and nothing gets round a filter by being
asked about early.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mailplat.interfaces.filters import Context, Mail, Stage
from mailplat.interfaces.hooks import QueuedMail
from mailplat.model.envelope import Recipient, Sender

__all__ = ["ALWAYS", "Condition"]

_UNKNOWN_ACCOUNT = {Stage.CONNECT, Stage.HELLO}
_TOLD = {Stage.DENY, Stage.DISCONNECT}


@dataclass(frozen=True, slots=True)
class Condition:
    """All that is given has to hold.

    Attributes:
        authenticated: Whether somebody has to be logged in, or nobody may be; None for either.
        sender_domains: Domains of the reverse path, in lower case; empty for any.
        recipient_domains: Domains of which one recipient at least is, in lower case; empty for any.
        size_from: The least size in bytes.
        size_to: The largest size in bytes; None for any.
        local: True where one recipient at least is in a domain of ours, False where one at least
            is not; None for either.
    """

    authenticated: bool | None = None
    sender_domains: frozenset[str] = frozenset()
    recipient_domains: frozenset[str] = frozenset()
    size_from: int = 0
    size_to: int | None = None
    local: bool | None = None

    def holds(
        self,
        stage: Stage,
        context: Context,
        subject: tuple[Any, ...],
        is_local: Callable[[str], bool],
    ) -> bool:
        """Tell whether a filter is to be asked at a stage of a session.

        Args:
            stage: Which.
            context: What is known of the connection.
            subject: What the stage is about.
            is_local: Whether a domain is ours.
        """
        if stage in _TOLD:
            return True
        if self.authenticated is not None and stage not in _UNKNOWN_ACCOUNT:
            there = context.account is not None or stage is Stage.AUTH
            if there is not self.authenticated:
                return False
        sender, recipients, size = context.sender, context.recipients, None
        for one in subject:
            match one:
                case Recipient():
                    recipients = [one]
                case Sender():
                    sender = one
                case Mail():
                    size = one.body.size
        if sender is not None and size is None:
            size = sender.size
        return self._envelope_holds(sender, recipients, size, is_local)

    def holds_in_queue(self, mail: QueuedMail, is_local: Callable[[str], bool]) -> bool:
        """Tell whether a filter is to be asked about mail in the queue."""
        return self._envelope_holds(mail.sender, mail.recipients, mail.size, is_local)

    def _envelope_holds(
        self, sender: Sender | None, recipients: Any, size: int | None, is_local: Any
    ) -> bool:
        if self.sender_domains and sender is not None:
            domain = sender.address.domain.lower() if sender.address is not None else ""
            if domain not in self.sender_domains:
                return False
        if size is not None and not self._fits(size):
            return False
        if not recipients:
            return True  # not known yet
        domains = {one.address.domain.lower() for one in recipients}
        if self.recipient_domains and not domains & self.recipient_domains:
            return False
        return self.local is None or any(is_local(one) is self.local for one in domains)

    def _fits(self, size: int) -> bool:
        return self.size_from <= size and (self.size_to is None or size <= self.size_to)


ALWAYS = Condition()
"""Holds."""
