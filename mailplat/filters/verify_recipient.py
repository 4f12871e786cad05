"""Asks the next server whether it takes mail for a recipient, before we do (a callout).

For domains whose mail goes on to another server (a backup MX, a gateway): what that one would
refuse is refused at RCPT, and never bounces to somebody whose name was forged.

Invariants:

- The question is MAIL FROM:<> and RCPT, by the way that mail would take; no message follows.
- Answers are remembered in the policy table, those for good longer than refusals; that nobody
  answers is not remembered, the relay does that for each server.
- Equal questions that are asked at once are asked once; so many are under way at most.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs
from twisted.internet.defer import Deferred, DeferredSemaphore, TimeoutError
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mailplat.config.option import option
from mailplat.config.values import Duration, duration
from mailplat.filters.clients import ClientOptions, PolicyAction, judge
from mailplat.interfaces.filters import Context, IFilter, IStages, Stage, Stages
from mailplat.interfaces.plugins import FilterSettings
from mailplat.interfaces.policy_table import Kept
from mailplat.model.address import Address
from mailplat.model.envelope import Recipient
from mailplat.model.errors import ConfigurationFault
from mailplat.model.reply import Reply
from mailplat.model.verdict import CONTINUE, Verdict

__all__ = ["VerifyRecipientFilter", "VerifyRecipientOptions"]

_log = Logger()

_LATE = Reply.of(451, "The next server took too long", "4.4.1")


@attrs.frozen(kw_only=True)
class VerifyRecipientOptions(ClientOptions):
    """The filter ``verify_recipient``."""

    unknown: PolicyAction = option(
        PolicyAction.REJECT,
        meaning="For recipients that the next server refuses.",
        precedent="Postfix reject_unverified_recipient",
    )
    no_answer: PolicyAction = option(
        PolicyAction.CONTINUE,
        meaning="Where the next server cannot be reached, or says neither yes nor no. A backup MX "
        "takes mail just then.",
        precedent="Postfix unverified_recipient_tempfail_action (defer)",
    )
    time: Duration = option(
        duration("20s"),
        least=0.01,
        meaning="How long to wait for the next server. Its answer is remembered even if it is "
        "late. The filter's own `timeout` (30 s) must be longer.",
        precedent="Postfix address_verify_poll_count, address_verify_poll_delay (9 s)",
    )
    keep_known: Duration = option(
        duration("31d"),
        least=0,
        meaning="How long it is remembered that a recipient is there.",
        precedent="Postfix address_verify_positive_expire_time (31 days)",
    )
    keep_unknown: Duration = option(
        duration("3h"),
        least=0,
        meaning="How long it is remembered that it is not.",
        precedent="Postfix address_verify_negative_refresh_time (3 h)",
    )
    questions: int = option(
        20, unit="questions", least=1, meaning="How many are under way at once; others wait."
    )


@implementer(IFilter)
class VerifyRecipientFilter:
    """Asks next servers.

    Args:
        name: What log lines call it, and the table's keys.
        argument: Nothing.
        options: How long.
        settings: Who asks, and the policy table.

    Raises:
        ConfigurationFault: There is nobody to ask, or nothing to remember in.
    """

    stages = (Stage.RECIPIENT,)
    reads_only = True

    def __init__(
        self,
        name: str,
        argument: str,
        options: VerifyRecipientOptions,
        settings: FilterSettings,
    ) -> None:
        if settings.policy is None or settings.verify is None:
            raise ConfigurationFault("verify_recipient needs the policy table and a relay")
        self.name = name
        self._options = options
        self._reactor = settings.reactor
        self._now = settings.now
        self._table = settings.policy
        self._verify: Callable[[Address], Awaitable[Reply | None]] = settings.verify
        self._turns = DeferredSemaphore(options.questions)
        self._asking: dict[str, list[Deferred[Reply | None]]] = {}

    def open(self) -> IStages:
        """See `IFilter.open`: nothing is remembered of a connection."""
        return _Verified(self)

    async def verdict(self, context: Context, recipient: Recipient) -> Verdict:
        """Ask what is not known yet."""
        if context.account is not None:
            return CONTINUE  # its mail bounces to somebody who is there
        key = f"{self.name}:v:{'@'.join(recipient.address.key)}"
        known = await self._table.update([key], lambda values: (values.get(key, ""), {}))
        reply = _read(known) if known else await self._ask(key, recipient.address)
        if reply is None or reply.positive:
            return CONTINUE
        if reply.permanent:
            return judge(
                self._options.unknown,
                "The next server does not take mail for this recipient",
                f"the next server said {reply.code} {reply.status} {reply.text}",
                tag="recipient-unknown",
                status="1.1",
            )
        return judge(
            self._options.no_answer,
            "Whether this recipient is there cannot be found out now",
            f"the next server said {reply.code} {reply.status} {reply.text}",
            tag="recipient-unverified",
            status="4.1",
        )

    async def _ask(self, key: str, address: Address) -> Reply | None:
        """Ask, or wait for the answer to the same question."""
        waiter: Deferred[Reply | None] = Deferred()  # cancelled, it takes its result in silence
        waiting = self._asking.setdefault(key, [])
        waiting.append(waiter)
        if len(waiting) == 1:
            asked = self._turns.run(lambda: Deferred.fromCoroutine(self._answer(key, address)))
            asked.addBoth(self._tell, key)
        try:
            return await waiter.addTimeout(self._options.time, self._reactor)
        except TimeoutError:
            return _LATE

    def _tell(self, result: Reply | Failure | None, key: str) -> None:
        for waiter in self._asking.pop(key):
            if isinstance(result, Failure):
                waiter.errback(result)
            else:
                waiter.callback(result)

    async def _answer(self, key: str, address: Address) -> Reply | None:
        reply = await self._verify(address)
        if reply is None or reply.transient:
            return reply
        keep = self._options.keep_known if reply.positive else self._options.keep_unknown
        kept = Kept(f"{reply.code} {reply.status or '-'} {reply.text[:200]}", self._now() + keep)
        await self._table.update([key], lambda values: (None, {key: kept}))
        _log.info("verified {address}: {code}", address=str(address), code=reply.code)
        return reply


def _read(kept: str) -> Reply:
    code, status, text = kept.split(" ", 2)
    return Reply.of(int(code), text, "" if status == "-" else status)


@implementer(IStages)
class _Verified(Stages):
    def __init__(self, verifying: VerifyRecipientFilter) -> None:
        self._verifying = verifying

    async def recipient(self, context: Context, recipient: Recipient) -> Verdict:
        """Ask for each recipient."""
        return await self._verifying.verdict(context, recipient)
