"""New messages on their way in: small ones go with the commit, large ones into files before it.

A small message is kept as it is: the transaction puts it into the index (see `carried`), and one
flush makes it durable together with all that share the commit.

A large one is written and flushed before the transaction.  It goes into a file of its own in
``ROOT/.mailplat/tmp``, in several threads: a file system flushes files together that are flushed at
the same time.  The directory itself is flushed once for all that share a commit.  The file then
becomes the message by a rename after the commit (see `journal`); what was written for nothing is
removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from mailplat.interfaces.bodies import IBody
from mailplat.interfaces.store import NewMessage
from mailplat.model.errors import MailError
from mailplat.store.maildir.disk import Disk
from mailplat.store.maildir.filename import UniqueNames
from mailplat.store.maildir.layout import Layout

__all__ = ["Staged", "Staging"]

_log = Logger()

_BLOCK = 1 << 18
_TOGETHER = 16
"""Messages that one turn of a thread writes; more are shared out."""


@dataclass(slots=True, eq=False)
class Staged:
    """A message that is ready.

    Attributes:
        base: The base of its name.
        date: Its INTERNALDATE, seconds since 1970.
        data: Its bytes, if it is to be carried by the index; None if it is in ``tmp``.
        taken: Whether a transaction made it a message of a mailbox.
    """

    base: str
    date: int
    data: bytes | None = None
    taken: bool = False

    def give_back(self) -> None:
        """The transaction was rolled back."""
        self.taken = False

    @property
    def location(self) -> str:
        """Where it is, if it is in ``tmp``."""
        return f"tmp/{self.base}"


class Staging:
    """Writes new messages.

    Args:
        layout: Where to.
        disk: Does it.
        names: Makes their names.
        reactor: Its thread gets the results.
        pool: Its threads write.
        threads: How many of them one call uses at most.
        carried_bytes: Messages up to this size are carried by the index.
        carried_together: As long as those of one call are no more than so many bytes together.
        carries: Whether any are at the moment.
    """

    def __init__(
        self,
        layout: Layout,
        disk: Disk,
        names: UniqueNames,
        reactor: Any,
        pool: ThreadPool,
        threads: int,
        carried_bytes: int,
        carried_together: int,
        carries: Callable[[], bool],
    ) -> None:
        self._layout = layout
        self._disk = disk
        self._names = names
        self._reactor = reactor
        self._pool = pool
        self._threads = threads
        self._carried_bytes = carried_bytes
        self._carried_together = carried_together
        self._carries = carries

    async def write(self, messages: Sequence[NewMessage]) -> list[Staged]:
        """Make messages ready; where one fails, nothing is left of any.

        Raises:
            StorageFull: There is no room.
            Unavailable: They cannot be written.
        """
        if self._may_carry(messages):
            return [
                Staged(self._names.base(m.body.size), m.date, m.body.read(0, m.body.size))
                for m in messages
            ]
        share = max(_TOGETHER, -(-len(messages) // self._threads))
        staged: list[Staged] = []
        tasks: list[Deferred[None]] = []
        for start in range(0, len(messages), share):
            some = messages[start : start + share]
            mine = [Staged(self._names.base(m.body.size), m.date) for m in some]
            staged += mine
            tasks.append(deferToThreadPool(self._reactor, self._pool, self._write, some, mine))
        failures: list[Failure] = []
        for task in tasks:
            task.addErrback(failures.append)
        await gatherResults(tasks)
        if failures:
            self.discard(staged)
            failures[0].raiseException()
        return staged

    def _may_carry(self, messages: Sequence[NewMessage]) -> bool:
        """Whether the index carries these; what is not in memory takes a thread in any case."""
        if not self._carries():
            return False
        bodies = [message.body for message in messages]
        return sum(body.size for body in bodies) <= self._carried_together and all(
            body.in_memory and body.size <= self._carried_bytes for body in bodies
        )

    def _write(self, messages: Sequence[NewMessage], staged: Sequence[Staged]) -> None:
        for message, one in zip(messages, staged, strict=True):
            path = self._layout.path("", one.location)
            self._disk.write(path, _blocks(message.body), message.date)

    def discard(self, staged: Sequence[Staged]) -> None:
        """Remove those that no transaction took."""
        paths = [
            self._layout.path("", one.location)
            for one in staged
            if not one.taken and one.data is None
        ]
        if paths:
            self._pool.callInThread(self._remove, paths)

    def _remove(self, paths: Sequence[str]) -> None:
        for path in paths:
            try:
                self._disk.unlink(path)
            except MailError as error:
                _log.warn("a file is removed at the next start: {error}", error=error)


def _blocks(body: IBody) -> Iterator[bytes]:
    for start in range(0, body.size, _BLOCK):
        yield body.read(start, min(start + _BLOCK, body.size))
