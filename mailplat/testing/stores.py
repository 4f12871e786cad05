"""What every message store must do, as tests that any backend can run.

A backend's tests subclass these, with one fixture::

    from mailplat.testing import stores

    class Fixtures:
        @pytest.fixture
        def make_store(self):
            return lambda settings: AcmeStore(settings.directory, settings)

    class TestMailbox(Fixtures, stores.MailboxContract): ...
    class TestHome(Fixtures, stores.HomeContract): ...
    class TestStore(Fixtures, stores.StoreContract): ...
    class TestDurable(Fixtures, stores.DurableStoreContract): ...

``make_store`` makes a store out of `StoreSettings`, not opened; the suite opens and closes it.
Its storage is in ``settings.directory``, an empty directory that is there; a second store made
with the same settings is on the same storage (after the first was closed).

A store that keeps an index of text (`ISearchable`) subclasses `SearchContract` too.

A store that can be looked after (`IRepairable`) subclasses `RepairContract`, with the fixture
``damages``.

A store that does not outlive its process leaves `DurableStoreContract` away; it skips nothing.

`run_model_test` takes a random walk of any length through a store's home, compared step by step
with a reference, for those who want more than the few walks of the contract.
"""

from __future__ import annotations

from mailplat.testing.store_contract.arriving import Appending, Columns, Recent
from mailplat.testing.store_contract.changelog import ChangeLogs
from mailplat.testing.store_contract.durable import DurableStoreContract
from mailplat.testing.store_contract.fixtures import MakeStore
from mailplat.testing.store_contract.flagging import ConditionalStore, Flags, Keywords
from mailplat.testing.store_contract.homes import Delivering, Homes
from mailplat.testing.store_contract.keeping import Leases, Quota
from mailplat.testing.store_contract.names import Listing, MakingAndDeleting, Names
from mailplat.testing.store_contract.notices import HomeNotices, MailboxNotices
from mailplat.testing.store_contract.reading import Bodies, ExpungedBodies
from mailplat.testing.store_contract.renames import Renaming, RenamingInbox
from mailplat.testing.store_contract.repairing import Damages, RepairContract
from mailplat.testing.store_contract.searching import SearchContract
from mailplat.testing.store_contract.together import Together
from mailplat.testing.store_contract.transfers import Copying, Expunging, Moving
from mailplat.testing.store_contract.walk import Walks, run_model_test

__all__ = [
    "Damages",
    "DurableStoreContract",
    "HomeContract",
    "MailboxContract",
    "MakeStore",
    "RepairContract",
    "SearchContract",
    "StoreContract",
    "run_model_test",
]


class MailboxContract(
    Appending,
    Columns,
    Recent,
    Flags,
    Keywords,
    ConditionalStore,
    ChangeLogs,
    Expunging,
    Copying,
    Moving,
    Bodies,
    ExpungedBodies,
    MailboxNotices,
):
    """The contract of `IMailbox`, and of appends to it."""


class HomeContract(
    Names, MakingAndDeleting, Listing, Renaming, RenamingInbox, Quota, Leases, HomeNotices
):
    """The contract of `IHome`."""


class StoreContract(Homes, Delivering, Together, Walks):
    """The contract of `IStore`, of calls that run together, and of long sequences of calls."""
