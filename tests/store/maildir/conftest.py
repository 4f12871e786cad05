"""What tests of the Maildir store share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from mailplat.interfaces.plugins import StoreSettings
from mailplat.interfaces.store import Folder
from mailplat.model.mailbox import SpecialUse
from mailplat.store.index.store import IndexedStore
from mailplat.store.maildir.bodies import MaildirLimits
from mailplat.store.maildir.comparing import OutsideLimits
from mailplat.store.maildir.disk import Disk
from mailplat.store.maildir.store import maildir_store

ALICE = "alice@example.org"
QUICK = MaildirLimits(
    settle_seconds=0.05, outside=OutsideLimits(look_seconds=0, poll_seconds=0, notice_seconds=0)
)


@dataclass
class Maildirs:
    """Opens stores in one directory."""

    root: Path
    opened: list[IndexedStore] = field(default_factory=list)

    async def open(self, disk: Disk | None = None, limits: MaildirLimits = QUICK) -> IndexedStore:
        """Open one."""
        settings = StoreSettings(
            reactor, str(self.root), (Folder("Sent", SpecialUse.SENT), Folder("Trash"))
        )
        store = maildir_store(str(self.root), settings, limits, disk=disk)
        self.opened.append(store)
        await store.open()
        return store

    async def close(self, store: IndexedStore) -> None:
        """Close one."""
        self.opened.remove(store)
        await store.close()

    async def close_all(self) -> None:
        """Close all."""
        for store in list(self.opened):
            await self.close(store)

    def files(self, folder: str = "", account: str = ALICE) -> list[str]:
        """List a mailbox's files, as locations."""
        directory = self.root / account / folder
        return sorted(
            f"{sub}/{path.name}" for sub in ("new", "cur") for path in (directory / sub).iterdir()
        )


@pytest.fixture
def maildirs(tmp_path: Path) -> Iterator[Maildirs]:
    """An empty directory for stores; those still open are closed at the end."""
    made = Maildirs(tmp_path / "mail")
    yield made
    pytest_twisted.blockon(Deferred.fromCoroutine(made.close_all()))
