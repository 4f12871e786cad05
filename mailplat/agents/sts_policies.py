"""Which policy of MTA-STS a domain has now: asked, fetched, remembered (RFC 8461 §3, §5.1).

Invariants:

- A policy that holds is believed until it expires or a newer one was fetched, whatever DNS and the
  web server say or hide meanwhile.
- A fetch is bounded in time and bytes, follows no redirect, and believes nobody without a
  certificate for ``mta-sts.DOMAIN``; one that fails is not repeated for a while.
- Who asks while a fetch for the domain is under way shares it; nobody waits for long, whatever
  other domains' web servers do.
- Policies in use are fetched anew long before they expire, and nobody waits for that.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.defer import Deferred, DeferredList, DeferredSemaphore
from twisted.internet.defer import TimeoutError as WaitedTooLong
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailplat.agents.sts_file import KeptPolicy, StsFile
from mailplat.interfaces.resolver import IResolver
from mailplat.model.errors import ConfigurationFault, Unavailable
from mailplat.net.timed_cache import TimedCache
from mailplat.net.web import WebAnswer
from mailplat.proto.mta_sts import BadPolicy, Mode, StsPolicy, policy_url, read_policy, record_id
from mailplat.proto.smtp.domains import ascii_domain

__all__ = ["POLICY_SIZE", "Found", "StsOptions", "StsPolicies"]

POLICY_SIZE = 65_536
"""Bytes that a policy file may have (RFC 8461 §3.3 suggests it)."""

FETCH_ERROR = "sts-policy-fetch-error"
INVALID = "sts-policy-invalid"
UNTRUSTED = "sts-webpki-invalid"


class Web(Protocol):
    """What fetches; `mailplat.net.web.WebClient` does."""

    def ask(self, method: str, url: str) -> Awaitable[WebAnswer]:
        """See `WebClient.ask`."""


@dataclass(frozen=True, slots=True)
class StsOptions:
    """What is remembered, and for how long.

    Attributes:
        policies: How many domains' policies.
        refresh: Seconds after which a policy in use is fetched anew.
        failure: Seconds that a failed fetch is not repeated (RFC 8461 §3.3).
        every: Seconds between two looks for what is to be fetched anew.
        at_once: Fetches at a time; others wait.
        patience: Seconds that a mail waits for its domain's policy.
        waiting: Domains whose policies are waited for; a further one's mail goes without.
    """

    policies: int = 10_000
    refresh: float = 86_400.0
    failure: float = 300.0
    every: float = 3_600.0
    at_once: int = 20
    patience: float = 30.0
    waiting: int = 1_000


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of a domain.

    Attributes:
        policy: Its policy; None if it has none, or none could be had.
        fault: Why a policy that the domain says it has could not be had, in a word of
            RFC 8460 §4.3.2; ``""`` for nothing.
        why: The same for people.
    """

    policy: StsPolicy | None = None
    fault: str = ""
    why: str = ""


_TOO_LATE = Found(None, FETCH_ERROR, "no answer in time")
_TOO_MANY = Found(None, FETCH_ERROR, "too many policies are waited for")


class StsPolicies:
    """Finds policies.

    Args:
        reactor: Tells the time for what is to be done later, and has threads.
        now: The time, seconds since 1970 UTC.
        resolver: Asks DNS.
        web: Fetches; with its own limits of time and, best `POLICY_SIZE`, of bytes.
        file: Where policies are kept.
        options: What is remembered.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        now: Callable[[], float],
        resolver: IResolver,
        web: Web,
        file: StsFile,
        options: StsOptions | None = None,
    ) -> None:
        self._reactor = reactor
        self._now = now
        self._resolver = resolver
        self._web = web
        self._file = file
        self._options = options or StsOptions()
        self._kept: dict[str, KeptPolicy] = {}
        self._used: set[str] = set()
        self._failed: TimedCache[tuple[str, str], Found] = TimedCache(
            now, entries=self._options.policies
        )
        self._running: dict[str, list[Deferred[Found]]] = {}
        self._fetches: set[Deferred[Found]] = set()
        self._turns = DeferredSemaphore(self._options.at_once)
        self._next: IDelayedCall | None = None
        self._refreshing: Deferred[None] | None = None

    async def open(self) -> None:
        """Read what was kept.

        Raises:
            ConfigurationFault: It cannot be read.
        """
        try:
            await self.reload()
        except sqlite3.Error as error:
            raise ConfigurationFault(f"{self._file.path}: {error}") from error
        self._next = self._reactor.callLater(self._options.every, self._look)

    def changed(self) -> None:
        """Read what is kept, in the background: another process fetched a policy."""
        reading = Deferred.fromCoroutine(self.reload())
        reading.addErrback(lambda failure: self.log.failure("cannot read policies", failure))

    async def reload(self) -> None:
        """Read what is kept."""
        loaded = await deferToThread(self._file.load, int(self._now()), self._options.policies)
        self._kept = {one.domain: one for one in loaded}

    async def close(self) -> None:
        """Refresh no more, and let go of fetches under way."""
        if self._next is not None and self._next.active():
            self._next.cancel()
        for fetch in list(self._fetches):
            fetch.cancel()
        if self._refreshing is not None:
            await self._refreshing

    def __iter__(self) -> Iterator[KeptPolicy]:
        """Give all policies that are remembered, by domain."""
        return iter([self._kept[domain] for domain in sorted(self._kept)])

    async def find(self, domain: str) -> Found:
        """Find the policy that holds for a domain now.

        Args:
            domain: What stands behind the ``@``.
        """
        name = ascii_domain(domain)
        if name is None or name.startswith("["):
            return Found()
        kept = self._holding(name)
        self._used.add(name)
        try:
            answer = await self._resolver.txt(f"_mta-sts.{name}")
        except Unavailable:
            return _of(kept)
        policy_id = record_id(answer.records)
        if policy_id is None or (kept is not None and kept.policy_id == policy_id):
            return _of(kept)  # §5.1: a record that is gone takes no policy away
        found = self._failed.find((name, policy_id))
        if found is None:
            found = await self._fetched(name, policy_id)
        return _of(self._holding(name), found)

    async def refresh(self, domain: str) -> Found:
        """Fetch a domain's policy, whatever is remembered of it."""
        name = ascii_domain(domain)
        if name is None:
            return Found()
        try:
            policy_id = record_id((await self._resolver.txt(f"_mta-sts.{name}")).records)
        except Unavailable as error:
            return Found(None, FETCH_ERROR, error.reason)
        if policy_id is None:
            return Found()
        return await self._fetched(name, policy_id)

    # How it is done.

    def _holding(self, name: str) -> KeptPolicy | None:
        kept = self._kept.get(name)
        return kept if kept is not None and kept.expires > self._now() else None

    async def _fetched(self, name: str, policy_id: str) -> Found:
        if name not in self._running and len(self._running) >= self._options.waiting:
            return _TOO_MANY
        waiter: Deferred[Found] = Deferred()  # cancelled, it takes its result in silence
        waiting = self._running.setdefault(name, [])
        waiting.append(waiter)
        if len(waiting) == 1:
            running = Deferred.fromCoroutine(self._fetch(name, policy_id))
            self._fetches.add(running)
            running.addBoth(lambda result: self._tell(name, running, result))
        try:
            return await waiter.addTimeout(self._options.patience, self._reactor)
        except WaitedTooLong:
            return _TOO_LATE  # the fetch goes on

    def _tell(self, name: str, running: Deferred[Found], result: Found | Failure) -> None:
        self._fetches.discard(running)
        for waiter in self._running.pop(name):
            if isinstance(result, Failure):
                waiter.errback(result)
            else:
                waiter.callback(result)

    async def _fetch(self, name: str, policy_id: str) -> Found:
        """Fetch a policy and keep it, or remember that this failed."""
        await self._turns.acquire()
        try:
            found = await self._asked(name)
        finally:
            self._turns.release()
        if found.policy is None:
            self.log.info(
                "no MTA-STS policy of {domain}: {fault}: {why}",
                domain=name,
                fault=found.fault,
                why=found.why,
            )
            self._failed.keep((name, policy_id), found, self._options.failure)
            return found
        kept = KeptPolicy(name, policy_id, found.policy, int(self._now()))
        self._kept[name] = kept
        self._used.discard(name)
        try:
            await deferToThread(self._write, kept, self._too_many())
        except sqlite3.Error:  # it holds all the same, until the process ends
            self.log.failure("cannot keep the policy of {domain}", domain=name)
        return found

    def _too_many(self) -> list[str]:
        """Make room: forget those that expire first; name them."""
        count = len(self._kept) - self._options.policies
        if count <= 0:
            return []
        gone = sorted(self._kept, key=lambda name: self._kept[name].expires)[:count]
        for name in gone:
            del self._kept[name]
        return gone

    def _write(self, kept: KeptPolicy, gone: list[str]) -> None:
        self._file.keep(kept)
        if gone:
            self._file.forget(gone)

    async def _asked(self, name: str) -> Found:
        try:
            answer = await self._web.ask("GET", policy_url(name))
        except Unavailable as error:
            return Found(None, UNTRUSTED if _is_untrusted(error) else FETCH_ERROR, error.reason)
        if answer.code != 200:  # §3.3: no redirect is followed
            return Found(None, FETCH_ERROR, f"the web server answers {answer.code}")
        kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "text/plain":  # §3.2
            return Found(None, INVALID, "it is not text/plain")
        if len(answer.body) > POLICY_SIZE:
            return Found(None, INVALID, f"it has more than {POLICY_SIZE} bytes")
        try:
            return Found(read_policy(answer.body))
        except BadPolicy as fault:
            return Found(None, INVALID, str(fault))

    def _look(self) -> None:
        """Fetch anew what is in use and came long ago (§3.3, §10.2)."""
        if self._refreshing is None:
            self._refreshing = Deferred.fromCoroutine(self._refresh_all())
            self._refreshing.addBoth(self._looked)
        self._next = self._reactor.callLater(self._options.every, self._look)

    def _looked(self, result: Failure | None) -> None:
        self._refreshing = None
        if isinstance(result, Failure):
            self.log.failure("cannot refresh the policies of MTA-STS", result)

    async def _refresh_all(self) -> None:
        before = self._now() - self._options.refresh
        gone = [name for name, one in self._kept.items() if one.expires <= self._now()]
        for name in gone:
            del self._kept[name]
        due = [
            name for name in self._used if name in self._kept and self._kept[name].fetched <= before
        ]
        self._used.intersection_update(self._kept)
        if gone:
            await deferToThread(self._file.forget, gone)
        asked = [Deferred.fromCoroutine(self.refresh(name)) for name in due]
        await DeferredList(asked, consumeErrors=True)


def _of(kept: KeptPolicy | None, found: Found | None = None) -> Found:
    """Give the policy that was kept, and what went wrong with a newer one."""
    fault, why = ("", "") if found is None else (found.fault, found.why)
    policy = kept.policy if kept is not None and kept.policy.mode is not Mode.NONE else None
    return Found(policy, fault, why)


def _is_untrusted(error: Unavailable) -> bool:
    """Tell whether the web server did not prove who it is."""
    cause: Any = error.__cause__
    while getattr(cause, "reasons", None):
        cause = cause.reasons[0].value
    return isinstance(cause, SSL.Error | VerificationError)
