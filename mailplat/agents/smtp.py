"""The relay: mail for other servers' domains, to their mail exchangers or to a smarthost.

The recipients of an attempt are grouped by domain, and the domains are served side by side.  For
each, its hosts are tried in order (RFC 5321 §5.1) until everybody has an answer that is not a
temporary one; who then has none is deferred.

Invariants:

- A yes, a permanent no, and a message that went out without an answer are final for this attempt;
  only who was surely not served is tried at the next host.
- A host that could not be reached is not tried again for a while, for any mail.
- A failure of our own (a password, a missing TLS) never bounces a mail.
- Credentials go to no server without TLS, unless the configuration says so.
- What is asked of TLS (`mailplat.agents.tls_demands`) holds for each connection that has mail.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import SystemRandom
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, DeferredSemaphore
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from zope.interface import implementer

from mailplat.agents.contents import NO_BODY, examine
from mailplat.agents.exchangers import Exchangers, find_addresses, find_exchangers
from mailplat.agents.handover import Letter, Server, Tried, answered, hand_over
from mailplat.agents.sts_policies import StsPolicies
from mailplat.agents.tls_demands import (
    CLEAR,
    NO_TLS_PATH,
    Demand,
    DomainTLS,
    TLSDemands,
    TLSEntry,
    TLSPolicy,
)
from mailplat.agents.tls_notes import TLSNotes
from mailplat.interfaces.agents import Attempt, IClosingAgent, IVerifyingAgent
from mailplat.interfaces.resolver import IResolver
from mailplat.model.credentials import TokenCredentials
from mailplat.model.envelope import Recipient, Sender
from mailplat.model.outcome import Deferred as DeferredOutcome
from mailplat.model.outcome import Outcome
from mailplat.model.reply import Reply
from mailplat.net.channel_options import ChannelOptions
from mailplat.net.client_tls import ClientContexts, ClientTLS
from mailplat.net.factory import SessionIds
from mailplat.net.smtp_client import (
    PeerLost,
    SmtpChannel,
    TLSFailed,
    Unreachable,
    open_channel,
)
from mailplat.net.smtp_pool import ChannelPool, PoolOptions
from mailplat.net.timed_cache import TimedCache
from mailplat.proto.sasl.client import ClientCredentials
from mailplat.proto.smtp.transfer import Contents

__all__ = ["RelayAgent", "RelayOptions", "Smarthost", "tcp_endpoint"]

NO_TLS = Reply.of(451, "TLS is required, and the server does not offer it", "4.7.4")
NO_CLEAR_LOGIN = Reply.of(451, "No log-in without TLS", "4.7.11")
NO_TOKEN = Reply.of(451, "There is no token to log in with", "4.7.0")
NO_MECHANISM = Reply.of(451, "The server offers no way to log in that we know", "4.7.0")
_TLS_STATUS = {"4.7.4", "4.7.5"}
OURSELVES = Reply.of(451, "The server calls itself by our own name", "4.4.6")
NOT_TRIED = Reply.of(451, "Not tried yet", "4.3.2")
_DEAD_HOSTS = 10_000


@dataclass(frozen=True, slots=True)
class Smarthost:
    """The one server that everything goes to.

    Attributes:
        host: Its name, which has addresses and needs no MX, or its address.
        port: 587 or 25; 465 with ``implicit_tls``.
        implicit_tls: Whether TLS begins with the first byte (RFC 8314 §3.3).
        credentials: To log in with; None for no log-in.
        clear_passwords: Whether to log in without TLS too.
        token_file: Holds the token of the credentials, and is read for each log-in: tokens get
            old within the hour.
    """

    host: str
    port: int = 587
    implicit_tls: bool = False
    credentials: ClientCredentials | None = None
    token_file: Path | None = None
    clear_passwords: bool = False


@dataclass(frozen=True, slots=True)
class RelayOptions:
    """How mail is relayed.  Times are in seconds.

    Attributes:
        channel: How to speak, with our own host name, and how long to wait.
        pool: How many connections wait for another mail.
        tls: What is asked of TLS at least: one of the first four.
        tls_entries: What is asked for some domains; see `TLSDemands`.
        dane: Whether what DNS demands by DANE is heeded.
        smarthost: Where everything goes; None to ask DNS for each domain.
        port: Of mail exchangers.
        connect: How long connecting may take.
        addresses: How many addresses are tried in one attempt (Postfix: 5).
        at_once: Recipients of one transaction (RFC 5321 §4.5.3.1.8: 100 are always taken).
        domains: Domains of one attempt that are served side by side.
        dead_time: How long a host that could not be reached is left alone.
        own_names: Further names of this host: an exchanger with one of them is us.
    """

    channel: ChannelOptions
    pool: PoolOptions = field(default_factory=PoolOptions)
    tls: TLSPolicy = TLSPolicy.OPPORTUNISTIC
    tls_entries: Mapping[str, TLSEntry] = field(default_factory=dict)
    dane: bool = True
    smarthost: Smarthost | None = None
    port: int = 25
    connect: float = 30.0
    addresses: int = 5
    at_once: int = 100
    domains: int = 20
    dead_time: float = 300.0
    own_names: Collection[str] = ()


def tcp_endpoint(reactor: Any, timeout: float, address: str, port: int) -> IStreamClientEndpoint:
    """Make the endpoint of an IP address."""
    kind = TCP6ClientEndpoint if ":" in address else TCP4ClientEndpoint
    endpoint: IStreamClientEndpoint = kind(reactor, address, port, timeout=timeout)
    return endpoint


@implementer(IClosingAgent, IVerifyingAgent)
class RelayAgent:
    """Brings mail to other servers.

    Args:
        reactor: Opens connections and tells the time.
        resolver: Asks DNS.
        contexts: For TLS.
        options: How.
        policies: What domains demand by MTA-STS; None heeds none.
        notes: Takes note of what came of TLS.
        endpoint: Makes the endpoint of an address and a port; None for TCP.
        shuffle: Puts a list into random order; None for the system's randomness.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        resolver: IResolver,
        contexts: ClientContexts,
        options: RelayOptions,
        *,
        policies: StsPolicies | None = None,
        notes: TLSNotes | None = None,
        endpoint: Callable[[str, int], IStreamClientEndpoint] | None = None,
        shuffle: Callable[[list[Any]], None] | None = None,
    ) -> None:
        self._reactor = reactor
        self._resolver = resolver
        self._contexts = contexts
        self._options = options
        self._endpoint = endpoint or partial(tcp_endpoint, reactor, options.connect)
        self._shuffle = shuffle or SystemRandom().shuffle
        self._own_names = {
            name.lower().removesuffix(".") for name in (options.channel.name, *options.own_names)
        }
        self._notes = notes
        self._demands = TLSDemands(
            resolver,
            options.tls,
            entries=options.tls_entries,
            dane=options.dane,
            policies=policies,
            notes=notes,
        )
        self._pool = ChannelPool(options.pool)
        self._dead: TimedCache[tuple[str, int], Reply] = TimedCache(
            reactor.seconds, entries=_DEAD_HOSTS
        )
        self._ids = SessionIds()

    async def deliver(self, attempt: Attempt) -> Mapping[Recipient, Outcome]:
        """See `IDeliveryAgent.deliver`."""
        contents, body = await examine(attempt.body)
        letter = Letter(attempt.queue_id, attempt.sender, contents, body)
        outcomes: dict[Recipient, Outcome] = {}
        groups = self._grouped(attempt.recipients)
        if len(groups) == 1:
            ((domain, recipients),) = groups.items()
            await self._to_domain(letter, domain, recipients, outcomes)
        else:
            turns = DeferredSemaphore(self._options.domains)
            started = [
                turns.run(self._started, letter, domain, recipients, outcomes)
                for domain, recipients in groups.items()
            ]
            # cancelled, each of them still fills in what it knows
            await DeferredList(started, consumeErrors=True)
            for recipient in attempt.recipients:  # whose turn did not come any more
                outcomes.setdefault(recipient, DeferredOutcome(NOT_TRIED))
        return outcomes

    async def verify(self, recipient: Recipient) -> Outcome:
        """See `IVerifyingAgent.verify`; the same servers are asked that mail would go to."""
        letter = Letter("verify", Sender(None), Contents(0), NO_BODY, verify=True)
        outcomes: dict[Recipient, Outcome] = {}
        (domain,) = self._grouped([recipient])
        await self._to_domain(letter, domain, [recipient], outcomes)
        return outcomes[recipient]

    async def close(self) -> None:
        """Say goodbye to all servers; comes back when the last connection is gone."""
        await self._pool.close()

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return self._pool.open

    def _grouped(self, recipients: Sequence[Recipient]) -> dict[str, list[Recipient]]:
        if self._options.smarthost is not None:
            return {"": list(recipients)}
        groups: dict[str, list[Recipient]] = {}
        for recipient in recipients:
            groups.setdefault(recipient.address.domain.lower(), []).append(recipient)
        return groups

    def _started(
        self,
        letter: Letter,
        domain: str,
        recipients: Sequence[Recipient],
        outcomes: dict[Recipient, Outcome],
    ) -> Deferred[None]:
        return Deferred.fromCoroutine(self._to_domain(letter, domain, recipients, outcomes))

    # One domain.

    async def _to_domain(
        self,
        letter: Letter,
        domain: str,
        recipients: Sequence[Recipient],
        outcomes: dict[Recipient, Outcome],
    ) -> None:
        tried = Tried(outcomes, tuple(recipients))
        await answered(self._try_hosts(letter, domain, tried), outcomes, recipients, domain)

    async def _try_hosts(self, letter: Letter, domain: str, tried: Tried) -> None:
        """Try the hosts of a domain until nobody is left."""
        found = await self._hosts(domain)
        if isinstance(found, Reply):
            tried.settle(found, domain)
            return
        # RFC 8689 §4.2.1; a report is not lost for want of it (§5)
        needs_tls = letter.sender.require_tls and letter.sender.address is not None
        smarthost = self._options.smarthost
        asked = self._demands.domain(
            domain if smarthost is None else smarthost.host,
            found,
            self._port,
            published=smarthost is None,
            needs_tls=needs_tls,
            optional=letter.contents.tls_optional and smarthost is None,
        )
        tries, where = self._options.addresses, domain
        for host in found.hosts:
            if not tries or not tried.left:
                break
            reached = await self._reached(host, asked)
            if isinstance(reached, Reply):
                # a host without an address does not condemn the domain, unless all are
                tried.why = reached if tried.why is None or tried.why.permanent else tried.why
                continue
            addresses, demand = reached
            for address in addresses:
                if not tries or not tried.left:
                    break
                server = self._server(host, address, demand)
                where = server.where
                dead = self._dead.find((address, self._port))
                if dead is not None:
                    tried.why = dead
                    continue
                tries -= 1
                await hand_over(server, self._pool, letter, tried, at_once=self._options.at_once)
                if isinstance(tried.lost, Unreachable):
                    self._dead.keep(
                        (address, self._port), tried.lost.reply, self._options.dead_time
                    )
                self._log_tried(letter, where, tried)
        if tried.why is not None:
            untrusted = needs_tls and tried.why.status in _TLS_STATUS
            tried.settle(NO_TLS_PATH if untrusted else tried.why, where)

    def _log_tried(self, letter: Letter, where: str, tried: Tried) -> None:
        if tried.left and tried.why is not None:
            self.log.info(
                "{queue_id}: {where} did not take it for {count}: {reply}",
                queue_id=letter.queue_id,
                where=where,
                count=len(tried.left),
                reply=tried.why.text,
            )

    async def _reached(self, host: str, asked: DomainTLS) -> tuple[tuple[str, ...], Demand] | Reply:
        """Find out where a host is and what is asked of it; a reply says why it is of no use."""
        addresses = await find_addresses(self._resolver, host)
        if isinstance(addresses, Reply):
            return addresses
        demand = await asked.demand(host)
        return demand if isinstance(demand, Reply) else (addresses, demand)

    async def _hosts(self, domain: str) -> Exchangers | Reply:
        smarthost = self._options.smarthost
        if smarthost is not None:
            return Exchangers((smarthost.host,), authentic=True)
        return await find_exchangers(
            self._resolver, domain, own_names=self._own_names, shuffle=self._shuffle
        )

    # One server.

    @property
    def _port(self) -> int:
        smarthost = self._options.smarthost
        return self._options.port if smarthost is None else smarthost.port

    def _server(self, host: str, address: str, demand: Demand) -> Server:
        name = host if host == address else f"{host}[{address}]"
        key: Hashable = (host, address, demand)
        return Server(key, f"{name}:{self._port}", partial(self._connect, host, address, demand))

    async def _connect(self, host: str, address: str, demand: Demand) -> SmtpChannel:
        """Open a connection that mail can go over.

        Raises:
            PeerLost: There is none.
        """
        smarthost = self._options.smarthost
        try:
            channel = await self._open(host, address, demand)
        except TLSFailed:
            if demand.mandatory or (smarthost is not None and smarthost.implicit_tls):
                raise
            channel = await self._open(host, address, CLEAR)  # RFC 7435 §3
        fault = self._fault(channel, demand)
        try:
            if fault is None and smarthost is not None and smarthost.credentials is not None:
                fault = await _log_in(channel, smarthost, smarthost.credentials)
        except BaseException:
            channel.abort()
            raise
        if fault is not None:
            channel.quit()
            raise PeerLost(fault)
        return channel

    def _fault(self, channel: SmtpChannel, demand: Demand) -> Reply | None:
        if demand.mandatory and not channel.protected:
            return NO_TLS
        if self._options.smarthost is None and channel.offers.name.lower() in self._own_names:
            return OURSELVES
        return None

    async def _open(self, host: str, address: str, demand: Demand) -> SmtpChannel:
        smarthost = self._options.smarthost
        implicit = smarthost is not None and smarthost.implicit_tls
        tls = self._contexts.begin(
            demand.server or host,
            verified=demand.tls is TLSPolicy.VERIFIED,
            names=demand.names,
            observed=demand.observed,
            dane=demand.dane,
        )
        channel = await open_channel(
            self._endpoint(address, self._port),
            self._options.channel,
            clock=self._reactor,
            session_id=self._ids(),
            tls=tls if implicit else None,
            begun=self._pool.add,
        )
        if implicit or demand.tls is TLSPolicy.NEVER:
            return channel
        secured = False
        try:
            if channel.offers.starttls:
                secured = await channel.secure(tls)
        except BaseException as error:
            channel.abort()
            if isinstance(error, TLSFailed):
                self._note(demand, tls, host, address, channel, "validation-failure")
            raise
        self._note(demand, tls, host, address, channel, "" if secured else "starttls-not-supported")
        return channel

    def _note(
        self,
        demand: Demand,
        tls: ClientTLS,
        host: str,
        address: str,
        channel: SmtpChannel,
        result: str,
    ) -> None:
        """Take note of a session under a published policy, or none."""
        if self._notes is None or demand.applied is None:
            return
        why = ""
        if tls.flaw is not None:
            result, why = tls.flaw.kind.value, tls.flaw.text
        elif demand.misnamed and not result:
            result, why = "validation-failure", "not in the policy"
        self._notes.note(
            demand.applied,
            result,
            host=host,
            address=address,
            source=channel.local_address,
            why=why,
        )


async def _log_in(
    channel: SmtpChannel, smarthost: Smarthost, credentials: ClientCredentials
) -> Reply | None:
    """Log in; give the reason if that fails.  It is never the mail's fault."""
    if not channel.protected and not smarthost.clear_passwords:
        return NO_CLEAR_LOGIN
    if smarthost.token_file is not None:
        try:
            token = await deferToThread(smarthost.token_file.read_text)
        except (OSError, ValueError) as error:
            RelayAgent.log.error(
                "cannot read {file}: {error}", file=str(smarthost.token_file), error=str(error)
            )
            return NO_TOKEN
        credentials = TokenCredentials(token.strip(), credentials.authzid)
    reply = await channel.login(credentials, clear=smarthost.clear_passwords)
    if reply is None:
        return NO_MECHANISM
    if reply.positive:
        return None
    return Reply(451, ("The server does not let us log in", *reply.lines), "4.7.8")
