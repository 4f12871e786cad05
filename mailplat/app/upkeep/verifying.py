"""Looks at everything that a store keeps, and mends what can be mended.

Works for every store through `IStore`; a store that is `IRepairable` or `ISearchable` is asked for
more.  Looking changes nothing in the mail.  Mending removes nothing unless that is asked for, and
then only messages whose bytes are lost anyway.

Invariant: a fault is told by account, mailbox and UID, and one does not hide another: what can be
read is looked at, whatever else cannot.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise

from mailplat.interfaces.search import ISearchable, ISearchIndex, Searched
from mailplat.interfaces.store import BodyRange, Column, IHome, IMailbox, IStore
from mailplat.interfaces.upkeep import Fault, FaultKind, IRepairable
from mailplat.message.scan import ScanLimits
from mailplat.message.summary import summary_of
from mailplat.message.text import search_text
from mailplat.model.errors import Corrupt, MailError, NoSuchMailbox
from mailplat.model.flags import DELETED, SEEN
from mailplat.model.numset import NumSet

__all__ = ["Mended", "mend", "verify"]

_BATCH_BYTES = 4 << 20
"""Bytes of messages that are read at once, unless one is larger."""

_ROWS = 1000
"""Messages whose columns are read at once."""

_SAMPLES = 20
"""Messages of a mailbox that the search index is asked for."""

_NEEDLE = 24
"""Characters that it is asked for."""

Advance = Callable[[int], None]


async def verify(
    store: IStore,
    accounts: Sequence[str],
    limits: ScanLimits,
    *,
    whole_store: bool = True,
    bodies: bool = True,
    advance: Advance = lambda count: None,
) -> AsyncIterator[Fault]:
    """Look for faults.

    Args:
        store: Open.
        accounts: Whose mail.
        limits: As in the server's configuration: how far messages are taken apart.
        whole_store: Whether to look also at what belongs to no account.
        bodies: Whether to read all bytes; else only what is about them is looked at.
        advance: Told how many messages were looked at.
    """
    repairable: IRepairable | None = IRepairable(store, None)
    if whole_store and repairable is not None:
        for fault in await repairable.store_faults():
            yield fault
    index: ISearchIndex | None = ISearchIndex(store, None)
    if index is not None and bodies:
        try:
            await index.catch_up()
        except MailError as error:
            yield Fault(FaultKind.SEARCH, f"the search index cannot follow: {error.reason}")
    for account in accounts:
        if repairable is not None:
            for fault in await repairable.faults(account):
                yield fault
        home = await store.open_home(account)
        try:
            names = [info.name for info in await home.mailboxes() if info.exists]
        except MailError as error:
            yield Fault(FaultKind.DATABASE, error.reason, account)
            continue
        if repairable is None:
            async for fault in _usage(home, names):
                yield fault
        for name in names:
            async for fault in _mailbox(
                home, name, limits, counts=repairable is None, bodies=bodies, advance=advance
            ):
                yield fault


async def _usage(home: IHome, names: Sequence[str]) -> AsyncIterator[Fault]:
    usage = await home.usage()
    statuses = (await home.status(names)).values()
    for word, said, counted in (
        ("messages", usage.messages, sum(status.messages for status in statuses)),
        ("bytes", usage.storage, sum(status.size for status in statuses)),
    ):
        if said != counted:
            what = f"its quota counts {said} {word}, its mailboxes have {counted}"
            yield Fault(FaultKind.COUNT, what, home.account)


async def _mailbox(
    home: IHome,
    name: str,
    limits: ScanLimits,
    *,
    counts: bool,
    bodies: bool,
    advance: Advance,
) -> AsyncIterator[Fault]:
    try:
        mailbox = await home.open_mailbox(name)
    except NoSuchMailbox:
        return  # deleted meanwhile
    except MailError as error:
        yield Fault(FaultKind.DATABASE, error.reason, home.account, name)
        return
    try:
        uids = (await mailbox.state(False)).uids
        if any(one >= other for one, other in pairwise(uids)):
            yield Fault(FaultKind.DATABASE, "its UIDs do not ascend", home.account, name)
        if counts:
            async for fault in _counters(home, mailbox):
                yield fault
        for start in range(0, len(uids), _ROWS):
            some = uids[start : start + _ROWS]
            if bodies:
                async for fault in _messages(home.account, mailbox, some, limits):
                    yield fault
            advance(len(some))
        if bodies:
            async for fault in _search(home.account, mailbox, uids):
                yield fault
    except NoSuchMailbox:
        return
    except MailError as error:
        yield Fault(FaultKind.DATABASE, error.reason, home.account, name)
    finally:
        mailbox.close()


async def _counters(home: IHome, mailbox: IMailbox) -> AsyncIterator[Fault]:
    """Hold a mailbox's counters against its messages, both as of one moment."""
    while True:
        status = (await home.status([mailbox.name]))[mailbox.name]
        state = await mailbox.state(False)
        rows = await mailbox.rows(state.uids, (Column.FLAGS, Column.SIZE))
        if state.modseq == status.highest_modseq and len(rows.uids) == len(state.uids):
            break
    masks = rows[Column.FLAGS]
    for word, said, counted in (
        ("messages", status.messages, len(state.uids)),
        ("size", status.size, sum(rows[Column.SIZE])),
        ("unseen", status.unseen, sum(not mask & SEEN for mask in masks)),
        ("deleted", status.deleted, sum(bool(mask & DELETED) for mask in masks)),
    ):
        if said != counted:
            what = f"the counter {word!r} says {said}, there are {counted}"
            yield Fault(FaultKind.COUNT, what, home.account, mailbox.name)
    if state.uids and state.uids[-1] >= state.uid_next:
        what = f"the next UID would be {state.uid_next}, which was given already"
        yield Fault(FaultKind.COUNT, what, home.account, mailbox.name)


async def _messages(
    account: str, mailbox: IMailbox, uids: Sequence[int], limits: ScanLimits
) -> AsyncIterator[Fault]:
    """Read messages whole, and hold them against their summaries."""
    sizes = await mailbox.rows(uids, (Column.SIZE,))
    batch: list[tuple[int, int]] = []
    waiting = 0
    for uid, size in zip(sizes.uids, sizes[Column.SIZE], strict=True):
        if batch and waiting + size > _BATCH_BYTES:
            async for fault in _batch(account, mailbox, batch, limits):
                yield fault
            batch, waiting = [], 0
        batch.append((uid, size))
        waiting += size
    if batch:
        async for fault in _batch(account, mailbox, batch, limits):
            yield fault


async def _batch(
    account: str, mailbox: IMailbox, batch: Sequence[tuple[int, int]], limits: ScanLimits
) -> AsyncIterator[Fault]:
    try:
        ranges = [BodyRange(uid, 0, size) for uid, size in batch]
        bodies: Sequence[bytes | None] = await mailbox.bodies(ranges)
    except Corrupt as error:
        if len(batch) == 1:
            what = error.reason.removeprefix(f"{account}/{mailbox.name}: ")
            yield Fault(FaultKind.BODY, what, account, mailbox.name, batch[0][0])
            return
        for one in batch:
            async for fault in _batch(account, mailbox, [one], limits):
                yield fault
        return
    read = {uid: body for (uid, _), body in zip(batch, bodies, strict=True) if body is not None}
    wanted = {uid: summary_of(body, limits) for uid, body in read.items()}
    try:
        rows = await mailbox.rows(sorted(read), (Column.HEADER, Column.ENVELOPE))
    except Corrupt as error:
        if len(batch) == 1:
            yield Fault(FaultKind.SUMMARY, error.reason, account, mailbox.name, batch[0][0])
            return
        for one in batch:
            async for fault in _batch(account, mailbox, [one], limits):
                yield fault
        return
    for uid, header, envelope in zip(
        rows.uids, rows[Column.HEADER], rows[Column.ENVELOPE], strict=True
    ):
        right = wanted[uid]
        if header != read[uid][: right.header_size] or envelope != right.envelope:
            what = "its summary is not what its bytes say"
            yield Fault(FaultKind.SUMMARY, what, account, mailbox.name, uid)


async def _search(account: str, mailbox: IMailbox, uids: Sequence[int]) -> AsyncIterator[Fault]:
    """Ask the search index for text of some messages."""
    searchable: ISearchable | None = ISearchable(mailbox, None)
    if searchable is None or not len(uids):
        return
    step = max(1, len(uids) // _SAMPLES)
    for uid in uids[::step]:
        try:
            rows = await mailbox.rows([uid], (Column.SIZE, Column.PARTS))
            bodies = await mailbox.bodies([BodyRange(uid, 0, size) for size in rows[Column.SIZE]])
        except Corrupt:
            continue  # told already
        for body, parts in zip(bodies, rows[Column.PARTS], strict=True):
            text = search_text(body, parts) if body is not None else ""
            needle = text[len(text) // 2 :][:_NEEDLE]
            found = await searchable.candidates(needle, Searched.BODY, [uid])
            if found is not None and not len(found):
                what = "the search index does not find its text"
                yield Fault(FaultKind.SEARCH, what, account, mailbox.name, uid)


@dataclass(frozen=True, slots=True)
class Mended:
    """What became of faults.

    Attributes:
        mended: Those that are gone.
        left: Those that are not.
    """

    mended: Sequence[Fault]
    left: Sequence[Fault]


async def mend(
    store: IStore, faults: Sequence[Fault], limits: ScanLimits, *, drop_missing: bool
) -> Mended:
    """Mend faults that `verify` found.

    Args:
        store: Open.
        faults: What it found.
        limits: As for `verify`.
        drop_missing: Remove messages whose bytes are lost.
    """
    mended: list[Fault] = []
    left: list[Fault] = []
    repairable: IRepairable | None = IRepairable(store, None)
    index: ISearchIndex | None = ISearchIndex(store, None)
    kinds = {fault.kind for fault in faults}
    accounts = sorted({fault.account for fault in faults if fault.kind is FaultKind.COUNT})
    by_mailbox: dict[tuple[FaultKind, str, str], list[Fault]] = {}
    for fault in faults:
        by_mailbox.setdefault((fault.kind, fault.account, fault.mailbox), []).append(fault)
    if repairable is not None:
        # first what others count on
        for account in accounts:
            await repairable.recount(account)
        if kinds & {FaultKind.LEFTOVER, FaultKind.BLOB}:
            await repairable.sweep()
    still: Sequence[Fault] = ()
    if repairable is not None and FaultKind.BLOB in kinds:
        still = await repairable.store_faults()
    for (kind, account, name), some in by_mailbox.items():
        match kind:
            case FaultKind.COUNT | FaultKind.LEFTOVER if repairable is not None:
                mended += some
            case FaultKind.SUMMARY if repairable is not None:
                uids = NumSet.of(fault.uid for fault in some)
                done = await repairable.summarize(account, name, uids, limits)
                mended += [fault for fault in some if fault.uid in done]
                left += [fault for fault in some if fault.uid not in done]
            case FaultKind.BLOB:
                mended += [fault for fault in some if fault not in still]
                left += [fault for fault in some if fault in still]
            case FaultKind.BODY if drop_missing or FaultKind.BLOB in kinds:
                home = await store.open_home(account)
                with closing(await home.open_mailbox(name)) as mailbox:
                    lost = [fault for fault in some if not await _is_read(mailbox, fault.uid)]
                    if drop_missing:
                        await mailbox.expunge(NumSet.of(fault.uid for fault in lost))
                        lost = []
                mended += [fault for fault in some if fault not in lost]
                left += lost
            case FaultKind.SEARCH if index is not None:
                mended += some
            case _:
                left += some
    if index is not None and kinds & {FaultKind.SEARCH, FaultKind.SUMMARY}:
        await index.rebuild()
    return Mended(mended, left)


async def _is_read(mailbox: IMailbox, uid: int) -> bool:
    """Whether a message can be read now."""
    try:
        sizes = await mailbox.rows([uid], (Column.SIZE,))
        await mailbox.bodies([BodyRange(uid, 0, size) for size in sizes[Column.SIZE]])
    except Corrupt:
        return False
    return True
