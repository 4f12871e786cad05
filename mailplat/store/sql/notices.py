"""Hears of what other processes commit into a PostgreSQL database, by LISTEN.

One connection of its own waits in the reactor, and costs nothing while nothing happens.  A notice
says that something was committed, not what; that stands in the database.  So none is missed for
good: who begins to listen, or does again after the connection was lost, looks once.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mailplat.model.errors import Unavailable
from mailplat.store.index.database import Row

__all__ = ["Notices"]

_log = Logger()


@implementer(IReadDescriptor)
class Notices:
    """Listens.

    Args:
        connect: Makes a connection; blocks.
        name: The database, for the log.
        token: What our own notices say.
        reactor: Waits.
        tell: Called when another process committed something.
        retry_seconds: When to connect again after the connection was lost.

    Attributes:
        live: Whether it listens now.
    """

    def __init__(
        self,
        connect: Callable[[], psycopg.Connection[Row]],
        name: str,
        token: str,
        reactor: Any,
        tell: Callable[[], None],
        *,
        retry_seconds: float = 1.0,
    ) -> None:
        self._connect = connect
        self._name = name
        self._token = token.encode()
        self._reactor = reactor
        self._tell = tell
        self._retry_seconds = retry_seconds
        self.live = False
        self._raw: psycopg.Connection[Row] | None = None
        self._socket = -1
        self._later: Any = None
        self._connecting: Deferred[None] | None = None
        self._open = False

    async def start(self) -> None:
        """See `Following.start`."""
        self._open = True
        await self._listen()

    async def stop(self) -> None:
        """See `Following.stop`."""
        self._open = False
        if self._later is not None:
            self._later.cancel()
            self._later = None
        if self._connecting is not None:
            await self._connecting
        await self._let_go()

    async def _listen(self) -> None:
        raw = await deferToThread(self._begin)
        if not self._open:
            await deferToThread(raw.close)
            return
        self._raw, self.live = raw, True
        # libpq closes its own when the connection is lost, before the reactor could be told
        self._socket = os.dup(raw.fileno())
        self._reactor.addReader(self)

    def _begin(self) -> psycopg.Connection[Row]:
        raw = self._connect()
        try:
            raw.autocommit = True
            row = raw.execute("SELECT quote_ident('mailplat:' || current_schema())").fetchone()
            assert row is not None
            raw.execute(f"LISTEN {row[0]}".encode())
        except psycopg.Error as error:
            raw.close()
            raise Unavailable(f"{self._name}: {error}") from error
        return raw

    async def _let_go(self) -> None:
        raw = self._unplug()
        if raw is not None:
            with suppress(psycopg.Error):
                await deferToThread(raw.close)

    def _unplug(self) -> psycopg.Connection[Row] | None:
        """Take the connection out of the reactor."""
        raw, self._raw, self.live = self._raw, None, False
        if raw is not None:
            self._reactor.removeReader(self)
            os.close(self._socket)
            self._socket = -1
        return raw

    # in the reactor

    def fileno(self) -> int:
        """See `IReadDescriptor`: the connection's socket."""
        return self._socket

    def logPrefix(self) -> str:
        """See `IReadDescriptor`."""
        return "notices"

    def doRead(self) -> None:
        """See `IReadDescriptor`: take the notices that came."""
        assert self._raw is not None
        heard = False
        try:
            self._raw.pgconn.consume_input()
            while (notice := self._raw.pgconn.notifies()) is not None:
                heard = heard or notice.extra != self._token
        except psycopg.Error as error:
            self._lost(str(error).strip())
            return
        if heard:
            self._tell()

    def connectionLost(self, reason: Failure) -> None:
        """See `IReadDescriptor`: the reactor gave the socket up, or is stopping."""
        if not reason.check(ConnectionDone):
            self._lost(reason.getErrorMessage())

    def _lost(self, why: str) -> None:
        raw = self._unplug()
        if raw is not None:
            raw.close()
            if self._open:
                _log.warn("{name}: no notices now: {why}", name=self._name, why=why)
                self._again_later()

    def _again_later(self) -> None:
        self._later = self._reactor.callLater(self._retry_seconds, self._again)

    def _again(self) -> None:
        self._later = None
        self._connecting = Deferred.fromCoroutine(self._listen_again())

    async def _listen_again(self) -> None:
        try:
            await self._listen()
        except Unavailable as error:
            if self._open:
                _log.warn("{error}", error=error.reason)
                self._again_later()
        else:
            if self._open:
                _log.info("{name}: notices come again", name=self._name)
                self._tell()
        finally:
            self._connecting = None
