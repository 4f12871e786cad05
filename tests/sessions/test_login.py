"""Tests for `mailplat.sessions.login`: whoever asks, by whatever mechanism."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from zope.interface import implementer

from mailplat.accounts.memory import MemoryAccounts
from mailplat.interfaces.plugins import PasswordSettings
from mailplat.interfaces.tokens import ITokens
from mailplat.model.account import Account
from mailplat.model.credentials import (
    CertificateCredentials,
    Denied,
    PasswordCredentials,
    ScramKeys,
    ScramProof,
    ScramRequest,
    TokenCredentials,
)
from mailplat.model.errors import AuthenticationFailed, LimitReached, Unavailable
from mailplat.model.peer import Peer
from mailplat.net.throttle import LoginThrottle
from mailplat.sessions.login import LogIn, LoginParts

ALICE = Account("alice@example.org", ("alice@example.org", "info@example.org"), aliases=("al",))
BOB = Account("bob@example.org", ("bob@example.org",), enabled=False)
ADDRESS = "192.0.2.1"


@dataclass
class Link:
    """A connection."""

    session_id: str = "s"
    peer: Peer = field(default_factory=lambda: Peer(ADDRESS, 1, "192.0.2.2", 2))


@implementer(ITokens)
class Tokens:
    """Knows one token for each account, and fails by one."""

    denied = Denied("mail")

    async def open(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do."""

    async def check_token(self, token: str) -> str:
        """Give the account's name."""
        if token == "broken":
            raise Unavailable("the issuer is away")
        if token not in ("info@example.org", "bob@example.org", "nobody@example.org"):
            raise AuthenticationFailed("unknown token")
        return token


class Room:
    """Accounts, a throttle, and log-ins from one address."""

    def __init__(self, accounts: Any, *, tokens: Any = None) -> None:
        self.clock = Clock()
        self.throttle = LoginThrottle(self.clock, max_waiting=2)
        self.parts = LoginParts(accounts, self.throttle, tokens)

    def log_in(self) -> LogIn:
        """Give the log-ins of a new connection."""
        link: Any = Link()
        return LogIn(self.parts, link)

    async def try_all(self, *tries: Any) -> list[Any]:
        """Log in by each on a connection of its own; give the names, or what else came of it."""
        results: list[Any] = []
        for credentials in tries:
            judging = Deferred.fromCoroutine(self.log_in().judge(credentials))
            self.clock.advance(15)
            try:
                outcome = await judging
                results.append(outcome.name if isinstance(outcome, Account) else outcome)
            except AuthenticationFailed:
                results.append(None)
        return results


@pytest_twisted.async_yield_fixture
async def accounts() -> Any:
    """Alice and Bob, who is disabled."""
    from twisted.internet import reactor

    backend = MemoryAccounts(
        reactor, PasswordSettings("SSHA512", scram=("SCRAM-SHA-256",), scram_iterations=4096)
    )
    await backend.open()
    await backend.add(ALICE, "pw")
    await backend.add(BOB, "pw")
    yield backend
    await backend.close()


@pytest_twisted.ensureDeferred
async def test_names(accounts: Any) -> None:
    """A name is compared as SASLprep spells it, and nobody acts for another."""
    results = await Room(accounts).try_all(
        PasswordCredentials("al", "pw"),
        PasswordCredentials("\uff41l", "pw", "INFO@example.org"),
        PasswordCredentials("al", "pw", "alice@example.org"),
        PasswordCredentials("al", "pw", "bob@example.org"),
        PasswordCredentials("al\0", "pw"),
        PasswordCredentials("al", "wrong"),
        PasswordCredentials("bob@example.org", "pw"),
        ScramProof("al", True),
        ScramProof("al", True, "bob@example.org"),
        ScramProof("al", False),
        ScramProof("bob@example.org", True),
        CertificateCredentials(),
        TokenCredentials("info@example.org"),
    )
    assert results == [ALICE.name] * 3 + [None] * 4 + [ALICE.name] + [None] * 5


@pytest_twisted.ensureDeferred
async def test_tokens(accounts: Any) -> None:
    """A token lets in who it is for; a refused one is explained, whatever was wrong with it."""
    room = Room(accounts, tokens=Tokens())
    results = await room.try_all(
        TokenCredentials("info@example.org"),
        TokenCredentials("info@example.org", "al"),
        TokenCredentials("info@example.org", "bob@example.org"),
        TokenCredentials("bob@example.org"),
        TokenCredentials("nobody@example.org"),
        TokenCredentials("bad"),
        TokenCredentials("bad"),
    )
    assert results == [ALICE.name] * 2 + [Tokens.denied] * 5
    assert room.throttle.delay(ADDRESS) == 15
    judging = Deferred.fromCoroutine(room.log_in().judge(TokenCredentials("broken")))
    room.clock.advance(15)
    with pytest.raises(Unavailable):
        await judging


@pytest_twisted.ensureDeferred
async def test_a_try_by_scram_is_one_try(accounts: Any) -> None:
    """It waits once, counts until its proof is there, and is given back with its connection."""
    room = Room(accounts)
    first = room.log_in()
    assert isinstance(await first.judge(ScramRequest("al", "SCRAM-SHA-256")), ScramKeys)
    with pytest.raises(AuthenticationFailed):
        await first.judge(ScramProof("al", False))
    assert room.throttle.delay(ADDRESS) == 2
    for expected in (2, 4):
        again = room.log_in()
        waiting = Deferred.fromCoroutine(again.judge(ScramRequest("al", "SCRAM-SHA-256")))
        assert not waiting.called
        room.clock.advance(expected)
        assert isinstance(await waiting, ScramKeys)
    assert room.throttle.delay(ADDRESS) == 8  # two are open
    again.drop()
    again.drop()
    assert room.throttle.delay(ADDRESS) == 4


@pytest_twisted.ensureDeferred
async def test_too_many_wait(accounts: Any) -> None:
    """Beyond the bound a try is turned away; who is gone waits no more."""
    room = Room(accounts)
    await room.try_all(PasswordCredentials("al", "wrong"))
    wrong = PasswordCredentials("al", "wrong")
    waiting = [Deferred.fromCoroutine(room.log_in().judge(wrong)) for _ in range(2)]
    with pytest.raises(LimitReached):
        await room.log_in().judge(wrong)
    for one in waiting:
        one.addErrback(lambda failure: None)
        one.cancel()
    assert room.throttle.delay(ADDRESS) == 2
    assert not room.clock.getDelayedCalls()


@pytest_twisted.ensureDeferred
async def test_backends_without_keys() -> None:
    """A backend that keeps no keys for SCRAM lets nobody in by it."""
    with pytest.raises(AuthenticationFailed):
        await Room(object()).log_in().judge(ScramRequest("al", "SCRAM-SHA-256"))
