"""The route of the accounts: mail for our domains is kept for them.

An address in one of our domains leads to its account: the exact address first, then the address
without its subaddress (``alice+lists@`` to ``alice@``, RFC 5233), then, for ``postmaster`` and
``abuse`` (RFC 5321 §4.5.1, RFC 2142 §2), the account named for them, then the domain's catch-all.
Nobody else is in our domains: the rest of their addresses are refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping

from zope.interface import implementer

from mailplat.interfaces.accounts import IAccounts
from mailplat.interfaces.routes import Found, IRoute, Local, Refused
from mailplat.model.account import Account
from mailplat.model.address import Address
from mailplat.model.errors import NoSuchAccount
from mailplat.model.reply import Reply

__all__ = ["HasMailbox", "LocalRoute"]

_ROLES = {"postmaster", "abuse"}

HasMailbox = Callable[[str, str], Awaitable[bool]]
"""Tells whether an account has a mailbox of a name."""


@implementer(IRoute)
class LocalRoute:
    """Leads mail for our domains to accounts.

    Args:
        accounts: Whose address is whose.
        domains: Domains whose mail is ours, in any case.
        postmaster: The account that gets the mail of ``postmaster`` and ``abuse`` in every
            domain that has no account for them; ``""`` for none.
        catch_all: For a domain, the account that gets what nobody else gets.
        delimiter: What separates a subaddress from the local part; ``""`` for no subaddresses.
        has_mailbox: Where mail for a subaddress goes into the mailbox of that name if there is
            one, tells whether there is; None keeps all of it in INBOX.
    """

    name = "accounts"

    def __init__(
        self,
        accounts: IAccounts,
        domains: Collection[str],
        *,
        postmaster: str = "",
        catch_all: Mapping[str, str] | None = None,
        delimiter: str = "+",
        has_mailbox: HasMailbox | None = None,
    ) -> None:
        self._accounts = accounts
        self._domains = frozenset(domain.lower() for domain in domains)
        self._postmaster = postmaster
        self._catch_all = {d.lower(): name for d, name in (catch_all or {}).items()}
        self._delimiter = delimiter
        self._has_mailbox = has_mailbox

    def is_local_domain(self, domain: str) -> bool:
        """See `IRoute.is_local_domain`; ``""`` is the bare ``<Postmaster>``'s domain."""
        return not domain or domain.lower() in self._domains

    async def find(self, address: Address, sender: Address | None) -> Found | None:
        """See `IRoute.find`."""
        if not self.is_local_domain(address.domain):
            return None
        local, domain = address.key
        account = await self._accounts.find_address(f"{local}@{domain}") if domain else None
        if account is not None:
            return Found(Local(account), f"an address of {account.name}")
        plain, found, detail = local.partition(self._delimiter) if self._delimiter else ("", "", "")
        if found and plain and domain:
            account = await self._accounts.find_address(f"{plain}@{domain}")
            if account is not None:
                return await self._detailed(account, detail)
        for name, because in self._last_resorts(local, domain):
            account = await self._accounts.find_account(name)
            if account is not None:
                return Found(Local(account), because)
        return Found(Refused(Reply.to_error(NoSuchAccount())), f"nobody in {domain or 'here'}")

    async def _detailed(self, account: Account, detail: str) -> Found:
        because = f"a subaddress of {account.name}"
        if (
            detail
            and self._has_mailbox is not None
            and await self._has_mailbox(account.name, detail)
        ):
            return Found(Local(account, detail, detail), f"{because}, which has that mailbox")
        return Found(Local(account, detail=detail), because)

    def _last_resorts(self, local: str, domain: str) -> list[tuple[str, str]]:
        names = [(self._postmaster, "routes.postmaster")] if local in _ROLES else []
        names.append((self._catch_all.get(domain, ""), f"the catch-all of {domain}"))
        return [one for one in names if one[0]]
