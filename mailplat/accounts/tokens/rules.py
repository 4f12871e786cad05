"""What a token's claims have to say, whoever read them (RFC 7519 §4.1, RFC 7662 §2.2).

Invariant: no refusal quotes the token; claims that are quoted are cut short.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mailplat.model.errors import AuthenticationFailed

__all__ = ["TokenRules"]


@dataclass(frozen=True, slots=True)
class TokenRules:
    """The rules of one issuer.

    Attributes:
        issuer: What ``iss`` has to be; ``""`` for any.
        audience: What ``aud`` has to be, or to contain; ``""`` for any.
        scope: A word that ``scope`` has to contain; ``""`` for any.
        account_claim: The claim that names the account.
        leeway: Seconds that clocks may differ.
    """

    issuer: str = ""
    audience: str = ""
    scope: str = ""
    account_claim: str = "email"
    leeway: float = 30.0

    def account_of(self, claims: Mapping[str, Any], now: float, *, expires: bool = True) -> str:
        """Give the name of the account that claims are for.

        Args:
            claims: As the issuer vouches for them.
            now: Seconds since 1970 UTC.
            expires: Whether there has to be an end.

        Raises:
            AuthenticationFailed: A rule is broken; the reason says which.
        """
        end = self._time(claims, "exp")
        if end is None and expires:
            raise AuthenticationFailed("the token has no exp: it would be good for ever")
        if end is not None and now >= end + self.leeway:
            raise AuthenticationFailed(f"the token expired {now - end:.0f} s ago")
        begin = self._time(claims, "nbf")
        if begin is not None and now < begin - self.leeway:
            raise AuthenticationFailed(f"the token is good in {begin - now:.0f} s only")
        if self.issuer and claims.get("iss") != self.issuer:
            raise AuthenticationFailed(f"the token was issued by {claims.get('iss')!r:.100}")
        if self.audience and self.audience not in _words(claims.get("aud")):
            raise AuthenticationFailed(f"the token is for {claims.get('aud')!r:.100}")
        if self.scope:
            # RFC 8693 §4.2: words with blanks between; some write a list, or "scp"
            scopes = _words(claims.get("scope", claims.get("scp")), split=True)
            if self.scope not in scopes:
                raise AuthenticationFailed(f"the token has not the scope {self.scope}")
        name = claims.get(self.account_claim)
        if not isinstance(name, str) or not name:
            raise AuthenticationFailed(f"the token's {self.account_claim} names nobody")
        # an address that its owner only claims to have is nobody's proof (OIDC core §5.7)
        if self.account_claim == "email" and claims.get("email_verified") in (False, "false"):
            raise AuthenticationFailed("the token's address was not verified")
        return name

    def _time(self, claims: Mapping[str, Any], name: str) -> float | None:
        value = claims.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise AuthenticationFailed(f"the token's {name} is no time")
        return float(value)


def _words(value: object, *, split: bool = False) -> list[str]:
    if isinstance(value, str):
        return value.split() if split else [value]
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
