"""The contract of messages that come: UIDs, append, what columns say of them, who is recent."""

from __future__ import annotations

import time
from array import array
from dataclasses import replace

import pytest
import pytest_twisted
from twisted.python.threadable import isInIOThread
from zope.interface import implementer
from zope.interface.verify import verifyObject

from mailplat.interfaces.bodies import IBody
from mailplat.interfaces.store import Column, IHome, IMailbox, NewMessage
from mailplat.model.errors import LimitReached, NoSuchMailbox
from mailplat.model.flags import flag_names
from mailplat.model.numset import NumSet
from mailplat.testing.mails import NOON, mail, new_message
from mailplat.testing.store_contract.fixtures import (
    ALL,
    StoreFixtures,
    add,
    ascending,
    body_of,
    flags_in,
    status_of,
)

__all__ = ["Appending", "Columns", "Recent"]


@implementer(IBody)
class _FileBody:
    """A body that may only be read in a thread."""

    in_memory: bool = False

    def __init__(self, data: bytes) -> None:
        self.size = len(data)
        self._data = data

    def read(self, start: int, stop: int) -> bytes:
        assert not isInIOThread(), "a body that may block was read in the reactor's thread"
        return self._data[start:stop]

    def close(self) -> None:
        self._data = b""


class Appending(StoreFixtures):
    """UIDs and appends (rules 1 and 3)."""

    def test_provides(self, mailbox: IMailbox) -> None:
        """A mailbox has every member of the interface, with its signature."""
        assert verifyObject(IMailbox, mailbox)
        assert mailbox.name == "INBOX"
        assert 0 < mailbox.uid_validity < 1 << 32
        assert list(mailbox.keywords) == []

    @pytest_twisted.ensureDeferred
    async def test_new_mailbox_is_empty(self, mailbox: IMailbox) -> None:
        """A new mailbox has no messages, and a MODSEQ (RFC 7162 §3.1.2.1: at least 1)."""
        state = await mailbox.state(False)
        assert list(state.uids) == []
        assert state.uid_next >= 1
        assert state.modseq >= 1

    @pytest_twisted.ensureDeferred
    async def test_append_answers_with_uids(self, home: IHome, mailbox: IMailbox) -> None:
        """UIDs ascend in the order of the messages, and belong to the UIDVALIDITY answered."""
        before = await mailbox.state(False)
        data = [mail(n) for n in range(5)]
        appended = await home.append("INBOX", [new_message(d) for d in data])
        state = await mailbox.state(False)
        assert appended.uid_validity == mailbox.uid_validity
        assert list(appended.uids) == list(state.uids)
        assert ascending(appended.uids)
        assert before.uid_next <= appended.uids[0]
        assert appended.uids[-1] < state.uid_next
        assert before.modseq < appended.modseq <= state.modseq
        assert [await body_of(mailbox, uid) for uid in appended.uids] == data

    @pytest_twisted.ensureDeferred
    async def test_uid_is_never_given_again(self, home: IHome, mailbox: IMailbox) -> None:
        """Not the last one's, nor any after all are expunged (RFC 9051 §2.3.1.1)."""
        given = list(await add(home, messages=3))
        await mailbox.expunge(NumSet.of(given[-1:]))
        given += await add(home)
        await mailbox.expunge(ALL)
        uid_next = (await mailbox.state(False)).uid_next
        assert uid_next > given[-1]
        given += await add(home, messages=2)
        assert ascending(given)
        assert given[-2] >= uid_next

    @pytest_twisted.ensureDeferred
    async def test_append_of_nothing(self, home: IHome, mailbox: IMailbox) -> None:
        """No messages: no UIDs and no change."""
        await add(home)
        before = await mailbox.state(False)
        appended = await home.append("INBOX", [])
        assert (appended.uids, appended.uid_validity) == ((), mailbox.uid_validity)
        after = await mailbox.state(False)
        assert (after.modseq, after.uid_next) == (before.modseq, before.uid_next)

    @pytest_twisted.ensureDeferred
    async def test_append_to_no_mailbox(self, home: IHome) -> None:
        """A mailbox that is not there is not made by an append."""
        with pytest.raises(NoSuchMailbox):
            await add(home, "Nowhere")
        assert "Nowhere" not in [info.name for info in await home.mailboxes()]

    @pytest_twisted.ensureDeferred
    async def test_append_is_all_or_none(self, home: IHome, mailbox: IMailbox) -> None:
        """One message that cannot be stored (too many keywords) keeps the others out too."""
        await add(home)
        before = await mailbox.state(False)
        words = [f"word{n}" for n in range(self.keyword_limit + 1)]
        messages = [new_message(mail(1), ["$One"]), new_message(mail(2), words)]
        with pytest.raises(LimitReached):
            await home.append("INBOX", messages)
        after = await mailbox.state(False)
        assert (list(after.uids), after.modseq) == (list(before.uids), before.modseq)
        assert list(mailbox.keywords) == []
        assert (await home.usage()).messages == 1

    @pytest_twisted.ensureDeferred
    async def test_body_is_the_callers(self, home: IHome, mailbox: IMailbox) -> None:
        """The store does not close a body, and needs it no more afterwards."""
        message = new_message(mail(1))
        (first,) = (await home.append("INBOX", [message])).uids
        (second,) = (await home.append("INBOX", [message])).uids
        message.body.close()
        assert await body_of(mailbox, first) == mail(1) == await body_of(mailbox, second)

    @pytest_twisted.ensureDeferred
    async def test_body_in_a_file(self, home: IHome, mailbox: IMailbox) -> None:
        """A body that may block is read in a thread."""
        data = mail(1, size=300_000)
        message = replace(new_message(data), body=_FileBody(data))
        (uid,) = (await home.append("INBOX", [message])).uids
        assert await body_of(mailbox, uid) == data

    @pytest_twisted.ensureDeferred
    async def test_any_bytes(self, home: IHome, mailbox: IMailbox) -> None:
        """Bytes are kept as they are: none, NUL, 8-bit, bare CR and LF, no header, no body."""
        bodies = [b"", b"\0", b"\r\n", bytes(range(256)), b"a\nb\rc\r\n\r\n\n", b"X: \xff\r\n\r\n"]
        appended = await home.append("INBOX", [new_message(data) for data in bodies])
        assert [await body_of(mailbox, uid) for uid in appended.uids] == bodies


class Columns(StoreFixtures):
    """What `IMailbox.rows` says of messages."""

    @pytest_twisted.ensureDeferred
    async def test_columns_hold_the_summary(self, home: IHome, mailbox: IMailbox) -> None:
        """Every column gives back what was stored."""
        started = int(time.time())
        header = b"In-Reply-To: <0@x>\r\n"
        data = [header + mail(1), mail(2, size=5000), b"", b"Subject: caf\xc3\xa9\r\n\r\n\0"]
        messages = [new_message(d, ["\\Seen"], NOON - day * 86_400) for day, d in enumerate(data)]
        uids = (await home.append("INBOX", messages)).uids
        rows = await mailbox.rows(list(uids), list(Column))
        assert list(rows.uids) == list(uids)
        assert rows.columns.keys() == set(Column)
        summaries = [message.summary for message in messages]
        for column, expected in {
            Column.FLAGS: [1] * 4,
            Column.SIZE: [len(d) for d in data],
            Column.DATE: [message.date for message in messages],
            Column.SENT: [summary.sent for summary in summaries],
            Column.HEADER: [summary.header for summary in summaries],
            Column.ENVELOPE: [summary.envelope for summary in summaries],
            Column.BODY: [summary.body for summary in summaries],
            Column.BODYSTRUCTURE: [summary.bodystructure for summary in summaries],
            Column.PARTS: [summary.parts for summary in summaries],
            Column.PREVIEW: [summary.preview for summary in summaries],
            Column.MESSAGE_ID: [summary.message_id for summary in summaries],
            Column.REFERENCES: [summary.references for summary in summaries],
            Column.BASE_SUBJECT: [summary.base_subject for summary in summaries],
            Column.NUL: [summary.nul for summary in summaries],
        }.items():
            assert list(rows[column]) == expected, column
        modseq = (await mailbox.state(False)).modseq
        assert all(0 < m <= modseq for m in rows[Column.MODSEQ])
        assert all(started - 1 <= saved <= time.time() + 1 for saved in rows[Column.SAVED])
        assert all(0 < len(email_id) <= 255 for email_id in rows[Column.EMAIL_ID])
        assert len(set(rows[Column.EMAIL_ID])) == 4

    @pytest_twisted.ensureDeferred
    async def test_each_column_alone(self, home: IHome, mailbox: IMailbox) -> None:
        """A column is the same, asked for alone or with all others."""
        await add(home, messages=3, flags=["$Word"])
        together = await mailbox.rows(ALL, list(Column))
        for column in Column:
            alone = await mailbox.rows(ALL, [column])
            assert list(alone[column]) == list(together[column]), column
            assert list(alone.columns) == [column]

    @pytest_twisted.ensureDeferred
    async def test_rows_by_sequence_or_set(self, home: IHome, mailbox: IMailbox) -> None:
        """All ways to ask for the same messages give the same rows, ascending."""
        uids = list(await add(home, messages=9))
        await mailbox.expunge(NumSet.of([uids[4]]))
        del uids[4]
        sizes = dict(zip(uids, (await mailbox.rows(ALL, [Column.SIZE]))[Column.SIZE], strict=True))
        for wanted in (uids, uids[2:6], uids[::2], uids[:1], uids[-1:], uids[1:3] + uids[6:]):
            for asked in (wanted, tuple(wanted), array("I", wanted), NumSet.of(wanted)):
                rows = await mailbox.rows(asked, [Column.SIZE])
                assert list(rows.uids) == wanted
                assert list(rows[Column.SIZE]) == [sizes[uid] for uid in wanted]

    @pytest_twisted.ensureDeferred
    async def test_uids_not_there_are_passed_over(self, home: IHome, mailbox: IMailbox) -> None:
        """Expunged ones, ones to come and ones between leave no gap."""
        uids = await add(home, messages=5)
        await mailbox.expunge(NumSet.of([uids[1], uids[3]]))
        left = [uids[0], uids[2], uids[4]]
        for asked in (list(range(1, uids[4] + 10)), NumSet.span(uids[0], uids[4] + 5), ALL):
            assert list((await mailbox.rows(asked, [Column.FLAGS])).uids) == left
        for asked in ([], [uids[1]], [uids[4] + 1000], NumSet()):
            rows = await mailbox.rows(asked, [Column.FLAGS, Column.ENVELOPE])
            assert list(rows.uids) == list(rows[Column.FLAGS]) == list(rows[Column.ENVELOPE]) == []

    @pytest_twisted.ensureDeferred
    async def test_header_beyond_the_summary(self, home: IHome, mailbox: IMailbox) -> None:
        """A header too large for the summary is read from the body."""
        data = b"X: " + b"y" * 5000 + b"\r\n\r\nbody"
        full = new_message(data)
        message = replace(full, summary=replace(full.summary, header=b""))
        uids = (await home.append("INBOX", [message, new_message(mail(1))])).uids
        rows = await mailbox.rows(list(uids), [Column.HEADER])
        assert rows[Column.HEADER][0] == data[:-4]
        assert rows[Column.HEADER][1] == new_message(mail(1)).summary.header

    @pytest_twisted.ensureDeferred
    async def test_flags_of_new_messages(self, home: IHome, mailbox: IMailbox) -> None:
        """System flags and keywords are stored with each message."""
        given = [frozenset({"\\Seen", "$Work"}), frozenset({"\\Draft", "$Play", "$Work"})]
        messages: list[NewMessage] = [new_message(mail(1), flags) for flags in given]
        uids = (await home.append("INBOX", messages)).uids
        assert await flags_in(mailbox) == dict(zip(uids, given, strict=True))

    @pytest_twisted.ensureDeferred
    async def test_many_messages(self, home: IHome, mailbox: IMailbox) -> None:
        """A thousand messages, asked for in blocks, are all there and in order."""
        message = new_message(mail(1))
        uids: list[int] = []
        for _ in range(3):
            uids += (await home.append("INBOX", [message] * 400)).uids
        state = await mailbox.state(False)
        assert list(state.uids) == uids
        found: list[int] = []
        for start in range(0, 1200, 350):
            rows = await mailbox.rows(state.uids[start : start + 350], [Column.ENVELOPE])
            assert set(rows[Column.ENVELOPE]) == {message.summary.envelope}
            found += rows.uids
        assert found == uids


class Recent(StoreFixtures):
    r"""Who sees a message as ``\Recent`` (RFC 3501 §2.3.2), and what a state is."""

    @pytest_twisted.ensureDeferred
    async def test_recent_is_claimed_once(self, home: IHome, mailbox: IMailbox) -> None:
        """The first who claims sees new messages as recent; later ones see newer ones only."""
        first = await add(home, messages=2)
        assert (await status_of(home)).recent == 2
        assert (await mailbox.state(False)).recent_uid <= first[0]
        assert (await mailbox.state(True)).recent_uid <= first[0]
        assert (await status_of(home)).recent == 0
        other = await home.open_mailbox("INBOX")
        assert (await other.state(True)).recent_uid > first[-1]
        second = await add(home)
        assert (await status_of(home)).recent == 1
        assert first[-1] < (await other.state(True)).recent_uid <= second[0]
        assert (await mailbox.state(True)).recent_uid > second[0]
        other.close()

    @pytest_twisted.ensureDeferred
    async def test_recent_counts_what_is_there(self, home: IHome, mailbox: IMailbox) -> None:
        """An expunged message is not counted as recent, nor is a flag ever Recent."""
        uids = await add(home, messages=3)
        await mailbox.expunge(NumSet.of(uids[:1]))
        assert (await status_of(home)).recent == 2
        rows = await mailbox.rows(ALL, [Column.FLAGS])
        assert [flag_names(mask, mailbox.keywords) for mask in rows[Column.FLAGS]] == [(), ()]

    @pytest_twisted.ensureDeferred
    async def test_state_is_the_callers_own(self, home: IHome, mailbox: IMailbox) -> None:
        """A state does not change behind the caller's back, nor the store by its change."""
        uids = list(await add(home, messages=3))
        state = await mailbox.state(False)
        await mailbox.expunge(NumSet.of(uids[1:2]))
        await add(home)
        assert list(state.uids) == uids
        fresh = (await mailbox.state(False)).uids
        if isinstance(fresh, array | list):
            del fresh[:]
        assert len((await mailbox.state(False)).uids) == 3
