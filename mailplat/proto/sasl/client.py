"""SASL from the client's side: the strongest mechanism that both sides can do, and its exchange.

Invariants:

- A password is shown only where the caller says that it may be.
- Where a stronger mechanism is offered, a weaker one is never used: not after a failure either.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from mailplat.model.credentials import (
    CertificateCredentials,
    PasswordCredentials,
    TokenCredentials,
)
from mailplat.proto.sasl import scram
from mailplat.proto.sasl.scram_client import Derivation, ScramClient, ServerNotProved

__all__ = ["ClientCredentials", "ClientExchange", "choose"]

ClientCredentials = PasswordCredentials | TokenCredentials | CertificateCredentials
"""What one can log in to another server with."""

_BINDINGS = ("tls-exporter", "tls-server-end-point")
"""The stronger first (RFC 9266 §1)."""


class ClientExchange(Protocol):
    """One log-in by one mechanism."""

    @property
    def complete(self) -> bool:
        """Whether a yes of the server may be believed."""

    def start(self) -> bytes | None:
        """Give the initial response; None if the mechanism has none."""

    def receive(self, challenge: bytes) -> bytes | Derivation:
        """Take a challenge; give the answer, or the work that has to be done first.

        Raises:
            ServerNotProved: It is nothing to answer.
        """

    def derived(self, salted: bytes) -> bytes:
        """Take what `Derivation.derive` gave; give the answer."""


class _Said:
    """A mechanism whose words are known before the server says any."""

    complete = True

    def __init__(self, *words: bytes, initial: bool = True) -> None:
        self._words = list(words)
        self._initial = initial

    def start(self) -> bytes | None:
        """See `ClientExchange.start`."""
        return self._words[0] if self._initial else None

    def receive(self, challenge: bytes) -> bytes:
        """See `ClientExchange.receive`: the next word; where we said all, an empty one.

        An empty challenge asks for the initial response anew (RFC 4954 §4).
        """
        if self._initial and not challenge:
            return self._words[0]
        if self._initial:
            return b"\1"  # a token was refused, and the server waits for any word
        if not self._words:
            raise ServerNotProved("it asks for more than there is")
        return self._words.pop(0)

    def derived(self, salted: bytes) -> bytes:
        """See `ClientExchange.derived`: nothing here is derived."""
        raise RuntimeError("nothing was to be derived")


def choose(
    offered: Collection[str],
    credentials: ClientCredentials,
    new_nonce: Callable[[], str],
    *,
    bindings: Mapping[str, bytes] | None = None,
    show: bool = True,
    bind: bool = True,
) -> tuple[str, ClientExchange] | None:
    """Choose the strongest mechanism.

    Args:
        offered: The server's, in capitals.
        credentials: What we have.
        new_nonce: Gives a nonce that was never used before.
        bindings: The connection's channel bindings by name.
        show: Whether the server may be shown a password or a token: TLS protects the
            connection, or the operator does not mind.
        bind: Whether the server is to be held to its TLS connection; not where a proxy ends it.

    Returns:
        The mechanism's name and its exchange; None if there is none in common.
    """
    if isinstance(credentials, TokenCredentials):
        return _by_token(offered, credentials) if show else None
    if isinstance(credentials, CertificateCredentials):
        found = _Said(credentials.authzid.encode())
        return ("EXTERNAL", found) if "EXTERNAL" in offered else None
    return _by_scram(offered, credentials, new_nonce, (bindings or {}) if bind else {}) or (
        _by_password(offered, credentials) if show else None
    )


def _by_scram(
    offered: Collection[str],
    credentials: PasswordCredentials,
    new_nonce: Callable[[], str],
    bindings: Mapping[str, bytes],
) -> tuple[str, ClientExchange] | None:
    binding = next(((name, bindings[name]) for name in _BINDINGS if name in bindings), None)
    for algorithm in scram.HASHES:
        for name, used in ((f"{algorithm}-PLUS", binding), (algorithm, None)):
            if name in offered and (used is not None or name == algorithm):
                return name, ScramClient(
                    algorithm,
                    credentials.authcid,
                    credentials.password,
                    new_nonce(),
                    authzid=credentials.authzid,
                    binding=used,
                    could_bind=binding is not None and f"{algorithm}-PLUS" not in offered,
                )
    return None


def _by_password(
    offered: Collection[str], credentials: PasswordCredentials
) -> tuple[str, ClientExchange] | None:
    words = (credentials.authzid, credentials.authcid, credentials.password)
    if "PLAIN" in offered:
        return "PLAIN", _Said("\0".join(words).encode())
    if "LOGIN" in offered:
        return "LOGIN", _Said(*(word.encode() for word in words[1:]), initial=False)
    return None


def _by_token(
    offered: Collection[str], credentials: TokenCredentials
) -> tuple[str, ClientExchange] | None:
    token, name = credentials.token, credentials.authzid
    if "OAUTHBEARER" in offered:  # RFC 7628 §3.1
        header = f"n,a={scram.escape(name)}," if name else "n,,"
        return "OAUTHBEARER", _Said(f"{header}\1auth=Bearer {token}\1\1".encode())
    if "XOAUTH2" in offered:
        return "XOAUTH2", _Said(f"user={name}\1auth=Bearer {token}\1\1".encode())
    return None
