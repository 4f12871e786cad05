"""A JSON Web Key Set (RFC 7517 §5) from a URL or a file, kept and read again in time.

Invariants:

- Keys that were read once stay in use while the set cannot be read.
- A stranger's token cannot make us read the set more often than every `EARLIEST` seconds.
- Only public keys of RSA (2048 bits or more), EC and Ed25519 or Ed448 are taken, each for the
  algorithms of its own kind: never one for HMAC.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jwt
from twisted.internet.defer import Deferred, DeferredLock, succeed
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from mailplat.model.errors import Unavailable
from mailplat.net.web import WebClient

__all__ = ["ALGORITHMS", "EARLIEST", "KeySet"]

_log = Logger()

ALGORITHMS = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA",),
}
"""Algorithms by the kind of key (RFC 7518 §3.1, RFC 8037 §3.1)."""

EARLIEST = 30.0
"""Seconds between two readings of the set."""

_MAX_KEYS = 100


class KeySet:
    """The keys of an issuer.

    Args:
        web: Reads a URL.
        source: ``https://...``, ``http://...`` or a path.
        clock: Tells the time.
        refresh: Seconds after which keys are read again.
    """

    def __init__(self, web: WebClient, source: str, clock: Any, *, refresh: float = 3600.0) -> None:
        self._web = web
        self._source = source
        self._clock = clock
        self._refresh = refresh
        self._keys: list[jwt.PyJWK] = []
        self._read_at: float | None = None
        self._lock = DeferredLock()

    async def find(self, key_id: str | None, algorithm: str) -> list[Any]:
        """Give the keys that may have signed a token.

        Args:
            key_id: Its header's ``kid``, if it has one.
            algorithm: Its header's ``alg``.

        Raises:
            Unavailable: The set was never read, and cannot be now.
        """
        if not self._keys:
            await self._lock.run(self._read_first)
        age = self._age()
        if age is not None and age >= self._refresh:
            await self._read()
        found = self._matching(key_id, algorithm)
        age = self._age()
        if not found and age is not None and age >= EARLIEST:
            await self._read()
            found = self._matching(key_id, algorithm)
        return found

    def _read_first(self) -> Deferred[None]:
        """Read the set, for all who wait for it at once."""
        return succeed(None) if self._keys else Deferred.fromCoroutine(self._read())

    async def close(self) -> None:
        """Let go of everything."""
        await self._web.close()

    def _age(self) -> float | None:
        return None if self._read_at is None else self._clock.seconds() - self._read_at

    def _matching(self, key_id: str | None, algorithm: str) -> list[Any]:
        return [
            key.key
            for key in self._keys
            if algorithm in ALGORITHMS.get(key.key_type or "", ())
            and (key_id is None or key.key_id is None or key.key_id == key_id)
        ]

    async def _read(self) -> None:
        self._read_at = self._clock.seconds()  # whoever asks meanwhile gets what is here
        try:
            self._keys = _parse(await self._content())
        except Unavailable as error:
            if not self._keys:
                self._read_at = None
                raise
            _log.warn("the token keys stay as they were: {reason}", reason=error.reason)

    async def _content(self) -> bytes:
        if self._source.startswith(("https://", "http://")):
            answer = await self._web.ask("GET", self._source, headers={"accept": "*/*"})
            if answer.code != 200:
                raise Unavailable(f"{self._source} answered {answer.code}")
            return answer.body
        try:
            return await deferToThread(Path(self._source).read_bytes)
        except OSError as error:
            raise Unavailable(f"cannot read {self._source}: {error.strerror}") from error


def _parse(content: bytes) -> list[jwt.PyJWK]:
    """Read a set; keys that cannot be used are passed over (RFC 7517 §5).

    Raises:
        Unavailable: It is no set, or has no key to use.
    """
    try:
        found = json.loads(content)["keys"]
        rows = [row for row in found if isinstance(row, dict)][:_MAX_KEYS]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Unavailable("the token keys are no JSON Web Key Set") from None
    keys = []
    for row in rows:
        if row.get("kty") not in ALGORITHMS or row.get("use", "sig") != "sig":
            continue
        public = {name: value for name, value in row.items() if name not in _PRIVATE}
        try:
            key = jwt.PyJWK(public)
        except jwt.PyJWTError:
            continue
        if row["kty"] != "RSA" or key.key.key_size >= 2048:
            keys.append(key)
    if not keys:
        raise Unavailable("the token keys hold none that can be used")
    return keys


_PRIVATE = frozenset(("d", "p", "q", "dp", "dq", "qi", "oth", "k"))
