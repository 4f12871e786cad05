"""Asks an ICAP service about a message (RFC 3507): virus scanners and leak filters of proxies.

Invariants:

- A mail passes only on the service's own word, given after it saw all of the message, or as much of
  it as it wanted to see (a preview).
- A question that was put to a connection which the service had closed is put once more, to a new
  one.
- The message is streamed in blocks as the service takes them.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import attrs
from twisted.internet.endpoints import quoteStringArgument
from zope.interface import implementer

from mailplat.config.option import option
from mailplat.config.values import Duration, Size, duration, size
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
from mailplat.interfaces.bodies import IBody
from mailplat.interfaces.filters import Context, IFilter, IStages, Mail, Stage, Stages
from mailplat.interfaces.plugins import FilterSettings
from mailplat.message import headers
from mailplat.model.errors import ConfigurationFault, Unavailable
from mailplat.model.verdict import AddHeader, Change, ReplaceBody, Verdict
from mailplat.net.daemon import Daemon, Talk
from mailplat.proto.icap import (
    END,
    END_OF_PREVIEW,
    IcapMethod,
    IcapResponse,
    IcapService,
    ResponseReader,
    adapt_request,
    chunk,
    found_in,
    options_request,
    read_options,
)

__all__ = ["IcapFilter", "IcapOptions"]

_PORT = 1344  # §4.2
_SECURE_PORT = 11344
_MOST_PREVIEW = 65536
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._-]")


class Adapted(StrEnum):
    """What becomes of a message that the service changed."""

    TAKE = "take"
    CONTINUE = "continue"
    QUARANTINE = "quarantine"
    HOLD = "hold"
    DISCARD = "discard"
    DEFER = "defer"
    REJECT = "reject"


@attrs.frozen(kw_only=True)
class IcapOptions(ScanOptions):
    """How an ICAP service is asked."""

    method: IcapMethod = option(
        IcapMethod.RESPMOD,
        meaning="Whether the message is shown as an answer to be adapted, or as a request.",
        precedent="c-icap-client (RESPMOD)",
    )
    preview: bool = option(
        True,
        meaning="Whether the service may see the beginning of a message first and be content "
        "with it, where it offers that.",
        precedent="c-icap-client, Squid icap_preview_enable (on)",
    )
    found: MailAction = option(
        MailAction.REJECT,
        meaning="What becomes of a message that the service objects to.",
    )
    changed: Adapted = option(
        Adapted.TAKE,
        meaning="What becomes of a message that the service changes. `take` delivers it with the "
        "body that it has then; a changed header fails the filter.",
    )
    header: str = option(
        "X-Virus-Status",
        meaning="The field that says what was found; empty for none.",
        precedent="clamav-milter AddHeader",
    )
    max_answer: Size = option(
        size("50MiB"),
        least=1024,
        meaning="How long an answer may be; it may hold the whole message.",
    )
    idle_connections: int = option(
        4,
        unit="connections",
        least=0,
        meaning="How many connections wait for the next message.",
    )
    idle_timeout: Duration = option(
        duration("30s"),
        least=0.01,
        meaning="How long a connection waits for the next message.",
        precedent="Squid icap_persistent_connections, c-icap KeepAliveTimeout (600 s)",
    )


@dataclass(frozen=True, slots=True)
class _Address:
    """Where a service is: an endpoint, its URI, and its host for the field Host."""

    endpoint: str
    uri: str
    host: str


class _Stale(Unavailable):
    """The connection was closed while it waited, or behind OPTIONS."""


@implementer(IFilter)
class IcapFilter:
    """Does what an ICAP service says.

    Args:
        name: What log lines call it.
        url: The service's: ``icap://127.0.0.1:1344/avscan``, or ``icaps://``.
        options: What becomes of mail.
        settings: The reactor, and our name.

    Raises:
        ConfigurationFault: The URL cannot be read.
    """

    stages = (Stage.MESSAGE,)

    def __init__(self, name: str, url: str, options: IcapOptions, settings: FilterSettings) -> None:
        self.name = name
        self._options = options
        self._settings = settings
        self._address = _read_url(url)
        self._service: IcapService | None = None
        self._known_until = 0.0
        self._daemon = Daemon(
            settings.reactor,
            self._address.endpoint,
            connections=options.connections,
            connect=options.connect_timeout,
            most=options.max_answer,
            idle=options.idle_connections,
            idle_seconds=options.idle_timeout,
            name=url,
        )

    def open(self) -> IStages:
        """See `IFilter.open`."""
        return _Adapting(self)

    async def close(self) -> None:
        """Close the connections that wait."""
        await self._daemon.close()

    async def scan(self, context: Context, mail: Mail) -> Verdict:
        """Ask about a message.

        Raises:
            Unavailable: There is no answer that can be used.
        """
        options, body = self._options, scanned(mail)
        if too_large(body, options):
            return oversize("icap", body.size, options)
        ends = self._settings.reactor.seconds() + options.time
        for new in (False, True):
            try:
                response = await self._ask(context, mail, body, ends, new=new)
            except _Stale:
                continue
            return await self._decide(response, mail, body)
        # a new connection, too, ended behind OPTIONS: what those say is known by now
        return await self._decide(await self._ask(context, mail, body, ends), mail, body)

    async def _ask(
        self, context: Context, mail: Mail, body: IBody, ends: float, *, new: bool = True
    ) -> IcapResponse:
        seconds = ends - self._settings.reactor.seconds()
        talk = await self._daemon.take(max(0.0, seconds), new=new)
        asking = _Question(talk, self._options.max_answer)
        try:
            talk.end_at(ends, f"no answer in {self._options.time:g} s")
            service = await self._options_of(asking)
            return await self._adapt(asking, service, context, mail, body)
        except _Stale:
            raise
        except Unavailable as error:
            if talk.reused and talk.closed and not asking.answered:
                raise _Stale(error.reason) from None
            if error.reason.startswith(self._daemon.where):
                raise
            raise Unavailable(f"{self._daemon.where}: {talk.phase}: {error.reason}") from None
        finally:
            await self._daemon.give_back(talk, keep=asking.keep)

    async def _options_of(self, asking: _Question) -> IcapService:
        """Find out what the service wants, unless that is known (§4.10)."""
        now = self._settings.reactor.seconds()
        service, where = self._service, self._address
        if service is None or now >= self._known_until:
            asking.talk.phase = "OPTIONS"
            await asking.talk.send(options_request(where.uri, where.host))
            service = read_options(await asking.response())
            self._service, self._known_until = service, now + service.seconds
            if not asking.keep:
                raise _Stale(f"{self._daemon.where}: it closes the connection behind OPTIONS")
        method = self._options.method.value.upper()
        if method not in service.methods:
            raise Unavailable(f"the service does not know {method}")
        return service

    async def _adapt(
        self, asking: _Question, service: IcapService, context: Context, mail: Mail, body: IBody
    ) -> IcapResponse:
        options, where = self._options, self._address
        talk, asking.keep = asking.talk, False
        talk.phase = options.method.value.upper()
        preview = None
        if options.preview and service.preview is not None:
            preview = min(service.preview, body.size, _MOST_PREVIEW)
        queue_id = _NOT_IN_A_NAME.sub("_", mail.queue_id)
        hostname = _NOT_IN_A_NAME.sub("_", self._settings.hostname)
        head = adapt_request(
            options.method,
            where.uri,
            where.host,
            size=body.size,
            about=f"{hostname}/{queue_id}",
            client=context.peer.address,
            preview=preview,
        )
        start = 0
        if preview is not None:
            start = preview
            first = b"".join([block async for block in _until(self._reactor, body, preview)])
            all_of_it = preview == body.size
            await talk.send(head + chunk(first) + (END_OF_PREVIEW if all_of_it else END))
            response = await asking.response()
            if response.status != 100 or all_of_it:
                return response
            head, asking.keep = b"", False
        complete = await asking.send(self._rest(head, body, start))
        response = await asking.response()
        if not complete:
            asking.keep = False
            if found_in(response) is None:
                raise Unavailable("it answered before it had the message")
        return response

    @property
    def _reactor(self) -> Any:
        return self._settings.reactor

    async def _rest(self, head: bytes, body: IBody, start: int) -> AsyncIterator[bytes]:
        if head:
            yield head
        async for block in blocks(self._reactor, body, start):
            yield chunk(block)
        yield END

    async def _decide(self, response: IcapResponse, mail: Mail, body: IBody) -> Verdict:
        options = self._options
        if response.status not in (200, 204):
            where = self._daemon.where
            raise Unavailable(f"{where}: it answered with status {response.status}")
        found = found_in(response)
        if found is not None:
            text = f"Virus found: {found.name}" if found.name else "The message was blocked"
            noted = f"Infected ({found.name})" if found.name else "Blocked"
            changes = self._noted(mail, noted)
            return judged(options.found.action, text, f"icap: {text}", changes)
        changes = self._noted(mail, "Clean")
        if response.status == 204 or response.body is None:
            return Verdict(changes=tuple(changes))
        return await self._adapted(response.body, body, changes)

    async def _adapted(self, answer: bytes, body: IBody, changes: list[Change]) -> Verdict:
        """Compare what came back with the message, and take it, or not."""
        if len(answer) == body.size and await self._same(answer, body):
            return Verdict(changes=tuple(changes))
        if self._options.changed is not Adapted.TAKE:
            action = MailAction(self._options.changed.value).action
            text = "The message was changed by a check"
            return judged(action, text, f"icap: {text}", changes)
        header, content = headers.split(answer)
        before = b"".join([block async for block in _until(self._reactor, body, len(header))])
        if header != before:
            raise Unavailable(f"{self._daemon.where}: it changed the message's header")
        return Verdict(changes=(*changes, ReplaceBody(content)))

    async def _same(self, answer: bytes, body: IBody) -> bool:
        at = 0
        async for block in blocks(self._reactor, body):
            if answer[at : at + len(block)] != block:
                return False
            at += len(block)
        return True

    def _noted(self, mail: Mail, text: str) -> list[Change]:
        name = self._options.header
        if not name:
            return []
        return [*without_forged(mail.header, [name]), AddHeader(name, text)]


@implementer(IStages)
class _Adapting(Stages):
    def __init__(self, whole: IcapFilter) -> None:
        self._whole = whole

    async def message(self, context: Context, mail: Mail) -> Verdict:
        """Have the message looked at."""
        return await self._whole.scan(context, mail)


class _Question:
    """One exchange on a connection.

    Args:
        talk: The connection.
        most: Bytes of an answer.

    Attributes:
        talk: The connection.
        keep: Whether somebody else may go on with it.
        answered: Whether the service said anything.
    """

    def __init__(self, talk: Talk, most: int) -> None:
        self.talk = talk
        self.keep = False
        self.answered = False
        self._most = most
        self._reader = ResponseReader(most)

    async def send(self, parts: AsyncIterator[bytes]) -> bool:
        """Send, and read meanwhile: a service may begin to answer before it has everything.

        Returns:
            Whether all was sent before the answer was complete.
        """
        talk = self.talk
        async for part in parts:
            if talk.quiet is False and not await self._read():
                return False
            try:
                await talk.send(part)
            except Unavailable:
                return False  # what it said before is still to be read
        return True

    async def _read(self) -> bool:
        """Read what is there; whether the answer is not complete."""
        try:
            self._reader.receive(await self.talk.some())
        except Unavailable:
            if self.talk.quiet or not self.talk.closed:
                raise
            return False
        self.answered = True
        return self._reader.response is None

    async def response(self) -> IcapResponse:
        """Read the answer, or the rest of it."""
        reader = self._reader
        while reader.response is None:
            reader.receive(await self.talk.some())
            self.answered = True
        response = reader.response
        closes = response.fields.get("connection", "").lower() == "close"
        self.keep = not closes and not reader.rest
        self._reader = ResponseReader(self._most)
        return response


async def _until(reactor: Any, body: IBody, size: int) -> AsyncIterator[bytes]:
    """Give the first bytes of a body."""
    if size == 0:
        return
    left = size
    async for block in blocks(reactor, body):
        yield block[:left]
        left -= len(block)
        if left <= 0:
            return


def _read_url(url: str) -> _Address:
    """Take a service's URL apart (§4.2).

    Raises:
        ConfigurationFault: It is none.
    """
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("icap", "icaps") and bool(parts.hostname) and url.isascii()
        fits = fits and url.isprintable() and " " not in url and parts.username is None
        secure = parts.scheme == "icaps"
        port = parts.port if parts.port is not None else (_SECURE_PORT if secure else _PORT)
        fits = fits and port > 0
    except ValueError:
        fits = False
    if not fits:
        raise ConfigurationFault(f"icap: expected icap:icap://HOST:PORT/SERVICE, not {url!r}")
    kind, host = "tls" if secure else "tcp", parts.hostname or ""
    endpoint = f"{kind}:{quoteStringArgument(host)}:{port}"
    return _Address(endpoint, url, parts.netloc)
