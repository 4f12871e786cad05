"""The open mailbox of a session: the store's handle, the client's view, and news between them.

Invariants:

- The view takes changes in here alone, at a moment when no other coroutine of the session is in
  the middle of something that counts on sequence numbers.
- The store is asked for changes only after it said that there are some, or after a change of the
  session's own, whose notice may come later than its result; so a command on a quiet mailbox
  costs it nothing.
- What the client was told is gone is acknowledged to the store, and not before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mailplat.interfaces.store import IMailbox, IWatch
from mailplat.model.errors import NoSuchMailbox
from mailplat.model.numset import NumSet
from mailplat.proto.imap.view import View

__all__ = ["Selected"]


class Selected:
    """One SELECT or EXAMINE, until the mailbox is closed.

    Args:
        mailbox: The open handle; closed by `close`.
        view: What the client knows.
        read_only: Whether nothing may be changed (EXAMINE).
        changed: Called whenever the store has news.
    """

    def __init__(
        self,
        mailbox: IMailbox,
        view: View,
        *,
        read_only: bool,
        changed: Callable[[], None],
    ) -> None:
        self.mailbox = mailbox
        self.view = view
        self.read_only = read_only
        self._changed = changed
        self._holds = 0
        self._closed = False
        self._behind = True  # something may have come between opening and watching
        self._watch: IWatch = mailbox.watch(self._told)

    def _told(self) -> None:
        self._behind = True
        self._changed()

    def changed_here(self) -> None:
        """The session changed something: it is told so with the command's own answer."""
        self._behind = True

    async def news(self, *, expunge: bool) -> bytes:
        """Give what the client may be told now.

        Raises:
            NoSuchMailbox: The mailbox was deleted.
        """
        view = self.view
        while self._behind:
            self._behind = False
            view.take(await self.mailbox.changes_since(view.modseq), self.mailbox.keywords)
            if view.owes_recent:
                # RFC 3501 §2.3.2: recent to the first session that is told, and to no other
                now = await self.mailbox.state(claim_recent=not self.read_only)
                view.claimed(NumSet.span(now.recent_uid, now.uid_next - 1))
        if not view.pending:
            return b""
        told = view.tell(expunge=expunge)
        self.mailbox.acknowledge(view.acknowledged)
        return told

    async def is_gone(self) -> bool:
        """Whether the mailbox was deleted."""
        try:
            await self.mailbox.changes_since(self.view.modseq)
        except NoSuchMailbox:
            return True
        return False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the handle open for what goes on after the connection is lost."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1
            if self._closed and not self._holds:
                self.mailbox.close()

    def close(self) -> None:
        """Let go of the mailbox.  Twice is no error."""
        self._closed = True
        self._watch.stop()
        if not self._holds:
            self.mailbox.close()
