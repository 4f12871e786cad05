"""The contract of a store as a whole: homes, and deliveries to many at once."""

from __future__ import annotations

import pytest
import pytest_twisted
from zope.interface.verify import verifyObject

from mailplat.interfaces.plugins import StoreSettings
from mailplat.interfaces.store import IStore, NewMessage, Target
from mailplat.model.errors import NoSuchMailbox, OverQuota
from mailplat.model.mailbox import QuotaLimit, QuotaUsage
from mailplat.testing.mails import mail, new_message
from mailplat.testing.store_contract.fixtures import (
    MakeStore,
    Seen,
    StoreFixtures,
    add,
    body_of,
    flags_in,
    info_of,
    open_homes,
    uids_in,
)

__all__ = ["Delivering", "Homes"]


class Homes(StoreFixtures):
    """Homes come, are found again, and go."""

    def test_provides(self, store: IStore) -> None:
        """A store has every member of the interface, with its signature."""
        assert verifyObject(IStore, store)

    @pytest_twisted.ensureDeferred
    async def test_a_home_is_made_once(self, store: IStore) -> None:
        """The first call makes it, later ones find it."""
        assert list(await store.accounts()) == []
        first = await store.open_home("alice@example.org")
        await add(first)
        again = await store.open_home("alice@example.org")
        assert again.account == "alice@example.org"
        assert await again.mailboxes() == await first.mailboxes()
        assert await uids_in(again) == await uids_in(first)
        assert list(await store.accounts()) == ["alice@example.org"]

    @pytest_twisted.ensureDeferred
    async def test_accounts(self, store: IStore) -> None:
        """All accounts are named, sorted; their names may be odd, and their mail is apart."""
        names = [
            *["zoe", "bob@example.org", "bob@example.com", "bob", "o_hara@x", "a%b@x", "a_b@x"],
            *["jörg@köln.example", "-rf", ".hidden", "~", "a;b", "é", "x" * 255, "a@[192.0.2.1]"],
        ]
        for count, name in enumerate(names):
            home = await store.open_home(name)
            await add(home, messages=count)
        assert list(await store.accounts()) == sorted(names)
        for count, name in enumerate(names):
            home = await store.open_home(name)
            assert len(await uids_in(home)) == count, name

    @pytest_twisted.ensureDeferred
    async def test_delete_home(self, store: IStore) -> None:
        """All mail of an account goes, and nobody else's; a new home is a new one."""
        alice, bob = await open_homes(store, "alice", "bob")
        for home in (alice, bob):
            await home.create("Box", [])
            await home.subscribe("Some")
            await add(home, "Box", messages=2)
            await add(home)
        await alice.set_limit(QuotaLimit(1 << 30))
        inbox = await alice.open_mailbox("INBOX")
        modseq = (await inbox.state(False)).modseq
        kept = await bob.mailboxes()
        await store.delete_home("alice")
        await store.delete_home("alice")
        await store.delete_home("nobody")
        assert list(await store.accounts()) == ["bob"]
        with pytest.raises(NoSuchMailbox):
            await inbox.changes_since(modseq)
        assert await bob.mailboxes() == kept
        assert await uids_in(bob, "Box") != []
        again = await store.open_home("alice")
        assert await again.usage() == QuotaUsage(0, 0)
        assert await again.limit() == QuotaLimit()
        assert await uids_in(again) == []
        assert await info_of(again, "Box") is None
        assert await info_of(again, "Some") is None
        new = await again.open_mailbox("INBOX")
        assert new.uid_validity > inbox.uid_validity
        assert new.mailbox_id != inbox.mailbox_id
        for mailbox in (inbox, new):
            mailbox.close()

    @pytest_twisted.ensureDeferred
    async def test_default_quota(self, make_store: MakeStore, settings: StoreSettings) -> None:
        """A home for which nothing was said keeps to the store's own limit."""
        quota = QuotaLimit(2000, None)
        store = make_store(
            StoreSettings(settings.reactor, settings.directory, (), settings.keyword_limit, quota)
        )
        await store.open()
        alice, bob = await open_homes(store, "alice", "bob")
        assert await alice.limit() == quota
        await bob.set_limit(QuotaLimit(5000))
        for home in (alice, bob):
            await add(home, size=2000)
        with pytest.raises(OverQuota):
            await add(alice)
        await add(bob, size=2000)
        with pytest.raises(OverQuota):
            await store.deliver(new_message(mail(1, size=2001)), [Target("carol")])
        await store.close()


class Delivering(StoreFixtures):
    """One message for many (rules 3 and 5)."""

    def _message(self, *flags: str) -> NewMessage:
        return new_message(mail(1, size=1000), flags)

    @pytest_twisted.ensureDeferred
    async def test_to_many(self, store: IStore) -> None:
        """Every target has the message; the answers are in the targets' order."""
        accounts = [f"user{n}" for n in range(20)]
        await add((await open_homes(store, "user7"))[0], messages=3)
        targets = [Target(account) for account in reversed(accounts)]
        answers = await store.deliver(self._message("\\Flagged"), targets)
        assert len(answers) == 20
        assert list(await store.accounts()) == sorted(accounts)
        for target, answer in zip(targets, answers, strict=True):
            home = await store.open_home(target.account)
            mailbox = await home.open_mailbox("INBOX")
            (uid,) = answer.uids
            assert answer.uid_validity == mailbox.uid_validity
            assert (await uids_in(home))[-1] == uid
            assert (await Seen.of(mailbox)).modseq >= answer.modseq
            assert await body_of(mailbox, uid) == mail(1, size=1000)
            assert (await flags_in(mailbox))[uid] == {"\\Flagged"}
            mailbox.close()
            expected = QuotaUsage(1000, 1)
            if target.account != "user7":
                assert await home.usage() == expected

    @pytest_twisted.ensureDeferred
    async def test_makes_what_is_missing(self, store: IStore) -> None:
        """Homes and mailboxes are made, as they always are made, and mailboxes subscribed."""
        await store.deliver(self._message(), [Target("new", "Lists/Dev"), Target("new", "Drafts")])
        home = await store.open_home("new")
        assert len(await uids_in(home, "Lists/Dev")) == len(await uids_in(home, "Drafts")) == 1
        assert await uids_in(home) == []
        for name in ("Lists/Dev", "Drafts"):
            info = await info_of(home, name)
            assert info is not None
            assert info.subscribed

    @pytest_twisted.ensureDeferred
    async def test_flags_of_targets(self, store: IStore) -> None:
        """Each copy has the message's flags and its target's own."""
        message = new_message(mail(1), ["\\Seen", "$All"])
        targets = [
            Target("alice", "INBOX", frozenset({"$A"})),
            Target("bob", "Box", frozenset({"\\Flagged", "$ALL"})),
            Target("bob"),
        ]
        await store.deliver(message, targets)
        for target, expected in zip(
            targets,
            [{"\\Seen", "$All", "$A"}, {"\\Seen", "$All", "\\Flagged"}, {"\\Seen", "$All"}],
            strict=True,
        ):
            mailbox = await (await store.open_home(target.account)).open_mailbox(target.mailbox)
            (flags,) = (await flags_in(mailbox)).values()
            assert {flag.lower() for flag in flags} == {flag.lower() for flag in expected}
            mailbox.close()

    @pytest_twisted.ensureDeferred
    async def test_keywords_without_room(self, store: IStore) -> None:
        """Mail is delivered where a mailbox has no room for its keywords."""
        (home,) = await open_homes(store, "alice")
        await add(home, flags=[f"word{n}" for n in range(self.keyword_limit)])
        (answer,) = await store.deliver(self._message("\\Flagged", "extra"), [Target("alice")])
        mailbox = await home.open_mailbox("INBOX")
        assert (await flags_in(mailbox))[answer.uids[0]] == {"\\Flagged"}
        mailbox.close()

    @pytest_twisted.ensureDeferred
    async def test_over_quota_is_for_all(self, store: IStore) -> None:
        """If one has no room nobody gets the message; the reason names who it is."""
        alice, bob, carol = await open_homes(store, "alice", "bob", "carol")
        await bob.set_limit(QuotaLimit(storage=1999))
        await carol.set_limit(QuotaLimit(messages=0))
        mailbox = await alice.open_mailbox("INBOX")
        seen = await Seen.of(mailbox)
        for targets, full in (
            (["alice", "carol"], ["carol"]),
            (["bob", "alice", "bob"], ["bob"]),
            (["carol", "dave", "bob", "bob"], ["bob", "carol"]),
        ):
            with pytest.raises(OverQuota) as caught:
                await store.deliver(self._message(), [Target(name) for name in targets])
            assert all(name in caught.value.reason for name in full)
            assert "alice" not in caught.value.reason
        assert not await mailbox.changes_since(seen.modseq)
        for name in ("alice", "bob", "carol", "dave"):
            home = await store.open_home(name)
            assert await home.usage() == QuotaUsage(0, 0)
            assert await uids_in(home) == []
        await store.deliver(self._message(), [Target("bob"), Target("alice")])
        assert await bob.usage() == QuotaUsage(1000, 1)
        mailbox.close()

    @pytest_twisted.ensureDeferred
    async def test_to_nobody(self, store: IStore) -> None:
        """No targets: nothing happens."""
        assert list(await store.deliver(self._message(), [])) == []
        assert list(await store.accounts()) == []

    @pytest_twisted.ensureDeferred
    async def test_copies_go_their_own_ways(self, store: IStore) -> None:
        """What one recipient does with a message is not the others' business."""
        alice, bob = await open_homes(store, "alice", "bob")
        await store.deliver(self._message(), [Target("alice"), Target("bob")])
        await store.delete_home("alice")
        mailbox = await bob.open_mailbox("INBOX")
        (uid,) = await uids_in(bob)
        assert await body_of(mailbox, uid) == mail(1, size=1000)
        mailbox.close()
        assert alice.account == "alice"
