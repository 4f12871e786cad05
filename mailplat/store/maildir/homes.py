"""Operations and looks that are about a whole home: folders that come and go, and taking over.

A directory beside ``cur`` that begins with a dot and has a ``cur`` of its own is a mailbox.  One
that appears gets into the index; one that disappears leaves it, unless the home itself looks as if
its disk were not mounted.

A mailbox whose directory was there before is *taken over*: its files get UIDs before anybody sees
it, those that ``dovecot-uidlist`` knows the ones that they had.  The list is believed once: then
``mailplat-taken-over`` is put beside it, for if the index is lost one day, the list is old and
would give UIDs again that were given to other messages since.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from twisted.logger import Logger

from mailplat.model.errors import Cannot, MailError, Unavailable
from mailplat.model.mailbox import normal_name
from mailplat.store.index.database import Connection
from mailplat.store.index.folders import delete, get_home, make_mailbox, publish_home, subscribe
from mailplat.store.index.messages import Rules, get_mailbox
from mailplat.store.index.rows import HomeRow
from mailplat.store.index.transaction import Transaction
from mailplat.store.maildir.deciding import Deciding
from mailplat.store.maildir.folders import SET_TAKEN_OVER, Folder
from mailplat.store.maildir.journal import DIRECTORY_KINDS
from mailplat.store.maildir.names import (
    NAME_FILE,
    account_directory,
    directory_account,
    directory_folder,
    foreign_folder,
    is_shortened,
)
from mailplat.store.maildir.subscriptions import FILE
from mailplat.store.maildir.uidlist import UidList, read_subscriptions, read_uidlist

__all__ = [
    "HomeLook",
    "Legacy",
    "adopt_folders",
    "begin_taking_over",
    "finish_taking_over",
    "forget_folders",
    "look_at_home",
    "read_legacy",
    "strange_accounts",
    "write_marker",
]

_log = Logger()

_MARKER = "mailplat-taken-over"
_NEWEST = (
    "SELECT min(uid), count(*) FROM messages"
    " WHERE mailbox = ? AND uid >= ? AND substr(place, 1, 4) = 'new/'"
)


def strange_accounts(connection: Connection, bodies: Deciding) -> list[str]:
    """Name the accounts that have a Maildir below the root, and no home in the index."""
    known = {row[0] for row in connection.all("SELECT account FROM homes")}
    found = []
    for name in bodies.disk.names(bodies.layout.root):
        account = directory_account(name)
        if account is not None and account not in known:
            path = bodies.layout.directory(name)
            if bodies.disk.status(f"{path}/cur") is not None:
                found.append(account)
    return sorted(found)


@dataclass(frozen=True, slots=True)
class HomeLook:
    """What a look at a home found.

    Attributes:
        stamp: The modification time of its directory, nanoseconds since 1970.
        new: Names and directories of mailboxes that the index does not have.
        gone: Mailboxes whose directories are gone.
        strange: Mailboxes that were not taken over yet.
        changed: Mailboxes whose files changed.
        subscribed: The stamp of the list of subscriptions (see `Listed`).
    """

    stamp: int
    new: list[tuple[str, str]] = field(default_factory=list)
    gone: list[Folder] = field(default_factory=list)
    strange: list[Folder] = field(default_factory=list)
    changed: list[Folder] = field(default_factory=list)
    subscribed: tuple[int, int, int] = (0, 0, 0)


def look_at_home(
    connection: Connection, bodies: Deciding, home: HomeRow, stamp: int, passed: set[str]
) -> HomeLook:
    """Look at a home; list it if its directory is not as it was.

    Args:
        connection: Reads the index.
        bodies: Ours.
        home: The home.
        stamp: What the last look said; 0 for the first one.
        passed: Directories that cannot be mailboxes; added to.
    """
    account = account_directory(home.account)
    path = bodies.layout.directory(account)
    folders = bodies.folders.of_home(home.id, connection)
    status, inbox = bodies.disk.status(path), bodies.disk.status(f"{path}/cur")
    if status is None or inbox is None:
        if folders:
            raise Unavailable(f"{path}/cur: no such directory")
        return HomeLook(0)
    listed = bodies.disk.status(f"{path}/{FILE}")
    look = HomeLook(
        status.st_mtime_ns,
        subscribed=(listed.st_mtime_ns, listed.st_ino, listed.st_size) if listed else (0, 0, 0),
    )
    if status.st_mtime_ns != stamp:
        known = {folder.directory for folder in folders}
        for name in sorted(bodies.disk.names(path)):
            directory = f"{account}/{name}"
            if name.startswith(".") and directory not in known and directory not in passed:
                _consider(bodies, directory, name, look, passed)
        for folder in folders:
            with folder.lock:
                there = bodies.disk.status(bodies.layout.directory(folder.directory)) is not None
            if not there and not folder.deleted:
                look.gone.append(folder)
    for folder in folders:
        if folder in look.gone:
            continue
        try:
            if not folder.taken_over:
                look.strange.append(folder)
            elif folder.dirty or folder.stamps != bodies.folders.stamps(folder):
                look.changed.append(folder)
        except MailError as error:
            _log.warn("the other mailboxes are served: {error}", error=error)
    return look


def _consider(
    bodies: Deciding, directory: str, name: str, look: HomeLook, passed: set[str]
) -> None:
    """See whether a directory that the index does not know is a mailbox."""
    path = bodies.layout.directory(directory)
    if bodies.disk.status(f"{path}/cur") is None:
        return
    if is_shortened(name):
        mailbox = _long_name(bodies.disk.read(f"{path}/{NAME_FILE}") or b"")
    else:
        mailbox = directory_folder(name) or foreign_folder(name)
    if mailbox is None:
        _log.warn("{path} has no name that a mailbox can have: it is passed over", path=path)
        passed.add(directory)
    else:
        look.new.append((mailbox, directory))


def _long_name(data: bytes) -> str | None:
    """Read a `NAME_FILE`."""
    try:
        return normal_name(data.decode())
    except (UnicodeDecodeError, Cannot):
        return None


def adopt_folders(
    tx: Transaction,
    rules: Rules,
    bodies: Deciding,
    home_id: int,
    new: Sequence[tuple[str, str]],
) -> list[str]:
    """Make mailboxes of directories; give the directories whose names are taken."""
    home = get_home(tx, home_id)
    made, refused = [], []
    for name, directory in new:
        if tx.find_mailbox(home, name) is not None:
            refused.append(directory)
            continue
        with bodies.adopting(name, directory):
            make_mailbox(tx, rules, home, name)
        made.append(name)
    if made:
        publish_home(tx, home, made)
    return refused


def forget_folders(
    tx: Transaction, rules: Rules, bodies: Deciding, home_id: int, gone: Sequence[int]
) -> None:
    """Remove mailboxes whose directories are gone."""
    for mailbox_id in gone:
        mailbox, folder = tx.mailbox(mailbox_id), bodies.folders.find(mailbox_id, tx)
        if mailbox is None or folder is None:
            continue
        with folder.lock:
            path = bodies.layout.directory(folder.directory)
            if bodies.disk.status(path) is not None:
                continue
        if any(step.kind in DIRECTORY_KINDS for step in bodies.journal.steps(mailbox_id)):
            continue  # our own doing, still under way
        _log.info("{path} is gone, and so is the mailbox", path=path)
        with bodies.vanishing():
            delete(tx, rules, home_id, mailbox.name)


# taking over


@dataclass(frozen=True, slots=True)
class Legacy:
    """What other programs knew of a mailbox.

    Attributes:
        uidlist: Its UIDs; None if there is no list to believe.
        subscriptions: Of an INBOX: names that were subscribed.
    """

    uidlist: UidList | None
    subscriptions: Sequence[str]


def read_legacy(bodies: Deciding, folder: Folder) -> Legacy:
    """Read what Dovecot or Courier left in a directory; in a thread."""
    path = bodies.layout.directory(folder.directory)
    uidlist = None
    if bodies.disk.status(f"{path}/{_MARKER}") is None:
        for name in ("dovecot-uidlist", "courierimapuiddb"):
            uidlist = uidlist or read_uidlist(bodies.disk.read(f"{path}/{name}") or b"")
    subscriptions = []
    if "/" not in folder.directory:
        for name in ("subscriptions", "courierimapsubscribed"):
            for line in read_subscriptions(bodies.disk.read(f"{path}/{name}") or b""):
                subscribed = directory_folder(f".{line}") or foreign_folder(f".{line}")
                if subscribed is not None:
                    subscriptions.append(subscribed)
    return Legacy(uidlist, subscriptions)


def write_marker(bodies: Deciding, folder: Folder) -> None:
    """Note durably that the list of UIDs was used; in a thread."""
    path = bodies.layout.directory(folder.directory)
    if bodies.disk.status(f"{path}/{_MARKER}") is None:
        bodies.disk.write(f"{path}/{_MARKER}", ())
        bodies.disk.sync_directory(path)


def begin_taking_over(tx: Transaction, mailbox_id: int, uidlist: UidList) -> bool:
    """Give an empty mailbox the UIDVALIDITY that it had; whether its UIDs can be kept."""
    home, mailbox = get_mailbox(tx, mailbox_id)
    if mailbox.uid_validity == uidlist.uid_validity:
        return True
    if mailbox.uid_next > 1:
        return False
    tx.next_number("uid_validity", at_least=uidlist.uid_validity)  # no other one is lower
    mailbox.uid_validity = uidlist.uid_validity
    tx.run("UPDATE mailboxes SET uid_validity = ? WHERE id = ?", (uidlist.uid_validity, mailbox_id))
    publish_home(tx, home, [mailbox.name])
    return True


def finish_taking_over(
    tx: Transaction, rules: Rules, mailbox_id: int, folder: Folder, legacy: Legacy, kept: bool
) -> None:
    """All files are in the index: from now on it is a mailbox like any other."""
    home, mailbox = get_mailbox(tx, mailbox_id)
    first = 1
    if legacy.uidlist is not None and kept:
        first = legacy.uidlist.uid_next
        mailbox.uid_next = max(mailbox.uid_next, first)
    (newest, count) = tx.one(_NEWEST, (mailbox_id, first)) or (None, 0)
    mailbox.recent_uid = newest if newest is not None else mailbox.uid_next
    mailbox.recent = count
    tx.touch_mailbox(mailbox)
    tx.note(home, mailbox)
    for name in legacy.subscriptions:
        subscribe(tx, rules, home.id, name)
    tx.run(SET_TAKEN_OVER, (mailbox_id,))
    tx.on_commit(partial(setattr, folder, "taken_over", True))
