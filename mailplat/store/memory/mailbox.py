"""One mailbox in memory: its messages, its change log, and what its viewers still show.

Every method runs to its end within one reactor turn, so each is a transaction by itself; those
that touch two mailboxes, or the quota, are the home's.  A method that changes something is given
the MODSEQ to do it at, taken from the home's one counter.

Invariants: ``uid_next`` only rises, and is above every UID ever given.  An expunged content is
kept while a handle that was open at the time has neither acknowledged nor closed.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from mailplat.interfaces.store import MailboxState
from mailplat.model.changes import Changes, FlagsStored
from mailplat.model.flags import FlagAction, flag_names
from mailplat.model.mailbox import MailboxStatus, SpecialUse
from mailplat.model.numset import NumSet
from mailplat.store.keywords import KeywordTable
from mailplat.store.memory.columns import Columns, Slices
from mailplat.store.memory.contents import Content
from mailplat.store.memory.log import ChangeLog
from mailplat.store.memory.notices import Watchers

__all__ = ["Mailbox", "Row"]


@dataclass(frozen=True, slots=True)
class Row:
    """A message about to be added: what its columns get besides UID and MODSEQ."""

    mask: int
    date: int
    saved: int
    content: Content


class Mailbox:
    """What all handles of one mailbox share.

    Attributes:
        name: Its name now.
        gone: Whether it was deleted.
        watchers: Who is told when something changed.
    """

    def __init__(
        self,
        name: str,
        mailbox_id: str,
        uid_validity: int,
        special_use: frozenset[SpecialUse],
        keyword_limit: int,
        modseq: int,
    ) -> None:
        self.name = name
        self.mailbox_id = mailbox_id
        self.uid_validity = uid_validity
        self.special_use = special_use
        self.modseq = modseq
        self.gone = False
        self.columns = Columns()
        self.keywords = KeywordTable(keyword_limit)
        self.watchers: Watchers[[]] = Watchers()
        self._uid_next = 1
        self._recent_from = 1
        self._log = ChangeLog()
        self._shown: dict[object, int] = {}
        self._expunged: dict[int, tuple[int, Content]] = {}

    def state(self, claim_recent: bool) -> MailboxState:
        """Tell what is there; the UIDs are a copy."""
        state = MailboxState(self.columns.uids[:], self._uid_next, self.modseq, self._recent_from)
        if claim_recent:
            self._recent_from = self._uid_next
        return state

    def status(self) -> MailboxStatus:
        """Count, from sums that are kept up to date."""
        columns = self.columns
        return MailboxStatus(
            messages=len(columns),
            unseen=columns.unseen,
            deleted=columns.deleted,
            recent=len(columns) - bisect_left(columns.uids, self._recent_from),
            uid_next=self._uid_next,
            uid_validity=self.uid_validity,
            highest_modseq=self.modseq,
            size=columns.size,
            mailbox_id=self.mailbox_id,
        )

    def add(self, rows: Iterable[Row], modseq: int) -> tuple[int, ...]:
        """Add messages, and tell their UIDs."""
        first = self._uid_next
        for row in rows:
            self.columns.add(self._uid_next, row.mask, modseq, row.date, row.saved, row.content)
            self._uid_next += 1
        self.modseq = modseq
        return tuple(range(first, self._uid_next))

    def remove(self, slices: Slices, modseq: int) -> NumSet:
        """Remove messages; keep their contents for those who still show them."""
        columns = self.columns
        uids = columns.read_uids(slices)
        if self._shown:
            for start, stop in slices:
                self._expunged.update(
                    (uid, (modseq, content))
                    for uid, content in zip(
                        columns.uids[start:stop], columns.contents[start:stop], strict=True
                    )
                )
        columns.remove(slices)
        removed = NumSet.of(uids)
        self._log.note_vanished(modseq, removed)
        self.modseq = modseq
        return removed

    def store_flags(
        self,
        uids: NumSet,
        action: FlagAction,
        flags: Collection[str],
        unchanged_since: int | None,
        take_modseq: Callable[[], int],
    ) -> FlagsStored:
        """Change flags; takes a MODSEQ only if there is a change (RFC 7162 §3.1.3)."""
        columns = self.columns
        rows = [row for start, stop in columns.rows_of(uids) for row in range(start, stop)]
        refused: list[int] = []
        if unchanged_since is not None:
            modseqs = columns.modseqs
            refused = [columns.uids[row] for row in rows if modseqs[row] > unchanged_since]
            rows = [row for row in rows if modseqs[row] <= unchanged_since]
        if rows and action is not FlagAction.REMOVE:
            self.keywords.add(self.keywords.missing(flags))
        bits = self.keywords.known_mask(flags)
        masks = columns.masks
        match action:
            case FlagAction.ADD:
                changed = [(row, masks[row] | bits) for row in rows if bits & ~masks[row]]
            case FlagAction.REMOVE:
                changed = [(row, masks[row] & ~bits) for row in rows if bits & masks[row]]
            case FlagAction.REPLACE:
                changed = [(row, bits) for row in rows if masks[row] != bits]
        modseq, previous = 0, self.modseq
        if changed:
            modseq = self.modseq = take_modseq()
            for row, mask in changed:
                columns.set_mask(row, mask, modseq)
            self._log.note_flags(modseq, NumSet.of(columns.uids[row] for row, _ in changed))
        return FlagsStored(
            uids=array("I", [columns.uids[row] for row in rows]),
            masks=array("Q", [masks[row] for row in rows]),
            modseqs=array("Q", [columns.modseqs[row] for row in rows]),
            refused=NumSet.of(refused),
            modseq=modseq,
            previous=previous,
        )

    def changes_since(self, modseq: int) -> Changes:
        """Tell what changed later (RFC 7162 §3.2.10)."""
        columns = self.columns
        first_new = bisect_right(columns.created, modseq)
        named = self._log.flags_since(modseq)
        if named is None:
            before = columns.modseqs[:first_new]
            rows = [row for row, changed_at in enumerate(before) if changed_at > modseq]
        else:
            rows = [
                row
                for start, stop in named.slices(columns.uids)
                for row in range(start, min(stop, first_new))
            ]
        return Changes(
            modseq=self.modseq,
            added=columns.uids[first_new:],
            changed=array("I", [columns.uids[row] for row in rows]),
            masks=array("Q", [columns.masks[row] for row in rows]),
            modseqs=array("Q", [columns.modseqs[row] for row in rows]),
            vanished=self._log.vanished_since(modseq),
        )

    def masks_in(self, other: Mailbox, masks: Sequence[int]) -> tuple[dict[int, int], list[str]]:
        """Tell what each mask would be in another mailbox, and do not change it yet.

        Returns:
            A table from our masks to the other's, and the keywords to add there first; those
            for which the other has no room are left away.
        """
        names = {mask: flag_names(mask, self.keywords.names) for mask in set(masks)}
        missing = other.keywords.fitting({flag for flags in names.values() for flag in flags})
        ahead = KeywordTable(len(other.keywords.names) + len(missing), other.keywords.names)
        ahead.add(missing)
        return {mask: ahead.known_mask(flags) for mask, flags in names.items()}, missing

    def content(self, uid: int) -> Content | None:
        """Give a message's content, also of one that is expunged and still shown."""
        row = self.columns.row_of(uid)
        if row is not None:
            return self.columns.contents[row]
        kept = self._expunged.get(uid)
        return None if kept is None else kept[1]

    def show_to(self, handle: object, modseq: int) -> None:
        """A handle shows the mailbox as of this MODSEQ; of what vanished before, nothing."""
        self._shown[handle] = max(modseq, self._shown.get(handle, 0))
        self._forget()

    def hide_from(self, handle: object) -> None:
        """A handle is closed: it shows nothing any more."""
        self._shown.pop(handle, None)
        self._forget()

    def _forget(self) -> None:
        needed_from = min(self._shown.values(), default=self.modseq)
        for uid in list(self._expunged):  # in MODSEQ order
            if self._expunged[uid][0] > needed_from:
                return
            del self._expunged[uid]
