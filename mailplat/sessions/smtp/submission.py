"""What a submission server does to the mail of who logged in (RFC 6409).

It holds an account to its own addresses, adds what a message must have and its
user's program left out, and takes out what nobody else is to see.

Invariants: a message is changed only where these options say so; what filters change comes after
it, so a signature covers what is added here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from twisted.logger import Logger

from mailplat.interfaces.routes import IRoutes, Local
from mailplat.message import addresses
from mailplat.message.dates import rfc5322_date
from mailplat.message.headers import every, first
from mailplat.model.account import Account
from mailplat.model.address import Address
from mailplat.model.reply import Reply
from mailplat.model.verdict import AddHeader, Change, RemoveHeader

__all__ = ["FromCheck", "Submission", "SubmissionOptions"]

_log = Logger()

_NOT_YOURS = Reply.of(553, "Sender address is not one of yours", "5.7.1")
_NOT_YOUR_FROM = Reply.of(550, "The From field has an address that is not one of yours", "5.7.1")
_MOST_AUTHORS = 50
"""Addresses of a From field that are looked up; more are not looked at, and are not yours."""


class FromCheck(StrEnum):
    """What becomes of a message whose From field names somebody else."""

    OFF = "off"
    WARN = "warn"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class SubmissionOptions:
    """What is done to mail of who logged in.

    Attributes:
        any_sender: Whether an account may use sender addresses of others.
        from_check: What becomes of a From field with addresses of others.
        add_sender: Whether such a message gets a Sender field that says who it is (RFC 6409 §8.1).
        add_fields: Whether Date and Message-ID are added where they are missing (§8.2, §8.3).
        remove_bcc: Whether Bcc fields are taken out (RFC 5322 §3.6.3).
    """

    any_sender: bool = False
    from_check: FromCheck = FromCheck.OFF
    add_sender: bool = False
    add_fields: bool = True
    remove_bcc: bool = True


class Submission:
    """Looks after the mail of who logged in.

    Args:
        routes: Say whose an address is.
        options: What is done.
        hostname: The server's name, for Message-IDs.
    """

    def __init__(self, routes: IRoutes, options: SubmissionOptions, hostname: str) -> None:
        self._routes = routes
        self._options = options
        self._hostname = hostname

    async def sender_refusal(
        self, account: Account | None, address: Address | None
    ) -> Reply | None:
        """Hold an account to its own sender addresses (RFC 6409 §6.1)."""
        if account is None or address is None or self._options.any_sender:
            return None
        return None if await self._owns(account, address) else _NOT_YOURS

    async def _owns(self, account: Account, address: Address) -> bool:
        if not self._routes.is_local_domain(address.domain):
            return False
        found = await self._routes.route(address)
        return any(isinstance(one, Local) and one.account.name == account.name for one in found)

    async def look(
        self, account: Account, sender: Address | None, header: bytes, queue_id: str, now: int
    ) -> tuple[Reply | None, list[Change]]:
        """Look at a message that is complete.

        Args:
            account: Who sends it.
            sender: Its reverse path.
            header: Its header, trace fields included.
            queue_id: Its name.
            now: Seconds since 1970 UTC.

        Returns:
            Why it is refused, if it is; and what is to be changed in its header.
        """
        options, changes = self._options, list[Change]()
        if options.from_check is not FromCheck.OFF or options.add_sender:
            foreign = await self._foreign(account, header)
            if foreign is not None and options.from_check is FromCheck.REJECT:
                return _NOT_YOUR_FROM, []
            if foreign is not None and options.from_check is FromCheck.WARN:
                _log.warn(
                    "{queue_id}: {account} sends as {author}",
                    queue_id=queue_id,
                    account=account.name,
                    author=foreign,
                )
            if foreign is not None and options.add_sender:
                changes += [
                    RemoveHeader("Sender"),
                    AddHeader("Sender", _own(account, sender), False),
                ]
        if options.add_fields:
            if first(header, b"date") is None:
                changes.append(AddHeader("Date", rfc5322_date(now), on_top=False))
            if first(header, b"message-id") is None:
                name = f"<{queue_id}@{self._hostname}>"
                changes.append(AddHeader("Message-ID", name, on_top=False))
        if options.remove_bcc and first(header, b"bcc") is not None:
            changes.append(RemoveHeader("Bcc"))
        return None, changes

    async def _foreign(self, account: Account, header: bytes) -> str | None:
        """Give the first author that is not the account; ``""`` where there is none at all."""
        authors = [
            f"{(one.local or b'').decode('utf-8', 'replace')}@{one.host.decode('utf-8', 'replace')}"
            for value in every(header, b"from")
            for one in addresses.parse(value, _MOST_AUTHORS + 1)
            if one.host is not None
        ]
        for author in authors[:_MOST_AUTHORS]:
            local, _, domain = author.rpartition("@")
            if not domain or not await self._owns(account, Address(local, domain)):
                return author
        return None if 0 < len(authors) <= _MOST_AUTHORS else ""


def _own(account: Account, sender: Address | None) -> str:
    """Name the account: by the reverse path that it may use, or else by its own address."""
    if sender is not None:
        return str(sender)
    return account.addresses[0] if account.addresses else account.name
