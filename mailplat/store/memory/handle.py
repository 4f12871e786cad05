"""A session's handle of a mailbox in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from zope.interface import implementer

from mailplat.interfaces.store import (
    BodyRange,
    Column,
    IMailbox,
    IWatch,
    MailboxState,
    Rows,
)
from mailplat.model.changes import Changes, FlagsStored
from mailplat.model.errors import NoSuchMailbox
from mailplat.model.flags import FlagAction
from mailplat.model.mailbox import Copied
from mailplat.model.numset import NumSet
from mailplat.store.memory.mailbox import Mailbox

if TYPE_CHECKING:
    from mailplat.store.memory.home import MemoryHome

__all__ = ["MemoryMailbox"]


@implementer(IMailbox)
class MemoryMailbox:
    """See `IMailbox`.  Every call but `MemoryHome.append` ends within one reactor turn."""

    def __init__(self, home: MemoryHome, mailbox: Mailbox) -> None:
        self._home = home
        self._mailbox = mailbox
        self._watches: list[IWatch] = []
        self.name = mailbox.name
        self.mailbox_id = mailbox.mailbox_id
        self.uid_validity = mailbox.uid_validity
        mailbox.show_to(self, mailbox.modseq)

    @property
    def keywords(self) -> Sequence[str]:
        """The mailbox's keywords."""
        return self._mailbox.keywords.names

    def _open(self) -> Mailbox:
        if self._mailbox.gone:
            raise NoSuchMailbox(f"{self._home.account}: {self.name} was deleted")
        return self._mailbox

    async def state(self, claim_recent: bool) -> MailboxState:
        """See `IMailbox.state`."""
        return self._open().state(claim_recent)

    async def rows(self, uids: Sequence[int] | NumSet, columns: Collection[Column]) -> Rows:
        """See `IMailbox.rows`."""
        table = self._open().columns
        slices = table.rows_of(uids)
        return Rows(
            table.read_uids(slices),
            {column: table.read(column, slices) for column in columns},
        )

    async def bodies(self, ranges: Sequence[BodyRange]) -> Sequence[bytes | None]:
        """See `IMailbox.bodies`; those of a deleted mailbox too, while it is open here."""
        found: list[bytes | None] = []
        for wanted in ranges:
            content = self._mailbox.content(wanted.uid)
            found.append(None if content is None else content.data[wanted.start : wanted.stop])
        return found

    async def store_flags(
        self,
        uids: NumSet,
        action: FlagAction,
        flags: Collection[str],
        unchanged_since: int | None,
    ) -> FlagsStored:
        """See `IMailbox.store_flags`."""
        mailbox = self._open()
        stored = mailbox.store_flags(uids, action, flags, unchanged_since, self._home.take_modseq)
        if stored.modseq:
            self._home.tell_changed(mailbox)
        return stored

    async def expunge(self, uids: NumSet) -> NumSet:
        """See `IMailbox.expunge`."""
        return self._home.expunge(self._open(), uids)

    async def copy(self, uids: NumSet, target: str) -> Copied:
        """See `IMailbox.copy`."""
        return self._home.copy(self._open(), uids, target)

    async def move(self, uids: NumSet, target: str) -> Copied:
        """See `IMailbox.move`."""
        return self._home.move(self._open(), uids, target)

    async def changes_since(self, modseq: int) -> Changes:
        """See `IMailbox.changes_since`."""
        return self._open().changes_since(modseq)

    def acknowledge(self, modseq: int) -> None:
        """See `IMailbox.acknowledge`."""
        self._mailbox.show_to(self, modseq)

    def watch(self, tell: Callable[[], None]) -> IWatch:
        """See `IMailbox.watch`."""
        watch = self._mailbox.watchers.add(tell)
        self._watches.append(watch)
        return watch

    def close(self) -> None:
        """See `IMailbox.close`; its watches stop with it."""
        for watch in self._watches:
            watch.stop()
        self._mailbox.hide_from(self)
