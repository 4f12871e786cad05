"""The Maildir store keeps the store contract."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from twisted.internet import reactor
from twisted.plugin import IPlugin
from zope.interface.verify import verifyObject

from mailplat.interfaces.plugins import IStorePlugin, StoreSettings
from mailplat.interfaces.store import IStore
from mailplat.interfaces.upkeep import FaultKind
from mailplat.model.errors import ConfigurationFault
from mailplat.plugins.mailplat_maildir import maildir
from mailplat.testing import stores


class Fixtures:
    """Makes the stores that the contract's tests begin with."""

    @pytest.fixture
    def make_store(self) -> stores.MakeStore:
        """A Maildir store in the data directory, as a configuration names it."""

        def make(settings: StoreSettings) -> IStore:
            return maildir.store("mail", settings)

        return make


class TestMailbox(Fixtures, stores.MailboxContract):
    """Messages."""


class TestHome(Fixtures, stores.HomeContract):
    """Mailboxes."""


class TestStore(Fixtures, stores.StoreContract):
    """Homes and deliveries."""


class TestDurable(Fixtures, stores.DurableStoreContract):
    """What outlives the process."""


def test_plugin(tmp_path: Path) -> None:
    """The plugin provides what it says; without a directory there is no store."""
    assert verifyObject(IPlugin, maildir)
    assert verifyObject(IStorePlugin, maildir)
    settings = StoreSettings(reactor, str(tmp_path))
    with pytest.raises(ConfigurationFault):
        maildir.store("", settings)
    assert verifyObject(IStore, maildir.store("/var/mail", settings))


class TestSearch(Fixtures, stores.SearchContract):
    """The index of text."""


class TestRepair(Fixtures, stores.RepairContract):
    """Looking after it."""

    @pytest.fixture
    def damages(self, spoiled_index: dict[FaultKind, str]) -> stores.Damages:
        """Statements that spoil the index, and a file cut short."""

        def spoiling(statements: str) -> Callable[[StoreSettings], None]:
            def spoil(settings: StoreSettings) -> None:
                raw = sqlite3.connect(Path(settings.directory, "mail/.mailplat/index.sqlite"))
                raw.executescript(statements)
                raw.close()

            return spoil

        def cut_short(settings: StoreSettings) -> None:
            (*_, file) = sorted(Path(settings.directory, "mail/alice/cur").iterdir())
            os.truncate(file, 100)

        made = {kind: spoiling(statements) for kind, statements in spoiled_index.items()}
        return made | {FaultKind.BODY: cut_short}
