"""Tests for `mailplat.accounts.passwords`: what is remembered, and what it costs."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults

from mailplat.accounts.directory import Entry
from mailplat.accounts.passwords import PasswordChecker
from mailplat.interfaces.plugins import PasswordSettings
from mailplat.model.account import Account
from mailplat.model.errors import AuthenticationFailed, Corrupt, Unavailable

ALICE = Entry(Account("alice"), "{PLAIN}right")


class ClockedReactor:
    """The reactor's threads with a clock of the test's own."""

    def __init__(self) -> None:
        self.now = 1000.0

    def seconds(self) -> float:
        """Tell the time."""
        return self.now

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)


class Checks:
    """Counts the checks that are made, and holds them up while ``open`` is not set."""

    def __init__(self) -> None:
        self.made: list[tuple[str, str]] = []
        self.threads: set[int] = set()
        self.open = threading.Event()
        self.open.set()

    def __call__(self, stored: str, password: str) -> bool:
        """Check one."""
        self.made.append((stored, password))
        self.threads.add(threading.get_ident())
        self.open.wait(10)
        if password == "damage":
            raise Corrupt("damaged")
        return stored == "{PLAIN}" + password


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> Checks:
    """The checks made."""
    counted = Checks()
    monkeypatch.setattr("mailplat.accounts.passwords.matches", counted)
    return counted


@pytest.fixture
def clocked() -> ClockedReactor:
    """A reactor with a clock."""
    return ClockedReactor()


@pytest_twisted.async_yield_fixture
async def checker(clocked: ClockedReactor, checks: Checks) -> AsyncIterator[PasswordChecker]:
    """A checker that remembers two outcomes for a minute, and lets three checks wait."""
    settings = PasswordSettings(cache_entries=2, cache_seconds=60.0, waiting=3)
    made = PasswordChecker(clocked, settings)
    made.open()
    yield made
    checks.open.set()
    await made.close()


def start(checker: PasswordChecker, password: str, stored: str = "{PLAIN}right") -> Deferred[bool]:
    """Begin a check."""
    return Deferred.fromCoroutine(checker.matches("alice", stored, password))


@pytest_twisted.ensureDeferred
async def test_remembers(checker: PasswordChecker, checks: Checks, clocked: ClockedReactor) -> None:
    """An outcome, right or wrong, is asked for once a minute."""
    for _ in range(3):
        assert await checker.matches("alice", "{PLAIN}right", "right")
        assert not await checker.matches("alice", "{PLAIN}right", "wrong")
    assert len(checks.made) == 2
    clocked.now += 60
    assert await checker.matches("alice", "{PLAIN}right", "right")
    assert len(checks.made) == 3
    assert threading.get_ident() not in checks.threads


@pytest_twisted.ensureDeferred
async def test_a_changed_hash_is_another_question(checker: PasswordChecker) -> None:
    """What is remembered of the old password says nothing of the new one."""
    assert await checker.matches("alice", "{PLAIN}right", "right")
    assert not await checker.matches("alice", "{PLAIN}new", "right")
    assert await checker.matches("alice", "{PLAIN}right", "right")


@pytest_twisted.ensureDeferred
async def test_what_is_remembered_is_bounded(checker: PasswordChecker, checks: Checks) -> None:
    """Beyond the bound the oldest outcome goes; neither passwords nor hashes are kept."""
    for password in ("one", "two", "right"):
        await checker.matches("alice", "{PLAIN}right", password)
    assert len(checker._known) == 2
    assert "right" not in repr(vars(checker))
    await checker.matches("alice", "{PLAIN}right", "one")
    assert len(checks.made) == 4


@pytest_twisted.ensureDeferred
async def test_nothing_remembered(checks: Checks) -> None:
    """With no time to remember, every log-in is checked."""
    checker = PasswordChecker(reactor, PasswordSettings(cache_seconds=0))
    checker.open()
    await checker.matches("alice", "{PLAIN}right", "right")
    await checker.matches("alice", "{PLAIN}right", "right")
    await checker.close()
    assert len(checks.made) == 2


@pytest_twisted.ensureDeferred
async def test_the_same_at_once(checker: PasswordChecker, checks: Checks) -> None:
    """Five connections with one password cost one check; one that gives up disturbs nobody."""
    checks.open.clear()
    waiting = [start(checker, "right") for _ in range(5)]
    waiting[0].cancel()
    waiting[3].cancel()
    for given_up in (waiting.pop(3), waiting.pop(0)):
        with pytest.raises(CancelledError):
            await given_up
    checks.open.set()
    assert await gatherResults(waiting) == [True] * 3
    assert len(checks.made) == 1


@pytest_twisted.ensureDeferred
async def test_too_many_at_once(checker: PasswordChecker, checks: Checks) -> None:
    """Beyond the bound a log-in is put off; those before it are answered."""
    checks.open.clear()
    waiting = [start(checker, password) for password in ("right", "a", "b")]
    with pytest.raises(Unavailable):
        await start(checker, "c")
    checks.open.set()
    assert await gatherResults(waiting) == [True, False, False]
    assert not await start(checker, "c")


@pytest_twisted.ensureDeferred
async def test_errors_are_not_remembered(checker: PasswordChecker, checks: Checks) -> None:
    """A hash that cannot be read is an error for everybody who asks, each time."""
    for _ in range(2):
        both = [start(checker, "damage") for _ in range(2)]
        for one in both:
            with pytest.raises(Corrupt):
                await one
    assert len(checks.made) == 2


@pytest_twisted.ensureDeferred
async def test_unknown_names_cost_a_check(checker: PasswordChecker, checks: Checks) -> None:
    """An unknown name is checked against another's hash, and never let in by it."""
    for _ in range(2):
        with pytest.raises(AuthenticationFailed):
            await checker.log_in("nobody", "right", None, ALICE.password)
    assert checks.made == [("{PLAIN}right", "right")]
    assert await checker.log_in("alice", "right", ALICE, "") == ALICE.account
    assert len(checks.made) == 2  # what was learnt of the decoy tells nothing about alice


@pytest_twisted.ensureDeferred
async def test_no_password(checker: PasswordChecker, checks: Checks) -> None:
    """An account without a hash lets nobody in, and costs the same."""
    locked = Entry(Account("locked"), "")
    with pytest.raises(AuthenticationFailed):
        await checker.log_in("locked", "right", locked, ALICE.password)
    assert len(checks.made) == 1
    with pytest.raises(AuthenticationFailed):
        await checker.log_in("locked", "", locked, "")


@pytest_twisted.ensureDeferred
async def test_close_waits(checks: Checks) -> None:
    """Closing waits for the checks under way, which are answered."""
    checker = PasswordChecker(reactor, PasswordSettings())
    checker.open()
    checks.open.clear()
    waiting = start(checker, "right")
    closing = Deferred.fromCoroutine(checker.close())
    assert not closing.called
    checks.open.set()
    await closing
    assert await waiting
