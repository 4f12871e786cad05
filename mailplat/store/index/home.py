"""`IHome` on the index: the mailboxes of one account.

The list of mailboxes, their counters, subscriptions and quota are in memory, kept in step by every
commit; so LIST, STATUS and GETQUOTA ask no database.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TypeVar

from twisted.python.failure import Failure
from zope.interface import implementer

from mailplat.interfaces.store import IHome, IHomeLease, IMailbox, IWatch, NewMessage
from mailplat.model.errors import InUse, MailError, NoSuchMailbox
from mailplat.model.mailbox import (
    INBOX,
    Appended,
    MailboxInfo,
    MailboxStatus,
    QuotaLimit,
    QuotaUsage,
    SpecialUse,
    ancestors,
    normal_name,
)
from mailplat.store.index import folders, messages
from mailplat.store.index.mailbox import IndexedMailbox
from mailplat.store.index.names import known_name
from mailplat.store.index.parts import StoreParts
from mailplat.store.index.shelf import HeldHome
from mailplat.store.index.writer import Operation

__all__ = ["IndexedHome"]

T = TypeVar("T")


@implementer(IHome)
class IndexedHome:
    """One account's mail.

    Args:
        store: Whose.
        held: The home in memory.
    """

    def __init__(self, store: StoreParts, held: HeldHome) -> None:
        self.account = held.row.account
        self._store = store
        self._held = held

    async def _ready(self) -> None:
        """Bring memory up to date; most often there is nothing to do."""
        held = self._held
        looked = self._store.bodies.look(held.row, None)
        if looked is not None:
            await looked
        while held.stale and not held.gone:
            await self._submit(partial(folders.tell_home, home_id=held.row.id))
        if held.gone:
            raise NoSuchMailbox(f"{self.account}: the home was deleted")

    async def _submit(self, operation: Operation[T]) -> T:
        return await self._store.writer.submit(operation, self.account)

    # mailboxes

    async def mailboxes(self) -> Sequence[MailboxInfo]:
        """See `IHome.mailboxes`."""
        await self._ready()
        held = self._held
        names = set(held.by_name) | held.subscriptions
        names.update(level for name in held.by_name for level in ancestors(name))
        found = []
        for name in sorted(names, key=lambda name: (name != INBOX, name)):
            row = held.by_name.get(name)
            found.append(
                MailboxInfo(
                    name,
                    exists=row is not None,
                    subscribed=name in held.subscriptions,
                    special_use=frozenset(map(SpecialUse, row.special_use if row else ())),
                    mailbox_id=row.mailbox_id if row else "",
                )
            )
        return found

    async def status(self, names: Collection[str]) -> Mapping[str, MailboxStatus]:
        """See `IHome.status`."""
        await self._ready()
        found = {}
        for name in names:
            try:
                row = self._held.by_name.get(known_name(name))
            except NoSuchMailbox:
                continue
            if row is not None:
                found[name] = row.status
        return found

    async def open_mailbox(self, name: str) -> IMailbox:
        """See `IHome.open_mailbox`."""
        name = known_name(name)
        await self._ready()
        row = self._held.by_name.get(name)
        if row is None:
            raise NoSuchMailbox(f"{self.account}: there is no mailbox {name!r}")
        mailbox = await self._store.shelf.open_mailbox(row.id)
        found = self._held.by_name.get(name)
        if found is None or found.id != row.id:
            self._store.shelf.close_mailbox(mailbox)
            raise NoSuchMailbox(f"{self.account}: there is no mailbox {name!r}")
        return IndexedMailbox(self._store, self._held, mailbox, name)

    async def create(self, name: str, special_use: Collection[SpecialUse]) -> str:
        """See `IHome.create`."""
        name = normal_name(name)
        await self._ready()
        return await self._submit(
            partial(
                folders.create,
                rules=self._store.rules,
                home_id=self._held.row.id,
                name=name,
                special_use=[use.value for use in special_use],
            )
        )

    async def delete(self, name: str) -> None:
        """See `IHome.delete`."""
        name = known_name(name)
        await self._ready()
        operation = partial(
            folders.delete, rules=self._store.rules, home_id=self._held.row.id, name=name
        )
        await self._submit(operation)

    async def rename(self, old: str, new: str) -> None:
        """See `IHome.rename`."""
        old, new = known_name(old), normal_name(new)
        await self._ready()
        operation = partial(
            folders.rename, rules=self._store.rules, home_id=self._held.row.id, old=old, new=new
        )
        await self._submit(operation)

    async def subscribe(self, name: str) -> None:
        """See `IHome.subscribe`."""
        name = normal_name(name)
        await self._ready()
        await self._submit(
            partial(
                folders.subscribe, rules=self._store.rules, home_id=self._held.row.id, name=name
            )
        )

    async def unsubscribe(self, name: str) -> None:
        """See `IHome.unsubscribe`."""
        try:
            name = known_name(name)
        except NoSuchMailbox:
            return
        await self._ready()
        await self._submit(
            partial(
                folders.unsubscribe, rules=self._store.rules, home_id=self._held.row.id, name=name
            )
        )

    async def append(self, name: str, messages_: Sequence[NewMessage]) -> Appended:
        """See `IHome.append`."""
        name = known_name(name)
        await self._ready()
        if name not in self._held.by_name:
            raise NoSuchMailbox(f"{self.account}: there is no mailbox {name!r}")
        held, bodies = self._held, self._store.bodies
        prepared = await bodies.prepare(messages_, [self.account])
        try:
            operation = partial(
                messages.append,
                rules=self._store.rules,
                home_id=held.row.id,
                name=name,
                messages=messages_,
                prepared=prepared,
            )
            weight = sum(message.body.size for message in messages_)
            subject = f"{self.account}/{name}"
            return await self._store.writer.submit(operation, subject, weight)
        finally:
            bodies.done(prepared)

    # quota

    async def usage(self) -> QuotaUsage:
        """See `IHome.usage`."""
        await self._ready()
        return self._held.row.usage

    async def limit(self) -> QuotaLimit:
        """See `IHome.limit`."""
        await self._ready()
        return self._held.row.limit(self._store.settings.quota)

    async def set_limit(self, limit: QuotaLimit) -> None:
        """See `IHome.set_limit`."""
        await self._ready()
        await self._submit(partial(folders.set_limit, home_id=self._held.row.id, limit=limit))

    # sessions

    async def lease_maildrop(self) -> IHomeLease:
        """See `IHome.lease_maildrop`."""
        held = self._held
        if held.leased:
            raise InUse(f"{self.account}: the maildrop is in use")
        held.leased = True
        if self._store.shares_leases:
            try:
                if not await self._submit(partial(folders.take_lease, home_id=held.row.id)):
                    raise InUse(f"{self.account}: the maildrop is in use by another process")
            except BaseException:
                held.leased = False
                raise
        return _Lease(self._drop_lease)

    def _drop_lease(self) -> None:
        self._held.leased = False
        if self._store.shares_leases:
            operation = partial(folders.drop_lease, home_id=self._held.row.id)
            self._store.writer.submit(operation, self.account).addErrback(_lost_anyway)

    def watch(self, tell: Callable[[str], None]) -> IWatch:
        """See `IHome.watch`."""
        return self._held.watchers.add(tell)


@implementer(IHomeLease)
class _Lease:
    """Whoever has it has the maildrop."""

    def __init__(self, drop: Callable[[], None]) -> None:
        self._drop: Callable[[], None] | None = drop

    def release(self) -> None:
        drop, self._drop = self._drop, None
        if drop is not None:
            drop()


def _lost_anyway(failure: Failure) -> None:
    """A lease ends with its connection."""
    failure.trap(MailError)
