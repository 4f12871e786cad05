"""Signs the mail of accounts that logged in (RFC 6376 §5).

It signs for the domain of the envelope's sender, which the session holds accounts to, and not for
whatever From says: nobody gets a neighbour's signature.  What earlier filters wish changed is
signed as it will be; a filter that changes messages has to stand before this one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from zope.interface import implementer

from mailplat.filters.reading import each_block, in_thread
from mailplat.interfaces.filters import Context, IFilter, IStages, Mail, Stage, Stages
from mailplat.interfaces.plugins import FilterSettings
from mailplat.message.auth.canonical import BodyHash
from mailplat.message.auth.dkim_signing import NAME, Signer
from mailplat.message.auth.keys import KeyFault, load_private_key
from mailplat.message.auth.lookups import ascii_domain
from mailplat.message.edit import edit_body, edit_header
from mailplat.model.errors import ConfigurationFault
from mailplat.model.verdict import CONTINUE, AddHeader, Verdict

__all__ = ["DkimSignFilter", "read_signers"]

Signers = Mapping[str, Sequence[Signer]]
"""The keys of each domain: one, or one of each kind."""


def read_signers(argument: str, directory: str, kind: str = "dkim_sign") -> Signers:
    """Read ``example.org:selector:key.pem``, several separated by commas.

    Args:
        argument: Domains, selectors and files of private keys.
        directory: Where relative paths begin.
        kind: The filter whose argument it is, for errors.

    Raises:
        ConfigurationFault: It cannot be read, or a key cannot.
    """
    signers: dict[str, list[Signer]] = {}
    for word in filter(None, (one.strip() for one in argument.split(","))):
        name, _, rest = word.partition(":")
        selector, _, path = rest.partition(":")
        domain = ascii_domain(name)
        if domain is None or not selector or not path:
            raise ConfigurationFault(
                f"{kind}: {word!r} is not DOMAIN:SELECTOR:PATH, as in example.org:2026:dkim.pem"
            )
        try:
            key = load_private_key((Path(directory) / path).read_bytes())
        except OSError as error:
            raise ConfigurationFault(f"{kind}: {path}: {error.strerror}") from None
        except KeyFault as fault:
            raise ConfigurationFault(f"{kind}: {path}: {fault}") from None
        signers.setdefault(domain, []).append(Signer(domain, selector.lower(), key))
    if not signers:
        raise ConfigurationFault(f"{kind}: which domain? Write {kind}:DOMAIN:SELECTOR:PATH")
    return signers


@implementer(IFilter)
class DkimSignFilter:
    """Adds DKIM-Signature.

    Args:
        name: What log lines call it.
        signers: The keys.
        settings: The reactor and its time.
    """

    stages = (Stage.MESSAGE,)

    def __init__(self, name: str, signers: Signers, settings: FilterSettings) -> None:
        self.name = name
        self._signers = signers
        self._settings = settings

    def open(self) -> IStages:
        """See `IFilter.open`."""
        return _Signing(self._signers, self._settings.reactor, self._settings.now)


@implementer(IStages)
class _Signing(Stages):
    def __init__(self, signers: Signers, reactor: Any, now: Callable[[], float]) -> None:
        self._signers = signers
        self._reactor = reactor
        self._now = now

    async def message(self, context: Context, mail: Mail) -> Verdict:
        """Sign with each key of the sender's domain."""
        signers = self._found(context, mail) if context.account is not None else ()
        if not signers:
            return CONTINUE
        signing = partial(_signatures, signers, mail, int(self._now()))
        values = await in_thread(self._reactor, None, signing)
        return Verdict(changes=tuple(AddHeader(NAME, value) for value in values))

    def _found(self, context: Context, mail: Mail) -> Sequence[Signer]:
        """Choose the keys of the sender's domain, or of one above it."""
        address, account = mail.envelope.sender.address, context.account
        spelled = address.domain if address is not None else account.name if account else ""
        domain = ascii_domain(spelled.rpartition("@")[2]) or ""
        while domain and domain not in self._signers:
            domain = domain.partition(".")[2]
        return self._signers.get(domain, ())


def _signatures(signers: Sequence[Signer], mail: Mail, now: int) -> list[str]:
    """Sign; blocks on the body's file, and for a millisecond with each key."""
    header, body = edit_header(mail.header, mail.changes), edit_body(mail.changes)
    digests: dict[str, bytes] = {}
    for form in {signer.body_form for signer in signers}:
        digest = BodyHash(form)
        if body is not None:
            digest.receive(body)
        else:
            each_block(mail.body, len(mail.header), digest.receive)
        digests[form] = digest.finish()
    return [signer.sign(header, digests[signer.body_form], now) for signer in signers]
