"""What mailplat asks of whoever gathers results of DMARC for reports to domains."""

from __future__ import annotations

from zope.interface import Interface

from mailplat.message.auth.dmarc_report import Published, Row

__all__ = ["IDmarcResults"]


class IDmarcResults(Interface):
    """Counts the mail in the name of domains that want aggregate reports (RFC 7489 §7.2)."""

    def note(at: float, published: Published, reports_to: str, row: Row) -> None:
        """Count a message; does not block, and never raises.

        Args:
            at: When it came, seconds since 1970 UTC.
            published: The policy that it was held against.
            reports_to: Where the domain wants reports: its ``rua``, as it stands there.
            row: What was found; messages with equal rows are counted together.
        """
