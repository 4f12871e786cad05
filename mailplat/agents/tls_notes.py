"""What came of TLS with other servers, as who reports it wants to know (RFC 8460 §4)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

__all__ = ["Applied", "PolicyKind", "TLSNotes"]


class PolicyKind(Enum):
    """Kinds of policies (RFC 8460 §4.4)."""

    TLSA = "tlsa"
    STS = "sts"
    NONE = "no-policy-found"


@dataclass(frozen=True, slots=True)
class Applied:
    """A policy that was applied, or that there was none.

    Attributes:
        kind: Which kind.
        domain: Whose: that of the recipients.
        lines: What it says.
        hosts: Names of exchangers that it allows, or patterns.
    """

    kind: PolicyKind
    domain: str
    lines: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


class TLSNotes(Protocol):
    """Takes note of sessions."""

    def note(
        self,
        applied: Applied,
        result: str,
        *,
        host: str = "",
        address: str = "",
        source: str = "",
        why: str = "",
    ) -> None:
        """Note a session with an exchanger, or that there could be none; returns at once.

        Args:
            applied: The policy.
            result: Why it failed, in a word of RFC 8460 §4.3; ``""`` for success.
            host: The exchanger.
            address: Its address.
            source: Ours.
            why: More on a failure, for people.
        """
