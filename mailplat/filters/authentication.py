"""Says who a message is from: SPF at MAIL, DKIM, ARC and DMARC at the end of the message.

Mail that a forwarder or a mailing list changed fails DMARC; if all who sealed it are trusted, and
the first of them found that it passed, what they say counts (RFC 8617 §7.2).

What was found goes into one Authentication-Results field; fields that claim to be ours are taken
out, whoever sends them (RFC 8601 §5).  Mail of accounts that logged in is not checked: it is ours.

Invariants:

- Whatever goes wrong in a check is its TEMPERROR: mail goes on, or waits if the operator says so.
- No words of a domain or of an exception reach the peer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from random import SystemRandom
from typing import Any, TypeVar

import attrs
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.logger import Logger
from zope.interface import implementer

from mailplat.config.option import option
from mailplat.config.values import Domain
from mailplat.filters.asking import ResolverLookups
from mailplat.filters.dmarc_rows import noted
from mailplat.filters.reading import each_block, in_thread
from mailplat.interfaces.dmarc import IDmarcResults
from mailplat.interfaces.filters import Context, IFilter, IStages, Mail, Stage, Stages
from mailplat.interfaces.plugins import FilterSettings
from mailplat.message import headers
from mailplat.message.auth import dmarc, spf
from mailplat.message.auth.arc import Chain, ChainVerifier
from mailplat.message.auth.authentication_results import (
    NAME,
    authentication_results,
    claims_to_be_from,
    read_results,
)
from mailplat.message.auth.dkim import Limits, Verified, Verifier
from mailplat.message.auth.dmarc import Policy
from mailplat.message.auth.iprev import check_reverse
from mailplat.message.auth.organisations import organisation
from mailplat.message.auth.result import Finding, Result
from mailplat.model.envelope import Sender
from mailplat.model.errors import ConfigurationFault
from mailplat.model.verdict import CONTINUE, Action, AddHeader, Change, RemoveHeader, Verdict

__all__ = ["AuthenticationFilter", "AuthenticationOptions", "CheckOptions", "read_options"]

T = TypeVar("T")

_log = Logger()

_MOST_FORGED = 20
"""Forged fields that are taken out one by one; where there are more, all of the name go."""

_ACTIONS = {action.name.lower(): action for action in Action if action is not Action.ACCEPT}


@attrs.frozen(kw_only=True)
class CheckOptions:
    """What is believed."""

    trusted_sealers: tuple[Domain, ...] = option(
        (),
        meaning="The domains whose ARC seals are believed: forwarders and mailing lists. A message "
        "whose sealers are all among them, and whose first one found that it passed DMARC, is "
        "not held against the policy that it fails here.",
        precedent="Rspamd whitelisted_signers_map; Microsoft 365 trusted ARC sealers",
        example=("lists.example.net",),
    )
    key_bits: int = option(
        1024,
        unit="bits",
        least=512,
        most=4096,
        meaning="The smallest RSA key whose signatures count.",
        precedent="RFC 8301 §3.2 (1024)",
    )
    partial_bodies: bool = option(
        False,
        meaning="Whether a signature counts that leaves the end of the body out (`l=`): anything "
        "may have been added there.",
        precedent="RFC 6376 §8.2",
    )


@dataclass(frozen=True, slots=True)
class AuthenticationOptions:
    """What becomes of mail.

    Attributes:
        host: The name that Authentication-Results vouches with.
        none: For mail that fails a DMARC policy of none.
        quarantine: For mail that fails a policy of quarantine.
        reject: For mail that fails a policy of reject.
        spf_fail: For mail from hosts that the sender's domain does not allow.
        temperror: For mail that cannot be checked now.
        time: Seconds that SPF may take, and that everything else may (RFC 7208 §4.6.4).
    """

    host: str
    none: Action = Action.CONTINUE
    quarantine: Action = Action.QUARANTINE
    reject: Action = Action.REJECT
    spf_fail: Action = Action.CONTINUE
    temperror: Action = Action.CONTINUE
    time: float = 20.0


def read_options(argument: str, host: str) -> AuthenticationOptions:
    """Read ``reject=quarantine,spf_fail=reject,host=mx.example.org``.

    Raises:
        ConfigurationFault: It cannot be read.
    """
    found: dict[str, Any] = {"host": host}
    for word in filter(None, (one.strip() for one in argument.split(","))):
        name, _, value = (one.strip() for one in word.partition("="))
        if name == "host" and value:
            found[name] = value
        elif name in ("none", "quarantine", "reject", "spf_fail", "temperror"):
            if value not in _ACTIONS:
                raise ConfigurationFault(
                    f"authentication: {name} is one of {', '.join(_ACTIONS)}, not {value!r}"
                )
            found[name] = _ACTIONS[value]
        else:
            raise ConfigurationFault(
                f"authentication: {word!r} is none of its options, which are none, quarantine, "
                "reject, spf_fail, temperror (each with an action) and host (with a name)"
            )
    return AuthenticationOptions(**found)


@implementer(IFilter)
class AuthenticationFilter:
    """Checks SPF, DKIM, DMARC and the client's name.

    Args:
        name: What log lines call it.
        options: What becomes of mail.
        settings: The reactor and the resolver.
        draw: Gives a number from 0 up to 100, by chance.

    Raises:
        ConfigurationFault: There is no resolver.
    """

    stages = (Stage.SENDER, Stage.MESSAGE)

    def __init__(
        self,
        name: str,
        options: AuthenticationOptions,
        settings: FilterSettings,
        draw: Callable[[], float] = lambda: 100 * SystemRandom().random(),
    ) -> None:
        if settings.resolver is None:
            raise ConfigurationFault("authentication needs the DNS, and there is no resolver")
        organisation("example.org")  # reads the list of public suffixes, before any mail waits
        self.name = name
        self._options = options
        self._reactor = settings.reactor
        self._lookups = ResolverLookups(settings.resolver)
        self._now = settings.now
        self._draw = draw
        self._trust = _trust(settings.options or CheckOptions())
        self._results = settings.dmarc_results

    def open(self) -> IStages:
        """See `IFilter.open`."""
        return _Authentication(
            self._options,
            self._reactor,
            self._lookups,
            self._now,
            self._draw,
            self._trust,
            self._results,
        )


@dataclass(frozen=True, slots=True)
class _Trust:
    """What is believed: whose seals, and which signatures."""

    sealers: frozenset[str]
    limits: Limits


def _trust(options: CheckOptions) -> _Trust:
    limits = Limits(key_bits=options.key_bits, partial_bodies=options.partial_bodies)
    return _Trust(frozenset(options.trusted_sealers), limits)


@dataclass(frozen=True, slots=True)
class _Checked:
    """What was found in a message."""

    dkim: Sequence[Verified]
    arc: Chain
    dmarc: dmarc.Evaluated


@implementer(IStages)
class _Authentication(Stages):
    def __init__(
        self,
        options: AuthenticationOptions,
        reactor: Any,
        lookups: ResolverLookups,
        now: Callable[[], float],
        draw: Callable[[], float],
        trust: _Trust,
        results: IDmarcResults | None,
    ) -> None:
        self._options = options
        self._reactor = reactor
        self._lookups = lookups
        self._now = now
        self._draw = draw
        self._trust = trust
        self._results = results
        self._spf: spf.Checked | None = None

    async def sender(self, context: Context, sender: Sender) -> Verdict:
        """Check SPF."""
        self._spf = None
        if context.account is not None or not context.peer.address:
            return CONTINUE
        path = "" if sender.address is None else f"{sender.address.local}@{sender.address.domain}"
        client = spf.Client(
            context.peer.address, context.helo, path, self._options.host, int(self._now())
        )
        identity = "mailfrom" if path else "helo"
        subject = path or context.helo
        domain = subject.rpartition("@")[2]
        unknown = spf.Checked(Result.TEMPERROR, identity, domain, subject, "check failed")
        self._spf = await self._in_time(context, spf.check(client, self._lookups), unknown)
        if self._spf.result is Result.FAIL:
            return _verdict(
                self._options.spf_fail, "The sender's domain does not allow this host (SPF)",
                "7.23",
            )  # fmt: skip
        if self._spf.result is Result.TEMPERROR:
            return _verdict(self._options.temperror, "Cannot check the sender now (SPF)", "7.24")
        return CONTINUE

    async def message(self, context: Context, mail: Mail) -> Verdict:
        """Check the rest, and write down what was found."""
        changes = _forged(mail.header, self._options.host)
        if context.account is not None:
            return Verdict(changes=changes)
        findings: list[Finding] = []
        evaluated = dmarc.Evaluated(Result.TEMPERROR, reason="check failed")
        unknown = _Checked((), Chain(Result.NONE), evaluated)
        if context.peer.address:
            reverse = check_reverse(context.peer.address, self._lookups)
            failed = Finding("iprev", Result.TEMPERROR, reason="check failed")
            findings.append(await self._in_time(context, reverse, failed))
        if self._spf is not None:
            findings.append(self._spf.finding)
        checked = await self._in_time(context, self._checked(mail), unknown)
        findings += [one.finding for one in checked.dkim] or [Finding("dkim", Result.NONE)]
        findings += [checked.arc.finding] if checked.arc.result is not Result.NONE else []
        findings.append(checked.dmarc.finding)
        value = authentication_results(self._options.host, findings)
        vouched = _vouched_for(checked, self._trust.sealers)
        verdict = CONTINUE if vouched else self._decide(checked.dmarc)
        if vouched:
            _log.info(
                "{session} DMARC fails for {domain}, and sealers vouch for it: {sealers}",
                session=context.session_id,
                domain=checked.dmarc.domain,
                sealers=", ".join(domain for domain, _ in checked.arc.sealers),
            )
        if self._results is not None and context.peer.address:
            noted(
                self._results,
                self._now(),
                context,
                mail.envelope.sender,
                checked.dmarc,
                checked.dkim,
                self._spf,
                verdict.action,
                checked.arc if vouched else None,
            )
        return Verdict(
            verdict.action, verdict.reply, (*changes, AddHeader(NAME, value)), verdict.reason
        )

    async def _checked(self, mail: Mail) -> _Checked:
        """Check DKIM and ARC, then DMARC."""
        limits = self._trust.limits
        verifier, chain = Verifier(mail.header, limits), ChainVerifier(mail.header, limits)

        def receive(block: bytes) -> None:
            verifier.receive(block)
            chain.receive(block)

        if verifier.needs_body or chain.needs_body:
            reading = partial(each_block, mail.body, len(mail.header), receive)
            await in_thread(self._reactor, mail.body, reading)
        verified = await verifier.results(self._lookups.txt, self._now())
        arc = await chain.result(self._lookups.txt)
        evaluated = await dmarc.evaluate(
            mail.header,
            verified,
            self._spf,
            self._lookups.txt,
            organisation,
            self._draw(),
            self._lookups.exists,
        )
        return _Checked(verified, arc, evaluated)

    def _decide(self, evaluated: dmarc.Evaluated) -> Verdict:
        """Say what becomes of the mail (RFC 7489 §10.3)."""
        options = self._options
        if evaluated.result in (Result.FAIL, Result.PERMERROR):
            action = {
                Policy.NONE: options.none,
                Policy.QUARANTINE: options.quarantine,
                Policy.REJECT: options.reject,
            }[evaluated.policy]
            return _verdict(action, "The domain in From does not vouch for it (DMARC)", "7.1")
        if evaluated.result is Result.TEMPERROR:
            return _verdict(options.temperror, "Cannot check who the message is from now", "7.0")
        return CONTINUE

    async def _in_time(
        self, context: Context, check: Coroutine[Any, Any, T] | Awaitable[T], otherwise: T
    ) -> T:
        """Wait for a check; what goes wrong in it is the log's business, and a TEMPERROR."""

        async def waited() -> T:
            return await check

        try:
            return await Deferred.fromCoroutine(waited()).addTimeout(
                self._options.time, self._reactor
            )
        except CancelledError:
            raise  # the connection is gone, or the chain waited too long
        except TimeoutError:
            _log.info("{session} a check of authentication took long", session=context.session_id)
            return otherwise
        except Exception:
            _log.failure("{session} a check of authentication failed", session=context.session_id)
            return otherwise


def _vouched_for(checked: _Checked, trusted: frozenset[str]) -> bool:
    """Tell whether sealers whom we trust vouch for mail that fails DMARC here.

    All who sealed have to be trusted: any of them could have changed the message.  What the first
    one found is what counts; it has to be about the same domain.
    """
    if checked.dmarc.result is not Result.FAIL or checked.arc.result is not Result.PASS:
        return False
    if not all(domain in trusted for domain, _ in checked.arc.sealers):
        return False
    first = checked.arc.links[0].results
    _, _, results = first.partition(b";")  # behind its number stands a server's name
    return any(
        one.method == "dmarc"
        and one.result is Result.PASS
        and dict(one.properties).get("header.from", "").lower() == checked.dmarc.domain
        for one in read_results(results.partition(b";")[2])
    )


def _verdict(action: Action, text: str, status: str) -> Verdict:
    if action is Action.REJECT:
        return Verdict.reject(text, status=f"5.{status}")
    if action is Action.DEFER:
        return Verdict.defer(text, status=f"4.{status}")
    return CONTINUE if action is Action.CONTINUE else Verdict(action, reason=text)


def _forged(header: bytes, host: str) -> tuple[Change, ...]:
    """Take out what claims to be ours."""
    forged = {
        value
        for value in headers.every(header, NAME.lower().encode())
        if claims_to_be_from(value, host)
    }
    if len(forged) > _MOST_FORGED:
        return (RemoveHeader(NAME),)
    return tuple(RemoveHeader(NAME, value) for value in sorted(forged))
