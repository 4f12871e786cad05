"""What a session asks of the one who judges OAuth 2 bearer tokens."""

from __future__ import annotations

from collections.abc import Awaitable

from zope.interface import Attribute, Interface

from mailplat.model.credentials import Denied

__all__ = ["ITokens"]


class ITokens(Interface):
    """Knows which bearer tokens (RFC 6750) are good, and for whom."""

    denied: Denied = Attribute("What a client is told whose token was refused.")

    def open() -> Awaitable[None]:
        """Make ready; never fails because another server is not there."""

    def close() -> Awaitable[None]:
        """Let go of everything."""

    def check_token(token: str) -> Awaitable[str]:
        """Give the name of the account that a token is for; whether there is one is not asked.

        Raises:
            AuthenticationFailed: The token is wrong, too old, or not for us; the reason says
                which and never quotes it.
            Unavailable: It cannot be checked now.
        """
