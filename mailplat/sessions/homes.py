"""The home of who logs in, with what the account may keep brought up to date.

A store keeps each home's limit by itself, for delivery goes by it; accounts are edited elsewhere.
So a quota that was changed holds from the next log-in on, and for all accounts from the next start.
"""

from __future__ import annotations

from mailplat.interfaces.store import IHome, IStore
from mailplat.model.account import Account
from mailplat.model.mailbox import QuotaLimit

__all__ = ["home_of"]


async def home_of(store: IStore, account: Account) -> IHome:
    """Open an account's home, and hold it to the account's own quota, if it has one.

    An account without a quota of its own keeps the limit that its home has.
    """
    home = await store.open_home(account.name)
    if account.quota != QuotaLimit() and await home.limit() != account.quota:
        await home.set_limit(account.quota)
    return home
