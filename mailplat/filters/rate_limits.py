"""How much mail may come in a time, for each client, sender, account or recipient.

The count runs smoothly (a token bucket): an allowance may be used up at once, and comes back evenly
over its period.  Messages are counted at MAIL, recipients and whatever goes by recipients at RCPT.

Invariants: what is refused costs nothing, under no rule; all rules of a stage are one step, also
where several servers share them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import attrs
from zope.interface import implementer

from mailplat.config.option import option, required
from mailplat.config.values import Duration, Network, duration
from mailplat.filters.clients import PolicyAction, judge
from mailplat.interfaces.filters import Context, IFilter, IStages, Stage, Stages
from mailplat.interfaces.plugins import FilterSettings
from mailplat.interfaces.policy_table import Kept
from mailplat.model.address import Address
from mailplat.model.envelope import Recipient, Sender
from mailplat.model.errors import ConfigurationFault
from mailplat.model.verdict import CONTINUE, Verdict
from mailplat.net.limits import network_of, prefix_of
from mailplat.net.networks import Networks
from mailplat.net.timed_cache import TimedCache

__all__ = ["By", "Counted", "RateLimitsFilter", "RateLimitsOptions", "RateOptions", "take"]


class By(StrEnum):
    """Under what mail is counted."""

    CLIENT = "client"
    CLIENT_PREFIX = "client_prefix"
    SENDER = "sender"
    SENDER_DOMAIN = "sender_domain"
    ACCOUNT = "account"
    RECIPIENT = "recipient"
    RECIPIENT_DOMAIN = "recipient_domain"


class Counted(StrEnum):
    """What is counted."""

    MESSAGES = "messages"
    RECIPIENTS = "recipients"


_AT_RCPT = (By.RECIPIENT, By.RECIPIENT_DOMAIN)


@attrs.frozen(kw_only=True)
class RateOptions:
    """One limit."""

    by: By = required(
        meaning="Under what mail is counted: `client` is an IPv4 address or an IPv6 /64, "
        "`client_prefix` a /24 or a /48.",
        example="client",
    )
    count: Counted = option(
        Counted.MESSAGES,
        meaning="What is counted. By recipient or its domain a message counts once for each.",
    )
    most: int = option(
        100,
        unit="times",
        least=1,
        meaning="How many may come in a period.",
        precedent="Postfix smtpd_client_message_rate_limit",
    )
    period: Duration = option(
        duration("1h"), least=1, meaning="The period.", precedent="Postfix anvil_rate_time_unit"
    )


@attrs.frozen(kw_only=True)
class RateLimitsOptions:
    """The filter ``rate_limits``."""

    limits: tuple[RateOptions, ...] = option((), meaning="The limits; each holds by itself.")
    action: PolicyAction = option(
        PolicyAction.DEFER, meaning="What becomes of mail beyond a limit.", precedent="Postfix"
    )
    trusted: tuple[Network, ...] = option(
        (Network("127.0.0.0/8"), Network("::1/128")),
        meaning="Networks whose clients are not counted, unless they log in.",
        precedent="Postfix smtpd_client_event_limit_exceptions",
    )
    shared: bool = option(
        False,
        meaning="Whether counts are kept in the policy table: all servers on one database count "
        "together then, and a restart forgets nothing.",
    )
    max_entries: int = option(
        100_000,
        unit="names",
        least=100,
        meaning="How many names are remembered, if not shared; the one used longest ago goes.",
    )


def take(
    keys: Mapping[str, RateOptions], values: Mapping[str, str], now: float
) -> tuple[str, Mapping[str, Kept]]:
    """Count once under each key, or not at all.

    Args:
        keys: With the limit of each.
        values: When what was taken under a key will have come back, seconds since 1970 UTC.
        now: The time.

    Returns:
        The key whose limit is reached, ``""`` if none is; and what to remember.
    """
    changed = {}
    for key, limit in keys.items():
        paid = max(now, float(values.get(key, now))) + limit.period / limit.most
        if paid > now + limit.period * (1 + 1e-9):  # the slack is for sums of floats
            return key, {}
        changed[key] = Kept(repr(paid), paid)
    return "", changed


@implementer(IFilter)
class RateLimitsFilter:
    """Counts mail.

    Args:
        name: What log lines call it, and the table's keys.
        argument: Nothing.
        options: The limits.
        settings: The clock, and the policy table.

    Raises:
        ConfigurationFault: There is no limit, or nothing to share counts by.
    """

    stages = (Stage.SENDER, Stage.RECIPIENT)

    def __init__(
        self, name: str, argument: str, options: RateLimitsOptions, settings: FilterSettings
    ) -> None:
        if options.shared and settings.policy is None:
            raise ConfigurationFault("rate_limits: shared needs the policy table: there is none")
        if not options.limits:
            raise ConfigurationFault("rate_limits: name a limit in [[filter.options.limits]]")
        self.name = name
        self._options = options
        self._now = settings.now
        self._table = settings.policy if options.shared else None
        self._own: TimedCache[str, str] = TimedCache(settings.now, entries=options.max_entries)
        self._trusted = Networks(options.trusted)

    def open(self) -> IStages:
        """See `IFilter.open`: nothing is remembered of a connection."""
        return _Counting(self)

    async def counted(self, context: Context, stage: Stage, recipient: Address | None) -> Verdict:
        """Count what a stage is about, or refuse it."""
        keys: dict[str, RateOptions] = {}
        for number, limit in enumerate(self._options.limits):
            at_rcpt = limit.count is Counted.RECIPIENTS or limit.by in _AT_RCPT
            name = self._name(limit.by, context, recipient)
            if name and at_rcpt == (stage is Stage.RECIPIENT):
                keys[f"{self.name}:r:{number}:{limit.by}:{name}"] = limit
        if not keys:
            return CONTINUE
        now = self._now()
        if self._table is not None:
            full = await self._table.update(list(keys), lambda values: take(keys, values, now))
        else:
            full = self._take(keys, now)
        if not full:
            return CONTINUE
        limit = keys[full]
        return judge(
            self._options.action,
            "Too much mail in too short a time; please try again later",
            f"more than {limit.most} {limit.count} in {limit.period:g} s by {limit.by}",
            tag="rate-limited",
        )

    def _take(self, keys: Mapping[str, RateOptions], now: float) -> str:
        """Count in this process alone."""
        found = {key: value for key in keys if (value := self._own.find(key)) is not None}
        full, changed = take(keys, found, now)
        for key, kept in changed.items():
            self._own.keep(key, kept.value, kept.expires - now)
        return full

    def _name(self, by: By, context: Context, recipient: Address | None) -> str:
        """Say under which name something counts; ``""`` for none."""
        sender = context.sender.address if context.sender is not None else None
        address = context.peer.address
        match by:
            case By.ACCOUNT:
                return context.account.name if context.account is not None else ""
            case By.RECIPIENT:
                return "@".join(recipient.key) if recipient is not None else ""
            case By.RECIPIENT_DOMAIN:
                return recipient.key[1] if recipient is not None else ""
        if context.account is None and (not address or address in self._trusted):
            return ""
        match by:
            case By.CLIENT:
                return network_of(address)
            case By.CLIENT_PREFIX:
                return prefix_of(address)
            case By.SENDER:
                return "@".join(sender.key) if sender is not None else ""
            case By.SENDER_DOMAIN:
                return sender.key[1] if sender is not None else ""


@implementer(IStages)
class _Counting(Stages):
    def __init__(self, limits: RateLimitsFilter) -> None:
        self._limits = limits

    async def sender(self, context: Context, sender: Sender) -> Verdict:
        """Count messages."""
        return await self._limits.counted(context, Stage.SENDER, None)

    async def recipient(self, context: Context, recipient: Recipient) -> Verdict:
        """Count recipients."""
        return await self._limits.counted(context, Stage.RECIPIENT, recipient.address)
