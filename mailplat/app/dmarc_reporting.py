"""Sends what was gathered on DMARC to the domains that ask for it, once an interval.

A report is forgotten once the queue has it on stable storage; after a crash between the two it is
sent again with the same Report-ID, by which its reader knows it (RFC 7489 §7.2.1.1).  What cannot
be sent, as a DNS does not answer, is tried again every hour, and given up after a few intervals.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import SystemRandom
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from mailplat.app.assembly import Parts
from mailplat.app.filtering import CurrentFiltering, dmarc_sender
from mailplat.app.own_mail import OwnMail
from mailplat.filters.dmarc_results import DmarcResults, Gathered
from mailplat.interfaces.resolver import IResolver
from mailplat.message import headers
from mailplat.message.auth.dmarc_destinations import ReportAddress, confirmed, report_addresses
from mailplat.message.auth.dmarc_report import AggregateReport, file_name, packed
from mailplat.message.auth.organisations import organisation
from mailplat.message.dates import rfc5322_date
from mailplat.model.address import Address
from mailplat.model.errors import MailError

__all__ = ["DmarcReporting", "Reporter", "make_dmarc_reporting", "report_mail"]

_log = Logger()

_FIRST = 5.0
"""Seconds after the start within which what is due is sent."""

_AGAIN = 3600.0
"""Seconds after which what could not be sent is tried again."""

_INTERVALS = 4
"""After so many a report that could not be sent is given up."""

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Reporter:
    """Who reports, and how much.

    Attributes:
        hostname: The server's name.
        sender: The address that reports come from.
        organisation: Who it is.
        contact: More about whom to ask.
        max_size: Bytes of the largest report, compressed.
        max_addresses: Addresses that get one domain's report.
    """

    hostname: str
    sender: Address
    organisation: str
    contact: str = ""
    max_size: int = 10 * 1024 * 1024
    max_addresses: int = 5


class DmarcReporting:
    """Sends reports in the background.

    Args:
        reactor: Its clock.
        now: The time, seconds since 1970 UTC.
        results: What was gathered; opened and closed with this.
        resolver: Says who wants reports.
        mail: Takes them on.
        reporter: Who reports.
        random: Gives a number from 0 up to 1: not all servers report at the same minute.
    """

    def __init__(
        self,
        reactor: Any,
        now: Callable[[], float],
        results: DmarcResults,
        resolver: IResolver,
        mail: OwnMail,
        reporter: Reporter,
        random: Callable[[], float],
    ) -> None:
        self._reactor = reactor
        self._now = now
        self._results = results
        self._resolver = resolver
        self._mail = mail
        self._reporter = reporter
        self._random = random
        self._timer: Any = None
        self._sending: Deferred[None] | None = None
        self._closed = False

    async def open(self) -> None:
        """Begin to gather; what is due from before is sent soon."""
        await self._results.open()
        self._timer = self._reactor.callLater(_FIRST * self._random(), self._begin)

    async def close(self) -> None:
        """Stop, and write what was gathered."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._sending is not None:
            self._sending.cancel()
        await self._results.close()

    def _begin(self) -> None:
        self._timer = None
        self._sending = Deferred.fromCoroutine(self._work())

    async def _work(self) -> None:
        left = True
        try:
            left = await self.send_due()
        except CancelledError:
            return
        except Exception:
            _log.failure("reports on DMARC cannot be sent now")
        finally:
            self._sending = None
        if not self._closed:
            self._timer = self._reactor.callLater(self._pause(left), self._begin)

    def _pause(self, left: bool) -> float:
        interval = self._results.interval
        until = interval - self._now() % interval + min(_AGAIN, interval / 10) * self._random()
        return min(until, _AGAIN) if left else until

    async def send_due(self) -> bool:
        """Send the reports on all spans that are over; tell whether some could not be sent."""
        await self._results.flush()
        left = False
        for begin, domain in await self._results.ended(self._now()):
            try:
                done = await self._send(begin, domain)
            except MailError as error:
                _log.info(
                    "report on DMARC to {domain}: later: {reason}",
                    domain=domain,
                    reason=error.reason,
                )
                done = self._too_late(begin)
            except CancelledError:
                raise
            except Exception:  # the others get theirs
                _log.failure("report on DMARC to {domain} cannot be made", domain=domain)
                done = self._too_late(begin)
            if done:
                await self._results.forget(begin, domain)
            left = left or not done
        return left

    def _too_late(self, begin: int) -> bool:
        return self._now() - begin > _INTERVALS * self._results.interval

    async def _send(self, begin: int, domain: str) -> bool:
        gathered, reporter = await self._results.gathered(begin, domain), self._reporter
        wanted = report_addresses(gathered.reports_to, reporter.max_addresses)
        addresses = await confirmed(domain, wanted, self._texts, organisation)
        if not addresses:
            _log.info("report on DMARC to {domain}: nobody confirms to want it", domain=domain)
            return True
        report = _report(reporter, begin, self._results.interval, gathered)
        data = await deferToThread(packed, report)
        for address in addresses:
            await self._post(report, data, address)
        return True

    async def _post(self, report: AggregateReport, data: bytes, address: ReportAddress) -> None:
        domain = report.published.domain
        if len(data) > min(self._reporter.max_size, address.limit or self._reporter.max_size):
            _log.warn(
                "report on DMARC to {domain}: {size} bytes are too large for {address}",
                domain=domain,
                size=len(data),
                address=f"{address.local}@{address.domain}",
            )
            return
        to = Address(address.local, address.domain)
        message = report_mail(self._reporter, report, data, to, int(self._now()))
        queue_id = await self._mail.send(self._reporter.sender, [to], message)
        _log.info(
            "report on DMARC to {domain}: <{address}> {queue_id}",
            domain=domain,
            address=str(to),
            queue_id=queue_id or "leads nowhere",
        )

    async def _texts(self, name: str) -> Sequence[bytes]:
        return (await self._resolver.txt(name)).records


def make_dmarc_reporting(parts: Parts, filters: CurrentFiltering) -> list[DmarcReporting]:
    """Make what sends reports, if the configuration says so."""
    options, results = parts.configuration.dmarc, parts.filtering.shared.dmarc_results
    if results is None:
        return []
    reporter = Reporter(
        parts.hostname,
        dmarc_sender(parts.configuration),
        options.organization or parts.hostname,
        options.contact,
        options.max_size,
        options.max_addresses,
    )
    mail = OwnMail(parts.spool, parts.routes, parts.queue_ids, lambda: filters.filtering)
    return [
        DmarcReporting(
            parts.reactor,
            parts.now,
            results,
            parts.resolver,
            mail,
            reporter,
            SystemRandom().random,
        )
    ]


def _report(reporter: Reporter, begin: int, interval: int, gathered: Gathered) -> AggregateReport:
    missing = gathered.missing
    return AggregateReport(
        organisation=reporter.organisation,
        email=str(reporter.sender),
        report_id=f"{begin}.{gathered.published.domain}@{reporter.hostname}",
        begin=begin,
        end=begin + interval - 1,
        published=gathered.published,
        rows=gathered.rows,
        contact=reporter.contact,
        errors=(f"{missing} messages are not counted",) if missing else (),
    )


def report_mail(
    reporter: Reporter, report: AggregateReport, data: bytes, to: Address, now: int
) -> bytes:
    """Make the mail that brings a report (RFC 7489 §7.2.1.1).

    Args:
        reporter: Who reports.
        report: The report.
        data: The same, compressed.
        to: Who gets it.
        now: Seconds since 1970 UTC.
    """
    domain, host = report.published.domain, reporter.hostname
    name = file_name(host, report)
    boundary = f"=_{report.begin}_{report.end}"
    subject = f"Report Domain: {domain} Submitter: {host} Report-ID: <{report.report_id}>"
    text = (
        f"This is an aggregate report on DMARC from {_clean(reporter.organisation)}\r\n"
        f"on mail in the name of {domain}.\r\n"
    )
    encoded = b2a_base64(data, newline=False)
    lines = [encoded[at : at + 76] for at in range(0, len(encoded), 76)]
    return b"".join(
        [
            f"Date: {rfc5322_date(now)}\r\n".encode(),
            f"From: <{_clean(str(reporter.sender))}>\r\nTo: <{_clean(str(to))}>\r\n".encode(),
            headers.field("Subject", subject),
            f"Message-ID: <{report.begin}.{domain}.{to.domain}@{host}>\r\n".encode(),
            b"Auto-Submitted: auto-generated\r\n",  # RFC 3834 §5
            b"MIME-Version: 1.0\r\n",
            f'Content-Type: multipart/mixed; boundary="{boundary}"\r\n\r\n'.encode(),
            f"--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n".encode(),
            b"Content-Transfer-Encoding: 8bit\r\n\r\n",
            text.encode(),
            f"\r\n--{boundary}\r\n".encode(),
            headers.field("Content-Type", f'application/gzip; name="{name}"'),
            headers.field("Content-Disposition", f'attachment; filename="{name}"'),
            b"Content-Transfer-Encoding: base64\r\n\r\n",
            b"\r\n".join(lines),
            f"\r\n--{boundary}--\r\n".encode(),
        ]
    )


def _clean(text: str) -> str:
    return _CONTROLS.sub(" ", text)
