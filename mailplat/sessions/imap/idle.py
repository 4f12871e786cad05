"""IDLE: news as they happen (RFC 2177).

While a session idles, every change the store tells of is asked for and sent at once; one question
is under way at a time, and changes that come meanwhile are part of the next.  A sign of life goes
out every two minutes, so that no box between us forgets the connection.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionClosed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailplat.model.errors import NoSuchMailbox
from mailplat.proto.imap import responses
from mailplat.sessions.imap.state import SessionState

__all__ = ["Idling"]

_log = Logger()


class Idling:
    """One IDLE, from its continuation to DONE or the end of the connection."""

    def __init__(self, state: SessionState) -> None:
        self._state = state
        self._telling: Deferred[None] | None = None
        self._again = False
        self._call: IDelayedCall | None = None
        self._rearm()

    def news(self) -> None:
        """The store has something new."""
        if self._telling is not None:
            self._again = True
            return
        telling = self._telling = Deferred.fromCoroutine(self._tell())
        telling.addErrback(self._failed)
        telling.addCallback(self._told)

    async def end(self) -> None:
        """Stop, once what is being told is told."""
        self._stop()
        if self._telling is not None:
            await self._telling

    def drop(self) -> None:
        """Stop at once: the connection is gone."""
        self._stop()
        if self._telling is not None:
            self._telling.cancel()

    def _stop(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None
        self._again = False

    async def _tell(self) -> None:
        while True:
            self._again = False
            selected = self._state.selected
            if selected is not None:
                self._state.conversation.send(await selected.news(expunge=True))
                self._state.link.flush()
            if not self._again:
                return

    def _told(self, _: object) -> None:
        self._telling = None

    def _failed(self, failure: Failure) -> None:
        if failure.check(CancelledError, ConnectionClosed):
            return
        if failure.check(NoSuchMailbox):
            self._state.say_mailbox_deleted()
        else:
            _log.failure("{session} IDLE failed", failure, session=self._state.link.session_id)
            self._state.conversation.bye("The mailbox cannot be read now", "UNAVAILABLE")
        self._state.link.close()

    def _rearm(self) -> None:
        interval = self._state.services.options.idle_interval
        self._call = self._state.services.clock.callLater(interval, self._still_here)

    def _still_here(self) -> None:
        self._rearm()
        self._state.conversation.send(responses.condition("OK", "Still here"))
        self._state.link.flush()
