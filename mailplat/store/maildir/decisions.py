"""What the running transaction decides about files, and its way into the journal.

Invariants: steps are written into the journal before the commit, in the transaction; they are done
after it, and not at all if it is rolled back.  Steps about directories of a home are in the journal
from one transaction only: earlier ones, which were done long since, are made durable and crossed
out first, and a transaction that would have two about one directory is refused, which makes the
writer run its operations one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from mailplat.model.errors import Unavailable
from mailplat.store.index.messages import set_places
from mailplat.store.index.transaction import Transaction
from mailplat.store.maildir.carried import BODIES, dropped, is_row, row_location, row_number
from mailplat.store.maildir.doing import InHand
from mailplat.store.maildir.journal import (
    PASSING_KINDS,
    STEPS,
    Journal,
    Kind,
    Step,
    crossed_out,
)
from mailplat.store.maildir.mover import Mover
from mailplat.store.maildir.staging import Staged

__all__ = ["Decision", "Decisions"]


class Decision:
    """One transaction's.

    Attributes:
        tx: The transaction.
        steps: In their order.
        made: Mailboxes whose directories are made or renamed by it.
        usable: Mailboxes whose directories were looked at and can take files.
        retitled: Messages whose letters change, by mailbox and UID.
        news: Run after the commit, before the steps are done.
        durable_rows: Carried bodies that some steps need no more.
    """

    def __init__(self, tx: Transaction, journal: Journal, mover: Mover) -> None:
        self.tx = tx
        self.steps: list[Step] = []
        self.made: set[int] = set()
        self.usable: set[int] = set()
        self.retitled: set[tuple[int, int]] = set()
        self.news: list[Callable[[], None]] = []
        self.durable_rows: set[int] = set()
        self._carried: dict[int, tuple[Staged, str]] = {}
        self._in_hand: dict[int, InHand] = {}
        self._journal = journal
        self._mover = mover
        self._claimed: dict[str, set[str]] = {}

    def add(
        self,
        kind: Kind,
        mailbox: int,
        uid: int,
        source: str,
        target: str = "",
        flags: tuple[str, ...] | None = None,
        name: str = "",
    ) -> None:
        """Decide something."""
        number = 0 if kind in PASSING_KINDS else self.tx.next_number("maildir_step")
        self.steps.append(Step(number, kind, mailbox, uid, source, target, flags, name))
        if kind is Kind.RETITLE:
            self.retitled.add((mailbox, uid))

    def carry(self, staged: Staged) -> tuple[str, bool]:
        """Put a message's bytes into the index, once; give the row, and whether it is new."""
        known = self._carried.get(id(staged))
        if known is not None:
            return known[1], False
        number = self.tx.next_number("maildir_body")
        self.tx.insert(BODIES, number, staged.date, staged.data)
        location = row_location(number)
        self._carried[id(staged)] = staged, location
        return location, True

    def hand_over(self, body: InHand) -> None:
        """The step decided last need not read its bytes from the row."""
        self._in_hand[self.steps[-1].number] = body

    def claim(self, account: str, *directories: str) -> None:
        """This transaction is the only one under way that changes these directories.

        Raises:
            Unavailable: An earlier decision about the account's directories is not done yet; or
                this transaction decided something about one of these already, and is to be run
                again without that.
        """
        claimed = self._claimed.get(account)
        if claimed is None:
            done = self._mover.flush_directories(account)
            for sql, args in crossed_out(done):
                self.tx.run(sql, args)
            self.news.append(partial(self._mover.crossed_out, done))
            claimed = self._claimed[account] = set()
        twice = claimed.intersection(directories)
        if twice:
            raise Unavailable(f"{min(twice)}: two changes at once")
        claimed.update(directories)

    def withdraw_burials(self, mailbox: int) -> int:
        """The mailbox goes as a whole: its messages need not go one by one; count them."""
        before = len(self.steps)
        self.steps = [s for s in self.steps if s.kind is not Kind.BURY or s.mailbox != mailbox]
        return before - len(self.steps)

    def write(self) -> None:
        """Write the steps into the journal."""
        for step in self.steps:
            if step.kind not in PASSING_KINDS:
                self.tx.insert(STEPS, *step.values)
        for sql, args in dropped(self.durable_rows):
            self.tx.run(sql, args)
        self.tx.flush()

    def committed(self) -> None:
        """Do the steps, or have them done."""
        for tell in self.news:
            tell()
        self._journal.note(self.steps)
        self._mover.submit(self.steps, self._in_hand)


class Decisions:
    """Finds the running transaction's decision; there is one writer."""

    def __init__(self, journal: Journal, mover: Mover) -> None:
        self._journal = journal
        self._mover = mover
        self._current: Decision | None = None

    def of(self, tx: Transaction) -> Decision:
        """Give a transaction's decision."""
        decision = self._current
        if decision is None or decision.tx is not tx:
            decision = self._current = Decision(tx, self._journal, self._mover)
            tx.before_commit("maildir", decision.write)
            tx.on_commit(decision.committed)
        return decision

    def cross_out(
        self, tx: Transaction, steps: Sequence[Step], places: Mapping[tuple[int, int], str]
    ) -> None:
        """Take durable steps out of the journal, and note where files are now."""
        for sql, args in crossed_out(steps):
            tx.run(sql, args)
        rows = {row_number(step.source) for step in steps if is_row(step.source)}
        if rows:
            self.of(tx).durable_rows |= rows  # unless this transaction's own steps need one
        by_mailbox: dict[int, dict[int, str]] = {}
        for (mailbox, uid), place in places.items():
            by_mailbox.setdefault(mailbox, {})[uid] = place
        for mailbox, new in by_mailbox.items():
            set_places(tx, mailbox, new)
        tx.on_commit(partial(self._mover.crossed_out, steps, places))
