"""Whether a client's address has a name that leads back to it (iprev, RFC 8601 §3; FCrDNS)."""

from __future__ import annotations

import attrs
from zope.interface import implementer

from mailplat.config.option import option
from mailplat.filters.asking import ResolverLookups
from mailplat.filters.clients import (
    ClientOptions,
    PolicyAction,
    judge,
    left_alone,
    trusted_networks,
)
from mailplat.interfaces.filters import Context, IFilter, IStages, Stage, Stages
from mailplat.interfaces.plugins import FilterSettings
from mailplat.message.auth.iprev import check_reverse
from mailplat.message.auth.result import Result
from mailplat.model.envelope import Sender
from mailplat.model.errors import ConfigurationFault
from mailplat.model.verdict import CONTINUE, Verdict

__all__ = ["ReverseNameFilter", "ReverseNameOptions"]


@attrs.frozen(kw_only=True)
class ReverseNameOptions(ClientOptions):
    """The filter ``reverse_name``."""

    missing: PolicyAction = option(
        PolicyAction.TAG,
        meaning="For addresses without a name.",
        precedent="Postfix reject_unknown_reverse_client_hostname",
    )
    unconfirmed: PolicyAction = option(
        PolicyAction.TAG,
        meaning="For addresses none of whose names leads back.",
        precedent="Postfix reject_unknown_client_hostname",
    )
    no_answer: PolicyAction = option(
        PolicyAction.CONTINUE, meaning="Where the DNS does not answer."
    )


@implementer(IFilter)
class ReverseNameFilter:
    """Asks the DNS for clients' names.

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
        self, name: str, argument: str, options: ReverseNameOptions, settings: FilterSettings
    ) -> None:
        if settings.resolver is None:
            raise ConfigurationFault("reverse_name needs the DNS, and there is no resolver")
        self.name = name
        self._lookups = ResolverLookups(settings.resolver)
        self._trusted = trusted_networks(options)
        self._actions = {
            Result.PERMERROR: (options.missing, "reverse-name-missing"),
            Result.FAIL: (options.unconfirmed, "reverse-name-unconfirmed"),
            Result.TEMPERROR: (options.no_answer, "reverse-name-no-answer"),
        }

    def open(self) -> IStages:
        """See `IFilter.open`: nothing is remembered of a connection."""
        return _Asked(self)

    async def verdict(self, context: Context) -> Verdict:
        """Ask for a client's name."""
        if left_alone(context, self._trusted):
            return CONTINUE
        found = await check_reverse(context.peer.address, self._lookups)
        if found.result not in self._actions:
            return CONTINUE
        action, tag = self._actions[found.result]
        words = "Your address has no name that leads back to it"
        return judge(action, words, found.reason, tag=tag, status="7.25")


@implementer(IStages)
class _Asked(Stages):
    def __init__(self, names: ReverseNameFilter) -> None:
        self._names = names

    async def sender(self, context: Context, sender: Sender) -> Verdict:
        """Ask when a mail begins."""
        return await self._names.verdict(context)
