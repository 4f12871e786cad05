"""Routes of a server that keeps mail for its accounts.

An address in one of our domains leads to its account: the exact address first, then the address
without its subaddress (``alice+lists@`` to ``alice@``, RFC 5233), then, for ``postmaster`` and
``abuse`` (RFC 5321 §4.5.1, RFC 2142 §2), the account named for them, then the domain's catch-all.
Other domains are remote: the session decides who may send there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from zope.interface import implementer

from mailplat.interfaces.accounts import IAccounts
from mailplat.interfaces.routes import Destination, IRoutes, Local, Refused, Remote
from mailplat.model.account import Account
from mailplat.model.address import Address
from mailplat.model.errors import NoSuchAccount
from mailplat.model.reply import Reply

__all__ = ["LocalRoutes"]

_ROLES = {"postmaster", "abuse"}


@implementer(IRoutes)
class LocalRoutes:
    """Leads mail for our domains to accounts, and all other mail away.

    Args:
        accounts: Whose address is whose.
        domains: Domains whose mail is ours, in any case.
        postmaster: The account that gets the mail of ``postmaster`` and ``abuse`` in every
            domain that has no account for them; ``""`` for none.
        catch_all: For a domain, the account that gets what nobody else gets.
        delimiter: What separates a subaddress from the local part; ``""`` for no subaddresses.
    """

    def __init__(
        self,
        accounts: IAccounts,
        domains: Collection[str],
        *,
        postmaster: str = "",
        catch_all: Mapping[str, str] | None = None,
        delimiter: str = "+",
    ) -> None:
        self._accounts = accounts
        self._domains = frozenset(domain.lower() for domain in domains)
        self._postmaster = postmaster
        self._catch_all = {d.lower(): name for d, name in (catch_all or {}).items()}
        self._delimiter = delimiter

    def is_local_domain(self, domain: str) -> bool:
        """See `IRoutes.is_local_domain`; ``""`` is the bare ``<Postmaster>``'s domain."""
        return not domain or domain.lower() in self._domains

    async def route(self, address: Address) -> tuple[Destination, ...]:
        """See `IRoutes.route`."""
        if not self.is_local_domain(address.domain):
            return (Remote(address),)
        local, domain = address.key
        account = await self._accounts.find_address(f"{local}@{domain}") if domain else None
        if account is not None:
            return (Local(account),)
        plain, found, detail = local.partition(self._delimiter) if self._delimiter else ("", "", "")
        if found and plain and domain:
            account = await self._accounts.find_address(f"{plain}@{domain}")
            if account is not None:
                return (Local(account, detail=detail),)
        for name in self._last_resorts(local, domain):
            account = await self._find(name)
            if account is not None:
                return (Local(account),)
        return (Refused(Reply.to_error(NoSuchAccount())),)

    def _last_resorts(self, local: str, domain: str) -> list[str]:
        names = [self._postmaster] if local in _ROLES else []
        return [name for name in [*names, self._catch_all.get(domain, "")] if name]

    async def _find(self, name: str) -> Account | None:
        return await self._accounts.find_account(name)
