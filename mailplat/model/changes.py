"""What happened to a mailbox since a MODSEQ: one log, many readers (RFC 7162)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mailplat.model.numset import NumSet

__all__ = ["Changes", "FlagsStored"]


@dataclass(frozen=True, slots=True)
class Changes:
    """Everything that changed after one MODSEQ, up to another.

    Attributes:
        modseq: Where the reader stands now: ask from here the next time.
        added: UIDs of messages that came and are still there, ascending.
        changed: UIDs of messages that were there before and whose flags changed, ascending.
        masks: Their flags now, one for one (`model.flags`).
        modseqs: Their MODSEQs, one for one.
        vanished: UIDs that are gone; may also name UIDs that were never there
            (RFC 7162 §3.2.10.2).
    """

    modseq: int
    added: Sequence[int] = ()
    changed: Sequence[int] = ()
    masks: Sequence[int] = ()
    modseqs: Sequence[int] = ()
    vanished: NumSet = NumSet()

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.vanished)


@dataclass(frozen=True, slots=True)
class FlagsStored:
    """What a flag update did.

    Attributes:
        uids: Messages that have the flags asked for now, changed or not, ascending.
        masks: Their flags, one for one.
        modseqs: Their MODSEQs, one for one; only those changed have a new one.
        refused: UIDs whose MODSEQ was above ``unchanged_since`` (RFC 7162 §3.1.3).
        modseq: The newest one given here; 0 if nothing changed.
        previous: The mailbox's MODSEQ just before this update, in the same transaction; None
            if the store cannot tell.  By it a session knows that nobody came in between.
    """

    uids: Sequence[int]
    masks: Sequence[int]
    modseqs: Sequence[int]
    refused: NumSet
    modseq: int
    previous: int | None = None
