r"""What one session has been told of one mailbox, and what it may be told next.

Changes go in as the store reports them (`take`), bytes come out when the client may hear of them
(`tell`, `stored`).  Sequence numbers are places in ``uids``, and they change in `tell` alone.

Invariants:

- ``uids`` is exactly what the client believes is there: a message is in it from its EXISTS to
  its EXPUNGE or VANISHED, however long the store has had or lost it.
- EXPUNGE and VANISHED are told only where the caller says that the running command allows it
  (RFC 9051 §7.5.1), and name only messages that the client knows of (RFC 7162 §3.2.10.2).
- What waits to be told is bounded by the size of the mailbox, however often it changes.
- Work goes by ranges and slices; only what is told is touched message by message.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import compress, count

from mailplat.model.changes import Changes, FlagsStored
from mailplat.model.numset import NumSet
from mailplat.proto.imap import responses
from mailplat.proto.imap.fetch_writer import FetchWriter, FlagSpeller, Kind
from mailplat.proto.imap.sets import SequenceSet

__all__ = ["NoSuchNumber", "Selection", "View"]

_DENSE = 16
"""Where one message in so many or more is selected, all are gone through."""


class NoSuchNumber(ValueError):
    """A sequence number is higher than the number of messages: BAD (RFC 9051 §9 seq-number)."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Messages of a view, as they were at one moment: two columns of the same length.

    Attributes:
        numbers: Their sequence numbers, ascending.
        uids: Their UIDs, ascending.
    """

    numbers: Sequence[int]
    uids: Sequence[int]

    def __len__(self) -> int:
        return len(self.uids)

    def block(self, start: int, size: int) -> Selection:
        """Some of them, from one place on."""
        return Selection(self.numbers[start : start + size], self.uids[start : start + size])


class View:
    """One session's view of its open mailbox.

    Attributes:
        uids: UIDs of the messages that the client knows of, ascending.
        modseq: Where `changes_since` goes on from.
        acknowledged: Every message that vanished up to this MODSEQ is gone from the view.
        saved: UIDs that ``$`` stands for (RFC 9051 §6.4.4.1).
        flags: Spells masks of this mailbox.
        condstore: Whether FETCH responses carry MODSEQ (RFC 7162 §3.1).
        qresync: Whether VANISHED takes the place of EXPUNGE (RFC 7162 §3.2.10).
        read_only: Whether flags cannot be changed.
    """

    def __init__(
        self,
        uids: Iterable[int],
        modseq: int,
        keywords: Sequence[str],
        *,
        recent: NumSet | None = None,
        condstore: bool = False,
        qresync: bool = False,
        read_only: bool = False,
    ) -> None:
        r"""Begin with what SELECT tells.

        Args:
            uids: The UIDs of all messages, ascending.
            modseq: The MODSEQ at that moment.
            keywords: The mailbox's keywords, as FLAGS told them.
            recent: UIDs that are ``\Recent`` here; None for a client of IMAP4rev2, to whom
                nothing is said of RECENT.
            condstore: See the attributes.
            qresync: See the attributes.
            read_only: See the attributes.
        """
        self.uids: array[int] = array("I", uids)
        self.modseq = modseq
        self.acknowledged = modseq
        self.saved = NumSet()
        self.flags = FlagSpeller(keywords)
        self.condstore = condstore
        self.qresync = qresync
        self.read_only = read_only
        self._recent = recent
        self._keywords_told = len(keywords)
        self._top = self.uids[-1] if self.uids else 0
        self._arrived: array[int] = array("I")
        self._gone = NumSet()
        self._changed: dict[int, tuple[int, int]] = {}
        self._own: dict[int, int] = {}

    # reading numbers

    @property
    def exists(self) -> int:
        """How many messages the client knows of."""
        return len(self.uids)

    @property
    def recent(self) -> int:
        r"""How many of them are ``\Recent``."""
        return sum(stop - start for start, stop in self.recent_uids.slices(self.uids))

    @property
    def recent_uids(self) -> NumSet:
        r"""UIDs that are ``\Recent`` in this session, there or not."""
        return self._recent or NumSet()

    @property
    def owes_recent(self) -> bool:
        r"""Whether messages came of which the client is to hear if they are ``\Recent``."""
        return self._recent is not None and bool(self._arrived)

    def claimed(self, recent: NumSet) -> None:
        r"""Make UIDs ``\Recent`` in this session, before they are told (RFC 3501 §2.3.2)."""
        self._recent = self.recent_uids | recent

    @property
    def pending(self) -> bool:
        """Whether there is anything to tell."""
        grown = len(self.flags.keywords) > self._keywords_told
        return bool(self._arrived or self._gone or self._changed or grown)

    def select(self, numbers: SequenceSet, *, uid: bool) -> Selection:
        """Find the messages of a set.

        Args:
            numbers: As the client wrote it.
            uid: Whether it is of UIDs.  UIDs that are not there are passed over.

        Raises:
            NoSuchNumber: It names a sequence number that is not there.
        """
        slices = self._slices(numbers, uid=uid)
        if len(slices) == 1:
            start, stop = slices[0]
            return Selection(range(start + 1, stop + 1), self.uids[start:stop])
        found_numbers: array[int] = array("I")
        found_uids: array[int] = array("I")
        for start, stop in slices:
            found_numbers.extend(range(start + 1, stop + 1))
            found_uids.extend(self.uids[start:stop])
        return Selection(found_numbers, found_uids)

    def resolve_uids(self, numbers: SequenceSet, *, uid: bool, searching: bool = False) -> NumSet:
        """Find the messages of a set, as a set of UIDs that is no longer than what was written.

        Between the first and the last of a range it may have UIDs that are not there.

        Args:
            numbers: As the client wrote it.
            uid: Whether it is of UIDs.
            searching: Pass over sequence numbers that are not there.

        Raises:
            NoSuchNumber: It names a sequence number that is not there.
        """
        return self._spans(self._slices(numbers, uid=uid, searching=searching))

    def select_uids(self, uids: Sequence[int]) -> Selection:
        """Give messages their sequence numbers; those that the client does not know are left out.

        Args:
            uids: In any order, which stays theirs; ascending ones without gaps are quickest.
        """
        mine = self.uids
        if not len(uids):
            return Selection(range(0), uids)
        start = bisect_left(mine, uids[0])
        stop = start + len(uids)
        # a range, as most are, costs one comparison of arrays
        if stop <= len(mine) and mine[stop - 1] == uids[-1] and mine[start:stop] == _array(uids):
            return Selection(range(start + 1, stop + 1), uids)
        if len(uids) * _DENSE > len(mine):  # one look at each of ours costs less than a search
            find = dict(zip(mine, count(1), strict=False)).get
            found = [find(uid, 0) for uid in uids]
            if all(found):
                return Selection(found, uids)
            return Selection([place for place in found if place], list(compress(uids, found)))
        places = [bisect_right(mine, uid) for uid in uids]
        known = [
            (place, uid)
            for place, uid in zip(places, uids, strict=True)
            if place and mine[place - 1] == uid
        ]
        return Selection([place for place, _ in known], [uid for _, uid in known])

    def numbers_of(self, uids: NumSet) -> NumSet:
        """The sequence numbers of a set of UIDs; those that the client does not know count not."""
        return NumSet.from_ranges((start + 1, stop) for start, stop in uids.slices(self.uids))

    def flag_column(self, uids: Sequence[int], masks: Sequence[int]) -> list[bytes]:
        r"""Spell flags as FETCH tells them in this session, with ``\Recent`` where it belongs."""
        column = self.flags.column(masks)
        for start, stop in self.recent_uids.slices(uids):
            column[start:stop] = self.flags.column(masks[start:stop], recent=True)
        return column

    def learn_keywords(self, keywords: Sequence[str]) -> bytes:
        """Take over the mailbox's keywords; tell those that are new.

        To be called before masks are spelled that were read just now.
        """
        self.flags.keywords = keywords
        return self._tell_keywords()

    # changes in

    def take(self, changes: Changes, keywords: Sequence[str]) -> None:
        """Note what happened; it is told later.

        What is given twice, or overlaps with what was given before, does no harm.

        Args:
            changes: What changed since ``modseq``.
            keywords: The mailbox's keywords, read after the changes were.
        """
        self.flags.keywords = keywords
        self.modseq = max(self.modseq, changes.modseq)
        new = changes.added[bisect_right(changes.added, self._top) :]
        if new:
            self._arrived.extend(new)
            self._top = new[-1]
        changed = zip(
            changes.changed, zip(changes.masks, changes.modseqs, strict=True), strict=True
        )
        if self._own:
            own = self._own
            self._changed.update(
                (uid, state) for uid, state in changed if own.get(uid, 0) < state[1]
            )
            self._own = {uid: modseq for uid, modseq in own.items() if modseq > changes.modseq}
        else:
            self._changed.update(changed)
        if changes.vanished:
            self._gone |= self._spans(changes.vanished.slices(self.uids))
            if self._arrived:  # came and went: the client never hears of it
                self._arrived = array("I", _without(self._arrived, changes.vanished))
            for uid in [uid for uid in self._changed if uid in changes.vanished]:
                del self._changed[uid]
        if not self._gone:
            self.acknowledged = self.modseq

    # bytes out

    def tell(self, *, expunge: bool) -> bytes:
        """Tell what may be told now.

        Args:
            expunge: Whether the running command allows messages to leave the numbering
                (`commands.event.Command.tells_expunge`); true in IDLE.
        """
        if not self.pending:
            return b""
        told: list[bytes] = []
        if expunge and self._gone:
            told.append(self._tell_gone())
        if self._arrived:
            self.uids.extend(self._arrived)
            self._arrived = array("I")
            told.append(responses.exists(self.exists))
            if self._recent is not None:
                told.append(responses.recent(self.recent))
        told.append(self._tell_keywords())
        if self._changed:
            changed, self._changed = self._changed, {}
            uids = _without(sorted(changed), self._gone)
            states = [changed[uid] for uid in uids]
            masks, modseqs = [mask for mask, _ in states], [modseq for _, modseq in states]
            told.append(self._flags_block(uids, masks, modseqs, uid=self.qresync))
        return b"".join(told)

    def stored(
        self, result: FlagsStored, keywords: Sequence[str], *, uid: bool, silent: bool
    ) -> bytes:
        """Tell the outcome of this session's own STORE, and tell it only once.

        Args:
            result: What the store did.
            keywords: The mailbox's keywords, read afterwards.
            uid: Whether it was UID STORE.
            silent: Whether the flags are not told; with CONDSTORE the MODSEQs still are
                (RFC 7162 §3.1.3).
        """
        modseqs = dict(zip(result.uids, result.modseqs, strict=True))
        if self._changed:
            self._settle(result, silent=silent)
        if result.modseq > self.modseq and (not silent or self._only_change(result)):
            self._own.update(modseqs)  # their echo is still to come
        told = self.learn_keywords(keywords)
        if silent and not self.condstore:
            return told
        if not silent:
            return told + self._flags_block(
                result.uids, result.masks, result.modseqs, uid=uid or self.qresync
            )
        known = self.select_uids(result.uids)
        columns = [("UID", Kind.NUMBER), ("MODSEQ", Kind.MODSEQ)]
        writer = FetchWriter((label.encode("ascii"), kind) for label, kind in columns)
        return told + writer.block(known.numbers, known.uids, [modseqs[one] for one in known.uids])

    # within

    def _slices(
        self, numbers: SequenceSet, *, uid: bool, searching: bool = False
    ) -> list[tuple[int, int]]:
        if numbers.saved:
            return self.saved.slices(self.uids)
        if uid:
            return numbers.resolve(self.uids[-1] if self.uids else 0).slices(self.uids)
        count = len(self.uids)
        if numbers.highest > count and not searching:
            raise NoSuchNumber(f"{numbers.highest} of {count}")
        ranges = (numbers.resolve(count) & NumSet.span(1, count)).ranges
        return [(first - 1, last) for first, last in ranges]

    def _spans(self, slices: Iterable[tuple[int, int]]) -> NumSet:
        """UIDs from the first to the last of each slice; what lies between was never told."""
        uids = self.uids
        return NumSet.from_ranges((uids[start], uids[stop - 1]) for start, stop in slices)

    def _settle(self, result: FlagsStored, *, silent: bool) -> None:
        """See to changes that waited to be told when a STORE went over them."""
        rows = zip(result.uids, result.masks, result.modseqs, strict=True)
        for uid, mask, modseq in rows:
            waiting = self._changed.get(uid)
            if waiting is None or waiting[1] > modseq:
                continue
            if silent:  # still to be told, but as it is now
                self._changed[uid] = (mask, modseq)
            else:
                del self._changed[uid]

    def _only_change(self, result: FlagsStored) -> bool:
        """Whether nobody else can have changed anything between ``modseq`` and a STORE.

        If not, a silent STORE is told after all: its flags may hold another session's change
        (RFC 9051 §6.4.6).  So it is worth while to `take` right before a silent STORE.
        """
        previous = result.modseq - 1 if result.previous is None else result.previous
        return previous <= self.modseq

    def _tell_gone(self) -> bytes:
        slices = self._gone.slices(self.uids)
        if self.qresync:
            gone = NumSet.of(uid for start, stop in slices for uid in self.uids[start:stop])
            told = responses.vanished(gone)
        else:  # highest first, so that each number still means what it meant
            told = responses.expunged(
                number for start, stop in reversed(slices) for number in range(stop, start, -1)
            )
        kept: array[int] = array("I")
        last = 0
        for start, stop in slices:
            kept.extend(self.uids[last:start])
            last = stop
        kept.extend(self.uids[last:])
        self.uids = kept
        if self.saved:
            self.saved -= self._gone  # (RFC 5182 §2.1)
        for uid in [uid for uid in self._changed if uid in self._gone]:
            del self._changed[uid]
        self._gone = NumSet()
        self.acknowledged = self.modseq
        return told

    def _tell_keywords(self) -> bytes:
        """New keywords are told before the first message that has one (RFC 9051 §7.3.5)."""
        keywords = self.flags.keywords
        if len(keywords) <= self._keywords_told:
            return b""
        self._keywords_told = len(keywords)
        return responses.flags(keywords) + responses.permanent_flags(
            keywords, read_only=self.read_only
        )

    def _flags_block(
        self, uids: Sequence[int], masks: Sequence[int], modseqs: Sequence[int], *, uid: bool
    ) -> bytes:
        known = self.select_uids(uids)
        if len(known) < len(uids):
            state = dict(zip(uids, zip(masks, modseqs, strict=True), strict=True))
            masks = [state[one][0] for one in known.uids]
            modseqs = [state[one][1] for one in known.uids]
        items: list[tuple[bytes, Kind]] = []
        columns: list[Iterable[bytes | int]] = []
        if uid:
            items.append((b"UID", Kind.NUMBER))
            columns.append(known.uids)
        items.append((b"FLAGS", Kind.READY))
        columns.append(self.flag_column(known.uids, masks))
        if self.condstore:
            items.append((b"MODSEQ", Kind.MODSEQ))
            columns.append(modseqs)
        return FetchWriter(items).block(known.numbers, *columns)


def _array(uids: Sequence[int]) -> array[int]:
    return uids if isinstance(uids, array) else array("I", uids)


def _without(ascending: Sequence[int], gone: NumSet) -> list[int]:
    """Leave out the members of a set."""
    kept: list[int] = []
    last = 0
    for start, stop in gone.slices(ascending):
        kept.extend(ascending[last:start])
        last = stop
    kept.extend(ascending[last:])
    return kept
