"""Checks passwords in threads of its own, and remembers what it found.

A check costs tens of milliseconds on purpose, and a mail program logs in many times with the same
password; so the outcome of a check is kept, under a digest with a key that only this process has.

Invariants:

- The reactor never waits for a hash.
- What is remembered hangs on the stored hash itself, so a changed password counts at once.
- No password is kept, and no digest of one that could be checked elsewhere.
- A name that does not exist costs what a wrong password costs, and has keys for SCRAM like others:
  its salt hangs on a key that outlives the process.
- Memory is bounded: outcomes by ``cache_entries``, waiting checks by ``waiting``.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from mailplat.accounts.directory import Entry
from mailplat.accounts.schemes import hash_password, matches, scram_keys_of
from mailplat.interfaces.plugins import PasswordSettings
from mailplat.model.account import Account
from mailplat.model.credentials import ScramKeys
from mailplat.model.errors import AuthenticationFailed, Unavailable
from mailplat.proto.sasl import scram

__all__ = ["PasswordChecker"]

T = TypeVar("T")


class PasswordChecker:
    """Hashes and checks passwords for one account backend.

    Args:
        reactor: Twisted's reactor, for its threads and its clock.
        settings: The scheme of new hashes, and the bounds.
    """

    def __init__(self, reactor: Any, settings: PasswordSettings) -> None:
        self._reactor = reactor
        self._settings = settings
        self._key = secrets.token_bytes(32)
        self._pool = ThreadPool(0, settings.threads, "passwords")
        self._known: OrderedDict[bytes, tuple[float, bool]] = OrderedDict()
        self._waiting: dict[bytes, list[Deferred[bool]]] = {}  # by what is being checked
        self._busy = 0
        self._idle: Deferred[None] | None = None

    def open(self) -> None:
        """Start; threads begin when they are needed."""
        self._pool.start()

    async def close(self) -> None:
        """Finish the checks under way, and stop the threads."""
        if self._busy:
            self._idle = Deferred()
            await self._idle
        if self._pool.started:
            self._pool.stop()
        self._known.clear()

    async def hash(self, password: str) -> str:
        """Hash a new password.

        Raises:
            Cannot: It is empty, or the scheme cannot take it.
        """
        settings = self._settings
        return await self._in_thread(
            hash_password, password, settings.scheme, settings.scram, settings.scram_iterations
        )

    def scram_keys(self, name: str, algorithm: str, entry: Entry | None, decoy: str) -> ScramKeys:
        """Give someone's keys for SCRAM, or keys that nobody can tell from theirs.

        Args:
            name: What they call themselves.
            algorithm: ``SCRAM-SHA-256`` or ``SCRAM-SHA-1``.
            entry: Who has that name; None if nobody does.
            decoy: Some other account's hashes, whose keys the false ones have to look like.

        Raises:
            Corrupt: Stored keys cannot be read.
        """
        if entry is not None and entry.account.enabled:
            keys = scram_keys_of(entry.password, algorithm)
            if keys is not None:
                return keys
        like = scram_keys_of(decoy, algorithm)
        size = 16 if like is None else len(like.salt)
        seed = f"{algorithm}\0{name.lower()}".encode("utf-8", "surrogatepass")
        salt = hashlib.pbkdf2_hmac("sha256", seed, self._settings.decoy_key or self._key, 1, size)
        length = hashlib.new(scram.HASHES[algorithm]).digest_size
        return ScramKeys(
            salt,
            self._settings.scram_iterations if like is None else like.iterations,
            secrets.token_bytes(length),
            secrets.token_bytes(length),
        )

    async def log_in(self, name: str, password: str, entry: Entry | None, decoy: str) -> Account:
        """Let someone in, or not.

        Args:
            name: What they call themselves.
            password: What they give as proof.
            entry: Who has that name; None if nobody does.
            decoy: Some other account's hash, to spend the same time on.

        Raises:
            AuthenticationFailed: For whatever reason; only the log is told which.
            Unavailable: Too many checks are waiting.
            Corrupt: The stored hash cannot be read.
        """
        stored = entry.password if entry else ""
        right = bool(stored or decoy) and await self.matches(name, stored or decoy, password)
        if entry is None:
            raise AuthenticationFailed(f"there is no account {name[:100]!r}")
        account = entry.account
        if not (right and stored):
            raise AuthenticationFailed(f"wrong password for {account.name}")
        if not account.enabled:
            raise AuthenticationFailed(f"the account {account.name} is disabled")
        return account

    async def matches(self, name: str, stored: str, password: str) -> bool:
        """Tell whether a password is the one of a stored hash.

        Checks of the same at the same time are made once; those who are cancelled while they
        wait do not disturb the others.
        """
        key = self._digest(name, stored, password)
        known = self._remembered(key)
        if known is not None:
            return known
        mine: Deferred[bool] = Deferred()
        if key in self._waiting:
            self._waiting[key].append(mine)
        else:
            if self._busy >= self._settings.waiting:
                raise Unavailable("too many log-ins wait for their password to be checked")
            self._waiting[key] = [mine]
            self._in_thread(matches, stored, password).addBoth(self._checked, key)
        return await mine

    def _checked(self, outcome: bool | Failure, key: bytes) -> None:
        waiting = self._waiting.pop(key)
        if not isinstance(outcome, Failure):
            self._remember(key, outcome)
        for one in waiting:
            if not one.called:
                one.callback(outcome)

    def _in_thread(self, function: Callable[..., T], *args: Any) -> Deferred[T]:
        self._busy += 1
        return deferToThreadPool(self._reactor, self._pool, function, *args).addBoth(self._done)

    def _done(self, outcome: Any) -> Any:
        self._busy -= 1
        if not self._busy and self._idle is not None:
            idle, self._idle = self._idle, None
            self._reactor.callLater(0, idle.callback, None)  # after whoever waits for this
        return outcome

    def _digest(self, *parts: str) -> bytes:
        digest = hashlib.blake2b(key=self._key, digest_size=32)
        for part in parts:
            data = part.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "big") + data)
        return digest.digest()

    def _remembered(self, key: bytes) -> bool | None:
        until, outcome = self._known.get(key, (0.0, False))
        if until <= self._reactor.seconds():
            self._known.pop(key, None)
            return None
        return outcome

    def _remember(self, key: bytes, outcome: bool) -> None:
        if not (self._settings.cache_seconds and self._settings.cache_entries):
            return
        self._known[key] = self._reactor.seconds() + self._settings.cache_seconds, outcome
        while len(self._known) > self._settings.cache_entries:
            self._known.popitem(last=False)
