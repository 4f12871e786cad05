"""The contract of bodies: ranges, and how long an expunged one lives (rule 6)."""

from __future__ import annotations

import pytest_twisted

from mailplat.interfaces.store import BodyRange, IHome, IMailbox
from mailplat.model.numset import NumSet
from mailplat.testing.mails import mail, new_message
from mailplat.testing.store_contract.fixtures import ALL, StoreFixtures, add, body_of

__all__ = ["Bodies", "ExpungedBodies"]


class Bodies(StoreFixtures):
    """Bytes by range."""

    @pytest_twisted.ensureDeferred
    async def test_ranges(self, home: IHome, mailbox: IMailbox) -> None:
        """Each range gives its bytes, cut at the message's end; the order is the caller's."""
        data = [mail(1), mail(2, size=300_000)]
        uids = (await home.append("INBOX", [new_message(d) for d in data])).uids
        wanted = [
            BodyRange(uids[which], start, stop)
            for which in (1, 0, 1)
            for start, stop in [
                (0, 1),
                (0, 10),
                (5, 5),
                (10, 4096),
                (100, 1 << 40),
                (len(data[which]) - 1, len(data[which]) + 1),
                (len(data[which]), len(data[which]) + 1),
                (1 << 30, 1 << 31),
            ]
        ]
        found = await mailbox.bodies(wanted)
        assert list(found) == [data[w.uid == uids[1]][w.start : w.stop] for w in wanted]

    @pytest_twisted.ensureDeferred
    async def test_no_such_message(self, home: IHome, mailbox: IMailbox) -> None:
        """A message that was never there has no bytes; the others have theirs."""
        (uid,) = (await home.append("INBOX", [new_message(mail(1))])).uids
        found = await mailbox.bodies([BodyRange(n, 0, 9) for n in (uid + 1, uid, 4_000_000)])
        assert list(found) == [None, mail(1)[:9], None]
        assert list(await mailbox.bodies([])) == []

    @pytest_twisted.ensureDeferred
    async def test_many_at_once(self, home: IHome, mailbox: IMailbox) -> None:
        """Hundreds of bodies are read by one call."""
        data = [mail(n, size=n * 7) for n in range(200)]
        uids = (await home.append("INBOX", [new_message(d) for d in data])).uids
        found = await mailbox.bodies([BodyRange(uid, 0, 1 << 20) for uid in reversed(uids)])
        assert list(found) == data[::-1]

    @pytest_twisted.ensureDeferred
    async def test_copies_do_not_depend_on_each_other(self, home: IHome, mailbox: IMailbox) -> None:
        """Of identical messages, one that is expunged and let go leaves the others their bytes."""
        await home.create("Other", [])
        data = mail(1, size=100_000)
        uids = (await home.append("INBOX", [new_message(data)] * 3)).uids
        await mailbox.copy(NumSet.of(uids[:1]), "Other")
        await mailbox.expunge(NumSet.of(uids[:2]))
        mailbox.acknowledge((await mailbox.state(False)).modseq)
        await add(home)
        assert await body_of(mailbox, uids[2]) == data
        await mailbox.expunge(ALL)
        mailbox.acknowledge((await mailbox.state(False)).modseq)
        await add(home)
        other = await home.open_mailbox("Other")
        (uid,) = (await other.state(False)).uids
        assert await body_of(other, uid) == data
        other.close()


class ExpungedBodies(StoreFixtures):
    """Bytes of messages that are gone and still shown."""

    @pytest_twisted.ensureDeferred
    async def test_live_until_acknowledged(self, home: IHome, mailbox: IMailbox) -> None:
        """Each handle that was open can read until the last of them lets go."""
        data = mail(1)
        second = await home.open_mailbox("INBOX")
        third = await home.open_mailbox("INBOX")
        (uid,) = (await home.append("INBOX", [new_message(data)])).uids
        await mailbox.expunge(ALL)
        assert list((await mailbox.state(False)).uids) == []
        assert await body_of(mailbox, uid) == data
        mailbox.acknowledge((await mailbox.changes_since(1)).modseq)
        assert await body_of(second, uid) == data
        second.close()
        await add(home)
        assert await body_of(third, uid) == data
        third.acknowledge((await third.state(False)).modseq)
        third.close()

    @pytest_twisted.ensureDeferred
    async def test_an_older_acknowledgement_frees_nothing(
        self, home: IHome, mailbox: IMailbox
    ) -> None:
        """Who acknowledged the first expunge still shows what the second one took."""
        data = [mail(1), mail(2)]
        uids = (await home.append("INBOX", [new_message(d) for d in data])).uids
        before = (await mailbox.state(False)).modseq
        await mailbox.expunge(NumSet.of(uids[:1]))
        first = (await mailbox.state(False)).modseq
        await mailbox.expunge(NumSet.of(uids[1:]))
        mailbox.acknowledge(before)
        await add(home)
        assert [await body_of(mailbox, uid) for uid in uids] == data
        mailbox.acknowledge(first)
        mailbox.acknowledge(before)
        await add(home)
        assert await body_of(mailbox, uids[1]) == data[1]

    @pytest_twisted.ensureDeferred
    async def test_handles_opened_later_have_no_say(self, home: IHome, mailbox: IMailbox) -> None:
        """What a later handle acknowledges or closes frees nothing that an older one shows."""
        data = mail(1)
        (uid,) = (await home.append("INBOX", [new_message(data)])).uids
        other = await home.open_mailbox("INBOX")
        await other.expunge(ALL)
        other.close()
        for _ in range(2):
            late = await home.open_mailbox("INBOX")
            late.acknowledge((await late.state(False)).modseq)
            late.close()
            await add(home)
        assert await body_of(mailbox, uid) == data

    @pytest_twisted.ensureDeferred
    async def test_moved_away(self, home: IHome, mailbox: IMailbox) -> None:
        """A moved message is expunged here: its old UID can be read like any other such."""
        await home.create("Other", [])
        other = await home.open_mailbox("Other")
        data = mail(1)
        (uid,) = (await home.append("INBOX", [new_message(data)])).uids
        moved = await mailbox.move(ALL, "Other")
        assert await body_of(mailbox, uid) == data
        await other.expunge(ALL)
        other.acknowledge((await other.state(False)).modseq)
        await add(home)
        assert await body_of(mailbox, uid) == data
        other.close()
        assert len(moved.targets) == 1

    @pytest_twisted.ensureDeferred
    async def test_inbox_renamed(self, home: IHome, mailbox: IMailbox) -> None:
        """Messages that left with the name of INBOX can still be read by who shows them."""
        data = mail(1)
        (uid,) = (await home.append("INBOX", [new_message(data)])).uids
        await home.rename("INBOX", "Old")
        assert await body_of(mailbox, uid) == data

    @pytest_twisted.ensureDeferred
    async def test_close_twice(self, home: IHome) -> None:
        """A handle may be closed again, and other handles go on."""
        await add(home)
        first, second = await home.open_mailbox("INBOX"), await home.open_mailbox("INBOX")
        first.close()
        first.close()
        assert len((await second.state(False)).uids) == 1
        second.close()
