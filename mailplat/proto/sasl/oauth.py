"""OAUTHBEARER (RFC 7628) and XOAUTH2 (Google's, older): a bearer token in place of a password.

An exchange gives `TokenCredentials`.  If the session finds the token wrong it answers `Denied`: the
client is shown why as JSON, has to say one word more, and then fails (RFC 7628 §3.2.3).
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod

from mailplat.model.credentials import Denied, TokenCredentials
from mailplat.proto.sasl import scram
from mailplat.proto.sasl.exchange import (
    MAX_FIELD,
    Answer,
    Challenge,
    Failed,
    Failure,
    Mechanisms,
    Step,
)

__all__ = ["TOKEN_MECHANISMS", "OAuthBearerExchange", "XOAuth2Exchange"]

_MALFORMED = Failed(Failure.MALFORMED)

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""b64token (RFC 6750 §2.1)."""

_PAIR = re.compile(r"([A-Za-z]+)=([\x20-\x7e\t\r\n]*)", re.ASCII)
"""kvpair (RFC 7628 §3.1)."""


class _TokenExchange(ABC):
    """What both have in common."""

    def __init__(self) -> None:
        self._denied = False

    def start(self, initial: bytes | None) -> Step:
        """Read the initial response, or ask for it by an empty challenge."""
        return Challenge(b"") if initial is None else self.receive(initial)

    def receive(self, response: bytes) -> Step:
        """Read the one message there is; or the word that ends a try that was denied."""
        if self._denied:
            return Failed(Failure.REFUSED)
        try:
            message = response.decode()
        except UnicodeDecodeError:
            return _MALFORMED
        found = self._read(message)
        if found is None:
            return _MALFORMED
        name, authorization = found
        scheme, _, token = authorization.partition(" ")
        token = token.strip(" ")
        if scheme.lower() != "bearer" or len(name.encode()) > MAX_FIELD:
            return _MALFORMED
        if not _TOKEN.fullmatch(token):
            return Failed(Failure.REFUSED)
        return TokenCredentials(token, name)

    def answer(self, answer: Answer) -> Step:
        """Tell the client what is wrong with its token."""
        self._denied = True
        said = {} if not isinstance(answer, Denied) else self._explain(answer)
        return Challenge(json.dumps(said).encode())

    @abstractmethod
    def _read(self, message: str) -> tuple[str, str] | None:
        """Give the name and the authorization of a message; None if it cannot be read."""

    @abstractmethod
    def _explain(self, denied: Denied) -> dict[str, str]:
        """Give the error's fields."""


class OAuthBearerExchange(_TokenExchange):
    """OAUTHBEARER: ``n,a=NAME,^Ahost=...^Aport=...^Aauth=Bearer TOKEN^A^A`` (RFC 7628 §3.1)."""

    def _read(self, message: str) -> tuple[str, str] | None:
        header, _, rest = message.partition("\1")
        flag, *authzid = header.split(",")
        # there is no channel binding here: "y" is as good as "n" (RFC 7628 §3.1)
        if flag not in ("n", "y") or len(authzid) != 2 or authzid[1]:
            return None
        name: str | None = ""
        if authzid[0]:
            name = scram.unescape(authzid[0].removeprefix("a="))
            if not authzid[0].startswith("a=") or not name:
                return None
        pairs = _pairs(rest)
        if pairs is None or name is None or "auth" not in pairs:
            return None
        return name, pairs["auth"]

    def _explain(self, denied: Denied) -> dict[str, str]:
        said = {"status": "invalid_token"}
        if denied.scope:
            said["scope"] = denied.scope
        if denied.discovery:
            said["openid-configuration"] = denied.discovery
        return said


class XOAuth2Exchange(_TokenExchange):
    """XOAUTH2: ``user=NAME^Aauth=Bearer TOKEN^A^A`` (developers.google.com, *XOAUTH2 protocol*)."""

    def _read(self, message: str) -> tuple[str, str] | None:
        user, _, rest = message.partition("\1")
        pairs = _pairs(rest)
        if not user.startswith("user=") or pairs is None or "auth" not in pairs:
            return None
        return user.removeprefix("user="), pairs["auth"]

    def _explain(self, denied: Denied) -> dict[str, str]:
        return {"status": "400", "schemes": "Bearer", "scope": denied.scope or "mail"}


def _pairs(text: str) -> dict[str, str] | None:
    """Read ``key=value^A...^A``; None if it is something else, or a key comes twice."""
    if not text.endswith("\1\1") and text != "\1":
        return None
    pairs: dict[str, str] = {}
    for pair in text.removesuffix("\1").split("\1")[:-1]:
        found = _PAIR.fullmatch(pair)
        if found is None or found[1] in pairs:
            return None
        pairs[found[1]] = found[2]
    return pairs


TOKEN_MECHANISMS: Mechanisms = {"OAUTHBEARER": OAuthBearerExchange, "XOAUTH2": XOAuth2Exchange}
"""The two, the standard's first."""
