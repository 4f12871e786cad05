"""Whether a sender's domain can be answered: it exists, and takes mail (RFC 5321 §5.1, RFC 7505).

Mail that nobody could ever reply to, or report about, is hardly worth taking.
"""

from __future__ import annotations

import attrs
from zope.interface import implementer

from mailplat.config.option import option
from mailplat.filters.clients import (
    ClientOptions,
    PolicyAction,
    judge,
    left_alone,
    trusted_networks,
)
from mailplat.interfaces.filters import Context, IFilter, IStages, Stage, Stages
from mailplat.interfaces.plugins import FilterSettings
from mailplat.model.envelope import Sender
from mailplat.model.errors import ConfigurationFault, Unavailable
from mailplat.model.verdict import CONTINUE, Verdict
from mailplat.proto.smtp.domains import ascii_domain

__all__ = ["SenderDomainFilter", "SenderDomainOptions"]


@attrs.frozen(kw_only=True)
class SenderDomainOptions(ClientOptions):
    """The filter ``sender_domain``."""

    unknown: PolicyAction = option(
        PolicyAction.REJECT,
        meaning="For domains that have neither mail exchangers nor addresses.",
        precedent="Postfix reject_unknown_sender_domain",
    )
    null_mx: PolicyAction = option(
        PolicyAction.REJECT,
        meaning="For domains that say that they take no mail.",
        precedent="RFC 7505 §4.2",
    )
    no_answer: PolicyAction = option(
        PolicyAction.DEFER,
        meaning="Where the DNS does not answer.",
        precedent="Postfix unknown_address_tempfail_action",
    )


@implementer(IFilter)
class SenderDomainFilter:
    """Asks the DNS for senders' domains.

    Args:
        name: What log lines call it.
        argument: Nothing.
        options: What becomes of what.
        settings: The resolver.

    Raises:
        ConfigurationFault: There is no resolver.
    """

    stages = (Stage.SENDER,)
    reads_only = True

    def __init__(
        self, name: str, argument: str, options: SenderDomainOptions, settings: FilterSettings
    ) -> None:
        if settings.resolver is None:
            raise ConfigurationFault("sender_domain needs the DNS, and there is no resolver")
        self.name = name
        self._options = options
        self._resolver = settings.resolver
        self._trusted = trusted_networks(options)

    def open(self) -> IStages:
        """See `IFilter.open`: nothing is remembered of a connection."""
        return _Asked(self)

    async def verdict(self, context: Context, sender: Sender) -> Verdict:
        """Ask for a sender's domain; literals and the null sender are left alone."""
        domain = "" if sender.address is None else sender.address.domain
        if left_alone(context, self._trusted) or not domain or domain.startswith("["):
            return CONTINUE
        name = ascii_domain(domain)
        options = self._options
        try:
            known, takes = (False, True) if name is None else await self._asked(name)
        except Unavailable as error:
            return judge(
                options.no_answer,
                "The sender's domain cannot be looked up now",
                error.reason,
                tag="sender-domain-no-answer",
                status="4.3",
            )
        if not takes:
            return judge(
                options.null_mx,
                "The sender's domain takes no mail",
                f"{domain} has a null MX",
                tag="sender-domain-null-mx",
                status="7.27",  # RFC 7505 §4.2
            )
        if not known:
            return judge(
                options.unknown,
                "The sender's domain does not exist",
                f"{domain} has neither MX nor addresses",
                tag="sender-domain-unknown",
                status="1.8",
            )
        return CONTINUE

    async def _asked(self, name: str) -> tuple[bool, bool]:
        """Tell whether a domain is there for mail, and whether it takes any."""
        found = await self._resolver.mx(name)
        if found.records:
            return True, any(one.host for one in found.records)
        if not found.exists:
            return False, True
        return bool((await self._resolver.addresses(name)).records), True


@implementer(IStages)
class _Asked(Stages):
    def __init__(self, domains: SenderDomainFilter) -> None:
        self._domains = domains

    async def sender(self, context: Context, sender: Sender) -> Verdict:
        """Ask when a mail begins."""
        return await self._domains.verdict(context, sender)
