"""SEARCH over a store that has an index of text finds what reading everything finds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_twisted
from twisted.internet import reactor

from mailplat.interfaces.plugins import StoreSettings
from mailplat.interfaces.store import IMailbox
from mailplat.proto.imap.search_keys import (
    All,
    And,
    BodyHas,
    HasFlag,
    HeaderHas,
    Not,
    Or,
    SearchKey,
    TextHas,
)
from mailplat.proto.imap.view import View
from mailplat.sessions.imap.matching import Matching
from mailplat.sessions.imap.selected import Selected
from mailplat.sessions.imap.services import IMAPOptions, IMAPServices
from mailplat.store.index.store import IndexedStore
from mailplat.store.sql.store import sql_store
from mailplat.testing.mails import new_message
from mailplat.testing.store_contract.searching import MAILS

WORDS = ("fox", "STRASSE", "schöne", "Мир", "資料", "no header", "o", "subject", "nul", "missing")
KEYS: list[SearchKey] = [
    *(key(word) for word in WORDS for key in (BodyHas, TextHas)),
    *(HeaderHas("Subject", word) for word in (*WORDS, "", "folded over", "straße")),
    HeaderHas("X-None", ""),
    HeaderHas("=?utf-8?q?x", "plain"),
    Not(TextHas("fox")),
    Or((BodyHas("fox"), HeaderHas("subject", "plain"))),
    And((HasFlag("\\Seen"), TextHas("example"), Not(BodyHas("fox")))),
    All(),
]


class _Services:
    """What `Matching` asks of the services."""

    options = IMAPOptions(block_bytes=200, block_rows=3)

    @staticmethod
    def now() -> float:
        """Tell the time."""
        return 1_700_000_000.0


@pytest_twisted.async_yield_fixture
async def store(tmp_path: Path) -> AsyncIterator[IndexedStore]:
    """A SQL store, with hard mails in Alice's INBOX."""
    store = sql_store("sqlite:///mail.db", StoreSettings(reactor, str(tmp_path)))
    await store.open()
    home = await store.open_home("alice")
    new = [new_message(data, ["\\Seen"] if n % 2 else []) for n, data in enumerate(MAILS)]
    await home.append("INBOX", new)
    yield store
    await store.close()


async def _found(mailbox: IMailbox) -> list[Sequence[int]]:
    """Search for all keys."""
    state = await mailbox.state(False)
    view = View(state.uids, state.modseq, mailbox.keywords)
    selected = Selected(mailbox, view, read_only=True, changed=lambda: None)
    matching = Matching(selected, cast(IMAPServices, _Services()))
    return [list(await matching.find(key, state.uids)) for key in KEYS]


@pytest_twisted.ensureDeferred
async def test_the_same_is_found(store: IndexedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the index, and with one that cannot tell."""
    home = await store.open_home("alice")
    mailbox = await home.open_mailbox("INBOX")
    await store.catch_up()
    narrowed = await _found(mailbox)

    async def cannot_tell(*args: Any) -> None:
        """Know nothing."""

    assert store.text is not None
    monkeypatch.setattr(store.text, "pick", cannot_tell)
    assert await _found(mailbox) == narrowed
    assert [bool(found) for found in narrowed].count(True) > 15
    mailbox.close()


@pytest_twisted.ensureDeferred
async def test_little_is_read(store: IndexedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bodies are read of candidates alone."""
    home = await store.open_home("alice")
    mailbox = await home.open_mailbox("INBOX")
    await store.catch_up()
    read: list[int] = []
    right = type(mailbox).bodies

    async def bodies(self: Any, ranges: Sequence[Any]) -> Any:
        read.extend(one.uid for one in ranges)
        return await right(self, ranges)

    monkeypatch.setattr(type(mailbox), "bodies", bodies)
    state = await mailbox.state(False)
    view = View(state.uids, state.modseq, mailbox.keywords)
    selected = Selected(mailbox, view, read_only=True, changed=lambda: None)
    matching = Matching(selected, cast(IMAPServices, _Services()))
    assert await matching.find(BodyHas("quick brown"), state.uids) == [1]
    assert read == [1]
    mailbox.close()
