"""The resolver: asks the configured name servers, remembers, and asks nothing twice at once.

It relies on recursive servers, as /etc/resolv.conf names them.  Whether an answer is authentic is
theirs to say (the AD bit), and is believed where `ResolverOptions.validating` says so: servers on
this machine, or behind a way that is trusted (RFC 4035 §4.9.3, RFC 6840 §5.8).

Invariants:

- Equal questions that are asked while one is under way share its answer.
- What is remembered is bounded in number and in bytes; failures are remembered briefly.
- A question that nobody waits for any more still ends, within its time-outs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from random import SystemRandom
from typing import Any, Protocol

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mailplat.interfaces.resolver import MX, TLSA, Answer, IResolver
from mailplat.model.errors import Unavailable
from mailplat.net.dns_exchange import DnsExchange, NoAnswer
from mailplat.net.dns_messages import Kind, Question, Response, Said, reverse_name
from mailplat.net.timed_cache import TimedCache

__all__ = ["Resolver", "ResolverOptions", "hosts_of", "servers_of", "system_resolver"]

_ALIASES = 8
_ANSWER_COST = 200  # bytes of an answer besides its records, roughly


@dataclass(frozen=True, slots=True)
class ResolverOptions:
    """How questions are asked, and how much is remembered.

    Attributes:
        servers: Addresses and ports, in the order they are asked.
        timeouts: Seconds to wait for each server, a round each (resolv.conf: 5 s, 2 rounds).
        entries: Answers that are remembered.
        memory: Bytes that they may take, roughly.
        failure_time: Seconds that a failure is remembered (RFC 2308 §7.1: 5 minutes at most).
        at_once: Questions that are under way; each has a socket. Further ones wait.
        validating: Whether the servers check signatures, all of them, and may be believed.
    """

    servers: tuple[tuple[str, int], ...] = (("127.0.0.1", 53),)
    timeouts: tuple[float, ...] = (2.0, 5.0)
    entries: int = 10_000
    memory: int = 16 * 1024 * 1024
    failure_time: float = 5.0
    at_once: int = 200
    validating: bool = False


class Exchange(Protocol):
    """What asks one server; `DnsExchange` does."""

    def ask(
        self, server: tuple[str, int], question: Question, timeout: float
    ) -> Awaitable[Response]:
        """See `DnsExchange.ask`."""


@implementer(IResolver)
class Resolver:
    """Asks DNS.

    Args:
        exchange: Asks one server.
        now: Tells the time, in seconds.
        options: Servers and limits.
        hosts: Addresses of hosts that DNS is not asked for, by their names in lower case.
    """

    log = Logger()

    def __init__(
        self,
        exchange: Exchange,
        now: Callable[[], float],
        options: ResolverOptions | None = None,
        *,
        hosts: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._exchange = exchange
        self._options = options or ResolverOptions()
        self._hosts = dict(hosts or {})
        self._cache: TimedCache[Question, Answer[Any] | str] = TimedCache(
            now, entries=self._options.entries, total=self._options.memory
        )
        self._turns = DeferredSemaphore(self._options.at_once)
        self._running: dict[Question, list[Deferred[Answer[Any]]]] = {}

    # See `IResolver`.

    async def mx(self, domain: str) -> Answer[MX]:
        """See `IResolver.mx`."""
        return await self._find(domain, Kind.MX)

    async def addresses(self, host: str) -> Answer[str]:
        """See `IResolver.addresses`."""
        known = self._hosts.get(_plain(host))
        if known is not None:
            return Answer(tuple(known), name=_plain(host))
        second = Deferred.fromCoroutine(self._settled(self.a(host)))  # both at once
        first = await self._settled(self.aaaa(host))
        answers = [one for one in (first, await second) if isinstance(one, Answer)]
        failures = [one for one in (first, await second) if isinstance(one, Unavailable)]
        records = tuple(record for one in answers for record in one.records)
        if failures and not records:
            raise failures[0]
        counted = [one for one in answers if one.records] or answers
        return Answer(
            records,
            exists=any(one.exists for one in answers),
            authentic=all(one.authentic for one in counted),
            name=counted[-1].name,
            ttl=min(one.ttl for one in answers),
        )

    async def a(self, host: str) -> Answer[str]:
        """See `IResolver.a`."""
        return await self._find(host, Kind.A)

    async def aaaa(self, host: str) -> Answer[str]:
        """See `IResolver.aaaa`."""
        return await self._find(host, Kind.AAAA)

    async def txt(self, name: str) -> Answer[bytes]:
        """See `IResolver.txt`."""
        return await self._find(name, Kind.TXT)

    async def tlsa(self, name: str) -> Answer[TLSA]:
        """See `IResolver.tlsa`."""
        return await self._find(name, Kind.TLSA)

    async def cname(self, name: str) -> Answer[str]:
        """See `IResolver.cname`."""
        return await self._find(name, Kind.CNAME)

    async def ptr(self, address: str) -> Answer[str]:
        """See `IResolver.ptr`."""
        return await self._find(reverse_name(address), Kind.PTR)

    # How it is done.

    async def _settled(self, asked: Awaitable[Answer[str]]) -> Answer[str] | Unavailable:
        try:
            return await asked
        except Unavailable as error:
            return error

    async def _find(self, name: str, kind: Kind) -> Answer[Any]:
        question = Question(_plain(name), kind)
        if not question.possible:
            return Answer((), exists=False, name=question.name)
        kept = self._cache.find(question)
        if isinstance(kept, str):
            raise Unavailable(kept)
        if kept is not None:
            return kept
        waiter: Deferred[Answer[Any]] = Deferred()  # cancelled, it takes its result in silence
        waiting = self._running.setdefault(question, [])
        waiting.append(waiter)
        if len(waiting) == 1:
            running = Deferred.fromCoroutine(self._ask(question))
            running.addBoth(lambda result: self._tell(question, result))
        return await waiter

    def _tell(self, question: Question, result: Answer[Any] | Failure) -> None:
        for waiter in self._running.pop(question):
            if isinstance(result, Failure):
                waiter.errback(result)
            else:
                waiter.callback(result)

    async def _ask(self, question: Question) -> Answer[Any]:
        """Ask until there is an answer; remember it, or that there is none."""
        asked, authentic, ttl = question, True, 1e9
        for _ in range(_ALIASES):
            await self._turns.acquire()
            try:
                response = await self._ask_servers(asked)
            finally:
                self._turns.release()
            if response is None:
                reason = f"no name server answers for {question.name} ({question.kind.name})"
                self._cache.keep(question, reason, self._options.failure_time, len(reason))
                raise Unavailable(reason)
            if response.answer is not None:
                found = response.answer
                answer: Answer[Any] = Answer(
                    found.records,
                    found.exists,
                    found.authentic and authentic and self._options.validating,
                    found.name,
                    min(found.ttl, ttl),
                )
                self._cache.keep(question, answer, answer.ttl, _cost(answer))
                return answer
            # the server left an alias for us to follow: nobody vouches for the whole
            asked, authentic, ttl = Question(response.alias, question.kind), False, 60.0
            if not asked.possible:
                break
        return Answer((), exists=False, name=asked.name)

    async def _ask_servers(self, question: Question) -> Response | None:
        for timeout in self._options.timeouts:
            for server in self._options.servers:
                try:
                    response = await self._exchange.ask(server, question, timeout)
                except NoAnswer as error:
                    self.log.debug(
                        "name server {server}: {error}", server=server[0], error=str(error)
                    )
                    continue
                if response.said is Said.ANSWER:
                    return response
        return None


def _plain(name: str) -> str:
    return name.lower().removesuffix(".")


def _cost(answer: Answer[Any]) -> int:
    sizes = (len(record) if isinstance(record, bytes | str) else 64 for record in answer.records)
    return _ANSWER_COST + sum(sizes)


def servers_of(resolv_conf: str, port: int = 53) -> tuple[tuple[str, int], ...]:
    """Read the name servers out of /etc/resolv.conf; without any, one on this machine."""
    found = []
    for line in resolv_conf.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver" and _is_address(words[1]):
            found.append((words[1], port))
    return tuple(found) or (("127.0.0.1", port),)


def hosts_of(hosts: str) -> dict[str, list[str]]:
    """Read /etc/hosts: addresses by name, in the order they stand there."""
    found: dict[str, list[str]] = {}
    for line in hosts.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        if _is_address(address):
            for name in names:
                found.setdefault(name.lower(), []).append(address)
    return found


def _is_address(text: str) -> bool:
    try:
        ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def system_resolver(
    reactor: Any,
    options: ResolverOptions,
    *,
    hosts: Mapping[str, Sequence[str]] | None = None,
) -> Resolver:
    """Make a resolver on the network, with ids that nobody can guess.

    Args:
        reactor: Opens sockets and tells the time.
        options: Servers and limits.
        hosts: Hosts that DNS is not asked for.
    """
    random = SystemRandom()
    exchange = DnsExchange(reactor, lambda: random.randrange(1 << 16))
    return Resolver(exchange, reactor.seconds, options, hosts=hosts)
