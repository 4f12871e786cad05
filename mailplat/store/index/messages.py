"""Operations on the messages of mailboxes: each a function of a transaction.

Invariants: an operation looks and decides first (quota, keywords, what is there) and writes
afterwards, so that one that is refused disturbs nobody who shares its commit.  The counters of
mailbox and home change together with the rows they count.  Every removed message leaves a UID in
the log of what vanished and a row in ``dropping``; its bytes go later (`collect`).
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from mailplat.interfaces.store import NewMessage
from mailplat.model.changes import FlagsStored
from mailplat.model.errors import Cannot, LimitReached, NoSuchMailbox, OverQuota
from mailplat.model.flags import DELETED, SEEN, SYSTEM_FLAGS, FlagAction
from mailplat.model.mailbox import Appended, Copied, QuotaLimit
from mailplat.model.numset import MAX_NUMBER, NumSet
from mailplat.store.index import statements
from mailplat.store.index.bodies import Bodies, Dropped
from mailplat.store.index.rows import HomeRow, MailboxRow, MessageRow
from mailplat.store.index.summaries import insert_content
from mailplat.store.index.transaction import Transaction
from mailplat.store.keywords import KeywordTable

__all__ = [
    "Rules",
    "add_message",
    "append",
    "check_quota",
    "claim_recent",
    "collect",
    "copy",
    "expunge",
    "get_mailbox",
    "mask_of",
    "read_rows",
    "remove_rows",
    "set_masks",
    "set_places",
    "store_flags",
]

_LOG_ROWS = 20_000
"""Rows a mailbox keeps in the log of what vanished; at twice as many the oldest go."""

_SYSTEM = {name.lower(): bit for name, bit in SYSTEM_FLAGS.items()}


@dataclass(frozen=True, slots=True)
class Rules:
    """What all operations of a store are told.

    Attributes:
        bodies: Where the bytes are.
        keyword_limit: Keywords a mailbox may have.
        quota: What a home may keep for which nobody set a limit.
    """

    bodies: Bodies
    keyword_limit: int
    quota: QuotaLimit


# what is there

_ROWS = statements.Ranges(
    "{want} SELECT m.uid, m.content, m.mask, m.modseq, m.added, m.size, m.date, m.saved, m.place"
    " FROM want CROSS JOIN messages m"
    " WHERE m.mailbox = ? AND m.uid BETWEEN want.first AND want.last"
)


def get_mailbox(tx: Transaction, mailbox_id: int) -> tuple[HomeRow, MailboxRow]:
    """Find a mailbox that was open; it may be deleted since."""
    mailbox = tx.mailbox(mailbox_id)
    home = tx.home(mailbox.home) if mailbox else None
    if mailbox is None or home is None:
        raise NoSuchMailbox("the mailbox was deleted")
    return home, mailbox


def read_rows(tx: Transaction, mailbox: MailboxRow, uids: NumSet) -> list[MessageRow]:
    """Read the messages of a set that are there, ascending."""
    rows: list[MessageRow] = []
    for sql, args in _ROWS.pieces(uids):
        rows += map(MessageRow._make, tx.all(sql, (*args, mailbox.id)))
    return rows


def mask_of(
    tx: Transaction, mailbox: MailboxRow, flags: Collection[str], limit: int, spare: bool = False
) -> int:
    """Give the mask of flags, and new keywords their bits.

    Args:
        tx: The transaction.
        mailbox: Whose keywords.
        flags: System flags and keywords.
        limit: Keywords the mailbox may have.
        spare: Leave away keywords for which there is no room, rather than raise.
    """
    mask = 0
    words = []
    for flag in flags:
        bit = _SYSTEM.get(flag.lower())
        if bit is None:
            words.append(flag)
        else:
            mask |= bit
    if words:
        table = KeywordTable(limit, mailbox.keywords)
        try:
            missing = table.missing(words)
        except LimitReached:
            if not spare:
                raise
            missing = []
        if missing:
            table.add(missing)
            mailbox.keywords = tuple(table.names)
            tx.touch_mailbox(mailbox)
        mask |= table.known_mask(words)
    return mask


def check_quota(rules: Rules, homes: Iterable[tuple[HomeRow, int, int]]) -> None:
    """See whether homes may take so many bytes and messages more.

    Raises:
        OverQuota: The reason names the accounts that may not.
    """
    full = []
    for home, size, count in homes:
        limit = home.limit(rules.quota)
        storage, messages = limit.storage, limit.messages
        if not count:
            continue
        if (storage is not None and home.storage + size > storage) or (
            messages is not None and home.messages + count > messages
        ):
            full.append(home.account)
    if full:
        raise OverQuota(f"over quota: {', '.join(sorted(full))}")


# coming


def add_message(
    tx: Transaction,
    home: HomeRow,
    mailbox: MailboxRow,
    content: int,
    size: int,
    mask: int,
    date: int,
    place: str,
) -> MessageRow:
    """Put a message into a mailbox under its next UID, and count it."""
    uid = mailbox.uid_next
    if uid > MAX_NUMBER:
        raise LimitReached(f"{home.account}/{mailbox.name}: no UIDs are left")
    change = tx.change(home, mailbox)
    modseq = mailbox.modseq
    row = MessageRow(uid, content, mask, modseq, modseq, size, date, tx.now, place)
    tx.insert(statements.MESSAGES, mailbox.id, *row)
    change.added.append(row)
    mailbox.uid_next = uid + 1
    mailbox.messages += 1
    mailbox.recent += 1
    mailbox.size += size
    if not mask & SEEN:
        mailbox.unseen += 1
    if mask & DELETED:
        mailbox.deleted += 1
    home.messages += 1
    home.storage += size
    return row


def append(
    tx: Transaction,
    rules: Rules,
    home_id: int,
    name: str,
    messages: Sequence[NewMessage],
    prepared: Sequence[Any],
) -> Appended:
    """Store messages in a mailbox, all or none (RFC 3502)."""
    home = tx.home(home_id)
    mailbox = tx.find_mailbox(home, name) if home else None
    if home is None or mailbox is None:
        raise NoSuchMailbox(f"there is no mailbox {name!r}")
    check_quota(rules, [(home, sum(m.body.size for m in messages), len(messages))])
    words = {flag for message in messages for flag in message.flags}
    mask_of(tx, mailbox, words, rules.keyword_limit)
    uids = []
    for message, ready in zip(messages, prepared, strict=True):
        mask = mask_of(tx, mailbox, message.flags, rules.keyword_limit)
        content = insert_content(tx, message.summary)
        rules.bodies.store(tx, content, ready)
        place = rules.bodies.place(tx, mailbox, mailbox.uid_next, mask, ready)
        size = message.body.size
        row = add_message(tx, home, mailbox, content, size, mask, message.date, place)
        uids.append(row.uid)
    return Appended(mailbox.uid_validity, tuple(uids), mailbox.modseq)


# flags

_SET_MASKS = statements.Ranges(
    "{want} UPDATE messages SET mask = (mask & ?) | ?, modseq = ? WHERE mailbox = ? AND uid IN ("
    "SELECT m.uid FROM want CROSS JOIN messages m"
    " WHERE m.mailbox = ? AND m.uid BETWEEN want.first AND want.last)"
)
_SET_PLACE = "UPDATE messages SET place = ? WHERE mailbox = ? AND uid = ?"


def store_flags(
    tx: Transaction,
    rules: Rules,
    mailbox_id: int,
    uids: NumSet,
    action: FlagAction,
    flags: Collection[str],
    unchanged_since: int | None,
) -> FlagsStored:
    """Change the flags of messages (RFC 9051 §6.4.6, RFC 7162 §3.1.3)."""
    home, mailbox = get_mailbox(tx, mailbox_id)
    table = KeywordTable(rules.keyword_limit, mailbox.keywords)
    rows = read_rows(tx, mailbox, uids)
    refused = NumSet()
    if unchanged_since is not None:
        refused = NumSet.of(row.uid for row in rows if row.modseq > unchanged_since)
        if refused:
            rows = [row for row in rows if row.modseq <= unchanged_since]
    missing = table.missing(flags) if rows and action is not FlagAction.REMOVE else []
    if missing:
        table.add(missing)
        mailbox.keywords = tuple(table.names)
        tx.touch_mailbox(mailbox)
    bits = table.known_mask(flags)
    masks = [_changed_mask(row.mask, action, bits) for row in rows]
    changed = [row for row, mask in zip(rows, masks, strict=True) if row.mask != mask]
    modseqs = [row.modseq for row in rows]
    modseq = 0
    if changed:
        keep = 0 if action is FlagAction.REPLACE else ~bits
        give = 0 if action is FlagAction.REMOVE else bits
        new = [row.mask & keep | give for row in changed]
        if len(changed) < len(rows):
            asked = NumSet.of(row.uid for row in changed)
        else:
            asked = uids - refused
        _note_masks(tx, rules, home, mailbox, changed, new)
        modseq = mailbox.modseq
        for sql, args in _SET_MASKS.pieces(asked):
            tx.run(sql, (*args, keep, give, modseq, mailbox.id, mailbox.id))
        modseqs = [
            row.modseq if row.mask == mask else modseq
            for row, mask in zip(rows, masks, strict=True)
        ]
    return FlagsStored(array("I", [row.uid for row in rows]), masks, modseqs, refused, modseq)


def _changed_mask(mask: int, action: FlagAction, bits: int) -> int:
    match action:
        case FlagAction.ADD:
            return mask | bits
        case FlagAction.REMOVE:
            return mask & ~bits
        case FlagAction.REPLACE:
            return bits


def set_masks(tx: Transaction, rules: Rules, mailbox_id: int, masks: Mapping[int, int]) -> None:
    """Give messages, by UID, the flags that somebody else gave their bytes."""
    home, mailbox = get_mailbox(tx, mailbox_id)
    rows = read_rows(tx, mailbox, NumSet.of(masks))
    changed = [row for row in rows if row.mask != masks[row.uid]]
    if not changed:
        return
    _note_masks(tx, rules, home, mailbox, changed, [masks[row.uid] for row in changed])
    by_mask: dict[int, list[int]] = {}
    for row in changed:
        by_mask.setdefault(masks[row.uid], []).append(row.uid)
    for mask, uids in by_mask.items():
        for sql, args in _SET_MASKS.pieces(NumSet.of(uids)):
            tx.run(sql, (*args, 0, mask, mailbox.modseq, mailbox.id, mailbox.id))


def _note_masks(
    tx: Transaction,
    rules: Rules,
    home: HomeRow,
    mailbox: MailboxRow,
    rows: Sequence[MessageRow],
    masks: Sequence[int],
) -> None:
    """Count and publish other flags, and tell the bodies."""
    change = tx.change(home, mailbox)
    for row, mask in zip(rows, masks, strict=True):
        mailbox.unseen += (row.mask & SEEN) - (mask & SEEN)
        mailbox.deleted += (bool(mask & DELETED)) - (bool(row.mask & DELETED))
        change.changed[row.uid] = mask
    if rules.bodies.has_places:
        rules.bodies.flagged(tx, mailbox, rows, masks)


def set_places(tx: Transaction, mailbox_id: int, places: Mapping[int, str]) -> None:
    """Note, by UID, where messages' bytes are now; no change that a client sees."""
    for uid, place in places.items():
        tx.run(_SET_PLACE, (place, mailbox_id, uid))


def claim_recent(tx: Transaction, mailbox_id: int) -> int:
    """Take the recent messages; give the first UID that was not claimed before."""
    home, mailbox = get_mailbox(tx, mailbox_id)
    before = mailbox.recent_uid
    if before < mailbox.uid_next:
        mailbox.recent_uid = mailbox.uid_next
        mailbox.recent = 0
        tx.touch_mailbox(mailbox)
        tx.note(home, mailbox)
    return before


# going

_DELETE = statements.Ranges(
    "{want} DELETE FROM messages WHERE mailbox = ? AND uid IN ("
    "SELECT m.uid FROM want CROSS JOIN messages m"
    " WHERE m.mailbox = ? AND m.uid BETWEEN want.first AND want.last)"
)
_LOG_CUT = "SELECT modseq FROM vanished WHERE mailbox = ? ORDER BY modseq LIMIT 1 OFFSET ?"
_LOG_TRIM = "DELETE FROM vanished WHERE mailbox = ? AND modseq <= ?"


def expunge(tx: Transaction, rules: Rules, mailbox_id: int, uids: NumSet) -> NumSet:
    """Remove messages for good; tell which were there."""
    home, mailbox = get_mailbox(tx, mailbox_id)
    rows = read_rows(tx, mailbox, uids)
    return remove_rows(tx, rules, home, mailbox, rows, uids)


def remove_rows(
    tx: Transaction,
    rules: Rules,
    home: HomeRow,
    mailbox: MailboxRow,
    rows: Sequence[MessageRow],
    uids: NumSet,
) -> NumSet:
    """Remove messages, given all rows of a set of UIDs; tell which those are."""
    if not rows:
        return NumSet()
    places: Sequence[str] = [""] * len(rows)
    if rules.bodies.has_places:
        places = rules.bodies.expunged(tx, mailbox, rows)
    change = tx.change(home, mailbox)
    modseq = mailbox.modseq
    removed = NumSet.of(row.uid for row in rows)
    size = 0
    for row, place in zip(rows, places, strict=True):
        tx.insert(statements.DROPPING, mailbox.id, modseq, row.uid, row.content, place)
        size += row.size
        mailbox.unseen -= not row.mask & SEEN
        mailbox.deleted -= bool(row.mask & DELETED)
        mailbox.recent -= row.uid >= mailbox.recent_uid
        if place:
            change.gone[row.uid] = place
    mailbox.messages -= len(rows)
    mailbox.size -= size
    home.messages -= len(rows)
    home.storage -= size
    change.removed |= removed
    for sql, args in _DELETE.pieces(uids):
        tx.run(sql, (*args, mailbox.id, mailbox.id))
    for first, last in removed.ranges:
        tx.insert(statements.VANISHED, mailbox.id, modseq, first, last)
    mailbox.log_rows += len(removed.ranges)
    if mailbox.log_rows > 2 * _LOG_ROWS:
        _trim_log(tx, mailbox)
    return removed


def _trim_log(tx: Transaction, mailbox: MailboxRow) -> None:
    """Forget what vanished longest ago; who asks from before is told more than vanished."""
    cut = tx.one(_LOG_CUT, (mailbox.id, mailbox.log_rows - _LOG_ROWS))
    if cut is not None:
        mailbox.log_start = cut[0]
        mailbox.log_rows -= tx.run(_LOG_TRIM, (mailbox.id, cut[0]))
        tx.touch_mailbox(mailbox)


def copy(
    tx: Transaction, rules: Rules, mailbox_id: int, uids: NumSet, name: str, moving: bool
) -> Copied:
    """Copy or move messages to a mailbox of the same home (RFC 9051 §6.4.7, RFC 6851)."""
    home, source = get_mailbox(tx, mailbox_id)
    target = tx.find_mailbox(home, name)
    if target is None:
        raise NoSuchMailbox(f"there is no mailbox {name!r}")
    if moving and target is source:
        raise Cannot("a move into the same mailbox", public="The messages are there already")
    rows = read_rows(tx, source, uids)
    if not moving:
        check_quota(rules, [(home, sum(row.size for row in rows), len(rows))])
    if not rows:
        return Copied(target.uid_validity, (), (), target.modseq)
    masks = _translated(tx, rules, source, target, [row.mask for row in rows])
    given = range(target.uid_next, target.uid_next + len(rows))
    places: Sequence[str] = [""] * len(rows)
    if rules.bodies.has_places:
        places = rules.bodies.link(tx, source, rows, target, given, masks)
    for row, mask, place in zip(rows, masks, places, strict=True):
        add_message(tx, home, target, row.content, row.size, mask, row.date, place)
    if moving:
        remove_rows(tx, rules, home, source, rows, uids)
    return Copied(target.uid_validity, tuple(row.uid for row in rows), tuple(given), target.modseq)


def _translated(
    tx: Transaction, rules: Rules, source: MailboxRow, target: MailboxRow, masks: list[int]
) -> list[int]:
    """Say one mailbox's flags in the keywords of another; one without room is left away."""
    if source.keywords == target.keywords[: len(source.keywords)]:
        return masks
    meaning: dict[int, int] = {}
    for mask in set(masks):
        names = [name for name, bit in _bits(source) if mask & bit]
        meaning[mask] = mask & 31 | mask_of(tx, target, names, rules.keyword_limit, spare=True)
    return [meaning[mask] for mask in masks]


def _bits(mailbox: MailboxRow) -> list[tuple[str, int]]:
    return [(name, 32 << index) for index, name in enumerate(mailbox.keywords)]


# letting go

_DROPPABLE = (
    "SELECT modseq, uid, content, place FROM dropping WHERE mailbox = ? AND modseq <= ?"
    " ORDER BY modseq, uid LIMIT ?"
)
_DROP = "DELETE FROM dropping WHERE mailbox = ? AND modseq = ? AND uid BETWEEN ? AND ?"


def collect(tx: Transaction, rules: Rules, mailbox_id: int, modseq: int, limit: int) -> bool:
    """Drop the bytes of messages that were expunged up to a MODSEQ, and are not needed.

    Args:
        tx: The transaction.
        rules: Where the bytes are.
        mailbox_id: The mailbox, which may be gone itself.
        modseq: Everybody has acknowledged up to here.
        limit: Messages dealt with at most.

    Returns:
        Whether there is more.
    """
    found = tx.all(_DROPPABLE, (mailbox_id, modseq, limit))
    if not found:
        return False
    start = 0
    for stop in [*(i + 1 for i, (a, b) in enumerate(pairwise(found)) if a[0] != b[0]), len(found)]:
        first, last = found[start], found[stop - 1]
        tx.run(_DROP, (mailbox_id, first[0], first[1], last[1]))
        start = stop
    contents = sorted({row[2] for row in found})
    kept: set[int] = set()
    for begin in range(0, len(contents), 256):
        some = contents[begin : begin + 256]
        marks = statements.placeholders(len(some))
        for table in ("messages", "dropping"):
            sql = f"SELECT DISTINCT content FROM {table} WHERE content IN ({marks})"
            kept.update(row[0] for row in tx.all(sql, some))
    free = [content for content in contents if content not in kept]
    for begin in range(0, len(free), 256):
        some = free[begin : begin + 256]
        marks = statements.placeholders(len(some))
        tx.run(f"DELETE FROM contents WHERE id IN ({marks})", some)
        tx.run(f"DELETE FROM headers WHERE content IN ({marks})", some)
    dropped = [Dropped(mailbox_id, uid, content, place) for _, uid, content, place in found]
    rules.bodies.drop(tx, dropped, free)
    return len(found) == limit
