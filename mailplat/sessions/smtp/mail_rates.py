"""How much mail comes from an account, or from a client's address, in a time.

Invariant: a mail that is refused counts for nobody.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mailplat.model.account import Account
from mailplat.model.peer import Peer
from mailplat.model.reply import Reply
from mailplat.net.limits import network_of
from mailplat.net.networks import Networks
from mailplat.net.rates import Rates

__all__ = ["MailRates"]

_TOO_FAST = Reply.of(450, "Too much mail in too short a time; please try again later", "4.7.1")


def _any() -> Rates:
    return Rates(float, None, 1.0)


@dataclass(frozen=True, slots=True)
class MailRates:
    """Counts mail; shared by all listeners.  Who logged in counts under the account alone.

    Attributes:
        messages: Messages of accounts.
        recipients: Recipients of accounts.
        address_messages: Messages of IPv4 addresses and IPv6 /64s.
        address_recipients: Recipients of these.
        trusted: Networks whose addresses are not counted.
    """

    messages: Rates = field(default_factory=_any)
    recipients: Rates = field(default_factory=_any)
    address_messages: Rates = field(default_factory=_any)
    address_recipients: Rates = field(default_factory=_any)
    trusted: Networks = field(default_factory=Networks)

    def refusal(self, account: Account | None, peer: Peer, recipients: int) -> Reply | None:
        """Tell whether a mail with so many recipients may come now; nothing is counted."""
        name, messages, named = self._counted(account, peer)
        fits = not name or (messages.allows(name) and named.allows(name, recipients))
        return None if fits else _TOO_FAST

    def take(self, account: Account | None, peer: Peer, recipients: int) -> Reply | None:
        """Count a mail with so many recipients, or refuse it."""
        refusal = self.refusal(account, peer, recipients)
        name, messages, named = self._counted(account, peer)
        if refusal is None and name:
            messages.take(name)
            named.take(name, recipients)
        return refusal

    def _counted(self, account: Account | None, peer: Peer) -> tuple[str, Rates, Rates]:
        """Tell under which name a mail counts, and where; ``""`` is nowhere."""
        if account is not None:
            return account.name, self.messages, self.recipients
        name = "" if peer.address in self.trusted else network_of(peer.address)
        return name, self.address_messages, self.address_recipients
