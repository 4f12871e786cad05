"""Signs the mail of accounts that logged in (RFC 6376 §5).

It signs for the domain of the envelope's sender, which the session holds accounts to, and not for
whatever From says: nobody gets a neighbour's signature.  What earlier filters wish changed is
signed as it will be; a filter that changes messages has to stand before this one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import attrs
from zope.interface import implementer

from mailplat.config.option import option
from mailplat.config.values import Duration
from mailplat.filters.reading import each_block, in_thread
from mailplat.interfaces.filters import Context, IFilter, IStages, Mail, Stage, Stages
from mailplat.interfaces.plugins import FilterSettings
from mailplat.message import headers
from mailplat.message.auth.canonical import BodyHash, Canonicalisation
from mailplat.message.auth.dkim_signing import NAME, Signer
from mailplat.message.auth.keys import KeyFault, load_private_key
from mailplat.message.auth.lookups import ascii_domain
from mailplat.message.edit import edit_body, edit_header
from mailplat.model.errors import ConfigurationFault
from mailplat.model.verdict import CONTINUE, AddHeader, Verdict

__all__ = ["DkimSignFilter", "DkimSignOptions", "read_signers"]

Signers = Mapping[str, Sequence[Signer]]
"""The keys of each domain: one, or one of each kind."""


@attrs.frozen(kw_only=True)
class DkimSignOptions:
    """How mail is signed."""

    oversign: bool = option(
        True,
        meaning="Whether fields such as From, To and Subject are signed once more than they are "
        "there: nobody adds a second one, and a mailing list that adds one breaks the signature.",
        precedent="OpenDKIM OversignHeaders (From alone); Rspamd sign_headers",
    )
    expires: Duration | None = option(
        None,
        least=60,
        meaning="How long a signature counts (`x=`). Not set, for ever.",
        precedent="OpenDKIM SignatureTTL (0, for ever)",
        example="14d",
    )
    header_form: Canonicalisation = option(
        Canonicalisation.RELAXED,
        meaning="What the header may go through on its way: `relaxed`, blanks changed; `simple`, "
        "nothing.",
        precedent="OpenDKIM Canonicalization",
    )
    body_form: Canonicalisation = option(
        Canonicalisation.RELAXED,
        meaning="What the body may go through on its way.",
        precedent="OpenDKIM Canonicalization",
    )


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
        settings: The reactor and its time; its own options.
    """

    stages = (Stage.MESSAGE,)

    def __init__(self, name: str, signers: Signers, settings: FilterSettings) -> None:
        options: DkimSignOptions = settings.options or DkimSignOptions()
        self.name = name
        self._settings = settings
        self._signers: Signers = {
            domain: [
                replace(
                    one,
                    header_form=options.header_form,
                    body_form=options.body_form,
                    lasts=None if options.expires is None else int(options.expires),
                    oversign=options.oversign,
                )
                for one in found
            ]
            for domain, found in signers.items()
        }

    def open(self) -> IStages:
        """See `IFilter.open`."""
        return _Signing(self.signers_for, self._settings.reactor, self._settings.now)

    def signers_for(self, domain: str) -> Sequence[Signer]:
        """Choose the keys of a domain, or of one above it; none where there are none."""
        found = ascii_domain(domain) or ""
        while found and found not in self._signers:
            found = found.partition(".")[2]
        return self._signers.get(found, ())

    async def signed(self, domain: str, message: bytes) -> bytes:
        """Sign a message that the server itself wrote, with each key of a domain.

        Args:
            domain: Whose mail it is.
            message: All of it.

        Returns:
            The message with its signatures; as it was where there is no key.
        """
        signers, now = self.signers_for(domain), int(self._settings.now())
        if not signers:
            return message

        def work() -> bytes:
            header, body = headers.split(message)
            made = []
            for signer in signers:
                digest = BodyHash(signer.body_form)
                digest.receive(body)
                made.append(headers.field(NAME, signer.sign(header, digest.finish(), now)))
            return b"".join([*made, message])

        return await in_thread(self._settings.reactor, None, work)


@implementer(IStages)
class _Signing(Stages):
    def __init__(
        self,
        signers_for: Callable[[str], Sequence[Signer]],
        reactor: Any,
        now: Callable[[], float],
    ) -> None:
        self._signers_for = signers_for
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
        return self._signers_for(spelled.rpartition("@")[2])


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
