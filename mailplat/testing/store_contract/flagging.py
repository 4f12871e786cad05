"""The contract of flags and keywords (RFC 9051 §2.3.2, §6.4.6; RFC 7162 §3.1.3)."""

from __future__ import annotations

import pytest
import pytest_twisted

from mailplat.interfaces.store import Column, IHome, IMailbox
from mailplat.model.errors import LimitReached
from mailplat.model.flags import FIRST_KEYWORD, SYSTEM_FLAGS, FlagAction
from mailplat.model.numset import NumSet
from mailplat.testing.mails import mail, new_message
from mailplat.testing.store_contract.fixtures import (
    ALL,
    StoreFixtures,
    add,
    flags_in,
    status_of,
)

__all__ = ["ConditionalStore", "Flags", "Keywords"]

ADD, REMOVE, REPLACE = FlagAction.ADD, FlagAction.REMOVE, FlagAction.REPLACE


class Flags(StoreFixtures):
    """Flags without conditions."""

    @pytest_twisted.ensureDeferred
    async def test_add_remove_replace(self, home: IHome, mailbox: IMailbox) -> None:
        """Each action does what its name says, to the messages asked for and no others."""
        one, two, three = await add(home, messages=3, flags=["\\Seen", "$A"])
        await mailbox.store_flags(NumSet.of([one]), ADD, ["\\Deleted", "\\Seen"], None)
        await mailbox.store_flags(NumSet.of([two]), REMOVE, ["\\Seen", "\\Draft"], None)
        await mailbox.store_flags(NumSet.of([three]), REPLACE, ["\\Flagged"], None)
        assert await flags_in(mailbox) == {
            one: {"\\Seen", "\\Deleted", "$A"},
            two: {"$A"},
            three: {"\\Flagged"},
        }

    @pytest_twisted.ensureDeferred
    async def test_every_system_flag(self, home: IHome, mailbox: IMailbox) -> None:
        """Each system flag has its own bit, and no other changes with it."""
        await add(home)
        for flag, bit in SYSTEM_FLAGS.items():
            stored = await mailbox.store_flags(ALL, ADD, [flag], None)
            assert list(stored.masks) == [bit]
            stored = await mailbox.store_flags(ALL, REMOVE, [flag], None)
            assert list(stored.masks) == [0]

    @pytest_twisted.ensureDeferred
    async def test_answers_with_what_is_stored(self, home: IHome, mailbox: IMailbox) -> None:
        """The answer has all messages asked for; only those changed have a new MODSEQ."""
        uids = await add(home, messages=3)
        await mailbox.store_flags(NumSet.of([uids[1]]), ADD, ["\\Seen"], None)
        before = (await mailbox.rows(ALL, [Column.MODSEQ]))[Column.MODSEQ]
        stored = await mailbox.store_flags(ALL, ADD, ["\\Seen"], None)
        assert list(stored.uids) == list(uids)
        assert list(stored.masks) == [1, 1, 1]
        assert stored.modseqs[0] > max(before)
        assert stored.modseqs[1] == before[1]
        assert stored.modseqs[2] > max(before)
        assert stored.modseq == max(stored.modseqs)
        assert not stored.refused
        rows = await mailbox.rows(ALL, [Column.FLAGS, Column.MODSEQ])
        assert list(rows[Column.FLAGS]) == list(stored.masks)
        assert list(rows[Column.MODSEQ]) == list(stored.modseqs)
        assert (await mailbox.state(False)).modseq >= stored.modseq

    @pytest.mark.parametrize(
        ("action", "flags"),
        [
            (ADD, ["\\Seen"]),
            (ADD, []),
            (ADD, ["$word"]),
            (REMOVE, ["\\Draft"]),
            (REMOVE, []),
            (REMOVE, ["$Unknown"]),
            (REPLACE, ["$WORD", "\\Seen"]),
        ],
    )
    @pytest_twisted.ensureDeferred
    async def test_no_change_takes_no_modseq(
        self, home: IHome, mailbox: IMailbox, action: FlagAction, flags: list[str]
    ) -> None:
        """What is so already is answered, and nobody hears of it."""
        uids = await add(home, messages=2, flags=["\\Seen", "$Word"])
        before = await mailbox.state(False)
        stored = await mailbox.store_flags(ALL, action, flags, None)
        assert stored.modseq == 0
        assert list(stored.uids) == list(uids)
        after = await mailbox.state(False)
        assert after.modseq == before.modseq
        assert not await mailbox.changes_since(before.modseq)
        assert list(mailbox.keywords) == ["$Word"]

    @pytest_twisted.ensureDeferred
    async def test_missing_uids_are_passed_over(self, home: IHome, mailbox: IMailbox) -> None:
        """UIDs that are gone or still to come are neither stored nor refused."""
        uids = await add(home, messages=3)
        await mailbox.expunge(NumSet.of([uids[1]]))
        stored = await mailbox.store_flags(ALL, ADD, ["\\Seen"], None)
        assert list(stored.uids) == [uids[0], uids[2]]
        for gone in (NumSet.of([uids[1]]), NumSet.span(uids[2] + 1, uids[2] + 9), NumSet()):
            stored = await mailbox.store_flags(gone, ADD, ["\\Draft"], 1 << 40)
            assert (list(stored.uids), stored.refused, stored.modseq) == ([], NumSet(), 0)

    @pytest_twisted.ensureDeferred
    async def test_counts_follow(self, home: IHome, mailbox: IMailbox) -> None:
        """STATUS counts unseen and deleted messages as the flags are now."""
        uids = await add(home, messages=4)
        await mailbox.store_flags(NumSet.of(uids[:3]), ADD, ["\\Seen"], None)
        await mailbox.store_flags(NumSet.of(uids[2:]), ADD, ["\\Deleted"], None)
        status = await status_of(home)
        assert (status.messages, status.unseen, status.deleted) == (4, 1, 2)
        await mailbox.store_flags(NumSet.of(uids[2:3]), REPLACE, [], None)
        await mailbox.expunge(NumSet.of(uids[3:]))
        status = await status_of(home)
        assert (status.messages, status.unseen, status.deleted) == (3, 1, 0)


class Keywords(StoreFixtures):
    """Keywords: their bits, their spelling, their limit."""

    @pytest_twisted.ensureDeferred
    async def test_bits_are_kept(self, home: IHome, mailbox: IMailbox) -> None:
        """Keyword i is bit 5 + i; the table only grows, in every handle."""
        other = await home.open_mailbox("INBOX")
        await add(home, flags=["$A"])
        known = list(mailbox.keywords)
        assert known == ["$A"]
        await mailbox.store_flags(ALL, ADD, ["$B", "$C"], None)
        await mailbox.store_flags(ALL, REMOVE, ["$A"], None)
        await mailbox.expunge(ALL)
        await add(home, flags=["$D"])
        keywords = list(mailbox.keywords)
        assert keywords[:1] == known
        assert sorted(keywords) == ["$A", "$B", "$C", "$D"]
        rows = await other.rows(ALL, [Column.FLAGS])
        assert list(other.keywords) == keywords
        assert list(rows[Column.FLAGS]) == [1 << (FIRST_KEYWORD + keywords.index("$D"))]
        other.close()

    @pytest_twisted.ensureDeferred
    async def test_case_does_not_matter(self, home: IHome, mailbox: IMailbox) -> None:
        """Keywords that differ by case are one, spelled as at first (RFC 9051 §2.3.2)."""
        await add(home, flags=["$Junk"])
        await add(home, flags=["$JUNK"])
        await mailbox.store_flags(ALL, ADD, ["$junk"], None)
        assert list(mailbox.keywords) == ["$Junk"]
        assert set((await flags_in(mailbox)).values()) == {frozenset({"$Junk"})}
        await mailbox.store_flags(ALL, REMOVE, ["$jUNK"], None)
        assert set((await flags_in(mailbox)).values()) == {frozenset()}

    @pytest_twisted.ensureDeferred
    async def test_mailboxes_have_their_own(self, home: IHome, mailbox: IMailbox) -> None:
        """One mailbox's keywords are no other's."""
        await home.create("Other", [])
        other = await home.open_mailbox("Other")
        await add(home, flags=["$A"])
        await add(home, "Other", flags=["$B"])
        assert (list(mailbox.keywords), list(other.keywords)) == (["$A"], ["$B"])
        other.close()

    @pytest_twisted.ensureDeferred
    async def test_limit(self, home: IHome, mailbox: IMailbox) -> None:
        """One keyword too many changes nothing at all; those known can be used on."""
        words = [f"word{n}" for n in range(self.keyword_limit)]
        uids = await add(home, messages=2, flags=words[1:])
        await mailbox.store_flags(NumSet.of(uids[:1]), ADD, words[:1], None)
        before, state = await flags_in(mailbox), await mailbox.state(False)
        for action in (ADD, REPLACE):
            with pytest.raises(LimitReached):
                await mailbox.store_flags(ALL, action, ["\\Seen", words[0], "more"], None)
        with pytest.raises(LimitReached):
            await home.append("INBOX", [new_message(mail(1), ["more"])])
        assert await flags_in(mailbox) == before
        assert (await mailbox.state(False)).modseq == state.modseq
        assert sorted(mailbox.keywords) == sorted(words)
        await mailbox.store_flags(ALL, ADD, words, None)
        assert set((await flags_in(mailbox)).values()) == {frozenset(words)}


class ConditionalStore(StoreFixtures):
    """``UNCHANGEDSINCE`` (RFC 7162 §3.1.3; rule 4 of the store's design)."""

    @pytest_twisted.ensureDeferred
    async def test_newer_ones_are_refused(self, home: IHome, mailbox: IMailbox) -> None:
        """Who changed since is refused and left as it is; the others are stored."""
        uids = await add(home, messages=3)
        since = (await mailbox.state(False)).modseq
        await mailbox.store_flags(NumSet.of([uids[1]]), ADD, ["\\Draft"], None)
        stored = await mailbox.store_flags(ALL, ADD, ["\\Seen"], since)
        assert stored.refused == NumSet.of([uids[1]])
        assert list(stored.uids) == [uids[0], uids[2]]
        assert await flags_in(mailbox) == {
            uids[0]: {"\\Seen"},
            uids[1]: {"\\Draft"},
            uids[2]: {"\\Seen"},
        }

    @pytest_twisted.ensureDeferred
    async def test_zero_refuses_all(self, home: IHome, mailbox: IMailbox) -> None:
        """No message's MODSEQ is 0, so 0 refuses each (RFC 7162 §3.1.3)."""
        uids = await add(home, messages=2)
        before = await mailbox.state(False)
        stored = await mailbox.store_flags(ALL, REPLACE, ["\\Seen", "$New"], 0)
        assert stored.refused == NumSet.of(uids)
        assert (list(stored.uids), stored.modseq) == ([], 0)
        assert (await mailbox.state(False)).modseq == before.modseq
        assert set((await flags_in(mailbox)).values()) == {frozenset()}

    @pytest_twisted.ensureDeferred
    async def test_its_own_modseq_is_not_newer(self, home: IHome, mailbox: IMailbox) -> None:
        """A message whose MODSEQ is just the one given is stored, time and again."""
        await add(home)
        for flag in ("\\Seen", "\\Draft", "$Word"):
            (modseq,) = (await mailbox.rows(ALL, [Column.MODSEQ]))[Column.MODSEQ]
            stored = await mailbox.store_flags(ALL, ADD, [flag], modseq)
            assert not stored.refused
            stale = await mailbox.store_flags(ALL, REMOVE, [flag], modseq)
            assert stale.refused

    @pytest_twisted.ensureDeferred
    async def test_refused_even_if_it_is_so(self, home: IHome, mailbox: IMailbox) -> None:
        """The condition is on the MODSEQ, not on the flags."""
        uids = await add(home)
        since = (await mailbox.state(False)).modseq
        await mailbox.store_flags(ALL, ADD, ["\\Seen"], None)
        stored = await mailbox.store_flags(ALL, ADD, ["\\Seen"], since)
        assert stored.refused == NumSet.of(uids)
