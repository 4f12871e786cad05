"""Greylisting: mail of a client, sender and recipient not seen together before has to come again.

Servers try again, most of what spams does not.  What was seen is kept in the policy table, so all
servers on one database know it, and a restart forgets nothing.

Invariants:

- A triplet that came back after the delay and within the window is known from then on; one that
  never did is forgotten with the window.
- A client prefix whose triplets were confirmed often enough is let through at once.
- The step from what is known to what is answered is one function without a clock (`step`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

import attrs
from zope.interface import implementer

from mailplat.config.option import option
from mailplat.config.values import Duration, duration
from mailplat.filters.asking import ResolverLookups
from mailplat.filters.clients import ClientOptions, left_alone, trusted_networks
from mailplat.interfaces.filters import Context, IFilter, IStages, Stage, Stages
from mailplat.interfaces.plugins import FilterSettings
from mailplat.interfaces.policy_table import Kept
from mailplat.message.auth import spf
from mailplat.message.auth.result import Result
from mailplat.model.envelope import Recipient
from mailplat.model.errors import ConfigurationFault
from mailplat.model.verdict import CONTINUE, Tag, Verdict

__all__ = ["GreylistFilter", "GreylistOptions", "prefix_of", "sender_key", "step"]

_BATV = re.compile(r"^[a-z0-9]+=[a-z0-9]+=")
_DIGITS = re.compile(r"\d+")


@attrs.frozen(kw_only=True)
class GreylistOptions(ClientOptions):
    """The filter ``greylist``."""

    delay: Duration = option(
        duration("5m"),
        least=0,
        meaning="How long a triplet has to wait before it is let through.",
        precedent="Postgrey --delay (300 s)",
    )
    window: Duration = option(
        duration("2d"),
        least=1,
        meaning="How long after the first try it may come back; later it is new again.",
        precedent="Postgrey --retry-window (2 days)",
    )
    keep: Duration = option(
        duration("35d"),
        least=1,
        meaning="How long a triplet, or a client that is let through, is known after it came last.",
        precedent="Postgrey --max-age (35 days)",
    )
    auto_allow: int = option(
        5,
        unit="triplets",
        least=0,
        meaning="After how many confirmed triplets a client prefix is let through at once; 0 is "
        "for never.",
        precedent="Postgrey --auto-whitelist-clients (5)",
    )
    ipv4_prefix: int = option(
        24,
        unit="bits",
        least=8,
        most=32,
        meaning="How much of an IPv4 address counts: big senders try again from a neighbour.",
        precedent="Postgrey --ipv4cidr (24)",
    )
    ipv6_prefix: int = option(
        64,
        unit="bits",
        least=16,
        most=128,
        meaning="How much of an IPv6 address counts.",
        precedent="Postgrey --ipv6cidr (64)",
    )
    spf_pass: bool = option(
        False,
        meaning="Whether mail is let through whose sender's domain allows the client by SPF.",
        precedent="milter-greylist nospf, turned round",
    )
    allowed_tags: tuple[str, ...] = option(
        ("allowed",),
        meaning="Mail that an earlier filter gave one of these tags is let through.",
    )


def prefix_of(address: str, options: GreylistOptions) -> str:
    """Give the network that a client counts under."""
    parsed = ip_address(address.partition("%")[0])
    mapped = getattr(parsed, "ipv4_mapped", None)
    parsed = mapped or parsed
    bits = options.ipv4_prefix if parsed.version == 4 else options.ipv6_prefix
    return str(ip_network(f"{parsed}/{bits}", strict=False))


def sender_key(sender: str) -> str:
    """Give what a sender counts under: bounce addresses of mailing lists change with each mail."""
    local, _, domain = sender.lower().rpartition("@")
    return f"{_DIGITS.sub('#', _BATV.sub('', local).partition('+')[0])}@{domain}"


@dataclass(frozen=True, slots=True)
class _Keys:
    triplet: str
    client: str


def step(
    values: Mapping[str, str], keys: _Keys, now: float, options: GreylistOptions
) -> tuple[float, Mapping[str, Kept]]:
    """Take one try.

    Args:
        values: What is known: of a triplet when it came first, or ``known``; of a client how many
            of its triplets were confirmed.
        keys: Of the triplet and the client.
        now: The time, seconds since 1970 UTC.
        options: Delays and windows.

    Returns:
        Seconds that it still has to wait, 0 if it is let through; and what is known from now on.
    """
    confirmed = int(values.get(keys.client, "0"))
    expires = now + options.keep
    if options.auto_allow and confirmed >= options.auto_allow:
        return 0.0, {keys.client: Kept(str(confirmed), expires)}
    seen = values.get(keys.triplet)
    if seen == "known":
        return 0.0, {keys.triplet: Kept("known", expires)}
    if seen is None and options.delay > 0:
        return options.delay, {keys.triplet: Kept(repr(now), now + options.window)}
    left = float(seen) + options.delay - now if seen is not None else 0.0
    if left > 0:
        return left, {}
    return 0.0, {
        keys.triplet: Kept("known", expires),
        keys.client: Kept(str(confirmed + 1), expires),
    }


@implementer(IFilter)
class GreylistFilter:
    """Lets mail wait.

    Args:
        name: What log lines call it, and the table's keys.
        argument: Nothing.
        options: Delays and windows.
        settings: The policy table and the clock; the resolver, where SPF is asked.

    Raises:
        ConfigurationFault: There is nothing to remember in.
    """

    stages = (Stage.RECIPIENT,)

    def __init__(
        self, name: str, argument: str, options: GreylistOptions, settings: FilterSettings
    ) -> None:
        if settings.policy is None:
            raise ConfigurationFault("greylist needs the policy table, and there is none")
        if options.spf_pass and settings.resolver is None:
            raise ConfigurationFault("greylist: spf_pass needs the DNS, and there is no resolver")
        self.name = name
        self._options = options
        self._settings = settings
        self._table = settings.policy
        self._trusted = trusted_networks(options)

    def open(self) -> IStages:
        """See `IFilter.open`: nothing is remembered of a connection."""
        return _Greylisted(self)

    async def verdict(self, context: Context, recipient: Recipient) -> Verdict:
        """Let a recipient's mail through, or have it come again."""
        options = self._options
        if left_alone(context, self._trusted) or context.tags.intersection(options.allowed_tags):
            return CONTINUE
        if options.spf_pass and await self._passes(context):
            return CONTINUE
        client = prefix_of(context.peer.address, options)
        sender = context.sender.address if context.sender is not None else None
        spelled = "" if sender is None else sender_key(f"{sender.local}@{sender.domain}")
        whom = "@".join(recipient.address.key)
        keys = _Keys(f"{self.name}:t:{client}:{spelled}:{whom}", f"{self.name}:c:{client}")
        now = self._settings.now()
        left = await self._table.update(
            [keys.triplet, keys.client], lambda values: step(values, keys, now, options)
        )
        if not left:
            return Verdict(changes=(Tag("greylist-passed"),))
        seconds = max(1, round(left))
        return Verdict.defer(
            f"Greylisted: please try again in {seconds} seconds", code=450, status="4.7.1"
        )

    async def _passes(self, context: Context) -> bool:
        """Tell whether SPF allows the client; the answers of DNS are remembered."""
        assert self._settings.resolver is not None
        sender = context.sender.address if context.sender is not None else None
        path = "" if sender is None else f"{sender.local}@{sender.domain}"
        client = spf.Client(
            context.peer.address,
            context.helo,
            path,
            self._settings.hostname,
            int(self._settings.now()),
        )
        checked = await spf.check(client, ResolverLookups(self._settings.resolver))
        return checked.result is Result.PASS


@implementer(IStages)
class _Greylisted(Stages):
    def __init__(self, greylist: GreylistFilter) -> None:
        self._greylist = greylist

    async def recipient(self, context: Context, recipient: Recipient) -> Verdict:
        """Ask for each recipient."""
        return await self._greylist.verdict(context, recipient)
