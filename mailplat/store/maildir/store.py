"""Puts the Maildir store together: the index, and the bytes in files.

``maildir:/var/mail`` keeps all mail below ``/var/mail``; see `names` for which directory is whose,
and `layout` for what else is there.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from mailplat.interfaces.plugins import StoreSettings
from mailplat.model.errors import ConfigurationFault
from mailplat.store.index.sqlite import SQLiteDatabase
from mailplat.store.index.store import IndexedStore, IndexLimits
from mailplat.store.maildir.bodies import MaildirBodies, MaildirLimits
from mailplat.store.maildir.disk import Disk
from mailplat.store.maildir.layout import Layout

__all__ = ["maildir_store"]

_REMEDY = (
    "restore it from a backup, or move it away with the files beside it that begin with its name: "
    "then it is made anew from the mail, with new UIDs, and all clients fetch it again"
)


def maildir_store(
    argument: str,
    settings: StoreSettings,
    limits: MaildirLimits | None = None,
    index_limits: IndexLimits | None = None,
    disk: Disk | None = None,
) -> IndexedStore:
    """Make a store of Maildirs; not open yet.

    Args:
        argument: The directory, absolute or from the data directory.
        settings: What every store is told.
        limits: How the Maildirs are treated.
        index_limits: What the index may take.
        disk: Does everything on the file system.

    Raises:
        ConfigurationFault: There is no directory in the argument.
    """
    if not argument:
        raise ConfigurationFault("maildir: wants a directory, as in maildir:/var/mail")
    root = os.path.abspath(os.path.join(settings.directory, argument))
    database = SQLiteDatabase(Path(Layout(root).index), remedy=_REMEDY)
    connect = partial(database.connect, writes=False)
    bodies = MaildirBodies(root, settings.reactor, connect, limits, disk)
    return IndexedStore(database, bodies, settings, index_limits)
