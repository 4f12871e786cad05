"""What is still to be done to files after a commit: the journal that makes both one.

The index's commit decides; files follow.  Each thing that is to happen to a file of a mailbox is a
`Step`, written into the index in the same transaction as the change that it belongs to, done right
after the commit, and crossed out only when it is durable (the directory flushed) and the index
knows the file's new location.  After a crash all steps that are left are done again.

Invariants: a step that was done already, wholly or in part, does no harm when it is done again, as
long as all that follow are done again too; so steps are done in the order of their numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from mailplat.model.numset import NumSet
from mailplat.store.index.statements import Insert
from mailplat.store.maildir.carried import is_row
from mailplat.store.maildir.listing import base_of

__all__ = [
    "ALL_STEPS",
    "DIRECTORY_KINDS",
    "PASSING_KINDS",
    "SCHEMA",
    "STEPS",
    "Journal",
    "Kind",
    "Step",
    "crossed_out",
]

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS maildir_steps (number INTEGER PRIMARY KEY,"
    " kind INTEGER NOT NULL, mailbox INTEGER NOT NULL, uid INTEGER NOT NULL,"
    " source TEXT NOT NULL, target TEXT NOT NULL)",
)

STEPS = Insert("maildir_steps", "number kind mailbox uid source target")
ALL_STEPS = "SELECT number, kind, mailbox, uid, source, target FROM maildir_steps ORDER BY number"
_CROSS_OUT = "DELETE FROM maildir_steps WHERE number BETWEEN ? AND ?"


class Kind(IntEnum):
    """What is to be done; the numbers stand in the table."""

    PUBLISH = 1
    """Rename a message from ``source`` in ``tmp`` to ``target`` in its mailbox; or, where
    ``source`` is a row (see `carried`), write its file there."""

    BURY = 2
    """Take a message at ``source`` out of its mailbox; its bytes are kept for now."""

    RETITLE = 3
    """Rename a message at ``source`` so that its letters say its flags."""

    MAKE = 4
    """Make a mailbox's directory ``target``."""

    RENAME = 5
    """Rename a mailbox's directory from ``source`` to ``target``."""

    REMOVE = 6
    """Move the directory ``source`` of a mailbox that was deleted to ``target``."""

    REMOVE_HOME = 7
    """Move the directory ``source`` of a home that was deleted to ``target``."""

    DROP = 8
    """Remove the bytes of an expunged message; never in the journal."""

    CLEAR = 9
    """Remove the directory ``target``, which was moved away; never in the journal."""


DIRECTORY_KINDS = {Kind.MAKE, Kind.RENAME, Kind.REMOVE, Kind.REMOVE_HOME}
"""Steps about directories: done at once, and durable before the home's next one is committed.

So the journal never has two of them about one directory, and a path means to the one that is done
again after a crash what it meant the first time.
"""

PASSING_KINDS = {Kind.DROP, Kind.CLEAR}
"""Steps that need no journal: what they leave undone is removed when the store is opened."""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One thing to be done.

    Attributes:
        number: Its place in the order.
        kind: What.
        mailbox: The mailbox's id; the home's for `Kind.REMOVE_HOME`.
        uid: The message's UID; 0 where it is about a directory.
        source: A location, or a directory from the root.
        target: Likewise.
        flags: For `Kind.RETITLE`: the flags; None if the message is gone.
        name: For `Kind.MAKE` and `Kind.RENAME`: the mailbox's name.
    """

    number: int
    kind: Kind
    mailbox: int
    uid: int
    source: str
    target: str = ""
    flags: tuple[str, ...] | None = None
    name: str = ""

    @property
    def account(self) -> str:
        """For a step about a directory: the account's directory that it is in."""
        return (self.source or self.target).partition("/")[0]

    @property
    def values(self) -> tuple[int, int, int, int, str, str]:
        """The row of the table."""
        return self.number, int(self.kind), self.mailbox, self.uid, self.source, self.target


class Journal:
    """The steps that are not crossed out yet, as every thread may see them."""

    def __init__(self) -> None:
        self._steps: dict[int, dict[int, Step]] = {}
        self.locations: dict[tuple[int, int], str] = {}
        """Where a message's file is, by mailbox and UID, if not where the index says."""
        self.retitled: dict[tuple[int, int], int] = {}
        """Messages whose letters are to be changed: the number of the newest such step."""
        self.carried: dict[tuple[int, int], str] = {}
        """Messages whose files may not be durable yet: the row that has their bytes."""

    def note(self, steps: Iterable[Step]) -> None:
        """These were committed."""
        for step in steps:
            if step.kind is Kind.PUBLISH:
                self.locations[step.mailbox, step.uid] = step.source
                if is_row(step.source):
                    self.carried[step.mailbox, step.uid] = step.source
            elif step.kind is Kind.RETITLE:
                self.retitled[step.mailbox, step.uid] = step.number
            if step.kind not in PASSING_KINDS:
                self._steps.setdefault(step.mailbox, {})[step.number] = step

    def forget(self, steps: Iterable[Step]) -> None:
        """These are crossed out."""
        for step in steps:
            if self.retitled.get((step.mailbox, step.uid)) == step.number:
                del self.retitled[step.mailbox, step.uid]
            if step.kind is Kind.PUBLISH:
                self.carried.pop((step.mailbox, step.uid), None)
            left = self._steps.get(step.mailbox)
            if left is not None:
                left.pop(step.number, None)
                if not left:
                    self._steps.pop(step.mailbox, None)

    def settle_location(self, key: tuple[int, int], location: str, now: str | None = None) -> None:
        """The index knows where a message's file is.

        Args:
            key: Its mailbox and UID.
            location: Where the index says that it is; or said until now.
            now: Where another program moved it, and the index says so too.
        """
        if key in self.retitled:
            # a step that waits was decided when the index said otherwise: it looks here first
            if self.locations.get(key, location) == location:
                self.locations[key] = now or location
        elif self.locations.get(key) == location:
            self.locations.pop(key, None)

    def is_moving(self, key: tuple[int, int]) -> bool:
        """Whether a message's file is not, or not for long, where the index says."""
        return key in self.locations or key in self.retitled

    def is_empty(self) -> bool:
        """Whether every step is crossed out."""
        return not self._steps

    def has(self, step: Step) -> bool:
        """Whether a step is not crossed out yet."""
        return step.number in self._steps.get(step.mailbox, ())

    def steps(self, mailbox: int) -> list[Step]:
        """Give a mailbox's steps."""
        return list(self._steps.get(mailbox, {}).copy().values())

    def buried(self, mailbox: int) -> set[str]:
        """Give the bases of messages whose files may still be there but do not count."""
        return {base_of(step.source) for step in self.steps(mailbox) if step.kind is Kind.BURY}


def crossed_out(steps: Iterable[Step]) -> list[tuple[str, tuple[int, int]]]:
    """Write the statements that cross steps out."""
    return [(_CROSS_OUT, pair) for pair in NumSet.of(step.number for step in steps).ranges]
