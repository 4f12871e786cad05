"""What every part of the store contract starts from, and the small words it is written in.

A backend gives one fixture, ``make_store``; from it come an open store, one account's home, and
its INBOX, all of them empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor

from mailplat.interfaces.plugins import StoreSettings
from mailplat.interfaces.store import BodyRange, Column, Folder, IHome, IMailbox, IStore
from mailplat.model.changes import Changes
from mailplat.model.errors import NoSuchMailbox
from mailplat.model.flags import flag_names
from mailplat.model.mailbox import MailboxInfo, MailboxStatus, SpecialUse
from mailplat.model.numset import MAX_NUMBER, NumSet
from mailplat.testing.mails import NOON, mail, new_message
from mailplat.testing.turns import wait_for

__all__ = [
    "ALL",
    "FOLDERS",
    "MakeStore",
    "Seen",
    "StoreFixtures",
    "Told",
    "add",
    "ascending",
    "body_of",
    "flags_in",
    "gone",
    "info_of",
    "open_homes",
    "status_of",
    "subjects_in",
    "uids_in",
]

MakeStore = Callable[[StoreSettings], IStore]
"""Makes a store, not opened; with the same directory again, one on the same storage."""

ALL = NumSet.span(1, MAX_NUMBER)
"""``1:*``, as far as a set goes."""

FOLDERS = (Folder("Drafts", SpecialUse.DRAFTS), Folder("Old/Mail"))
"""What new homes begin with in these tests, besides INBOX."""

_numbers = count(1)


class StoreFixtures:
    """What a part of the contract is built on; a subclass adds the fixture ``make_store``.

    Attributes:
        keyword_limit: Keywords that a mailbox of the tests' store may have.
    """

    keyword_limit = 6

    @pytest.fixture
    def settings(self, tmp_path: Path) -> StoreSettings:
        """What the store is told."""
        directory = tmp_path / "data"
        directory.mkdir()
        return StoreSettings(reactor, str(directory), FOLDERS, self.keyword_limit)

    @pytest.fixture
    def store(self, make_store: MakeStore, settings: StoreSettings) -> Iterator[IStore]:
        """An empty store, open."""
        store = make_store(settings)
        wait_for(store.open())
        yield store
        wait_for(store.close())

    @pytest.fixture
    def home(self, store: IStore) -> IHome:
        """A new home."""
        return wait_for(store.open_home("alice@example.org"))

    @pytest.fixture
    def mailbox(self, home: IHome) -> Iterator[IMailbox]:
        """The home's INBOX, open and empty."""
        mailbox = wait_for(home.open_mailbox("INBOX"))
        yield mailbox
        mailbox.close()


async def add(
    home: IHome,
    name: str = "INBOX",
    messages: int = 1,
    *,
    flags: Iterable[str] = (),
    size: int = 0,
    date: int = NOON,
) -> tuple[int, ...]:
    """Append new messages to a mailbox; tell their UIDs."""
    new = [new_message(mail(next(_numbers), size), flags, date) for _ in range(messages)]
    return (await home.append(name, new)).uids


async def uids_in(home: IHome, name: str = "INBOX") -> list[int]:
    """Tell what is in a mailbox by name."""
    mailbox = await home.open_mailbox(name)
    uids = list((await mailbox.state(False)).uids)
    mailbox.close()
    return uids


async def flags_in(mailbox: IMailbox) -> dict[int, frozenset[str]]:
    """Read the flags of all messages, by UID, as names."""
    rows = await mailbox.rows(ALL, [Column.FLAGS])
    keywords = mailbox.keywords
    return {
        uid: frozenset(flag_names(mask, keywords))
        for uid, mask in zip(rows.uids, rows[Column.FLAGS], strict=True)
    }


async def subjects_in(home: IHome, name: str) -> list[str]:
    """Read the subjects of a mailbox's messages, in the order of their UIDs."""
    mailbox = await home.open_mailbox(name)
    rows = await mailbox.rows(ALL, [Column.BASE_SUBJECT])
    mailbox.close()
    return list(rows[Column.BASE_SUBJECT])


async def body_of(mailbox: IMailbox, uid: int) -> bytes | None:
    """Read a whole message."""
    (body,) = await mailbox.bodies([BodyRange(uid, 0, 1 << 40)])
    return body


async def status_of(home: IHome, name: str = "INBOX") -> MailboxStatus:
    """Ask for one mailbox's counts."""
    (status,) = (await home.status([name])).values()
    return status


async def info_of(home: IHome, name: str) -> MailboxInfo | None:
    """Find a mailbox in the list; it stands there at most once."""
    found = [info for info in await home.mailboxes() if info.name == name]
    assert len(found) <= 1, found
    return found[0] if found else None


async def open_homes(store: IStore, *accounts: str) -> list[IHome]:
    """Open several homes."""
    return [await store.open_home(account) for account in accounts]


@dataclass
class Seen:
    """A mailbox as a session sees it, kept up to date by `IMailbox.changes_since` alone.

    Attributes:
        modseq: Where it stands.
        masks: The flags of each message, by UID.
    """

    modseq: int
    masks: dict[int, int] = field(default_factory=dict)

    @classmethod
    async def of(cls, mailbox: IMailbox) -> Seen:
        """Look at a mailbox for the first time."""
        state = await mailbox.state(False)
        rows = await mailbox.rows(state.uids, [Column.FLAGS])
        assert list(rows.uids) == list(state.uids)
        return cls(state.modseq, dict(zip(rows.uids, rows[Column.FLAGS], strict=True)))

    def copy(self) -> Seen:
        """Remember how it is now."""
        return Seen(self.modseq, dict(self.masks))

    def apply(self, changes: Changes, masks_of_added: Mapping[int, int]) -> None:
        """Take changes in, holding them to what the interface promises."""
        added, changed = list(changes.added), list(changes.changed)
        assert changes.modseq >= self.modseq
        assert added == sorted(set(added))
        assert changed == sorted(set(changed))
        assert len(changed) == len(changes.masks) == len(changes.modseqs)
        assert all(self.modseq < modseq <= changes.modseq for modseq in changes.modseqs)
        assert not [uid for uid in [*added, *changed] if uid in changes.vanished]
        assert not self.masks.keys() & set(added), "a message is added twice"
        assert set(changed) <= self.masks.keys(), "a message changed that was not there"
        for uid in [uid for uid in self.masks if uid in changes.vanished]:
            del self.masks[uid]
        self.masks.update(zip(changed, changes.masks, strict=True))
        self.masks.update({uid: masks_of_added[uid] for uid in added})
        self.modseq = changes.modseq

    async def catch_up(self, mailbox: IMailbox) -> Changes:
        """Ask for the changes and take them in; nobody else may change the mailbox meanwhile."""
        changes = await mailbox.changes_since(self.modseq)
        rows = await mailbox.rows(changes.added, [Column.FLAGS])
        self.apply(changes, dict(zip(rows.uids, rows[Column.FLAGS], strict=True)))
        return changes


class Told:
    """A watcher that notes what it is told.

    Attributes:
        names: What a home's watcher was told, in order.
        times: How often it was told anything.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.times = 0

    def __call__(self, *names: str) -> None:
        """Be told."""
        self.names.extend(names)
        self.times += 1


def gone(error: Any) -> bool:
    """Whether something ended because its mailbox is not there (any more)."""
    return isinstance(error, NoSuchMailbox)


def ascending(numbers: Sequence[int]) -> bool:
    """Whether numbers rise strictly."""
    return all(a < b for a, b in pairwise(numbers))
