"""What every account backend must do, as tests that any backend can run::

    from mailplat.testing import accounts

    class TestAcmeAccounts(accounts.AccountsContract):
        @pytest_twisted.async_yield_fixture
        async def accounts(self, tmp_path):
            backend = AcmeAccounts(tmp_path, filled_with=accounts.KNOWN)
            await backend.open()
            yield backend
            await backend.close()

A backend that can be edited runs `AccountsEditorContract` too, one with keys for SCRAM
`ScramContract`.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, DeferredList, gatherResults
from zope.interface.verify import verifyObject

from mailplat.interfaces.accounts import IAccounts, IAccountsEditor, IScramAccounts
from mailplat.model.account import Account
from mailplat.model.errors import AlreadyExists, AuthenticationFailed, Cannot, NoSuchAccount
from mailplat.model.mailbox import QuotaLimit
from mailplat.proto.sasl import scram

__all__ = [
    "ALICE",
    "BOB",
    "CAROL",
    "KNOWN",
    "AccountsContract",
    "AccountsEditorContract",
    "ScramContract",
]

ALICE = Account(
    "alice@example.org",
    addresses=("alice@example.org", "info@example.org"),
    full_name="Alice: Liddell, 100% né Ø",
    quota=QuotaLimit(5 * 1024**3, 10_000),
    aliases=("alice", "al.ice"),
    settings=(("imap-disabled", "IDLE, COMPRESS=DEFLATE: é"), ("x-colour", "")),
)
BOB = Account("bob", addresses=("bob@example.org",), enabled=False)
CAROL = Account("carol@example.org")

KNOWN = {ALICE: "pässwörd: {x}%3A", BOB: "bob's", CAROL: "carol"}
"""Accounts with their passwords: one with everything, one disabled, one without addresses."""

WRONG = ["", "x", "PÄSSWÖRD: {X}%3A", "pässwörd: {x}:", "a\0b", "\udcff", "x" * 10_000]


async def _refused(attempt: Awaitable[Any]) -> AuthenticationFailed:
    with pytest.raises(AuthenticationFailed) as caught:
        await attempt
    return caught.value


class AccountsContract:
    """The contract of `IAccounts`.

    A subclass adds the fixture ``accounts``: a backend, open, that holds `KNOWN`.
    """

    def test_provides(self, accounts: IAccounts) -> None:
        """A backend has every member of the interface, with its signature."""
        verifyObject(IAccounts, accounts)

    @pytest_twisted.ensureDeferred
    @pytest.mark.parametrize("name", ["alice@example.org", "Alice@Example.ORG", "alice", "AL.ice"])
    async def test_logs_in(self, accounts: IAccounts, name: str) -> None:
        """The right password lets in, by name or alias, in any case; twice as well as once."""
        assert await accounts.check_password(name, KNOWN[ALICE]) == ALICE
        assert await accounts.check_password(name, KNOWN[ALICE]) == ALICE

    @pytest_twisted.ensureDeferred
    async def test_wrong_passwords(self, accounts: IAccounts) -> None:
        """No other password lets in, before or after the right one did."""
        for _ in range(2):
            for password in WRONG:
                await _refused(accounts.check_password(ALICE.name, password))
            await accounts.check_password(ALICE.name, KNOWN[ALICE])

    @pytest_twisted.ensureDeferred
    async def test_refusals_look_alike(self, accounts: IAccounts) -> None:
        """The peer cannot tell an unknown name from a wrong password or a disabled account."""
        refusals = [
            await _refused(accounts.check_password(name, password))
            for name, password in [
                (ALICE.name, "wrong"),
                ("nobody@example.org", "wrong"),
                ("nobody@example.org", KNOWN[ALICE]),
                ("", ""),
                ("\0:/\udcff", "x"),
                ("info@example.org", KNOWN[ALICE]),  # an address is no log-in name
                (BOB.name, KNOWN[BOB]),
            ]
        ]
        assert len({(error.public, error.code, error.status) for error in refusals}) == 1
        assert all(error.reason for error in refusals)

    @pytest_twisted.ensureDeferred
    async def test_refusals_take_alike(self, accounts: IAccounts) -> None:
        """An unknown name takes as long as a wrong password, if that takes long."""

        async def measure(name: str) -> float:
            best = 60.0
            for attempt in range(3):
                start = time.perf_counter()
                await _refused(accounts.check_password(name, f"{name}{attempt}"))
                best = min(best, time.perf_counter() - start)
            return best

        wrong, unknown = await measure(ALICE.name), await measure("nobody@example.org")
        assert wrong < 0.002 or unknown > wrong / 4

    @pytest_twisted.ensureDeferred
    async def test_no_reason_tells_a_password(self, accounts: IAccounts) -> None:
        """What goes to the log holds no password."""
        error = await _refused(accounts.check_password(ALICE.name, "hush-hush"))
        assert "hush-hush" not in error.reason + str(error) + repr(error)

    @pytest_twisted.ensureDeferred
    async def test_many_at_once(self, accounts: IAccounts) -> None:
        """Log-ins that overlap do not disturb each other."""
        attempts = [
            Deferred.fromCoroutine(_as_coroutine(accounts.check_password(name, password)))
            for name, password in [
                (ALICE.name, KNOWN[ALICE]),
                (ALICE.name, "wrong"),
                ("alice", KNOWN[ALICE]),
                (CAROL.name, KNOWN[CAROL]),
                (CAROL.name, KNOWN[ALICE]),
            ]
            * 4
        ]
        results = await DeferredList(attempts, consumeErrors=True)
        answers = [result if success else None for success, result in results]
        assert answers == [ALICE, None, ALICE, CAROL, None] * 4

    @pytest_twisted.ensureDeferred
    async def test_given_up(self, accounts: IAccounts) -> None:
        """A log-in that is given up does not disturb another one that waits for the same."""
        first, second = (
            Deferred.fromCoroutine(_as_coroutine(accounts.check_password(ALICE.name, KNOWN[ALICE])))
            for _ in range(2)
        )
        first.addErrback(lambda failure: None)
        first.cancel()
        assert await second == ALICE

    @pytest_twisted.ensureDeferred
    async def test_finds_accounts(self, accounts: IAccounts) -> None:
        """An account is found by name and alias, in any case, a disabled one too."""
        for name in ("alice@example.org", "ALICE", "al.ice"):
            assert await accounts.find_account(name) == ALICE
        assert await accounts.find_account("bob") == BOB
        for name in ("", "info@example.org", "bob@example.org", "nobody", "al_ice", "%"):
            assert await accounts.find_account(name) is None, name

    @pytest_twisted.ensureDeferred
    async def test_finds_addresses(self, accounts: IAccounts) -> None:
        """Mail is for whose address it is, in any case; a name is not thereby an address."""
        for address in ("alice@example.org", "Info@Example.Org"):
            assert await accounts.find_address(address) == ALICE
        assert await accounts.find_address("bob@example.org") == BOB
        for address in ("", "bob", "alice", "carol@example.org", "x@example.org", "%@example.org"):
            assert await accounts.find_address(address) is None, address

    @pytest_twisted.ensureDeferred
    async def test_lists(self, accounts: IAccounts) -> None:
        """All accounts are listed, by name."""
        assert list(await accounts.list_accounts()) == [ALICE, BOB, CAROL]


async def _as_coroutine(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


class AccountsEditorContract:
    """The contract of `IAccountsEditor`.

    A subclass adds the fixture ``editor``: a backend, open, that holds nothing, and the fixture
    ``reopen``: a function that gives an awaitable of a second backend, open, on what the first
    one keeps, or of the first one if it keeps nothing beyond its life.
    """

    def test_provides_editor(self, editor: Any) -> None:
        """A backend has every member of both interfaces, with its signature."""
        verifyObject(IAccounts, editor)
        verifyObject(IAccountsEditor, editor)

    @pytest_twisted.ensureDeferred
    async def test_add(self, editor: Any, reopen: Any) -> None:
        """An account that was added is there as it was given, in every respect, and for good."""
        for account, password in KNOWN.items():
            await editor.add(account, password)
        for backend in (editor, await reopen()):
            assert list(await backend.list_accounts()) == [ALICE, BOB, CAROL]
            assert await backend.find_account("al.ice") == ALICE
            assert await backend.find_address("info@example.org") == ALICE
            assert await backend.check_password("alice", KNOWN[ALICE]) == ALICE
            await _refused(backend.check_password(BOB.name, KNOWN[BOB]))

    @pytest_twisted.ensureDeferred
    @pytest.mark.parametrize(
        "account",
        [
            Account(ALICE.name),
            Account("alice"),
            Account("x", aliases=(ALICE.name,)),
            Account("x", aliases=("y", "al.ice")),
            Account("x", addresses=("x@example.org", "info@example.org")),
        ],
    )
    async def test_add_taken(self, editor: Any, account: Account) -> None:
        """A name, an alias or an address that is taken is refused, and nothing was stored."""
        await editor.add(ALICE, KNOWN[ALICE])
        with pytest.raises(AlreadyExists):
            await editor.add(account, "other")
        assert list(await editor.list_accounts()) == [ALICE]
        assert await editor.find_address("x@example.org") is None
        assert await editor.check_password(ALICE.name, KNOWN[ALICE]) == ALICE

    @pytest_twisted.ensureDeferred
    @pytest.mark.parametrize(
        "name", ["", "..", "a/b", "A", "a b", "a:b", "a\nb", "x" * 300, "a\\b", "\udcff"]
    )
    async def test_add_impossible(self, editor: Any, name: str) -> None:
        """A name that cannot be is refused, as an account's name and as an alias."""
        with pytest.raises(Cannot):
            await editor.add(Account(name), "x")
        with pytest.raises(Cannot):
            await editor.add(Account("x", aliases=(name,)), "x")
        assert not await editor.list_accounts()

    @pytest_twisted.ensureDeferred
    @pytest.mark.parametrize(
        "address", ["x", "@x", "x@", "A@b", "a\n@b", "a b@c", "é" * 400 + "@b"]
    )
    async def test_add_impossible_address(self, editor: Any, address: str) -> None:
        """What is no address is refused."""
        with pytest.raises(Cannot):
            await editor.add(Account("x", addresses=(address,)), "x")
        assert not await editor.list_accounts()

    @pytest_twisted.ensureDeferred
    async def test_add_without_password(self, editor: Any) -> None:
        """An empty password is refused: a log-in with it could never be meant."""
        with pytest.raises(Cannot):
            await editor.add(ALICE, "")
        assert not await editor.list_accounts()

    @pytest_twisted.ensureDeferred
    async def test_set_password(self, editor: Any, reopen: Any) -> None:
        """A new password holds at once, the old one is worth nothing, even if just checked."""
        await editor.add(ALICE, KNOWN[ALICE])
        await editor.add(CAROL, KNOWN[CAROL])
        assert await editor.check_password(ALICE.name, KNOWN[ALICE]) == ALICE
        await _refused(editor.check_password(ALICE.name, "new"))
        await editor.set_password(ALICE.name.upper(), "new")
        for backend in (editor, await reopen()):
            assert await backend.check_password("alice", "new") == ALICE
            await _refused(backend.check_password(ALICE.name, KNOWN[ALICE]))
            assert await backend.check_password(CAROL.name, KNOWN[CAROL]) == CAROL
        with pytest.raises(Cannot):
            await editor.set_password(ALICE.name, "")
        with pytest.raises(NoSuchAccount):
            await editor.set_password("alice", "an alias is no name")

    @pytest_twisted.ensureDeferred
    async def test_replace(self, editor: Any, reopen: Any) -> None:
        """An account can be changed in every respect; its password stays."""
        await editor.add(ALICE, KNOWN[ALICE])
        await editor.add(BOB, KNOWN[BOB])
        changed = Account(ALICE.name, addresses=("new@example.org",), aliases=("new", "alice"))
        await editor.replace(changed)
        for backend in (editor, await reopen()):
            assert await backend.check_password("new", KNOWN[ALICE]) == changed
            assert await backend.find_address("new@example.org") == changed
            assert await backend.find_address("info@example.org") is None
            assert await backend.find_account("al.ice") is None
        await editor.replace(Account(ALICE.name, enabled=False))
        await _refused(editor.check_password(ALICE.name, KNOWN[ALICE]))
        with pytest.raises(AlreadyExists):
            await editor.replace(Account(ALICE.name, addresses=BOB.addresses))
        with pytest.raises(NoSuchAccount):
            await editor.replace(CAROL)
        assert list(await editor.list_accounts()) == [Account(ALICE.name, enabled=False), BOB]

    @pytest_twisted.ensureDeferred
    async def test_remove(self, editor: Any, reopen: Any) -> None:
        """A removed account is gone with all its names, which are free again."""
        await editor.add(ALICE, KNOWN[ALICE])
        await editor.add(CAROL, KNOWN[CAROL])
        await editor.remove(ALICE.name)
        for backend in (editor, await reopen()):
            assert list(await backend.list_accounts()) == [CAROL]
            assert await backend.find_account("alice") is None
            assert await backend.find_address("info@example.org") is None
            await _refused(backend.check_password("alice", KNOWN[ALICE]))
        with pytest.raises(NoSuchAccount):
            await editor.remove(ALICE.name)
        await editor.add(Account("alice", addresses=("info@example.org",)), "again")
        assert await editor.find_address("info@example.org") is not None

    @pytest_twisted.ensureDeferred
    async def test_edits_at_once(self, editor: Any, reopen: Any) -> None:
        """Of edits that overlap none is lost; of two that contradict each other one is refused."""
        names = [f"user{number}" for number in range(8)]
        edits = [Deferred.fromCoroutine(editor.add(Account(name), "x")) for name in names]
        await gatherResults(edits)
        both = [
            Deferred.fromCoroutine(editor.replace(Account(name, addresses=("a@example.org",))))
            for name in names[:2]
        ]
        outcomes = await DeferredList(both, consumeErrors=True)
        assert sorted(success for success, _ in outcomes) == [False, True]
        for backend in (editor, await reopen()):
            assert [account.name for account in await backend.list_accounts()] == names


class ScramContract:
    """The contract of `IScramAccounts`, of a backend that can be edited.

    A subclass adds the fixture ``scram_accounts``: a backend, open and without accounts, whose new
    passwords get keys for SCRAM-SHA-256.
    """

    @pytest_twisted.ensureDeferred
    async def test_keys_fit_the_password(self, scram_accounts: Any) -> None:
        """Keys are those of the password, by name or alias; a new password has new ones."""
        verifyObject(IScramAccounts, scram_accounts)
        assert not scram_accounts.scram_algorithms()
        await scram_accounts.add(ALICE, "one")
        assert list(scram_accounts.scram_algorithms()) == ["SCRAM-SHA-256"]
        for password in ("one", "two"):
            await scram_accounts.set_password(ALICE.name, password)
            for name in (ALICE.name, *ALICE.aliases):
                keys = await scram_accounts.scram_keys(name, "SCRAM-SHA-256")
                made = scram.keys_of("SCRAM-SHA-256", password, keys.salt, keys.iterations)
                assert made == keys
            assert await scram_accounts.check_password(ALICE.name, password) == ALICE

    @pytest_twisted.ensureDeferred
    async def test_nobody_has_keys_like_others(self, scram_accounts: Any) -> None:
        """Who is unknown or disabled has keys that no password fits, and always the same salt."""
        await scram_accounts.add(ALICE, "one")
        await scram_accounts.add(BOB, "bob's")
        known = await scram_accounts.scram_keys(ALICE.name, "SCRAM-SHA-256")
        for name in (BOB.name, "nobody@example.org", "\0", ""):
            first = await scram_accounts.scram_keys(name, "SCRAM-SHA-256")
            again = await scram_accounts.scram_keys(name.upper(), "SCRAM-SHA-256")
            assert (first.salt, first.iterations) == (again.salt, known.iterations)
            assert len(first.salt) == len(known.salt)
            made = scram.keys_of("SCRAM-SHA-256", "bob's", first.salt, first.iterations)
            assert made.stored_key != first.stored_key

    @pytest_twisted.ensureDeferred
    async def test_who_is_disabled_holds_nobody_up(self, scram_accounts: Any) -> None:
        """What is offered follows those who can log in."""
        await scram_accounts.add(ALICE, "one")
        await scram_accounts.remove(ALICE.name)
        assert not scram_accounts.scram_algorithms()
