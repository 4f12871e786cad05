"""DNS block and allow lists: each that lists a client gives points, and their sum decides.

All lists are asked at once when a mail begins, for the client's address, or for the domains that it
names (RHSBL).  The resolver remembers answers, also that there is none.

Invariants:

- A list that is down, late, refuses us or answers nonsense gives no points: it is ignored, counted
  and, after some failures in a row, left alone for a while.  It never holds up mail longer than
  the deadline.
- A list is believed only while it lists its test point and not everything (RFC 5782 §5): one that
  was given up and is parked lists the whole world.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mailplat.config.option import option, required
from mailplat.config.values import Domain, Duration, duration
from mailplat.filters.asking import ResolverLookups
from mailplat.filters.breaker import Breaker
from mailplat.filters.clients import (
    ClientOptions,
    PolicyAction,
    judge,
    left_alone,
    trusted_networks,
)
from mailplat.filters.dns_list_names import (
    address_name,
    domain_name,
    is_code,
    is_refusal,
    points,
    read_code,
)
from mailplat.interfaces.filters import Context, IFilter, IStages, Stage, Stages
from mailplat.interfaces.plugins import FilterSettings
from mailplat.interfaces.resolver import IResolver
from mailplat.message.auth.iprev import confirmed_name
from mailplat.model.envelope import Sender
from mailplat.model.errors import ConfigurationFault, Unavailable
from mailplat.model.verdict import Change, Score, Verdict

__all__ = ["DnsListOptions", "DnsListsFilter", "DnsListsOptions", "Subject"]

_log = Logger()


class Subject(StrEnum):
    """What a list is asked about."""

    CLIENT = "client"
    HELO = "helo"
    SENDER = "sender"
    REVERSE = "reverse"


@attrs.frozen(kw_only=True)
class DnsListOptions:
    """One list."""

    zone: Domain = required(meaning="The list's zone.", example="zen.example.net")
    subjects: tuple[Subject, ...] = option(
        (Subject.CLIENT,),
        meaning="What it lists: `client` is the client's address; `helo`, `sender` and `reverse` "
        "are domains: of the client's own name, of the sender, of the address's confirmed name.",
        precedent="Postfix reject_rbl_client, reject_rhsbl_helo, reject_rhsbl_sender",
    )
    score: float = option(
        5.0,
        unit="points",
        meaning="What being listed is worth; below 0 for a list of good clients.",
        precedent="Postfix postscreen_dnsbl_sites",
    )
    codes: tuple[str, ...] = option(
        (),
        meaning="What each answer is worth, if not all are worth `score`: `127.0.0.2=5`, "
        "`127.0.0.4-7=3.5`. Others are worth nothing then.",
        precedent="Postfix postscreen_dnsbl_sites",
        example=("127.0.0.2=5", "127.0.0.10-11=2"),
    )


@attrs.frozen(kw_only=True)
class DnsListsOptions(ClientOptions):
    """The filter ``dns_lists``."""

    lists: tuple[DnsListOptions, ...] = option((), meaning="The lists, all asked at once.")
    tag: float | None = option(
        1.0, unit="points", meaning="From these points on mail has the tag `dns-listed`."
    )
    defer: float | None = option(
        None, unit="points", meaning="From these points on mail is deferred.", example=3.0
    )
    reject: float | None = option(
        5.0,
        unit="points",
        meaning="From these points on mail is refused.",
        precedent="Postfix postscreen_dnsbl_threshold",
    )
    time: Duration = option(
        duration("5s"),
        least=0.01,
        meaning="How long all lists together may take; what has not answered then is ignored.",
        precedent="Postfix postscreen_dnsbl_timeout (10 s)",
    )
    max_failures: int = option(
        5,
        unit="failures",
        least=0,
        meaning="After how many failures in a row a list is left alone for a while.",
    )
    rest: Duration = option(
        duration("5m"), least=1, meaning="How long a list is left alone then, or if it refuses us."
    )
    test: Duration = option(
        duration("1h"),
        least=1,
        meaning="How often it is tried whether a list lists its test points and nothing that it "
        "must not.",
        precedent="RFC 5782 §5",
    )


class _List:
    """One list, and what became of it.

    Attributes:
        failures: How often it gave no answer of use, since the server began.
    """

    def __init__(self, options: DnsListOptions, shared: DnsListsOptions, now: Any) -> None:
        self.options = options
        self.failures = 0
        self._shared = shared
        self._now: Callable[[], float] = now
        self._breaker = Breaker(shared.max_failures, shared.rest)
        self._test_at = 0.0
        self._believed = True
        self._refused_until = 0.0
        try:
            self._codes = [read_code(one) for one in options.codes]
        except ValueError as error:
            raise ConfigurationFault(
                f"dns_lists: {str(error)!r} is no code; expected 127.0.0.2=5 or 127.0.0.4-7=3.5"
            ) from None

    async def points(self, resolver: IResolver, names: Sequence[str]) -> float:
        """Ask for names; give what the answers are worth, 0 where there are none of use."""
        now = self._now()
        if now < self._refused_until or not self._breaker.allows(now):
            return 0.0
        try:
            await self._try(resolver, now)
            found: list[str] = []
            for name in names:
                found += (await resolver.a(name)).records
        except Unavailable as error:
            self.failed(error.reason)
            return 0.0
        except BaseException:
            self._breaker.dropped()
            raise
        self._breaker.answered()
        return self._worth(found)

    def failed(self, reason: str) -> None:
        """Count that there was no answer."""
        self.failures += 1
        if self._breaker.failed(self._now()):
            _log.warn(
                "the list {zone} is left alone for {rest} s, after {failures} failures: {reason}",
                zone=self.options.zone,
                rest=self._shared.rest,
                failures=self.failures,
                reason=reason,
            )

    def _worth(self, found: Iterable[str]) -> float:
        answers = [one for one in found if is_code(one) and not is_refusal(one)]
        refusals = [one for one in found if one not in answers]
        if refusals:
            self.failures += 1
            self._refused_until = self._now() + self._shared.rest
            _log.warn(
                "the list {zone} is left alone for {rest} s: it answers {answer}, which is no "
                "listing; does it take questions from this resolver?",
                zone=self.options.zone,
                rest=self._shared.rest,
                answer=refusals[0],
            )
            return 0.0
        if not answers or not self._believed:
            return 0.0
        return points(answers, self._codes, self.options.score)

    async def _try(self, resolver: IResolver, now: float) -> None:
        """Ask for the test points, every so often (RFC 5782 §5)."""
        if now < self._test_at:
            return
        zone = self.options.zone
        good, bad = f"invalid.{zone}", f"test.{zone}"
        if Subject.CLIENT in self.options.subjects:
            good, bad = f"1.0.0.127.{zone}", f"2.0.0.127.{zone}"
        listed = (await resolver.a(bad)).records
        unlisted = not (await resolver.a(good)).records
        self._test_at = now + self._shared.test
        self._believed = unlisted and (bool(listed) or self.options.score < 0)
        if not self._believed:
            self.failures += 1
            _log.warn(
                "the list {zone} is not believed: it {fault}",
                zone=zone,
                fault="lists everything" if not unlisted else f"does not list {bad}",
            )


@implementer(IFilter)
class DnsListsFilter:
    """Asks lists.

    Args:
        name: What log lines call it.
        argument: Nothing.
        options: Which lists.
        settings: The resolver and the clock.

    Raises:
        ConfigurationFault: There is no resolver or no list, or a code cannot be read.
    """

    stages = (Stage.SENDER,)
    reads_only = True

    def __init__(
        self, name: str, argument: str, options: DnsListsOptions, settings: FilterSettings
    ) -> None:
        if settings.resolver is None:
            raise ConfigurationFault("dns_lists needs the DNS, and there is no resolver")
        if not options.lists:
            raise ConfigurationFault("dns_lists: name a list in [[filter.options.lists]]")
        self.name = name
        self.lists = [_List(one, options, settings.now) for one in options.lists]
        self._options = options
        self._settings = settings
        self._resolver = settings.resolver
        self._trusted = trusted_networks(options)

    def open(self) -> IStages:
        """See `IFilter.open`: nothing is remembered of a connection."""
        return _Asked(self)

    async def verdict(self, context: Context, sender: Sender) -> Verdict:
        """Ask all lists at once; add up what they say."""
        if left_alone(context, self._trusted):
            return Verdict()
        asked = [(one, self._started(self._points(one, context, sender))) for one in self.lists]
        running = [one for _, one in asked]
        late = self._settings.reactor.callLater(self._options.time, _cancel, running)
        try:
            found = await gatherResults(running)
            overdue = not late.active()
        finally:
            if late.active():
                late.cancel()
            _cancel(running)
        worth: dict[str, float] = {}
        for (one, _), got in zip(asked, found, strict=True):
            if got is None and overdue:  # not if it was the client that did not wait
                one.failed("it did not answer in time")
            elif got:
                worth[one.options.zone] = worth.get(one.options.zone, 0.0) + got
        return self._judged(worth)

    def _started(self, asking: Any) -> Deferred[float | None]:
        running: Deferred[float | None] = Deferred.fromCoroutine(asking)
        return running.addErrback(_nothing)

    async def _points(self, one: _List, context: Context, sender: Sender) -> float:
        names = [
            name
            for subject in one.options.subjects
            if (name := await self._name(subject, one.options.zone, context, sender))
        ]
        return await one.points(self._resolver, names) if names else 0.0

    async def _name(self, subject: Subject, zone: str, context: Context, sender: Sender) -> str:
        match subject:
            case Subject.CLIENT:
                return address_name(context.peer.address, zone)
            case Subject.HELO:
                return domain_name(context.helo, zone)
            case Subject.SENDER:
                domain = "" if sender.address is None else sender.address.domain
                return domain_name(domain, zone)
            case Subject.REVERSE:
                lookups = ResolverLookups(self._resolver)
                return domain_name(await confirmed_name(context.peer.address, lookups), zone)

    def _judged(self, worth: dict[str, float]) -> Verdict:
        options, total = self._options, sum(worth.values())
        changes: list[Change] = [Score(zone, got) for zone, got in worth.items()]
        zones = ", ".join(f"{zone} {got:g}" for zone, got in worth.items())
        action = PolicyAction.CONTINUE
        if options.tag is not None and total >= options.tag:
            action = PolicyAction.TAG
        if options.defer is not None and total >= options.defer:
            action = PolicyAction.DEFER
        if options.reject is not None and total >= options.reject:
            action = PolicyAction.REJECT
        verdict = judge(
            action,
            f"The client or its domain is listed by {', '.join(worth)}",
            f"{total:g} points: {zones}" if worth else "",
            tag="dns-listed",
            code=554,
        )
        return replace(verdict, changes=(*verdict.changes, *changes))


def _nothing(failure: Failure) -> None:
    failure.trap(CancelledError)


def _cancel(running: Iterable[Deferred[float | None]]) -> None:
    for one in running:
        if not one.called:
            one.cancel()


@implementer(IStages)
class _Asked(Stages):
    def __init__(self, asked: DnsListsFilter) -> None:
        self._asked = asked

    async def sender(self, context: Context, sender: Sender) -> Verdict:
        """Ask when a mail begins."""
        return await self._asked.verdict(context, sender)
