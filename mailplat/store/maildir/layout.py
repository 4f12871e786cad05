"""Where everything is below the store's root.

::

    ROOT/alice@example.org/{cur,new,tmp}         alice's INBOX
    ROOT/alice@example.org/.Sent/{cur,new,tmp}   her other mailboxes
    ROOT/.mailplat/index.sqlite                  the index
    ROOT/.mailplat/lock                          held by the one process that serves this root
    ROOT/.mailplat/tmp/BASE                      a message on its way into a mailbox
    ROOT/.mailplat/dead/MAILBOX.UID              an expunged message that somebody still shows
    ROOT/.mailplat/dead/MAILBOX.d                a deleted mailbox

A *location* is where a message's file is, in a few bytes: ``new/BASE`` and ``cur/BASE:2,FS`` are
below the mailbox's directory, ``tmp/BASE`` and ``dead/MAILBOX.UID`` below ``ROOT/.mailplat``.
Locations are kept in the index as text; the bytes of a file's name that are not ASCII stand there
as the characters of the same number, so that a name in any encoding, or none, survives.

Everything below the root has to be on one file system: files only ever move by renaming.
"""

from __future__ import annotations

import os

__all__ = ["Layout", "dead_location", "location_name", "native"]


def location_name(name: str) -> str:
    """Spell a file's name, as the operating system gave it, for a location."""
    return name if name.isascii() else os.fsencode(name).decode("latin-1")


def native(location: str) -> str:
    """Undo `location_name`."""
    return location if location.isascii() else os.fsdecode(location.encode("latin-1"))


class Layout:
    """The paths of one store.

    Args:
        root: Absolute.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self.private = os.path.join(root, ".mailplat")
        self.index = os.path.join(self.private, "index.sqlite")
        self.lock = os.path.join(self.private, "lock")
        self.tmp = os.path.join(self.private, "tmp")
        self.dead = os.path.join(self.private, "dead")

    def directory(self, directory: str) -> str:
        """Give the path of a directory named from the root."""
        return os.path.join(self.root, directory)

    def path(self, directory: str, location: str) -> str:
        """Give the path of a message's file.

        Args:
            directory: Its mailbox's directory, from the root.
            location: Where it is.
        """
        if location.startswith(("cur/", "new/")):
            return f"{self.root}/{directory}/{native(location)}"
        return f"{self.private}/{native(location)}"

    def dead_folder(self, mailbox: int) -> str:
        """Name the directory, from the root, that a deleted mailbox's becomes."""
        return f".mailplat/dead/{mailbox}.d"

    def dead_home(self, home: int) -> str:
        """Name the directory, from the root, that a deleted home's becomes."""
        return f".mailplat/dead/home-{home}.d"


def dead_location(mailbox: int, uid: int) -> str:
    """Give the location of an expunged message."""
    return f"dead/{mailbox}.{uid}"
