"""Operations on the messages of mailboxes: each a function of a transaction.

Invariants: an operation looks and decides first (quota, keywords, what is there) and writes
afterwards, so that one that is refused disturbs nobody who shares its commit.  The counters of
mailbox and home change together with the rows they count.  Every removed message leaves a UID in
the log of what vanished and a row in ``dropping``; its bytes go later (`collecting`).
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import compress
from operator import not_
from typing import Any

from mailplat.interfaces.store import NewMessage
from mailplat.model.changes import FlagsStored
from mailplat.model.errors import LimitReached, NoSuchMailbox, OverQuota
from mailplat.model.flags import DELETED, SEEN, SYSTEM_FLAGS, FlagAction
from mailplat.model.mailbox import Appended, Copied, QuotaLimit
from mailplat.model.numset import MAX_NUMBER, NumSet
from mailplat.store.index import statements
from mailplat.store.index.bodies import Bodies
from mailplat.store.index.database import Dialect
from mailplat.store.index.rows import HomeRow, MailboxRow, MessageRow
from mailplat.store.index.summaries import insert_content, numbers
from mailplat.store.index.transaction import Transaction
from mailplat.store.keywords import KeywordTable

__all__ = [
    "Rules",
    "add_message",
    "append",
    "check_quota",
    "claim_recent",
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
        expunge_messages: Messages that one transaction expunges at most.
    """

    bodies: Bodies
    keyword_limit: int
    quota: QuotaLimit
    expunge_messages: int = 1024


# what is there

_NUMBERS = "uid content mask modseq added size date saved"


@cache
def _rows_statement(dialect: Dialect, columns: str, lines: str = "") -> statements.Ranges:
    """Write the query for messages of a set: one row, each column joined."""
    selected = [dialect.joined_numbers(f"m.{column}", "m.uid") for column in columns.split()]
    selected += [dialect.joined_lines(f"m.{column}", "m.uid") for column in lines.split()]
    return statements.Ranges(
        f"{{want}} SELECT {', '.join(selected)} FROM want CROSS JOIN messages m"
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
    for sql, args in _rows_statement(tx.dialect, _NUMBERS, "place").pieces(uids):
        row = tx.one(sql, (*args, mailbox.id))
        if row is not None and row[0] is not None:
            columns = [*map(numbers, row[:-1]), row[-1].split("\n")]
            rows += map(MessageRow._make, zip(*columns, strict=True))
    return rows


def _read_masks(
    tx: Transaction, mailbox: MailboxRow, uids: NumSet
) -> tuple[list[int], list[int], list[int]]:
    """Read UIDs, masks and MODSEQs of the messages of a set that are there."""
    columns: tuple[list[int], list[int], list[int]] = ([], [], [])
    for sql, args in _rows_statement(tx.dialect, "uid mask modseq").pieces(uids):
        row = tx.one(sql, (*args, mailbox.id))
        if row is not None and row[0] is not None:
            for column, joined in zip(columns, row, strict=True):
                column += numbers(joined)
    return columns


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
_SET_PLACES = (
    "WITH new (uid, place) AS (VALUES {pairs}) UPDATE messages SET place ="
    " (SELECT new.place FROM new WHERE new.uid = messages.uid)"
    " WHERE mailbox = ? AND uid IN (SELECT uid FROM new)"
)


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
    previous = mailbox.modseq
    table = KeywordTable(rules.keyword_limit, mailbox.keywords)
    found, masks, modseqs = _read_masks(tx, mailbox, uids)
    refused = NumSet()
    if unchanged_since is not None:
        kept = [modseq <= unchanged_since for modseq in modseqs]
        refused = NumSet.of(compress(found, map(not_, kept)))
        if refused:
            found = list(compress(found, kept))
            masks = list(compress(masks, kept))
            modseqs = list(compress(modseqs, kept))
    missing = table.missing(flags) if found and action is not FlagAction.REMOVE else []
    if missing:
        table.add(missing)
        mailbox.keywords = tuple(table.names)
        tx.touch_mailbox(mailbox)
    bits = table.known_mask(flags)
    keep = 0 if action is FlagAction.REPLACE else ~bits
    give = 0 if action is FlagAction.REMOVE else bits
    new = [mask & keep | give for mask in masks]
    modseq = 0
    if masks != new:
        changed = [before != after for before, after in zip(masks, new, strict=True)]
        changed_uids = list(compress(found, changed))
        _note_masks(
            tx,
            rules,
            (home, mailbox),
            changed_uids,
            list(compress(masks, changed)),
            list(compress(new, changed)),
        )
        modseq = mailbox.modseq
        asked = uids - refused if all(changed) else NumSet.of(changed_uids)
        for sql, args in _SET_MASKS.pieces(asked):
            tx.run(sql, (*args, keep, give, modseq, mailbox.id, mailbox.id))
        modseqs = [modseq if did else before for did, before in zip(changed, modseqs, strict=True)]
    return FlagsStored(array("I", found), new, modseqs, refused, modseq, previous)


def set_masks(tx: Transaction, rules: Rules, mailbox_id: int, masks: Mapping[int, int]) -> None:
    """Give messages, by UID, the flags that somebody else gave their bytes."""
    home, mailbox = get_mailbox(tx, mailbox_id)
    found, before, _ = _read_masks(tx, mailbox, NumSet.of(masks))
    changed = [(uid, old) for uid, old in zip(found, before, strict=True) if old != masks[uid]]
    if not changed:
        return
    uids, old = [uid for uid, _ in changed], [mask for _, mask in changed]
    _note_masks(tx, rules, (home, mailbox), uids, old, [masks[uid] for uid in uids])
    by_mask: dict[int, list[int]] = {}
    for uid in uids:
        by_mask.setdefault(masks[uid], []).append(uid)
    for mask, some in by_mask.items():
        for sql, args in _SET_MASKS.pieces(NumSet.of(some)):
            tx.run(sql, (*args, 0, mask, mailbox.modseq, mailbox.id, mailbox.id))


def _note_masks(
    tx: Transaction,
    rules: Rules,
    where: tuple[HomeRow, MailboxRow],
    uids: Sequence[int],
    before: Sequence[int],
    after: Sequence[int],
) -> None:
    """Count and publish other flags, and tell the bodies."""
    home, mailbox = where
    if rules.bodies.has_places:
        rules.bodies.flagged(tx, mailbox, read_rows(tx, mailbox, NumSet.of(uids)), after)
    change = tx.change(home, mailbox)
    change.changed.update(zip(uids, after, strict=True))
    mailbox.unseen += _count(before, SEEN) - _count(after, SEEN)
    mailbox.deleted += _count(after, DELETED) - _count(before, DELETED)


def _count(masks: Iterable[int], bit: int) -> int:
    """Count the masks that have a bit."""
    return sum(map(bool, map(bit.__and__, masks)))


def set_places(tx: Transaction, mailbox_id: int, places: Mapping[int, str]) -> None:
    """Note, by UID, where messages' bytes are now; no change that a client sees."""
    pairs = list(places.items())
    while pairs:
        some, pairs = pairs[:64], pairs[64:]
        sql = _SET_PLACES.format(pairs=", ".join(["(?, ?)"] * len(some)))
        tx.run(sql, [*(value for pair in some for value in pair), mailbox_id])


def claim_recent(tx: Transaction, mailbox_id: int, uid_next: int) -> int:
    """Take the recent messages below a UID; give the first UID that was not claimed before."""
    home, mailbox = get_mailbox(tx, mailbox_id)
    before = mailbox.recent_uid
    if before < uid_next:
        mailbox.recent_uid = uid_next
        mailbox.recent = len(_read_masks(tx, mailbox, NumSet.span(uid_next, mailbox.uid_next))[0])
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
    """Copy or move messages to a mailbox of the same home (RFC 9051 §6.4.7, RFC 6851).

    Those that move to where they are get new UIDs at its end (RFC 6851 §3.3).
    """
    home, source = get_mailbox(tx, mailbox_id)
    target = tx.find_mailbox(home, name)
    if target is None:
        raise NoSuchMailbox(f"there is no mailbox {name!r}")
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
        here = NumSet.of(row.uid for row in rows) if target is source else uids
        remove_rows(tx, rules, home, source, rows, here)
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
