"""Gives the store the quotas that accounts were made with."""

from __future__ import annotations

from mailplat.interfaces.accounts import IAccounts
from mailplat.interfaces.store import IStore
from mailplat.model.mailbox import QuotaLimit

__all__ = ["AccountQuotas"]


class AccountQuotas:
    """Sets each account's own quota when the server starts.

    The store keeps limits itself from then on, and a log-in brings them up to date
    (`mailplat.sessions.homes`); accounts without a quota of their own have the store's default.

    Args:
        accounts: Say what each account may keep.
        store: Holds them to it.
    """

    def __init__(self, accounts: IAccounts, store: IStore) -> None:
        self._accounts = accounts
        self._store = store

    async def open(self) -> None:
        """Set the limits that differ; both parts are open already."""
        for account in await self._accounts.list_accounts():
            if account.quota == QuotaLimit():
                continue
            home = await self._store.open_home(account.name)
            if await home.limit() != account.quota:
                await home.set_limit(account.quota)

    async def close(self) -> None:
        """Nothing to let go of."""
