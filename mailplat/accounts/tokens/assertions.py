"""Tokens that carry their own proof: signed JWTs (RFC 7519, RFC 9068, RFC 8725).

Invariants:

- The algorithm has to fit the kind of key (RFC 8725 §3.1): ``none`` and HMAC never do.
- Claims are looked at only after the signature was found right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jwt
from zope.interface import implementer

from mailplat.accounts.tokens.key_sets import ALGORITHMS, KeySet
from mailplat.accounts.tokens.rules import TokenRules
from mailplat.interfaces.tokens import ITokens
from mailplat.model.credentials import Denied
from mailplat.model.errors import AuthenticationFailed

__all__ = ["SignedTokens"]

_KNOWN = frozenset(name for names in ALGORITHMS.values() for name in names)

_TYPES = frozenset(("jwt", "at+jwt", "application/at+jwt", "application/jwt"))
"""What ``typ`` may say (RFC 9068 §2.1); an ID token or a logout token is no access token."""


@implementer(ITokens)
class SignedTokens:
    """Checks signatures and claims here.

    Args:
        keys: The issuer's.
        rules: What the claims have to say.
        denied: What a client is told whose token was refused.
        now: The time, seconds since 1970 UTC.
    """

    def __init__(
        self, keys: KeySet, rules: TokenRules, denied: Denied, now: Callable[[], float]
    ) -> None:
        self.denied = denied
        self._keys = keys
        self._rules = rules
        self._now = now

    async def open(self) -> None:
        """See `ITokens.open`."""

    async def close(self) -> None:
        """See `ITokens.close`."""
        await self._keys.close()

    async def check_token(self, token: str) -> str:
        """See `ITokens.check_token`."""
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise AuthenticationFailed("the token is no JWT") from None
        algorithm, key_id = header.get("alg"), header.get("kid")
        if algorithm not in _KNOWN or header.get("crit"):
            raise AuthenticationFailed(f"the token is signed by {algorithm!r:.40}")
        kind = header.get("typ", "jwt")
        if not isinstance(kind, str) or kind.lower() not in _TYPES:
            raise AuthenticationFailed(f"the token is of the type {kind!r:.40}")
        for key in await self._keys.find(key_id if isinstance(key_id, str) else None, algorithm):
            claims = _claims(token, key, algorithm)
            if claims is not None:
                return self._rules.account_of(claims, self._now())
        raise AuthenticationFailed("no key of the issuer signed the token")


def _claims(token: str, key: Any, algorithm: str) -> dict[str, Any] | None:
    """Give a token's claims; None if this key did not sign it."""
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            options={  # what the claims say is `TokenRules`' business
                "verify_signature": True,
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "verify_aud": False,
                "verify_iss": False,
                "verify_sub": False,
                "verify_jti": False,
            },
        )
    except jwt.PyJWTError:
        return None
    return claims
