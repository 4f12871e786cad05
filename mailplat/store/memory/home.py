"""One account's mail in memory: its mailboxes' names, its quota, and what touches two mailboxes.

Invariants: every transaction checks everything that can refuse it before it changes anything, and
then runs to its end within the same reactor turn; watchers are told after that.  One MODSEQ
counter serves all mailboxes.  What is kept is counted as it changes, and never anew.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

from zope.interface import implementer

from mailplat.interfaces.store import IHome, IHomeLease, IMailbox, IWatch, NewMessage
from mailplat.model.errors import AlreadyExists, Cannot, InUse, NoSuchMailbox, OverQuota
from mailplat.model.mailbox import (
    INBOX,
    SEPARATOR,
    Appended,
    Copied,
    MailboxInfo,
    MailboxStatus,
    QuotaLimit,
    QuotaUsage,
    SpecialUse,
    ancestors,
    normal_name,
)
from mailplat.model.numset import NumSet
from mailplat.store.memory.columns import Slices
from mailplat.store.memory.contents import Content, Contents
from mailplat.store.memory.handle import MemoryMailbox
from mailplat.store.memory.mailbox import Mailbox, Row
from mailplat.store.memory.notices import Notices, Watchers

__all__ = ["MemoryHome"]


@implementer(IHome)
class MemoryHome:
    """See `IHome`.

    Args:
        account: The account's name.
        contents: The store's.
        now: Tells the time, in seconds since 1970 UTC.
        take_uid_validity: Gives a UIDVALIDITY higher than every one before.
        keyword_limit: Keywords a mailbox may have.
        notices: The store's.
        quota: What it may keep until it is told otherwise.
    """

    def __init__(
        self,
        account: str,
        contents: Contents,
        now: Callable[[], float],
        take_uid_validity: Callable[[], int],
        keyword_limit: int,
        notices: Notices,
        quota: QuotaLimit,
    ) -> None:
        self.account = account
        self._contents = contents
        self._now = now
        self._take_uid_validity = take_uid_validity
        self._keyword_limit = keyword_limit
        self._mailboxes: dict[str, Mailbox] = {}
        self._subscribed: set[str] = set()
        self._modseq = 0
        self._limit = quota
        self._storage = 0
        self._messages = 0
        self._leases: set[object] = set()
        self._watchers: Watchers[[str]] = Watchers()
        self._notices = notices

    # What is there.

    def find(self, name: str) -> Mailbox | None:
        """Find a mailbox by its normal name."""
        return self._mailboxes.get(name)

    def _get(self, name: str) -> Mailbox:
        found = self._lookup(name)
        if found is None:
            raise NoSuchMailbox(f"{self.account}: no mailbox {name!r}")
        return found

    def _lookup(self, name: str) -> Mailbox | None:
        try:
            return self._mailboxes.get(normal_name(name))
        except Cannot:  # what cannot be a name is the name of nothing
            return None

    async def mailboxes(self) -> Sequence[MailboxInfo]:
        """See `IHome.mailboxes`."""
        names = set(self._mailboxes) | self._subscribed
        names.update(above for name in self._mailboxes for above in ancestors(name))
        return [self._info(name) for name in sorted(names, key=lambda n: (n != INBOX, n))]

    def _info(self, name: str) -> MailboxInfo:
        subscribed = name in self._subscribed
        mailbox = self._mailboxes.get(name)
        if mailbox is None:
            return MailboxInfo(name, exists=False, subscribed=subscribed)
        return MailboxInfo(name, True, subscribed, mailbox.special_use, mailbox.mailbox_id)

    async def status(self, names: Collection[str]) -> Mapping[str, MailboxStatus]:
        """See `IHome.status`; the answers are under the names as they were asked for."""
        found = ((name, self._lookup(name)) for name in names)
        return {name: mailbox.status() for name, mailbox in found if mailbox is not None}

    async def open_mailbox(self, name: str) -> IMailbox:
        """See `IHome.open_mailbox`."""
        return MemoryMailbox(self, self._get(name))

    # Names.

    async def create(self, name: str, special_use: Collection[SpecialUse]) -> str:
        """See `IHome.create`."""
        name = normal_name(name)
        if name in self._mailboxes:
            raise AlreadyExists(f"{self.account}: {name!r}")
        return self.make(name, special_use).mailbox_id

    def make(self, name: str, special_use: Collection[SpecialUse] = ()) -> Mailbox:
        """Make a mailbox under a normal name that is free."""
        uid_validity = self._take_uid_validity()
        made = self._mailboxes[name] = Mailbox(
            name,
            f"F{uid_validity:x}",  # as unique as the UIDVALIDITY, and kept through RENAME
            uid_validity,
            frozenset(special_use),
            self._keyword_limit,
            self.take_modseq(),
        )
        self._tell_name(name)
        return made

    async def delete(self, name: str) -> None:
        """See `IHome.delete`."""
        mailbox = self._get(name)
        if mailbox.name == INBOX:
            raise Cannot(f"{self.account}: INBOX cannot be deleted", public="INBOX stays")
        self._drop(mailbox)

    def _drop(self, mailbox: Mailbox) -> None:
        del self._mailboxes[mailbox.name]
        mailbox.gone = True
        self._count(-mailbox.columns.size, -len(mailbox.columns))
        self.take_modseq()
        self.tell_changed(mailbox)

    async def rename(self, old: str, new: str) -> None:
        """See `IHome.rename`; a level that only has mailboxes below it takes them along."""
        old, new = normal_name(old), normal_name(new)
        below = old + SEPARATOR
        moving = [name for name in self._mailboxes if name == old or name.startswith(below)]
        if not moving:
            raise NoSuchMailbox(f"{self.account}: no mailbox {old!r}")
        if new in self._mailboxes:
            raise AlreadyExists(f"{self.account}: {new!r}")
        if old == INBOX:
            self._empty_inbox_into(new)
            return
        if new.startswith(below):
            raise Cannot(f"{self.account}: {new!r} is below {old!r}", public="It lies below")
        names = {name: normal_name(new + name[len(old) :]) for name in moving}
        for taken in names.values():
            if taken in self._mailboxes:
                raise AlreadyExists(f"{self.account}: {taken!r}")
        renamed = {names[name]: self._mailboxes.pop(name) for name in moving}
        self._mailboxes |= renamed
        modseq = self.take_modseq()
        for name, mailbox in renamed.items():
            mailbox.name, mailbox.modseq = name, modseq
        for before, after in names.items():
            self._tell_name(before)
            self._tell_name(after)

    def _empty_inbox_into(self, new: str) -> None:
        """Give INBOX's messages a mailbox of their own (RFC 9051 §6.3.6)."""
        inbox = self._mailboxes[INBOX]
        with self._notices:
            self._transfer(inbox, NumSet.of(inbox.columns.uids), self.make(new), move=True)

    async def subscribe(self, name: str) -> None:
        """See `IHome.subscribe`."""
        self.note_subscribed(normal_name(name))

    def note_subscribed(self, name: str) -> None:
        """Put a normal name on the subscription list."""
        self._subscribed.add(name)

    async def unsubscribe(self, name: str) -> None:
        """See `IHome.unsubscribe`."""
        self._subscribed.discard(normal_name(name))

    # Messages.

    async def append(self, name: str, messages: Sequence[NewMessage]) -> Appended:
        """See `IHome.append`."""
        self._get(name)  # before a body is read in vain
        contents = [await self._contents.take(message) for message in messages]
        mailbox = self._get(name)
        self.check_room(sum(len(content.data) for content in contents), len(contents))
        flags = {flag for message in messages for flag in message.flags}
        mailbox.keywords.add(mailbox.keywords.missing(flags))
        return self.add(
            mailbox,
            [
                (message.flags, message.date, content)
                for message, content in zip(messages, contents, strict=True)
            ],
        )

    def add(
        self, mailbox: Mailbox, messages: Sequence[tuple[Collection[str], int, Content]]
    ) -> Appended:
        """Add messages (flags, date, content) that were checked, and tell the watchers."""
        if not messages:
            return Appended(mailbox.uid_validity, (), mailbox.modseq)
        saved = int(self._now())
        rows = [
            Row(mailbox.keywords.known_mask(flags), date, saved, content)
            for flags, date, content in messages
        ]
        uids = mailbox.add(rows, self.take_modseq())
        self._count(sum(len(row.content.data) for row in rows), len(rows))
        self.tell_changed(mailbox)
        return Appended(mailbox.uid_validity, uids, mailbox.modseq)

    def expunge(self, mailbox: Mailbox, uids: NumSet) -> NumSet:
        """Remove messages; tell which were there."""
        slices = mailbox.columns.rows_of(uids)
        if not slices:
            return NumSet()
        removed = self._remove(mailbox, slices, self.take_modseq())
        self.tell_changed(mailbox)
        return removed

    def _remove(self, mailbox: Mailbox, slices: Slices, modseq: int) -> NumSet:
        size = mailbox.columns.size
        removed = mailbox.remove(slices, modseq)
        self._count(mailbox.columns.size - size, -len(removed))
        return removed

    def copy(self, source: Mailbox, uids: NumSet, target: str) -> Copied:
        """See `IMailbox.copy`; a copy is saved now, and has its source's date."""
        into = self._get(target)
        sizes = [
            size
            for start, stop in source.columns.rows_of(uids)
            for size in source.columns.sizes[start:stop]
        ]
        self.check_room(sum(sizes), len(sizes))
        return self._transfer(source, uids, into, move=False)

    def move(self, source: Mailbox, uids: NumSet, target: str) -> Copied:
        """See `IMailbox.move`."""
        into = self._get(target)
        return self._transfer(source, uids, into, move=True)

    def _transfer(self, source: Mailbox, uids: NumSet, into: Mailbox, *, move: bool) -> Copied:
        columns = source.columns
        slices = columns.rows_of(uids)
        if not slices:
            return Copied(into.uid_validity, (), (), into.modseq)
        sources = columns.read_uids(slices)
        span = [row for start, stop in slices for row in range(start, stop)]
        masks, missing = source.masks_in(into, [columns.masks[row] for row in span])
        saved = int(self._now())
        rows = [
            Row(masks[columns.masks[row]], columns.dates[row], saved, columns.contents[row])
            for row in span
        ]
        into.keywords.add(missing)
        modseq = self.take_modseq()
        targets = into.add(rows, modseq)
        self._count(sum(len(row.content.data) for row in rows), len(rows))
        if move:
            self._remove(source, slices, modseq)
            self.tell_changed(source)
        self.tell_changed(into)
        return Copied(into.uid_validity, tuple(sources), targets, modseq)

    # What it may keep.

    async def usage(self) -> QuotaUsage:
        """See `IHome.usage`."""
        return QuotaUsage(self._storage, self._messages)

    async def limit(self) -> QuotaLimit:
        """See `IHome.limit`."""
        return self._limit

    async def set_limit(self, limit: QuotaLimit) -> None:
        """See `IHome.set_limit`."""
        self._limit = limit

    def check_room(self, size: int, count: int) -> None:
        """Refuse what would pass the quota; nothing at all is always let in."""
        storage, messages = self._limit.storage, self._limit.messages
        if not count:
            return
        if storage is not None and self._storage + size > storage:
            raise OverQuota(f"{self.account}: {self._storage} + {size} > {storage} bytes")
        if messages is not None and self._messages + count > messages:
            raise OverQuota(f"{self.account}: {self._messages} + {count} > {messages} messages")

    def _count(self, size: int, count: int) -> None:
        self._storage += size
        self._messages += count

    async def lease_maildrop(self) -> IHomeLease:
        """See `IHome.lease_maildrop`."""
        if self._leases:
            raise InUse(f"{self.account}: the maildrop is leased")
        return _Lease(self._leases)

    # Who is told.

    def take_modseq(self) -> int:
        """Give the next MODSEQ of this home."""
        self._modseq += 1
        return self._modseq

    def watch(self, tell: Callable[[str], None]) -> IWatch:
        """See `IHome.watch`."""
        return self._watchers.add(tell)

    def tell_changed(self, mailbox: Mailbox) -> None:
        """Tell everybody who watches it that there is something new in a mailbox."""
        self._notices.publish(mailbox.watchers.tell)
        self._tell_name(mailbox.name)

    def _tell_name(self, name: str) -> None:
        self._notices.publish(partial(self._watchers.tell, name))

    def drop_all(self) -> None:
        """The home is deleted: its mailboxes are gone for all who have them open."""
        with self._notices:
            for mailbox in list(self._mailboxes.values()):
                self._drop(mailbox)


@implementer(IHomeLease)
class _Lease:
    """The one entry among a home's leases."""

    def __init__(self, leases: set[object]) -> None:
        self._leases = leases
        leases.add(self)

    def release(self) -> None:
        self._leases.discard(self)
