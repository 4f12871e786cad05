"""Everybody's mail in memory: gone when the process ends.

The store is used in the reactor's thread alone.  All calls end within one reactor turn, but for
those that are given a body in a file: that one is read in a thread first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from zope.interface import implementer

from mailplat.interfaces.plugins import StoreSettings
from mailplat.interfaces.store import IHome, IStore, NewMessage, Target
from mailplat.model.account import is_account_name
from mailplat.model.errors import NoSuchAccount, OverQuota
from mailplat.model.mailbox import INBOX, Appended, normal_name
from mailplat.store.memory.contents import Content, Contents
from mailplat.store.memory.home import MemoryHome
from mailplat.store.memory.notices import Notices

__all__ = ["MemoryStore"]


@implementer(IStore)
class MemoryStore:
    """See `IStore`.

    Args:
        settings: Its ``directory`` is not used.

    Attributes:
        contents: The different messages there are.
    """

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings
        self.contents = Contents(settings.reactor)
        self._homes: dict[str, MemoryHome] = {}
        self._notices = Notices()
        self._uid_validity = 0

    async def open(self) -> None:
        """See `IStore.open`: there is nothing to make ready."""

    async def close(self) -> None:
        """See `IStore.close`: all mail is gone."""
        self._homes.clear()

    async def open_home(self, account: str) -> IHome:
        """See `IStore.open_home`.

        Raises:
            NoSuchAccount: No account can be called so.
        """
        return self._home(account)

    def _home(self, account: str) -> MemoryHome:
        found = self._homes.get(account)
        if found is not None:
            return found
        _check_name(account)
        home = self._homes[account] = self._new_home(account)
        home.make(INBOX)
        home.note_subscribed(INBOX)
        for folder in self._settings.folders:
            name = normal_name(folder.name)
            if home.find(name) is None:
                home.make(name, () if folder.special_use is None else (folder.special_use,))
            home.note_subscribed(name)
        return home

    def _new_home(self, account: str) -> MemoryHome:
        return MemoryHome(
            account,
            self.contents,
            self._settings.reactor.seconds,
            self._take_uid_validity,
            self._settings.keyword_limit,
            self._notices,
            self._settings.quota,
        )

    def _take_uid_validity(self) -> int:
        """One counter for all mailboxes, ahead of what an earlier process gave out."""
        self._uid_validity = max(self._uid_validity + 1, int(self._settings.reactor.seconds()))
        return self._uid_validity

    async def accounts(self) -> Sequence[str]:
        """See `IStore.accounts`."""
        return sorted(self._homes)

    async def delete_home(self, account: str) -> None:
        """See `IStore.delete_home`."""
        home = self._homes.pop(account, None)
        if home is not None:
            home.drop_all()

    async def deliver(self, message: NewMessage, targets: Sequence[Target]) -> Sequence[Appended]:
        """See `IStore.deliver`."""
        for target in targets:
            _check_name(target.account)
        names = [normal_name(target.mailbox) for target in targets]
        content = await self.contents.take(message)
        self._check_room(len(content.data), targets)
        with self._notices:
            return [
                self._deliver_one(
                    target.account, name, (message.flags | target.flags, message.date, content)
                )
                for target, name in zip(targets, names, strict=True)
            ]

    def _deliver_one(
        self, account: str, name: str, message: tuple[frozenset[str], int, Content]
    ) -> Appended:
        home = self._home(account)
        mailbox = home.find(name)
        if mailbox is None:
            mailbox = home.make(name)
            home.note_subscribed(name)
        mailbox.keywords.add(mailbox.keywords.fitting(message[0]))
        return home.add(mailbox, [message])

    def _check_room(self, size: int, targets: Sequence[Target]) -> None:
        full: list[str] = []
        for account, count in Counter(target.account for target in targets).items():
            home = self._homes.get(account) or self._new_home(account)
            try:
                home.check_room(size * count, count)
            except OverQuota as error:
                full.append(error.reason)
        if full:
            raise OverQuota("; ".join(full))


def _check_name(account: str) -> None:
    if not is_account_name(account):
        raise NoSuchAccount(f"no account can be called {account!r}")
