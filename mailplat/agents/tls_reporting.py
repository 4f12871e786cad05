"""Each day's reports on TLS, sent to the domains that want them (RFC 8460 §3, §5).

After each day (UTC) there is some time, a random part of `ReportingOptions.within`, and then a
round: what was counted on days that are over is reported, or forgotten where nobody wants it.
What cannot be sent now is tried in each hour's round, for a day.

Invariants:

- A report goes to each URI once; if a crash makes it twice, both have the same name.
- Counts of a day are there until its report is sent, nobody wants it, or a day has gone by.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailplat.agents.tls_counts import TLSCounts
from mailplat.interfaces.resolver import IResolver
from mailplat.message.tls_report import (
    DAY,
    TLSReport,
    compressed,
    mail_address,
    report_mail,
    report_uris,
)
from mailplat.model.address import Address
from mailplat.model.errors import MailError, Unavailable
from mailplat.net.web import WebAnswer

__all__ = ["ReportingOptions", "TLSReporting"]

_RETRY = 3600.0
_MEDIA_TYPE = "application/tlsrpt+gzip"


class Web(Protocol):
    """What posts; `mailplat.net.web.WebClient` does."""

    def ask(
        self, method: str, url: str, *, headers: Mapping[str, str], content: bytes
    ) -> Awaitable[WebAnswer]:
        """See `WebClient.ask`."""


@dataclass(frozen=True, slots=True)
class ReportingOptions:
    """Who reports, and when.

    Attributes:
        sender: Who sends the mails, and can be asked.
        organization: Who we are.
        within: Seconds after the end of a day in which its reports go (§4.1: 4 hours).
    """

    sender: Address
    organization: str
    within: float = 14_400.0


class TLSReporting:
    """Sends reports, from `open` to `close`.

    Args:
        reactor: Tells the time for what is to be done later, and has threads.
        now: The time, seconds since 1970 UTC.
        random: Gives numbers from 0 to 1.
        resolver: Asks DNS who wants reports.
        web: Posts.
        send: Takes a mail: the sender, the recipients, the message; durable when it returns.
        counts: What is reported.
        options: Who reports, and when.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        now: Callable[[], float],
        random: Callable[[], float],
        resolver: IResolver,
        web: Web,
        send: Callable[[Address, list[Address], bytes], Awaitable[object]],
        counts: TLSCounts,
        options: ReportingOptions,
    ) -> None:
        self._reactor = reactor
        self._now = now
        self._random = random
        self._resolver = resolver
        self._web = web
        self._send = send
        self._counts = counts
        self._options = options
        self._next: IDelayedCall | None = None
        self._running: Deferred[bool] | None = None

    async def open(self) -> None:
        """Wait for the end of the day; what is left of days before it goes soon."""
        self._wait(self._random() * min(_RETRY, self._options.within))

    async def close(self) -> None:
        """Send no more."""
        if self._next is not None and self._next.active():
            self._next.cancel()
        if self._running is not None:
            running, self._running = self._running, None
            running.cancel()

    def _wait(self, seconds: float) -> None:
        self._next = self._reactor.callLater(seconds, self._begin)

    def _begin(self) -> None:
        self._running = Deferred.fromCoroutine(self.report())
        self._running.addBoth(self._ended)

    def _ended(self, result: bool | Failure) -> None:
        if self._running is None:  # closed
            return
        self._running = None
        if isinstance(result, Failure):
            self.log.failure("cannot report on TLS", result)
        if result is True:
            after = DAY - self._now() % DAY
            self._wait(after + self._random() * self._options.within)
        else:
            self._wait(_RETRY)

    async def report(self) -> bool:
        """Report on all days that are over; tell whether nothing is left to be tried again."""
        today = int(self._now()) // DAY * DAY
        done = True
        for day, domain in await self._counts.days():
            if day >= today:
                continue
            sent = False
            try:
                sent = await self._report_on(day, domain)
            except CancelledError:
                raise
            except Exception:  # of one domain: the others have theirs
                self.log.failure("cannot report on TLS to {domain}", domain=domain)
            if sent or self._now() >= day + 2 * DAY:
                await self._counts.forget(day, domain)
            else:
                done = False
        return done

    async def _report_on(self, day: int, domain: str) -> bool:
        """Report one day to one domain; tell whether everybody who wants it has it."""
        try:
            uris = report_uris((await self._resolver.txt(f"_smtp._tls.{domain}")).records)
        except Unavailable:
            return False
        if not uris:
            return True
        sent = await self._counts.reported(day, domain)
        report = TLSReport(
            domain,
            day,
            self._options.organization,
            str(self._options.sender),
            self._options.sender.domain,
            await self._counts.sessions(day, domain),
        )
        data = await deferToThread(partial(compressed, report))
        done = True
        for uri in uris:
            if uri in sent:
                continue
            try:
                await self._bring(report, uri, data)
            except MailError as error:
                self.log.info(
                    "no report on TLS to {uri} now: {reason}", uri=uri, reason=error.reason
                )
                done = False
            else:
                await self._counts.report(day, domain, uri)
                self.log.info("report on TLS {name} to {uri}", name=report.report_id, uri=uri)
        return done

    async def _bring(self, report: TLSReport, uri: str, data: bytes) -> None:
        to = mail_address(uri)
        if to is not None:
            sender = self._options.sender
            message = report_mail(report, sender, to, data, int(self._now()))
            await self._send(sender, [to], message)
            return
        answer = await self._web.ask(
            "POST", uri, headers={"Content-Type": _MEDIA_TYPE}, content=data
        )
        if not 200 <= answer.code < 300:  # §5.4
            raise Unavailable(f"POST: the web server answers {answer.code}")
