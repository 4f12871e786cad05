"""What an open store is made of, as its homes and mailboxes see it.

They know the parts that they work with, and not the store that put them together.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred

from mailplat.interfaces.plugins import StoreSettings
from mailplat.store.index.blocks import Blocks
from mailplat.store.index.bodies import Bodies
from mailplat.store.index.loading import MailboxReader
from mailplat.store.index.messages import Rules
from mailplat.store.index.readers import Readers
from mailplat.store.index.recent import Recent
from mailplat.store.index.search import TextIndex
from mailplat.store.index.shelf import Shelf
from mailplat.store.index.summaries import SummaryReader
from mailplat.store.index.writer import Writer

__all__ = ["StoreParts"]


class StoreParts(Protocol):
    """The parts of one store.

    Attributes:
        settings: What every store is told.
        rules: What operations are told.
        writer: Runs operations.
        readers: Run jobs that read.
        shelf: What is in memory.
        mailbox_reader, summaries: Read rows.
        blocks, recent: What was read.
        text: The search index; None where there is none.
        shares_leases: Whether other processes want to know who has a maildrop.
    """

    settings: StoreSettings
    rules: Rules
    writer: Writer
    readers: Readers
    shelf: Shelf
    mailbox_reader: MailboxReader
    summaries: SummaryReader
    blocks: Blocks
    recent: Recent
    text: TextIndex | None
    shares_leases: bool

    @property
    def bodies(self) -> Bodies:
        """Where the bytes are."""

    def settled(self) -> Deferred[None]:
        """Wait until memory has every change that was committed before this call."""
