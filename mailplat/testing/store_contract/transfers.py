"""The contract of EXPUNGE, COPY and MOVE (RFC 9051 §6.4.3, §6.4.7, RFC 6851)."""

from __future__ import annotations

import pytest
import pytest_twisted

from mailplat.interfaces.store import Column, IHome, IMailbox
from mailplat.model.errors import NoSuchMailbox, OverQuota
from mailplat.model.flags import FlagAction
from mailplat.model.mailbox import QuotaLimit, QuotaUsage
from mailplat.model.numset import NumSet
from mailplat.testing.mails import mail, new_message
from mailplat.testing.store_contract.fixtures import (
    ALL,
    Seen,
    StoreFixtures,
    add,
    ascending,
    body_of,
    flags_in,
    status_of,
    subjects_in,
    uids_in,
)

__all__ = ["Copying", "Expunging", "Moving"]


class Expunging(StoreFixtures):
    """Messages removed for good."""

    @pytest_twisted.ensureDeferred
    async def test_removes_what_is_there(self, home: IHome, mailbox: IMailbox) -> None:
        """The answer names those that were there; flags do not matter; others stay."""
        uids = await add(home, messages=4, size=1000)
        assert await mailbox.expunge(NumSet.of([uids[1]])) == NumSet.of([uids[1]])
        removed = await mailbox.expunge(NumSet.span(uids[0], uids[2]))
        assert removed == NumSet.of([uids[0], uids[2]])
        assert await uids_in(home) == [uids[3]]
        assert await home.usage() == QuotaUsage(1000, 1)
        status = await status_of(home)
        assert (status.messages, status.unseen, status.size) == (1, 1, 1000)

    @pytest_twisted.ensureDeferred
    async def test_nothing_to_remove(self, home: IHome, mailbox: IMailbox) -> None:
        """No message there: no change."""
        uids = await add(home)
        await mailbox.expunge(ALL)
        before = await mailbox.state(False)
        for numbers in (NumSet(), NumSet.of(uids), ALL):
            assert await mailbox.expunge(numbers) == NumSet()
        assert (await mailbox.state(False)).modseq == before.modseq


class _Transferring(StoreFixtures):
    """A second mailbox."""

    async def _other(self, home: IHome) -> IMailbox:
        await home.create("Other", [])
        return await home.open_mailbox("Other")


class Copying(_Transferring):
    """Copies of messages."""

    @pytest_twisted.ensureDeferred
    async def test_copies_everything(self, home: IHome, mailbox: IMailbox) -> None:
        """A copy has its source's bytes, flags, keywords, date and EMAILID; the source stays."""
        other = await self._other(home)
        await add(home, "Other", flags=["$X", "$B"])
        messages = [
            new_message(mail(1), ["\\Seen", "$A"], 1_000_000_000),
            new_message(mail(2), ["$B", "$A"], 1_100_000_000),
            new_message(mail(3), [], 1_200_000_000),
        ]
        uids = (await home.append("INBOX", messages)).uids
        before = await Seen.of(mailbox)
        copied = await mailbox.copy(NumSet.of([uids[0], uids[1]]) | NumSet.span(900, 999), "Other")
        assert copied.uid_validity == other.uid_validity
        assert copied.sources == (uids[0], uids[1])
        assert len(copied.targets) == 2
        assert (await uids_in(home, "Other"))[1:] == list(copied.targets)
        assert (await other.state(False)).modseq >= copied.modseq
        assert await Seen.of(mailbox) == before
        columns = [Column.DATE, Column.EMAIL_ID, Column.ENVELOPE, Column.SIZE]
        sources = await mailbox.rows(list(copied.sources), columns)
        targets = await other.rows(list(copied.targets), columns)
        for column in columns:
            assert list(targets[column]) == list(sources[column])
        flags = await flags_in(other)
        assert [flags[uid] for uid in copied.targets] == [m.flags for m in messages[:2]]
        assert [await body_of(other, uid) for uid in copied.targets] == [mail(1), mail(2)]
        assert set((await other.rows(copied.targets, [Column.MODSEQ]))[Column.MODSEQ]) == {
            copied.modseq
        }
        other.close()

    @pytest_twisted.ensureDeferred
    async def test_into_the_same_mailbox(self, home: IHome, mailbox: IMailbox) -> None:
        """A mailbox takes copies of its own messages."""
        uids = await add(home, messages=2, flags=["\\Seen", "$A"])
        copied = await mailbox.copy(ALL, "inbox")
        assert copied.sources == uids
        assert await uids_in(home) == [*uids, *copied.targets]
        assert ascending([*uids, *copied.targets])
        assert set((await flags_in(mailbox)).values()) == {frozenset({"\\Seen", "$A"})}
        assert await body_of(mailbox, uids[1]) == await body_of(mailbox, copied.targets[1])

    @pytest_twisted.ensureDeferred
    async def test_copies_are_recent(self, home: IHome, mailbox: IMailbox) -> None:
        """A copy is recent where it goes, whoever saw its source."""
        other = await self._other(home)
        await add(home, messages=2)
        await mailbox.state(True)
        copied = await mailbox.copy(ALL, "Other")
        assert (await status_of(home, "Other")).recent == 2
        assert (await other.state(True)).recent_uid <= copied.targets[0]
        other.close()

    @pytest_twisted.ensureDeferred
    async def test_nothing_to_copy(self, home: IHome, mailbox: IMailbox) -> None:
        """Messages that are not there are passed over, and nothing changes."""
        other = await self._other(home)
        before = await other.state(False)
        copied = await mailbox.copy(ALL, "Other")
        assert (copied.sources, copied.targets) == ((), ())
        assert (await other.state(False)).modseq == before.modseq
        other.close()

    @pytest_twisted.ensureDeferred
    async def test_no_such_target(self, home: IHome, mailbox: IMailbox) -> None:
        """Neither copies nor moves make a mailbox."""
        uids = await add(home)
        for transfer in (mailbox.copy, mailbox.move):
            with pytest.raises(NoSuchMailbox):
                await transfer(ALL, "Nowhere")
        assert await uids_in(home) == list(uids)
        assert "Nowhere" not in [info.name for info in await home.mailboxes()]

    @pytest_twisted.ensureDeferred
    async def test_over_quota(self, home: IHome, mailbox: IMailbox) -> None:
        """If not all copies have room, none is made."""
        other = await self._other(home)
        await add(home, messages=3, size=1000)
        before = await other.state(False)
        for limit in (QuotaLimit(storage=5999), QuotaLimit(messages=5)):
            await home.set_limit(limit)
            with pytest.raises(OverQuota):
                await mailbox.copy(ALL, "Other")
            assert await home.usage() == QuotaUsage(3000, 3)
        after = await other.state(False)
        assert (list(after.uids), after.modseq) == ([], before.modseq)
        await home.set_limit(QuotaLimit(6000, 6))
        assert len((await mailbox.copy(ALL, "Other")).targets) == 3
        assert await home.usage() == QuotaUsage(6000, 6)
        other.close()

    @pytest_twisted.ensureDeferred
    async def test_keywords_without_room(self, home: IHome, mailbox: IMailbox) -> None:
        """Where the target takes no more keywords, the messages go there all the same."""
        other = await self._other(home)
        await add(home, "Other", flags=[f"word{n}" for n in range(self.keyword_limit)])
        uids = await add(home, messages=2, flags=["\\Flagged", "word0", "extra"])
        copied = await mailbox.copy(NumSet.of(uids[:1]), "Other")
        moved = await mailbox.move(NumSet.of(uids[1:]), "Other")
        flags = await flags_in(other)
        for uid in (*copied.targets, *moved.targets):
            assert flags[uid] == {"\\Flagged", "word0"}
        other.close()


class Moving(_Transferring):
    """Messages that change their mailbox."""

    @pytest_twisted.ensureDeferred
    async def test_moves_everything(self, home: IHome, mailbox: IMailbox) -> None:
        """What is moved is gone here, and there as it was; the quota does not change."""
        other = await self._other(home)
        before = [await Seen.of(mailbox), await Seen.of(other)]
        messages = [new_message(mail(n, 500), ["\\Draft", "$A"], n) for n in range(4)]
        uids = (await home.append("INBOX", messages)).uids
        usage = await home.usage()
        moved = await mailbox.move(NumSet.of([uids[1], uids[3], 4_000_000]), "Other")
        assert moved.sources == (uids[1], uids[3])
        assert moved.uid_validity == other.uid_validity
        assert await uids_in(home) == [uids[0], uids[2]]
        assert await uids_in(home, "Other") == list(moved.targets)
        assert await home.usage() == usage
        rows = await other.rows(moved.targets, [Column.DATE, Column.SIZE])
        assert list(rows[Column.DATE]) == [1, 3]
        assert list(rows[Column.SIZE]) == [500, 500]
        assert set((await flags_in(other)).values()) == {frozenset({"\\Draft", "$A"})}
        assert [await body_of(other, uid) for uid in moved.targets] == [mail(1, 500), mail(3, 500)]
        for seen, box in zip(before, (mailbox, other), strict=True):
            await seen.catch_up(box)
            assert seen.masks == (await Seen.of(box)).masks
        other.close()

    @pytest_twisted.ensureDeferred
    async def test_back_and_forth(self, home: IHome, mailbox: IMailbox) -> None:
        """A message that comes back has a new UID."""
        other = await self._other(home)
        uids = await add(home, messages=2)
        subjects = await subjects_in(home, "INBOX")
        await mailbox.move(ALL, "Other")
        moved = await other.move(ALL, "INBOX")
        assert moved.targets[0] > uids[-1]
        assert await subjects_in(home, "INBOX") == subjects
        assert await uids_in(home, "Other") == []
        other.close()

    @pytest_twisted.ensureDeferred
    async def test_to_where_they_are(self, home: IHome, mailbox: IMailbox) -> None:
        """A move into the same mailbox gives new UIDs, and nothing else, in one change."""
        uids = await add(home, messages=3, flags=["\\Seen", "$A"])
        bodies = [await body_of(mailbox, uid) for uid in uids]
        before, counted = await mailbox.state(False), await status_of(home)
        moved = await mailbox.move(NumSet.of(uids[:2]), "inbox")
        assert moved.sources == uids[:2]
        assert await uids_in(home) == [uids[2], *moved.targets]
        assert ascending([*uids, *moved.targets])
        for uid, body in zip((uids[2], *moved.targets), (bodies[2], *bodies[:2]), strict=True):
            assert await body_of(mailbox, uid) == body
        assert set((await flags_in(mailbox)).values()) == {frozenset({"\\Seen", "$A"})}
        after, news = await status_of(home), await mailbox.changes_since(before.modseq)
        assert (after.messages, after.unseen, after.size) == (3, 0, counted.size)
        assert (list(news.added), list(news.vanished)) == (list(moved.targets), list(uids[:2]))
        assert (await home.usage()).messages == 3
        again = await mailbox.move(ALL, "INBOX")
        assert await uids_in(home) == list(again.targets)

    @pytest_twisted.ensureDeferred
    async def test_over_quota_does_not_matter(self, home: IHome, mailbox: IMailbox) -> None:
        """A move takes no room, so who is over quota can still tidy up."""
        other = await self._other(home)
        await add(home, messages=2, size=1000)
        await home.set_limit(QuotaLimit(10, 1))
        assert len((await mailbox.move(ALL, "Other")).targets) == 2
        other.close()

    @pytest_twisted.ensureDeferred
    async def test_counts_follow(self, home: IHome, mailbox: IMailbox) -> None:
        """Both mailboxes' counts are right after a move."""
        other = await self._other(home)
        uids = await add(home, messages=3, size=400)
        await mailbox.store_flags(NumSet.of(uids[:2]), FlagAction.ADD, ["\\Seen"], None)
        await mailbox.store_flags(NumSet.of(uids[1:]), FlagAction.ADD, ["\\Deleted"], None)
        await mailbox.move(NumSet.of(uids[1:]), "Other")
        here, there = await status_of(home), await status_of(home, "Other")
        assert (here.messages, here.unseen, here.deleted, here.size) == (1, 0, 0, 400)
        assert (there.messages, there.unseen, there.deleted, there.size) == (2, 1, 2, 800)
        other.close()
