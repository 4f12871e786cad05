"""What policy filters have in common: whom they leave alone, and how they say what they found.

Invariant: who logged in, a local socket, and a network that the operator trusts are left alone.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

import attrs

from mailplat.config.option import option
from mailplat.config.values import Network
from mailplat.filters.scanning import judged
from mailplat.interfaces.filters import Context
from mailplat.model.verdict import Action, Tag, Verdict
from mailplat.net.networks import Networks

__all__ = ["ClientOptions", "PolicyAction", "judge", "left_alone", "trusted_networks"]


class PolicyAction(StrEnum):
    """What becomes of mail that a policy is against."""

    CONTINUE = "continue"
    TAG = "tag"
    QUARANTINE = "quarantine"
    HOLD = "hold"
    DISCARD = "discard"
    DEFER = "defer"
    REJECT = "reject"


@attrs.frozen(kw_only=True)
class ClientOptions:
    """What can be said of every policy filter."""

    trusted: tuple[Network, ...] = option(
        (Network("127.0.0.0/8"), Network("::1/128")),
        meaning="Networks whose clients are left alone. So is who logged in.",
        precedent="Postfix mynetworks",
    )


def trusted_networks(options: ClientOptions) -> Networks:
    """Make the set of trusted networks."""
    return Networks(options.trusted)


def left_alone(context: Context, trusted: Networks) -> bool:
    """Tell whether no policy is for this client."""
    address = context.peer.address
    return context.account is not None or not address or address in trusted


def judge(
    action: PolicyAction,
    public: str,
    reason: str,
    *,
    tag: str = "",
    code: int = 0,
    status: str = "7.1",
    mailbox: str = "",
) -> Verdict:
    """Make a verdict.

    Args:
        action: What becomes of the mail.
        public: What the client is told, where it is told anything.
        reason: For the log.
        tag: The word that is noted, whatever becomes of the mail; ``""`` for none.
        code: Of the reply to what is rejected; 0 for 550.
        status: The enhanced status code without its class: ``7.1``.
        mailbox: Where quarantined mail goes; ``""`` for the usual one.
    """
    changes = (Tag(tag),) if tag and action is not PolicyAction.CONTINUE else ()
    if action in (PolicyAction.CONTINUE, PolicyAction.TAG):
        return Verdict(changes=tuple(changes), reason=reason)
    severity = Action[action.name]
    made = judged(
        severity,
        public,
        reason,
        changes,
        code=code if severity is Action.REJECT else 0,
        status=f"{5 if severity is Action.REJECT else 4}.{status}",
    )
    return replace(made, mailbox=mailbox)
