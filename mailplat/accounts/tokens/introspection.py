"""Tokens that their issuer is asked about (RFC 7662): opaque ones, or ones that may be revoked.

Invariants:

- A token goes to the introspection endpoint alone, and is never logged.
- What is remembered of a good token is a keyed digest, never longer than the token is good; of a
  bad one nothing is remembered.
- An issuer that is not there makes a log-in wait for another day, it never lets anybody in.
"""

from __future__ import annotations

import hmac
import json
import secrets
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Callable
from urllib.parse import quote_plus, urlencode

from zope.interface import implementer

from mailplat.accounts.tokens.rules import TokenRules
from mailplat.interfaces.tokens import ITokens
from mailplat.model.credentials import Denied
from mailplat.model.errors import AuthenticationFailed, Unavailable
from mailplat.net.web import WebClient

__all__ = ["IntrospectedTokens"]

_ENTRIES = 10_000
"""Good tokens that are remembered."""


@implementer(ITokens)
class IntrospectedTokens:
    """Asks an authorization server.

    Args:
        web: Asks.
        url: The introspection endpoint.
        client: The name and the secret that we show there (RFC 7662 §2.1).
        rules: What the answer has to say.
        denied: What a client is told whose token was refused.
        now: The time, seconds since 1970 UTC.
        cache: Seconds that a good token is remembered.
    """

    def __init__(
        self,
        web: WebClient,
        url: str,
        client: tuple[str, str],
        rules: TokenRules,
        denied: Denied,
        now: Callable[[], float],
        *,
        cache: float = 60.0,
    ) -> None:
        self.denied = denied
        self._web = web
        self._url = url
        # both are form-encoded first (RFC 6749 §2.3.1)
        pair = ":".join(quote_plus(part) for part in client).encode()
        self._authorization = "Basic " + b64encode(pair).decode("ascii")
        self._rules = rules
        self._now = now
        self._cache = cache
        self._key = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, tuple[float, str]] = OrderedDict()

    async def open(self) -> None:
        """See `ITokens.open`."""

    async def close(self) -> None:
        """See `ITokens.close`."""
        self._known.clear()
        await self._web.close()

    async def check_token(self, token: str) -> str:
        """See `ITokens.check_token`."""
        digest = hmac.digest(self._key, token.encode("utf-8", "surrogatepass"), "sha256")
        until, name = self._known.get(digest, (0.0, ""))
        if until > self._now():
            return name
        self._known.pop(digest, None)
        answer = await self._web.ask(
            "POST",
            self._url,
            headers={
                "authorization": self._authorization,
                "content-type": "application/x-www-form-urlencoded",
                "accept": "application/json",
            },
            content=urlencode({"token": token, "token_type_hint": "access_token"}).encode(),
        )
        if answer.code != 200:
            raise Unavailable(f"the token introspection endpoint answered {answer.code}")
        try:
            claims = json.loads(answer.body)
        except (ValueError, RecursionError):
            claims = None
        if not isinstance(claims, dict):
            raise Unavailable("the token introspection endpoint answered no JSON object")
        if claims.get("active") is not True:
            raise AuthenticationFailed("the token is not active")
        name = self._rules.account_of(claims, self._now(), expires=False)
        self._remember(digest, name, claims.get("exp"))
        return name

    def _remember(self, digest: bytes, name: str, end: object) -> None:
        until = self._now() + self._cache
        if isinstance(end, int | float):
            until = min(until, float(end))
        self._known[digest] = until, name
        while len(self._known) > _ENTRIES:
            self._known.popitem(last=False)
