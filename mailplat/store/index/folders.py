"""Operations on homes and their mailboxes: each a function of a transaction.

Invariants: a UIDVALIDITY is given once in a store, and ascends; so is every id.  After an operation
that changed which mailboxes there are, a `HomeChanged` tells all of them: homes are small, and
such changes are rare.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from mailplat.interfaces.store import Folder
from mailplat.model.errors import AlreadyExists, Cannot, NoSuchMailbox
from mailplat.model.mailbox import INBOX, SEPARATOR, QuotaLimit, normal_name
from mailplat.model.numset import MAX_NUMBER, NumSet
from mailplat.store.index import statements
from mailplat.store.index.messages import Rules, copy, read_rows
from mailplat.store.index.rows import HomeRow, MailboxRow
from mailplat.store.index.transaction import HomeChanged, HomeGone, MailboxGone, Transaction

__all__ = [
    "ALL",
    "create",
    "delete",
    "delete_home",
    "drop_lease",
    "get_home",
    "make_mailbox",
    "open_home",
    "publish_home",
    "rename",
    "set_limit",
    "subscribe",
    "take_lease",
    "tell_home",
    "unsubscribe",
]

ALL = NumSet.span(1, MAX_NUMBER)
"""Every UID there can be."""

_SUBSCRIPTIONS = "SELECT name FROM subscriptions WHERE home = ?"
_UNSUBSCRIBE = "DELETE FROM subscriptions WHERE home = ? AND name = ?"
_RENAME = "UPDATE mailboxes SET name = ? WHERE id = ?"


def get_home(tx: Transaction, home_id: int) -> HomeRow:
    """Find a home that was open; it may be deleted since."""
    home = tx.home(home_id)
    if home is None:
        raise NoSuchMailbox("the home was deleted")
    return home


def _get(tx: Transaction, home: HomeRow, name: str) -> MailboxRow:
    mailbox = tx.find_mailbox(home, name)
    if mailbox is None:
        raise NoSuchMailbox(f"{home.account}: there is no mailbox {name!r}")
    return mailbox


def publish_home(tx: Transaction, home: HomeRow, names: Iterable[str] = ()) -> None:
    """Tell how a home looks now.

    Args:
        tx: The transaction.
        home: Which.
        names: Mailboxes that watchers are told of.
    """
    tx.publish(
        HomeChanged(
            home.copy(),
            [mailbox.copy() for mailbox in tx.all_mailboxes(home)],
            frozenset(row[0] for row in tx.all(_SUBSCRIPTIONS, (home.id,))),
            frozenset(names),
        )
    )


def tell_home(tx: Transaction, home_id: int) -> None:
    """Tell how a home looks now, to those whose memory of it cannot be trusted."""
    publish_home(tx, get_home(tx, home_id))


def open_home(
    tx: Transaction, rules: Rules, account: str, folders: Sequence[Folder], *, tell: bool
) -> HomeRow:
    """Find an account's home, or make it with INBOX and folders.

    Args:
        tx: The transaction.
        rules: Where bytes are.
        account: Whose.
        folders: What a new home begins with, subscribed.
        tell: Publish it also if it was there already.
    """
    home = tx.find_home(account)
    if home is None:
        home = HomeRow(tx.next_number("home"), account, 0, 0, 0, 0, None, None)
        tx.insert_home(home)
        rules.bodies.home_made(tx, home)
        inbox = [] if any(folder.name == INBOX for folder in folders) else [Folder(INBOX)]
        for folder in [*inbox, *folders]:
            use = () if folder.special_use is None else (folder.special_use.value,)
            make_mailbox(tx, rules, home, folder.name, use, subscribed=True)
        publish_home(tx, home, [folder.name for folder in [*inbox, *folders]])
    elif tell:
        publish_home(tx, home)
    return home


def make_mailbox(
    tx: Transaction,
    rules: Rules,
    home: HomeRow,
    name: str,
    special_use: Sequence[str] = (),
    *,
    subscribed: bool = False,
) -> MailboxRow:
    """Make a mailbox that is not there yet; `publish_home` is the caller's."""
    number = tx.next_number("mailbox")
    validity = tx.next_number("uid_validity", at_least=tx.now)
    mailbox = MailboxRow(
        id=number,
        home=home.id,
        name=name,
        mailbox_id=f"F{number:x}-{validity:x}",
        uid_validity=validity,
        uid_next=1,
        modseq=tx.modseq(home),
        recent_uid=1,
        messages=0,
        recent=0,
        unseen=0,
        deleted=0,
        size=0,
        log_start=0,
        log_rows=0,
        keywords=(),
        special_use=tuple(special_use),
    )
    tx.insert_mailbox(mailbox)
    if subscribed and not _is_subscribed(tx, home, name):
        tx.insert(statements.SUBSCRIPTIONS, home.id, name)
        rules.bodies.subscribed(tx, home)
    rules.bodies.mailbox_made(tx, home, mailbox)
    return mailbox


def create(
    tx: Transaction, rules: Rules, home_id: int, name: str, special_use: Collection[str]
) -> str:
    """Make a mailbox; give its MAILBOXID."""
    home = get_home(tx, home_id)
    if tx.find_mailbox(home, name) is not None:
        raise AlreadyExists(f"{home.account}: there is a mailbox {name!r}")
    mailbox = make_mailbox(tx, rules, home, name, sorted(special_use))
    publish_home(tx, home, [name])
    return mailbox.mailbox_id


_DROP_ALL = (
    "INSERT INTO dropping (mailbox, modseq, uid, content, place)"
    " SELECT mailbox, ?, uid, content, place FROM messages WHERE mailbox = ?"
)


def delete(tx: Transaction, rules: Rules, home_id: int, name: str) -> None:
    """Remove a mailbox and its messages."""
    if name == INBOX:
        raise Cannot("INBOX cannot be deleted", public="INBOX cannot be deleted")
    home = get_home(tx, home_id)
    mailbox = _get(tx, home, name)
    _remove(tx, rules, home, mailbox)
    publish_home(tx, home, [name])


def _remove(tx: Transaction, rules: Rules, home: HomeRow, mailbox: MailboxRow) -> None:
    modseq = tx.modseq(home)
    gone: dict[int, str] = {}
    if rules.bodies.has_places:
        rows = read_rows(tx, mailbox, ALL)
        places = rules.bodies.expunged(tx, mailbox, rows)
        for row, place in zip(rows, places, strict=True):
            gone[row.uid] = place
            tx.insert(statements.DROPPING, mailbox.id, modseq, row.uid, row.content, place)
    else:
        tx.run(_DROP_ALL, (modseq, mailbox.id))
    home.messages -= mailbox.messages
    home.storage -= mailbox.size
    tx.touch_home(home)
    tx.forget_mailbox(mailbox)
    for table in ("messages", "vanished"):
        tx.run(f"DELETE FROM {table} WHERE mailbox = ?", (mailbox.id,))
    tx.run("DELETE FROM mailboxes WHERE id = ?", (mailbox.id,))
    rules.bodies.mailbox_deleted(tx, home, mailbox)
    tx.publish(MailboxGone(mailbox, gone))


def rename(tx: Transaction, rules: Rules, home_id: int, old: str, new: str) -> None:
    """Rename a mailbox and all below it; of INBOX, move the messages (RFC 9051 §6.3.6).

    A level that only has mailboxes below it takes them along.
    """
    home = get_home(tx, home_id)
    if old == INBOX:
        inbox = _get(tx, home, old)
        if tx.find_mailbox(home, new) is not None:
            raise AlreadyExists(f"{home.account}: there is a mailbox {new!r}")
        make_mailbox(tx, rules, home, new)
        copy(tx, rules, inbox.id, ALL, new, moving=True)
        publish_home(tx, home, [old, new])
        return
    below = old + SEPARATOR
    all_mailboxes = tx.all_mailboxes(home)
    tree = [m for m in all_mailboxes if m.name == old or m.name.startswith(below)]
    if not tree:
        raise NoSuchMailbox(f"{home.account}: there is no mailbox {old!r}")
    if tx.find_mailbox(home, new) is not None:
        raise AlreadyExists(f"{home.account}: there is a mailbox {new!r}")
    if new.startswith(below):
        raise Cannot(public="A mailbox cannot be moved below itself")
    moves = [(m, normal_name(new + m.name[len(old) :])) for m in tree]
    taken = {m.name for m in all_mailboxes}
    clashes = sorted({name for _, name in moves} & taken)
    if clashes:
        raise AlreadyExists(f"{home.account}: there is a mailbox {clashes[0]!r}")
    tx.modseq(home)
    names = []
    for moved, name in moves:
        names += [moved.name, name]
        old_name = moved.name
        tx.forget_mailbox(moved)
        tx.run(_RENAME, (name, moved.id))
        renamed = tx.mailbox(moved.id)
        assert renamed is not None
        rules.bodies.mailbox_renamed(tx, home, renamed, old_name)
    publish_home(tx, home, names)


def _is_subscribed(tx: Transaction, home: HomeRow, name: str) -> bool:
    sql = "SELECT 1 FROM subscriptions WHERE home = ? AND name = ?"
    return tx.one(sql, (home.id, name)) is not None


def subscribe(tx: Transaction, rules: Rules, home_id: int, name: str) -> None:
    """Put a name on the subscription list."""
    home = get_home(tx, home_id)
    if not _is_subscribed(tx, home, name):
        tx.insert(statements.SUBSCRIPTIONS, home.id, name)
        rules.bodies.subscribed(tx, home)
        publish_home(tx, home)


def unsubscribe(tx: Transaction, rules: Rules, home_id: int, name: str) -> None:
    """Take a name off the subscription list."""
    home = get_home(tx, home_id)
    if tx.run(_UNSUBSCRIBE, (home.id, name)):
        rules.bodies.subscribed(tx, home)
        publish_home(tx, home)


def set_limit(tx: Transaction, home_id: int, limit: QuotaLimit) -> None:
    """Change what a home may keep."""
    home = get_home(tx, home_id)
    home.limited = 1
    home.storage_limit, home.messages_limit = limit.storage, limit.messages
    tx.touch_home(home)
    publish_home(tx, home)


def take_lease(tx: Transaction, home_id: int) -> bool:
    """Have a home's maildrop alone among processes; False if another one has it."""
    sql = tx.dialect.take_lease
    row = (True,) if sql is None else tx.one(sql, (home_id,))
    return row is not None and bool(row[0])


def drop_lease(tx: Transaction, home_id: int) -> None:
    """Let a home's maildrop go."""
    sql = tx.dialect.drop_lease
    if sql is not None:
        tx.one(sql, (home_id,))


def delete_home(tx: Transaction, rules: Rules, account: str) -> None:
    """Remove all mail of an account."""
    home = tx.find_home(account)
    if home is None:
        return
    for mailbox in tx.all_mailboxes(home):
        _remove(tx, rules, home, mailbox)
    tx.forget_home(home)
    tx.run("DELETE FROM subscriptions WHERE home = ?", (home.id,))
    tx.run("DELETE FROM homes WHERE id = ?", (home.id,))
    rules.bodies.home_deleted(tx, home)
    tx.publish(HomeGone(home))
