"""What a client calls itself, held against what servers call themselves (RFC 5321 §2.3.5, §4.1.3).

It is looked at when a mail begins, not at EHLO: who logs in meanwhile, as people's programs do that
have no name, is left alone.
"""

from __future__ import annotations

import re
from ipaddress import ip_address

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
from mailplat.interfaces.resolver import IResolver
from mailplat.model.envelope import Sender
from mailplat.model.errors import ConfigurationFault
from mailplat.model.verdict import CONTINUE, Verdict

__all__ = ["HeloFilter", "HeloOptions", "fault_of"]

_LABEL = r"(?!-)[A-Za-z0-9_\u0080-\U0010ffff-]{1,63}(?<!-)"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_LITERAL = re.compile(r"\[(IPv6:)?([0-9A-Fa-f.:]+)\]", re.IGNORECASE)


@attrs.frozen(kw_only=True)
class HeloOptions(ClientOptions):
    """The filter ``helo``."""

    invalid: PolicyAction = option(
        PolicyAction.REJECT,
        meaning="For what is neither a name nor an address literal.",
        precedent="Postfix reject_invalid_helo_hostname",
    )
    own_name: PolicyAction = option(
        PolicyAction.REJECT,
        meaning="For a client that calls itself by this server's name, one of `own_names`, or "
        "this server's address.",
        precedent="Exim's default acl_check_rcpt, with $primary_hostname",
    )
    own_names: tuple[str, ...] = option((), meaning="Further names that are ours alone.")
    literal: PolicyAction = option(
        PolicyAction.REJECT,
        meaning="For an address without brackets, or a literal that is not the client's address.",
        precedent="RFC 5321 §4.1.3",
    )
    unqualified: PolicyAction = option(
        PolicyAction.TAG,
        meaning="For a name without a dot.",
        precedent="Postfix reject_non_fqdn_helo_hostname",
    )
    unresolvable: PolicyAction = option(
        PolicyAction.TAG,
        meaning="For a name without addresses and mail exchangers in the DNS. Where the DNS does "
        "not answer, the filter fails, and `on_error` counts.",
        precedent="Postfix reject_unknown_helo_hostname",
    )


def fault_of(helo: str, client: str, own_names: frozenset[str], own_address: str) -> str:
    """Tell what is wrong with a name by itself: the option's name; ``""`` for nothing.

    Args:
        helo: What the client said.
        client: Its IP address.
        own_names: Names of this server, in lower case.
        own_address: This server's address.
    """
    literal = _LITERAL.fullmatch(helo)
    bare = _address(helo)
    if literal is not None:
        named = _address(literal[2])
        if named is None or (":" in literal[2]) != bool(literal[1]):
            return "invalid"
        if named == own_address:
            return "own_name"
        return "" if named == _address(client) else "literal"
    if bare is not None:
        return "own_name" if bare == own_address else "literal"
    name = helo.removesuffix(".").lower()
    if not _NAME.fullmatch(helo) or len(helo) > 255:
        return "invalid"
    if name in own_names:
        return "own_name"
    return "" if "." in name else "unqualified"


def _address(text: str) -> str | None:
    try:
        parsed = ip_address(text)
    except ValueError:
        return None
    mapped = getattr(parsed, "ipv4_mapped", None)
    return str(mapped or parsed)


_WORDS = {
    "invalid": "What you call yourself is no host name",
    "own_name": "You are not this server",
    "literal": "You do not have the address that you call yourself by",
    "unqualified": "What you call yourself is no complete host name",
    "unresolvable": "The DNS does not know what you call yourself",
}


@implementer(IFilter)
class HeloFilter:
    """Looks at what clients call themselves.

    Args:
        name: What log lines call it.
        argument: Nothing.
        options: What becomes of what.
        settings: The resolver and our own name.

    Raises:
        ConfigurationFault: Names are to be resolved, and there is no resolver.
    """

    stages = (Stage.SENDER,)
    reads_only = True

    def __init__(
        self, name: str, argument: str, options: HeloOptions, settings: FilterSettings
    ) -> None:
        self._resolves = options.unresolvable is not PolicyAction.CONTINUE
        if self._resolves and settings.resolver is None:
            raise ConfigurationFault("helo: unresolvable needs the DNS, and there is no resolver")
        self.name = name
        self._options = options
        self._resolver: IResolver | None = settings.resolver
        self._trusted = trusted_networks(options)
        names = (settings.hostname, *options.own_names)
        self._own_names = frozenset(one.lower().removesuffix(".") for one in names)

    def open(self) -> IStages:
        """See `IFilter.open`: nothing is remembered of a connection."""
        return _Looked(self)

    async def verdict(self, context: Context) -> Verdict:
        """Look at a client's name."""
        peer, helo = context.peer, context.helo
        if left_alone(context, self._trusted) or not helo:
            return CONTINUE
        fault = fault_of(helo, peer.address, self._own_names, peer.local_address)
        if not fault and self._resolves and not helo.startswith("["):
            fault = "" if await self._resolvable(helo) else "unresolvable"
        if not fault:
            return CONTINUE
        action: PolicyAction = getattr(self._options, fault)
        return judge(
            action, _WORDS[fault], f"HELO {helo}: {fault}", tag=f"helo-{fault}", status="5.2"
        )

    async def _resolvable(self, helo: str) -> bool:
        assert self._resolver is not None
        if (await self._resolver.addresses(helo)).records:
            return True
        return any(one.host for one in (await self._resolver.mx(helo)).records)


@implementer(IStages)
class _Looked(Stages):
    def __init__(self, helo: HeloFilter) -> None:
        self._helo = helo

    async def sender(self, context: Context, sender: Sender) -> Verdict:
        """Look when a mail begins."""
        return await self._helo.verdict(context)
