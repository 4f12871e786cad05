"""What a listing of ``new`` and ``cur`` says against what the index knows: a pure difference.

A *location* is a file below the mailbox's directory: ``new/BASE`` or ``cur/BASE:2,FS``.  A message
is its base (see `filename`): the same base elsewhere, or with other letters, is the same message
moved by another program.

Invariants: a location that the index knows and that is listed costs one set operation, nothing
else; files whose names begin with a dot are not messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mailplat.store.maildir.filename import FileName

__all__ = ["Difference", "Moved", "base_of", "difference", "locations"]


@dataclass(frozen=True, slots=True)
class Moved:
    """A message whose file has another location now."""

    uid: int
    before: str
    now: str

    @property
    def letters(self) -> tuple[str, str]:
        """Its letters before and now."""
        return FileName.parse(self.before).letters, FileName.parse(self.now).letters


@dataclass(frozen=True, slots=True)
class Difference:
    """What other programs did.

    Attributes:
        added: Locations of messages that the index does not know, in the order of their bases,
            which is the order of arrival where their names begin with the time.
        moved: Messages whose file was renamed.
        missing: UIDs whose file is not there.
        doubled: Locations of further files with the base of a message that is there.
    """

    added: tuple[str, ...] = ()
    moved: tuple[Moved, ...] = ()
    missing: tuple[int, ...] = ()
    doubled: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.moved or self.missing or self.doubled)


def locations(new: Iterable[str], cur: Iterable[str]) -> set[str]:
    """Make locations of the names listed in both directories."""
    found = {"new/" + name for name in new if name[:1] != "."}
    found.update("cur/" + name for name in cur if name[:1] != ".")
    return found


def base_of(location: str) -> str:
    """Tell the base of a location."""
    return location[4:].partition(":")[0]


def difference(known: Mapping[str, int], listed: set[str]) -> Difference:
    """Compare.

    Args:
        known: The UID of each location in the index.
        listed: All locations there are.
    """
    strange = listed.difference(known)
    lost = {base_of(location): location for location in known.keys() - listed}
    if not strange:
        return Difference(missing=tuple(sorted(known[location] for location in lost.values())))
    added: dict[str, str] = {}
    moved: list[Moved] = []
    doubled: list[str] = []
    bases = {base_of(location) for location in known.keys() & listed}
    # "new" sorts behind "cur": a file seen in both on its way is taken where it arrived
    for location in sorted(strange, key=lambda location: (base_of(location), location)):
        base = base_of(location)
        before = lost.pop(base, None)
        if before is not None:
            moved.append(Moved(known[before], before, location))
        elif base in bases:
            doubled.append(location)
            continue
        else:
            added[base] = location
        bases.add(base)
    return Difference(
        tuple(added.values()),
        tuple(moved),
        tuple(sorted(known[location] for location in lost.values())),
        tuple(doubled),
    )
