"""Seals what comes in, for those to whom it is forwarded (RFC 8617 §5.1).

It stands behind the filter ``authentication``, whose Authentication-Results it vouches for; mail
without them, such as that of accounts that logged in, is not sealed.  What the filters before it
wish changed is sealed as it will be.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from zope.interface import implementer

from mailplat.filters.asking import ResolverLookups
from mailplat.filters.dkim_sign import read_signers
from mailplat.filters.reading import each_block, in_thread
from mailplat.interfaces.filters import Context, IFilter, IStages, Mail, Stage, Stages
from mailplat.interfaces.plugins import FilterSettings
from mailplat.message.auth.arc import Chain, ChainVerifier
from mailplat.message.auth.arc_sealing import Sealer
from mailplat.message.auth.authentication_results import NAME
from mailplat.message.auth.canonical import BodyHash, Canonicalisation
from mailplat.message.edit import edit_body, edit_header
from mailplat.model.errors import ConfigurationFault
from mailplat.model.verdict import CONTINUE, AddHeader, Verdict

__all__ = ["ArcSealFilter", "read_sealer"]


def read_sealer(argument: str, directory: str) -> Sealer:
    """Read ``example.org:selector:key.pem``.

    Args:
        argument: The domain, the selector and the file of the private key.
        directory: Where a relative path begins.

    Raises:
        ConfigurationFault: It cannot be read, or the key cannot.
    """
    signers = [one for found in read_signers(argument, directory, "arc_seal").values()
               for one in found]  # fmt: skip
    if len(signers) != 1:
        raise ConfigurationFault("arc_seal: a server seals with one key, not with several")
    return Sealer(signers[0].domain, signers[0].selector, signers[0].key)


@implementer(IFilter)
class ArcSealFilter:
    """Adds the three fields of an ARC set.

    Args:
        name: What log lines call it.
        sealer: The key.
        settings: The reactor, its time and the resolver.

    Raises:
        ConfigurationFault: There is no resolver.
    """

    stages = (Stage.MESSAGE,)

    def __init__(self, name: str, sealer: Sealer, settings: FilterSettings) -> None:
        if settings.resolver is None:
            raise ConfigurationFault("arc_seal needs the DNS, and there is no resolver")
        self.name = name
        self._sealer = sealer
        self._lookups = ResolverLookups(settings.resolver)
        self._reactor = settings.reactor
        self._now = settings.now

    def open(self) -> IStages:
        """See `IFilter.open`."""
        return _Sealing(self._sealer, self._lookups, self._reactor, self._now)


@implementer(IStages)
class _Sealing(Stages):
    def __init__(
        self, sealer: Sealer, lookups: ResolverLookups, reactor: Any, now: Callable[[], float]
    ) -> None:
        self._sealer = sealer
        self._lookups = lookups
        self._reactor = reactor
        self._now = now

    async def message(self, context: Context, mail: Mail) -> Verdict:
        """Verify the chain so far, and add to it."""
        results = [
            change.value
            for change in mail.changes
            if isinstance(change, AddHeader) and change.name == NAME
        ]
        if not results:
            return CONTINUE
        verifier = ChainVerifier(mail.header)
        if verifier.needs_body:
            reading = partial(each_block, mail.body, len(mail.header), verifier.receive)
            await in_thread(self._reactor, mail.body, reading)
        chain = await verifier.result(self._lookups.txt)
        sealing = partial(_seal, self._sealer, mail, chain, results[-1], int(self._now()))
        fields = await in_thread(self._reactor, None, sealing)
        return Verdict(changes=tuple(AddHeader(name, value) for name, value in fields))


def _seal(
    sealer: Sealer, mail: Mail, chain: Chain, results: str, now: int
) -> tuple[tuple[str, str], ...]:
    """Seal; blocks on the body's file, and for some milliseconds."""
    body, digest = edit_body(mail.changes), BodyHash(Canonicalisation.RELAXED)
    if body is not None:
        digest.receive(body)
    else:
        each_block(mail.body, len(mail.header), digest.receive)
    header = edit_header(mail.header, mail.changes)
    return sealer.seal(header, digest.finish(), chain, results, now)
