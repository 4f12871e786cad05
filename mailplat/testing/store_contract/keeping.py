"""The contract of quota (rule 5) and of the maildrop's lease."""

from __future__ import annotations

import pytest
import pytest_twisted

from mailplat.interfaces.store import IHome, IMailbox, IStore
from mailplat.model.errors import InUse, OverQuota
from mailplat.model.mailbox import QuotaLimit, QuotaUsage
from mailplat.model.numset import NumSet
from mailplat.testing.mails import mail, new_message
from mailplat.testing.store_contract.fixtures import ALL, StoreFixtures, add, uids_in

__all__ = ["Leases", "Quota"]


class Quota(StoreFixtures):
    """What a home may keep, and keeps."""

    @pytest_twisted.ensureDeferred
    async def test_usage_is_exact(self, home: IHome, mailbox: IMailbox) -> None:
        """Every way that messages come and go is counted."""
        assert await home.usage() == QuotaUsage(0, 0)
        await home.create("a/b", [])
        uids = await add(home, messages=3, size=1000)
        await add(home, "a/b", size=500)
        assert await home.usage() == QuotaUsage(3500, 4)
        await mailbox.copy(NumSet.of(uids[:2]), "a/b")
        assert await home.usage() == QuotaUsage(5500, 6)
        await mailbox.copy(NumSet.of(uids[:1]), "INBOX")
        assert await home.usage() == QuotaUsage(6500, 7)
        await mailbox.move(NumSet.of(uids[:1]), "a/b")
        assert await home.usage() == QuotaUsage(6500, 7)
        await mailbox.expunge(NumSet.of(uids))
        assert await home.usage() == QuotaUsage(4500, 5)
        await home.rename("a", "c")
        await home.rename("INBOX", "d")
        assert await home.usage() == QuotaUsage(4500, 5)
        await home.delete("d")
        assert await home.usage() == QuotaUsage(3500, 4)
        await home.delete("c/b")
        assert await home.usage() == QuotaUsage(0, 0)

    @pytest_twisted.ensureDeferred
    async def test_identical_messages_count_each(self, home: IHome) -> None:
        """What a store keeps once is counted as often as it is there."""
        message = new_message(mail(1, size=1000))
        await home.append("INBOX", [message, message])
        await home.append("Drafts", [message])
        assert await home.usage() == QuotaUsage(3000, 3)

    @pytest_twisted.ensureDeferred
    async def test_limit(self, home: IHome) -> None:
        """A limit is told as it was set; there is none at first."""
        assert await home.limit() == QuotaLimit()
        for limit in (QuotaLimit(1000), QuotaLimit(None, 5), QuotaLimit(1 << 40, 7), QuotaLimit()):
            await home.set_limit(limit)
            assert await home.limit() == limit

    @pytest.mark.parametrize("limit", [QuotaLimit(storage=3000), QuotaLimit(messages=3)])
    @pytest_twisted.ensureDeferred
    async def test_over_quota(self, home: IHome, mailbox: IMailbox, limit: QuotaLimit) -> None:
        """The limit can be reached, not passed; what would pass it is refused as a whole."""
        await home.set_limit(limit)
        await add(home, size=1000)
        before = await mailbox.state(False)
        with pytest.raises(OverQuota):
            await add(home, messages=3, size=1000)
        after = await mailbox.state(False)
        assert (list(after.uids), after.modseq) == (list(before.uids), before.modseq)
        assert await home.usage() == QuotaUsage(1000, 1)
        await add(home, "Drafts", messages=2, size=1000)
        with pytest.raises(OverQuota):
            await add(home, size=1000)
        assert await home.usage() == QuotaUsage(3000, 3)
        await mailbox.expunge(ALL)
        await add(home, size=1000)

    @pytest_twisted.ensureDeferred
    async def test_less_than_is_kept(self, home: IHome, mailbox: IMailbox) -> None:
        """A limit below the usage removes nothing and lets nothing in."""
        uids = await add(home, messages=3, size=1000)
        await home.set_limit(QuotaLimit(1500))
        assert await uids_in(home) == list(uids)
        with pytest.raises(OverQuota):
            await add(home)
        await mailbox.expunge(NumSet.of(uids[:2]))
        await add(home, size=400)
        await home.set_limit(QuotaLimit(0, 0))
        with pytest.raises(OverQuota):
            await add(home)
        await home.set_limit(QuotaLimit())
        await add(home, size=10_000)

    @pytest_twisted.ensureDeferred
    async def test_of_one_home_only(self, store: IStore, home: IHome) -> None:
        """One account's quota is nobody else's."""
        other = await store.open_home("bob@example.org")
        await home.set_limit(QuotaLimit(100, 1))
        await add(other, messages=2, size=1000)
        assert await home.usage() == QuotaUsage(0, 0)
        assert await other.usage() == QuotaUsage(2000, 2)
        assert await other.limit() == QuotaLimit()


class Leases(StoreFixtures):
    """The maildrop's lease (RFC 1939 §4)."""

    @pytest_twisted.ensureDeferred
    async def test_one_at_a_time(self, store: IStore, home: IHome) -> None:
        """Only one has it, of all who opened the home; giving it back lets the next one in."""
        same = await store.open_home("alice@example.org")
        lease = await home.lease_maildrop()
        for claimant in (home, same):
            with pytest.raises(InUse):
                await claimant.lease_maildrop()
        lease.release()
        second = await same.lease_maildrop()
        lease.release()
        with pytest.raises(InUse):
            await home.lease_maildrop()
        second.release()
        second.release()
        (await home.lease_maildrop()).release()

    @pytest_twisted.ensureDeferred
    async def test_of_one_home_only(self, store: IStore, home: IHome) -> None:
        """Another account's maildrop is another's."""
        other = await store.open_home("bob@example.org")
        leases = [await home.lease_maildrop(), await other.lease_maildrop()]
        for lease in leases:
            lease.release()

    @pytest_twisted.ensureDeferred
    async def test_mail_goes_on(self, home: IHome, mailbox: IMailbox) -> None:
        """A lease keeps other maildrop sessions out, not mail or IMAP."""
        lease = await home.lease_maildrop()
        await add(home)
        await mailbox.expunge(ALL)
        lease.release()
