"""Asks ClamAV's clamd for viruses in a message (INSTREAM, FILDES).

Invariants:

- A message passes only on clamd's own word that it is clean, given after all of it was sent.
- The message is streamed in blocks as clamd takes them, or handed over as a file; there is no
  second copy of it.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Any

import attrs
from twisted.internet.threads import deferToThreadPool
from zope.interface import implementer

from mailplat.config.option import option
from mailplat.filters.reading import blocks
from mailplat.filters.scanning import (
    MailAction,
    ScanOptions,
    judged,
    oversize,
    scanned,
    too_large,
    without_forged,
)
from mailplat.interfaces.bodies import IBody, IFileBody
from mailplat.interfaces.filters import Context, IFilter, IStages, Mail, Stage, Stages
from mailplat.interfaces.plugins import FilterSettings
from mailplat.model.errors import Unavailable
from mailplat.model.verdict import AddHeader, Change, Verdict
from mailplat.net.daemon import Daemon, Talk
from mailplat.net.shield import shielded
from mailplat.proto import clamd

__all__ = ["ClamdFilter", "ClamdOptions"]


class By(StrEnum):
    """How a message gets to clamd."""

    STREAM = "stream"
    FILE = "file"


@attrs.frozen(kw_only=True)
class ClamdOptions(ScanOptions):
    """How ClamAV's clamd is asked."""

    found: MailAction = option(
        MailAction.REJECT,
        meaning="What becomes of a message with a virus.",
        precedent="clamav-milter OnInfected (quarantine)",
    )
    by: By = option(
        By.STREAM,
        meaning="`file` hands messages that are in a file over as an open file, which takes a "
        "`unix:` endpoint; all others, and all with `stream`, are sent.",
        precedent="clamdscan --fdpass",
    )
    header: str = option(
        "X-Virus-Status",
        meaning="The field that says what was found; empty for none.",
        precedent="clamav-milter AddHeader",
    )


@implementer(IFilter)
class ClamdFilter:
    """Refuses viruses.

    Args:
        name: What log lines call it.
        where: clamd's endpoint.
        options: What becomes of mail.
        settings: The reactor.

    Raises:
        ConfigurationFault: The endpoint cannot be read.
    """

    stages = (Stage.MESSAGE,)
    reads_only = True

    def __init__(
        self, name: str, where: str, options: ClamdOptions, settings: FilterSettings
    ) -> None:
        self.name = name
        self._options = options
        self._reactor = settings.reactor
        self._daemon = Daemon(
            settings.reactor,
            where,
            connections=options.connections,
            connect=options.connect_timeout,
            most=clamd.MOST_ANSWER,
        )

    def open(self) -> IStages:
        """See `IFilter.open`."""
        return _Scanning(self._options, self._daemon, self._reactor)


@implementer(IStages)
class _Scanning(Stages):
    def __init__(self, options: ClamdOptions, daemon: Daemon, reactor: Any) -> None:
        self._options = options
        self._daemon = daemon
        self._reactor = reactor

    async def message(self, context: Context, mail: Mail) -> Verdict:
        """Scan the message."""
        options, body = self._options, scanned(mail)
        if too_large(body, options):
            return oversize("clamd", body.size, options)
        async with self._daemon.talk(options.time) as talk:
            answer = await self._ask(talk, body)
        match answer:
            case clamd.TooLarge():
                return oversize("clamd", body.size, options)
            case clamd.Found(name):
                text = f"Virus found: {name}"
                return judged(
                    options.found.action, text, text, self._noted(mail, f"Infected ({name})")
                )
            case clamd.Clean():
                return Verdict(changes=tuple(self._noted(mail, "Clean")))

    def _noted(self, mail: Mail, text: str) -> list[Change]:
        name = self._options.header
        if not name:
            return []
        return [*without_forged(mail.header, [name]), AddHeader(name, text)]

    async def _ask(self, talk: Talk, body: IBody) -> clamd.Clean | clamd.Found | clamd.TooLarge:
        if self._options.by is By.FILE and IFileBody.providedBy(body):
            return await shielded(self._hand_over(talk, body))
        complete = await talk.send_all(_stream(self._reactor, body))
        answer = clamd.read_answer(await talk.until(b"\0"))
        if not complete and answer != clamd.TooLarge():
            raise Unavailable(f"{self._daemon.where}: it answered before it had the message")
        return answer

    async def _hand_over(self, talk: Talk, body: Any) -> clamd.Clean | clamd.Found | clamd.TooLarge:
        """Send the open file."""
        pool = self._reactor.getThreadPool()
        descriptor = await deferToThreadPool(self._reactor, pool, body.descriptor)
        try:
            talk.send_file(descriptor, clamd.FILDES + b"\0")
            return clamd.read_answer(await talk.until(b"\0"))
        finally:
            os.close(descriptor)


async def _stream(reactor: Any, body: IBody) -> AsyncIterator[bytes]:
    yield clamd.INSTREAM
    async for block in blocks(reactor, body):
        yield clamd.chunk(block)
    yield clamd.END
