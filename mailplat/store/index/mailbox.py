"""`IMailbox` on the index: an open mailbox.

What is in memory is answered without leaving the reactor's thread, in slices of arrays; summaries
come from the cache of blocks or, all that is missing at once, from a reader's thread; changes are
operations for the writer.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from itertools import compress
from typing import Any

from twisted.logger import Logger
from zope.interface import implementer

from mailplat.interfaces.search import ISearchable, Searched
from mailplat.interfaces.store import BodyRange, Column, IMailbox, IWatch, MailboxState, Rows
from mailplat.model.changes import Changes, FlagsStored
from mailplat.model.errors import Corrupt, NoSuchMailbox, StorageFull, Unavailable
from mailplat.model.flags import FlagAction
from mailplat.model.mailbox import Copied
from mailplat.model.numset import MAX_NUMBER, NumSet
from mailplat.store.index import messages
from mailplat.store.index.blocks import BLOCK_BITS, Block
from mailplat.store.index.bodies import Wanted
from mailplat.store.index.columns import MEMORY_COLUMNS, joined
from mailplat.store.index.database import Connection
from mailplat.store.index.names import known_name
from mailplat.store.index.parts import StoreParts
from mailplat.store.index.recent import BODY, MISSING
from mailplat.store.index.shelf import HeldHome, HeldMailbox

__all__ = ["IndexedMailbox"]

_log = Logger()

_SPARSE = 16
"""So few messages of a block are read alone, without the rest of the block."""

_OF_MESSAGES = frozenset({Column.SAVED})
"""Columns of messages, not of their contents."""

_WITHOUT_CONTENT = frozenset({Column.FLAGS, Column.MODSEQ, Column.DATE, Column.SAVED})
"""Columns that are known of a message whose bytes nobody has read yet."""

_Read = tuple[NumSet, tuple[Column, ...]]
_Answer = tuple[list[int], dict[Column, list[Any]]]


@implementer(IMailbox, ISearchable)
class IndexedMailbox:
    """One session's handle of a mailbox.

    Args:
        store: Whose.
        home: The home it is in.
        held: Its columns.
        name: The name it was opened by.
    """

    def __init__(self, store: StoreParts, home: HeldHome, held: HeldMailbox, name: str) -> None:
        self.name = name
        self.mailbox_id = home.by_name[name].mailbox_id
        self.uid_validity = held.columns.uid_validity
        self._store = store
        self._home = home
        self._held = held
        self._columns = held.columns
        self._subject = f"{home.row.account}/{name}"
        self._closed = False
        self._position = held.columns.modseq
        held.take_position(self._position)

    @property
    def keywords(self) -> Sequence[str]:
        """See `IMailbox.keywords`."""
        return self._columns.keywords

    def _look(self) -> Awaitable[None] | None:
        """See what there is to do before memory can be trusted; most often nothing."""
        row = self._home.by_id.get(self._columns.id)
        looked = self._store.bodies.look(self._home.row, row) if row is not None else None
        if looked is None and not self._columns.stale:
            return None
        return self._refresh(looked)

    async def _refresh(self, looked: Awaitable[None] | None) -> None:
        if looked is not None:
            await looked
        await self._store.shelf.refresh(self._held)

    async def _ready(self) -> None:
        waiting = self._look()
        if waiting is not None:
            await waiting
        if self._columns.gone:
            raise NoSuchMailbox(f"{self._subject}: the mailbox was deleted")

    async def _complete(self, uids: Sequence[int] | NumSet) -> None:
        """Have those of some messages read that nobody has read yet."""
        if self._columns.incomplete:
            missing = self._columns.without_content(self._columns.slices(uids))
            if missing:
                await self._store.bodies.complete(self._columns.id, missing)

    # reading

    async def state(self, claim_recent: bool) -> MailboxState:
        """See `IMailbox.state`."""
        await self._ready()
        columns = self._columns
        uid_next, recent_uid = columns.uid_next, columns.recent_uid
        now = MailboxState(columns.uids[:], uid_next, columns.modseq, recent_uid)
        if claim_recent and recent_uid < uid_next:
            # only what is told of here is claimed: more may come meanwhile
            operation = partial(messages.claim_recent, mailbox_id=columns.id, uid_next=uid_next)
            try:
                recent_uid = await self._store.writer.submit(operation, self._subject)
            except (StorageFull, Unavailable) as error:
                # who cannot write may read: "considered recent" (RFC 3501 §2.3.2)
                _log.warn("recent messages stay recent: {error}", error=error)
                return now
            return replace(now, recent_uid=min(recent_uid, uid_next))
        return now

    async def rows(self, uids: Sequence[int] | NumSet, columns: Collection[Column]) -> Rows:
        """See `IMailbox.rows`."""
        await self._ready()
        mine = self._columns
        if mine.incomplete and not _WITHOUT_CONTENT.issuperset(columns):
            await self._complete(uids)
        slices = mine.slices(uids)
        found: array[int] = joined(mine.uids, slices)
        values: dict[Column, Sequence[Any]] = {}
        others = []
        for column in columns:
            if column in MEMORY_COLUMNS:
                values[column] = mine.read(column, slices)
            else:
                others.append(column)
        if others:
            while lost := await self._read_summaries(found, others, values):
                # expunged while their summaries were being read
                kept = [uid not in lost for uid in found]
                found = array("I", compress(found, kept))
                for column in columns:
                    if column in MEMORY_COLUMNS:
                        values[column] = list(compress(values[column], kept))
        return Rows(found, values)

    async def _read_summaries(
        self, uids: array[int], columns: Sequence[Column], values: dict[Column, Sequence[Any]]
    ) -> set[int]:
        """Read columns of messages that are there; tell those that are gone meanwhile."""
        parts = _parts(uids)
        blocks: dict[tuple[Column, int], Block] = {}
        reads: dict[tuple[int, int], list[Column]] = {}
        sparse: dict[tuple[Column, ...], list[int]] = {}
        cache, mailbox_id = self._store.blocks, self._columns.id
        for number, part in parts:
            alone = []
            for column in columns:
                block = cache.find(mailbox_id, column, number)
                if block is None and len(part) <= _SPARSE:
                    few = self._recently_read(part, column)
                    if few is None:
                        alone.append(column)
                    else:
                        blocks[column, number] = few
                    continue
                block = blocks[column, number] = block or Block()
                if block.last < part[-1]:
                    reads.setdefault((number, block.last), []).append(column)
            if alone:
                sparse.setdefault(tuple(alone), []).append(number)
        if reads or sparse:
            await self._fill(parts, blocks, reads, sparse)
        lost: set[int] = set()
        for column in columns:
            picked: list[Any] = []
            for number, part in parts:
                lost.update(blocks[column, number].pick(part, picked))
            values[column] = picked
        if lost:
            await self._store.settled()
            still = [uid for uid in lost if self._columns.find(uid) is not None]
            if still and not self._columns.gone:
                raise Corrupt(f"{self._subject}: the summary of UID {min(still)} is missing")
        return lost

    async def _fill(
        self,
        parts: Sequence[tuple[int, array[int]]],
        blocks: dict[tuple[Column, int], Block],
        reads: dict[tuple[int, int], list[Column]],
        sparse: dict[tuple[Column, ...], list[int]],
    ) -> None:
        """Read what is missing, all in one job of a reader."""
        jobs: list[_Read] = []
        for (number, last), columns in reads.items():
            first = max(last + 1, number << BLOCK_BITS)
            uids = NumSet.span(first, (number + 1 << BLOCK_BITS) - 1)
            jobs.append((uids, tuple(columns)))
        by_number = dict(parts)
        for alone, numbers in sparse.items():
            uids = NumSet.of(uid for number in numbers for uid in by_number[number])
            jobs.append((uids, alone))
        job = partial(self._read_all, jobs=jobs)
        answers = await self._store.readers.read(job, self._subject)
        for ((number, _), columns), (found, values) in zip(reads.items(), answers, strict=False):
            for column in columns:
                block = blocks[column, number]
                block.extend(found, values[column])
                self._store.blocks.keep(self._columns.id, column, number, block)
        rest = answers[len(reads) :]
        for (alone, numbers), (found, values) in zip(sparse.items(), rest, strict=True):
            for column in alone:
                few = Block()
                few.extend(found, values[column])
                for number in numbers:
                    blocks[column, number] = few
                if column not in _OF_MESSAGES:
                    for uid, value in zip(found, values[column], strict=True):
                        row = self._columns.find(uid)
                        if row is not None:
                            self._store.recent.keep(self._columns.contents[row], column, value)

    def _recently_read(self, uids: Sequence[int], column: Column) -> Block | None:
        """Give a column of some messages, if all of it was read a moment ago."""
        values = []
        for uid in uids:
            row = self._columns.find(uid)
            content = 0 if row is None else self._columns.contents[row]
            value = self._store.recent.find(content, column)
            if value is MISSING:
                return None
            values.append(value)
        block = Block()
        block.extend(uids, values)
        return block

    def _read_all(self, connection: Connection, jobs: Sequence[_Read]) -> list[_Answer]:
        read = self._store.summaries.read
        return [read(connection, self._columns.id, uids, columns) for uids, columns in jobs]

    async def bodies(self, ranges: Sequence[BodyRange]) -> Sequence[bytes | None]:
        """See `IMailbox.bodies`."""
        await self._complete(sorted({wanted.uid for wanted in ranges}))
        answers: list[bytes | None] = [None] * len(ranges)
        asked = await self._read_bodies(ranges, range(len(ranges)), answers)
        if any(answers[at] is None for at in asked):
            # gone a moment ago, and memory did not know yet?  Then their bytes are elsewhere.
            await self._store.settled()
            again = [at for at in asked if answers[at] is None]
            asked = await self._read_bodies(ranges, again, answers)
            for at in asked:
                uid = ranges[at].uid
                if answers[at] is None and self._columns.find(uid) is not None:
                    raise Corrupt(f"{self._subject}: the bytes of UID {uid} are missing")
        return answers

    async def _read_bodies(
        self, ranges: Sequence[BodyRange], which: Sequence[int], answers: list[bytes | None]
    ) -> list[int]:
        """Read some of the ranges; tell which of them should have bytes."""
        columns, recent = self._columns, self._store.recent
        wanted: list[Wanted] = []
        asked: list[int] = []
        cuts: list[tuple[int, int]] = []
        unread: list[int] = []
        for at in which:
            uid, place = ranges[at].uid, ""
            row = columns.find(uid)
            if row is not None:
                content, size = columns.contents[row], columns.sizes[row]
                place = columns.gone_places.get(uid, "") if columns.gone else ""
            elif (ghost := columns.ghosts.get(uid)) is not None:
                content, size, place = ghost.content, ghost.size, ghost.place
            else:
                continue
            if not content:
                unread.append(at)  # nobody could read it so far
                continue
            start = max(0, min(ranges[at].start, size))
            stop = max(start, min(ranges[at].stop, size))
            if start == stop:
                answers[at] = b""
                continue
            body = recent.find(content, BODY)
            if body is not MISSING:
                answers[at] = body[start:stop]
                continue
            first, last = start, stop
            if len(which) <= _SPARSE and size <= recent.largest:
                first, last = 0, size
            wanted.append(Wanted(columns.id, uid, content, size, place, first, last))
            asked.append(at)
            cuts.append((start - first, stop - first))
        if wanted:
            read = await self._store.bodies.fetch(self._store.readers, wanted, self._subject)
            for at, want, cut, data in zip(asked, wanted, cuts, read, strict=True):
                if data is not None and len(data) == want.size <= recent.largest:
                    if len(which) <= _SPARSE:
                        recent.keep(want.content, BODY, data)
                    data = data[slice(*cut)]
                answers[at] = data
        return asked + unread

    async def changes_since(self, modseq: int) -> Changes:
        """See `IMailbox.changes_since`."""
        await self._ready()
        answer = self._columns.changes_since(modseq)
        if answer is not None:
            return answer
        job = partial(
            self._store.mailbox_reader.changes_since, mailbox_id=self._columns.id, modseq=modseq
        )
        read = await self._store.readers.read(job, self._subject)
        if read is None:
            raise NoSuchMailbox(f"{self._subject}: the mailbox was deleted")
        if read.modseq > self._columns.modseq:
            await self._store.settled()  # memory must not lag behind what is told
            await self._store.shelf.refresh(self._held)
        return read

    async def candidates(
        self, needle: str, where: Searched, uids: Sequence[int]
    ) -> Sequence[int] | None:
        """See `ISearchable.candidates`."""
        text = self._store.text
        if text is None:
            return None
        await self._ready()
        await self._complete(uids)
        slices = self._columns.slices(uids)
        found = joined(self._columns.uids, slices)
        return await text.pick(needle, where, found, joined(self._columns.contents, slices))

    # writing

    async def store_flags(
        self,
        uids: NumSet,
        action: FlagAction,
        flags: Collection[str],
        unchanged_since: int | None,
    ) -> FlagsStored:
        """See `IMailbox.store_flags`."""
        await self._ready()
        operation = partial(
            messages.store_flags,
            rules=self._store.rules,
            mailbox_id=self._columns.id,
            uids=uids,
            action=action,
            flags=flags,
            unchanged_since=unchanged_since,
        )
        return await self._store.writer.submit(operation, self._subject)

    async def expunge(self, uids: NumSet) -> NumSet:
        """See `IMailbox.expunge`."""
        await self._ready()
        await self._complete(uids)  # who still shows them may want to read them
        gone = NumSet()
        for part in self._bounded(uids):  # between two, others have their turn
            operation = partial(
                messages.expunge, rules=self._store.rules, mailbox_id=self._columns.id, uids=part
            )
            gone |= await self._store.writer.submit(operation, self._subject)
        return gone

    def _bounded(self, uids: NumSet) -> list[NumSet]:
        """Cut a set where one transaction would take too long; most often there is one part."""
        limit = self._store.rules.expunge_messages
        there = joined(self._columns.uids, self._columns.slices(uids))
        if len(there) <= limit:
            return [uids]
        ends = [*there[limit - 1 : -1 : limit], MAX_NUMBER]
        starts = [1, *(end + 1 for end in ends)]
        return [uids & NumSet.span(*pair) for pair in zip(starts, ends, strict=False)]

    async def copy(self, uids: NumSet, target: str) -> Copied:
        """See `IMailbox.copy`."""
        return await self._copy(uids, target, moving=False)

    async def move(self, uids: NumSet, target: str) -> Copied:
        """See `IMailbox.move`."""
        return await self._copy(uids, target, moving=True)

    async def _copy(self, uids: NumSet, target: str, *, moving: bool) -> Copied:
        await self._ready()
        await self._complete(uids)
        operation = partial(
            messages.copy,
            rules=self._store.rules,
            mailbox_id=self._columns.id,
            uids=uids,
            name=known_name(target),
            moving=moving,
        )
        return await self._store.writer.submit(operation, self._subject)

    # the handle

    def acknowledge(self, modseq: int) -> None:
        """See `IMailbox.acknowledge`."""
        modseq = min(modseq, self._columns.modseq)
        if modseq > self._position and not self._closed:
            self._held.leave_position(self._position)
            self._held.take_position(modseq)
            self._position = modseq
            self._store.shelf.settle(self._held)

    def watch(self, tell: Callable[[], None]) -> IWatch:
        """See `IMailbox.watch`."""
        return self._held.watchers.add(tell)

    def close(self) -> None:
        """See `IMailbox.close`."""
        if not self._closed:
            self._closed = True
            self._held.leave_position(self._position)
            self._store.shelf.close_mailbox(self._held)


def _parts(uids: array[int]) -> list[tuple[int, array[int]]]:
    """Cut ascending UIDs at the borders of blocks: each block's number with its UIDs."""
    parts = []
    start = 0
    while start < len(uids):
        number = uids[start] >> BLOCK_BITS
        stop = bisect_right(uids, (number + 1 << BLOCK_BITS) - 1, start)
        parts.append((number, uids[start:stop]))
        start = stop
    return parts
