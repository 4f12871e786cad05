"""Names of mailboxes that a caller takes to be there."""

from __future__ import annotations

from mailplat.model.errors import Cannot, NoSuchMailbox
from mailplat.model.mailbox import normal_name

__all__ = ["known_name"]


def known_name(name: str) -> str:
    """Give a name its one spelling.

    Raises:
        NoSuchMailbox: It cannot be the name of any mailbox.
    """
    try:
        return normal_name(name)
    except Cannot as error:
        raise NoSuchMailbox(f"there can be no mailbox {name!r}") from error
