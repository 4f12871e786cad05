"""The text index of a store: filled behind the deliveries' backs, asked before text is read.

Filling works in the background: a moment after a commit a thread takes a batch of contents that
are not in yet, reads their bytes as SEARCH would, and gives their text to a `Keeper`: a file of
trigrams (`search_file`), or a table of the database.  Then it rests longer than it worked, and
longest while mail comes in.  It holds no lock that a delivery waits for, and nothing is lost if it
stops at any moment.

Invariants: an answer names every message that has the needle: what is not in the index yet, or
could not be read, is named too.  Nothing that goes wrong with the index reaches those who search;
they are told that the index cannot tell.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from mailplat.interfaces.search import Searched
from mailplat.model.errors import Corrupt, MailError, Unavailable
from mailplat.store.index.searched import SHORTEST

__all__ = ["Keeper", "TextIndex"]

_log = Logger()

_RESTS, _BUSY_RESTS = 2.0, 8.0
"""How long to rest after a batch, measured by the work: usually, and while mail comes in."""

_RETRY_SECONDS = 60.0
"""When to try again after something went wrong."""

_GONE = 512
"""Contents that have to go before it is worth looking which rows they left."""


class Keeper(Protocol):
    """Where the text, or its trigrams, are kept.

    Errors: `Corrupt` is damage of the index itself, which is then removed and built anew;
    `Unavailable` is anything that passes.
    """

    name: str
    """For messages to the operator."""

    def open(self) -> Awaitable[bool]:
        """Make ready; say whether it can be used at all."""

    def close(self) -> Awaitable[None]:
        """Let go of everything; `open` may follow."""

    def empty(self) -> Awaitable[None]:
        """Forget everything; it is open."""

    def remove(self) -> Awaitable[None]:
        """Throw away what is damaged; it is not open."""

    def take_in(self) -> bool:
        """Take the next batch in, in a thread; say whether there may be more."""

    def tidy(self) -> None:
        """Let contents go that are gone, in a thread."""

    def pick(
        self, needle: str, where: Searched, uids: Sequence[int], contents: Sequence[int]
    ) -> Awaitable[Sequence[int] | None]:
        """Keep messages that may have a needle, and those that are not known here.

        Args:
            needle: Folded, three characters at least.
            where: Which text.
            uids: The messages; one at least.
            contents: The content of each.

        Returns:
            None where this cannot tell, or only slowly.
        """


class TextIndex:
    """Follows one store.

    Args:
        keeper: Where the text goes.
        reactor: Clock and threads.
        delay: Seconds from a commit until filling begins.
    """

    def __init__(self, keeper: Keeper, reactor: Any, *, delay: float) -> None:
        self.keeper = keeper
        self._reactor = reactor
        self._delay = delay
        self._ready = False
        self._usable = True
        self._open = False
        self._later: Any = None
        self._resting: tuple[Any, Deferred[None]] | None = None
        self._running: list[Deferred[None]] | None = None
        self._hurry = 0
        self._more = False
        self._failed = False
        self._useless = False
        self._outdated = False
        self._gone = _GONE

    # opening and closing

    def open(self) -> None:
        """Follow the store from now on."""
        self._open = True
        self.wake()

    async def close(self) -> None:
        """Stop after the batch that is being taken in."""
        self._open = False
        if self._later is not None:
            self._later.cancel()
            self._later = None
        self._end_rest()
        if self._running is not None:
            done: Deferred[None] = Deferred()
            self._running.append(done)
            await done
        await self._let_go()

    async def _let_go(self) -> None:
        self._ready = False
        await self.keeper.close()

    async def _prepare(self) -> None:
        """Open the keeper, if it is not open."""
        if self._ready:
            return
        try:
            self._usable = await self.keeper.open()
        except BaseException:
            await self._let_go()
            raise
        self._ready = self._usable

    # following

    def wake(self) -> None:
        """Something was committed: look at it in a moment."""
        self._more = True
        self._schedule()

    def _schedule(self) -> None:
        if (
            self._open
            and self._usable
            and self._more
            and self._later is None
            and self._running is None
        ):
            delay = _RETRY_SECONDS if self._failed else self._delay
            self._later = self._reactor.callLater(delay, self._begin)

    def _begin(self) -> None:
        self._later = None
        Deferred.fromCoroutine(self._run_quietly())

    async def _run_quietly(self) -> None:
        try:
            await self._run()
        except Exception as error:
            _log.warn("the search index has to wait: {error}", error=error)
        self._schedule()

    def forget(self, count: int) -> None:
        """So many contents are gone for good."""
        self._gone += count

    async def catch_up(self) -> None:
        """Take in what is committed, without rest."""
        self._more = True
        self._hurry += 1
        self._end_rest()
        try:
            while self._open and self._usable and (self._more or self._running is not None):
                await self._run()
        finally:
            self._hurry -= 1
            self._schedule()

    async def rebuild(self) -> None:
        """Forget everything and take it in again."""
        self._outdated = True
        await self.catch_up()

    async def _run(self) -> None:
        """Work until nothing is left, or wait for the run that does it already."""
        if self._running is not None:
            done: Deferred[None] = Deferred()
            self._running.append(done)
            await done
            return
        if self._later is not None:
            self._later.cancel()
            self._later = None
        waiting: list[Deferred[None]] = []
        self._running = waiting
        self._failed = True
        try:
            await self._fill()
            self._failed = False
        finally:
            self._running = None
            for one in waiting:
                one.callback(None)

    async def _fill(self) -> None:
        if self._useless:
            self._useless = False
            await self._let_go()
            await self.keeper.remove()
        await self._prepare()
        self._more = False
        if not self._usable:
            return
        try:
            if self._outdated:
                self._outdated = False
                await self.keeper.empty()
            if self._gone >= _GONE:
                self._gone = 0
                await deferToThread(self.keeper.tidy)
            while self._open:
                begun = self._reactor.seconds()
                if not await deferToThread(self.keeper.take_in):
                    break
                if not self._hurry:
                    rests = _BUSY_RESTS if self._more else _RESTS
                    self._more = False  # the next batch sees it
                    await self._rest(rests * (self._reactor.seconds() - begun))
        except Corrupt:
            self._useless = self._more = True
            raise
        except Unavailable:
            await self._let_go()  # another process may have made it anew
            self._more = True
            raise

    async def _rest(self, seconds: float) -> None:
        done: Deferred[None] = Deferred()
        self._resting = self._reactor.callLater(seconds, done.callback, None), done
        await done
        self._resting = None

    def _end_rest(self) -> None:
        if self._resting is not None:
            call, done = self._resting
            self._resting = None
            call.cancel()
            done.callback(None)

    # asking

    async def pick(
        self, needle: str, where: Searched, uids: Sequence[int], contents: Sequence[int]
    ) -> Sequence[int] | None:
        """Pick messages that may have a needle; see `ISearchable.candidates`.

        Args:
            needle: Folded.
            where: Which text.
            uids: The messages.
            contents: The content of each.
        """
        if len(needle) < SHORTEST or not self._ready:
            return None
        if not contents:
            return uids
        try:
            return await self.keeper.pick(needle, where, uids, contents)
        except MailError as error:
            _log.warn("a search does without the index: {error}", error=error.reason)
            if isinstance(error, Corrupt):
                self._useless = True
                self.wake()
            return None
