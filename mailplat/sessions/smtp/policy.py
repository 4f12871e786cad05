"""What a listener allows: to ask about addresses, to speak for others, to be urgent or late.

Decisions about one client and one reverse path; the time is an argument.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from mailplat.interfaces.routes import Destination, IRoutes, Local, Refused, Remote
from mailplat.model.account import Account
from mailplat.model.envelope import Sender
from mailplat.model.peer import Peer
from mailplat.model.reply import Reply
from mailplat.net.networks import Networks
from mailplat.proto.smtp.command_fault import CommandFault
from mailplat.proto.smtp.commands import Expand, Verify
from mailplat.proto.smtp.parse import parse_path
from mailplat.proto.smtp.timing import HELD_TOO_LONG
from mailplat.proto.smtp.xclient import Introduction

__all__ = ["Policy", "Telling", "expansion", "introduced", "told_of", "verification"]

_OVER = Reply.of(501, "That time is over", "5.5.4")
_NO_LIST = Reply.of(550, "There is no such list here", "5.1.1")


class Telling(StrEnum):
    """Who is told whether an address exists (RFC 5321 §3.5.3, §7.3)."""

    NOBODY = "nobody"
    USERS = "users"
    EVERYBODY = "everybody"


@dataclass(frozen=True, slots=True)
class Policy:
    """What a listener's clients may do beside sending mail.

    Attributes:
        verify: Who gets a true answer to VRFY.
        expand: Who gets one to EXPN.
        proxies: Networks whose clients may say by XCLIENT whom they speak for.
        hold: Seconds that mail may be kept back (RFC 4865).
        urgent_networks: Networks that may ask for any priority (RFC 6710 §4.1).
        urgent_users: The highest priority that who logged in may ask for.
    """

    verify: Telling = Telling.NOBODY
    expand: Telling = Telling.NOBODY
    proxies: Networks = field(default_factory=Networks)
    hold: int = 0
    urgent_networks: Networks = field(default_factory=Networks)
    urgent_users: int = 0

    def tells(self, telling: Telling, account: Account | None) -> bool:
        """Say whether somebody is told the truth.

        Args:
            telling: Of which of the two commands.
            account: Who logged in, if anyone did.
        """
        return telling is Telling.EVERYBODY or (telling is Telling.USERS and account is not None)

    def judge(
        self, sender: Sender, account: Account | None, peer: Peer, now: int
    ) -> tuple[Sender, Reply | None]:
        """Say what becomes of what MAIL asks of time and priority.

        Args:
            sender: As the client gave it.
            account: Who logged in, if anyone did.
            peer: The client.
            now: Seconds since 1970 UTC.

        Returns:
            The sender as it is taken, and an answer that is other than the usual one: a refusal,
            or the word that its priority was lowered.
        """
        if sender.hold_until is not None:
            if sender.hold_until <= now:
                return sender, _OVER
            if sender.hold_until > now + self.hold:  # RFC 4865 §4
                return sender, HELD_TOO_LONG
        most = self.urgent_users if account is not None else 0
        if sender.priority <= most or peer.address in self.urgent_networks:
            return sender, None
        lowered = Reply.of(250, f"{most} is the priority of this mail", "2.3.6")  # RFC 6710 §4.1
        return replace(sender, priority=most), lowered


def introduced(peer: Peer, introduction: Introduction) -> Peer:
    """Give the peer that a proxy speaks for; what it did not say stays as it is."""
    said = introduction
    return replace(
        peer,
        address=peer.address if said.address is None else said.address,
        port=peer.port if said.port is None else said.port,
        local_address=peer.local_address if said.local_address is None else said.local_address,
        local_port=peer.local_port if said.local_port is None else said.local_port,
    )


async def told_of(
    event: Verify | Expand, policy: Policy, account: Account | None, routes: IRoutes
) -> Reply | None:
    """Answer VRFY or EXPN as truly as the policy wants it; None leaves the usual words."""
    verify = isinstance(event, Verify)
    if not policy.tells(policy.verify if verify else policy.expand, account):
        return None
    try:
        address = parse_path(event.text)
    except CommandFault as fault:
        return fault.reply
    found = await routes.route(address) if routes.is_local_domain(address.domain) else ()
    return verification(str(address), found) if verify else expansion(found)


def verification(spelled: str, destinations: Sequence[Destination]) -> Reply | None:
    """Answer VRFY truly; None where nothing is known (RFC 5321 §3.5.3).

    Args:
        spelled: The address as it was asked about.
        destinations: Where its mail leads.
    """
    for one in destinations:
        if isinstance(one, Local):
            return Reply.of(250, f"<{spelled}>", "2.1.5")
    for one in destinations:
        if isinstance(one, Refused):
            return one.reply
    return None


def expansion(destinations: Sequence[Destination]) -> Reply:
    """Answer EXPN truly: a line for each that gets the mail (RFC 5321 §3.5.2)."""
    members = [
        str(one.address) if isinstance(one, Remote) else one.account.name
        for one in destinations
        if isinstance(one, Local | Remote)
    ]
    if not members:
        refused = [one.reply for one in destinations if isinstance(one, Refused)]
        return refused[0] if refused else _NO_LIST
    return Reply(250, tuple(f"<{member}>" for member in dict.fromkeys(members)), "2.1.5")
