"""The contract of RENAME (RFC 9051 §6.3.6): trees, INBOX, and what is refused."""

from __future__ import annotations

import pytest
import pytest_twisted

from mailplat.interfaces.store import IHome, IMailbox
from mailplat.model.errors import AlreadyExists, Cannot, NoSuchMailbox
from mailplat.model.mailbox import SpecialUse
from mailplat.testing.store_contract.fixtures import (
    Seen,
    StoreFixtures,
    add,
    body_of,
    flags_in,
    info_of,
    status_of,
    subjects_in,
    uids_in,
)

__all__ = ["Renaming", "RenamingInbox"]


async def _names(home: IHome) -> list[str]:
    return [info.name for info in await home.mailboxes() if info.exists]


class Renaming(StoreFixtures):
    """Mailboxes other than INBOX."""

    @pytest_twisted.ensureDeferred
    async def test_keeps_everything_but_the_name(self, home: IHome) -> None:
        """UIDs, UIDVALIDITY, MAILBOXID, flags, uses and bytes stay as they were."""
        made = await home.create("Old box", [SpecialUse.SENT])
        uids = await add(home, "Old box", messages=2, flags=["\\Seen", "$A"])
        old = await home.open_mailbox("Old box")
        bodies = [await body_of(old, uid) for uid in uids]
        await home.rename("Old box", "New/box")
        new = await home.open_mailbox("New/box")
        assert (new.mailbox_id, new.uid_validity) == (made, old.uid_validity)
        assert await uids_in(home, "New/box") == list(uids)
        assert set((await flags_in(new)).values()) == {frozenset({"\\Seen", "$A"})}
        assert [await body_of(new, uid) for uid in uids] == bodies
        info = await info_of(home, "New/box")
        assert info is not None
        assert info.special_use == {SpecialUse.SENT}
        assert await info_of(home, "Old box") is None
        with pytest.raises(NoSuchMailbox):
            await home.open_mailbox("Old box")
        assert (await add(home, "New/box"))[0] > uids[-1]
        for handle in (old, new):
            handle.close()

    @pytest_twisted.ensureDeferred
    async def test_open_handles_go_on(self, home: IHome) -> None:
        """A handle opened by the old name shows the same mailbox, and what comes there."""
        await home.create("a", [])
        await add(home, "a")
        handle = await home.open_mailbox("a")
        seen = await Seen.of(handle)
        await home.rename("a", "b")
        uids = await add(home, "b")
        changes = await seen.catch_up(handle)
        assert list(changes.added) == list(uids)
        assert await body_of(handle, uids[0]) is not None
        handle.close()

    @pytest_twisted.ensureDeferred
    async def test_takes_along_what_is_below(self, home: IHome) -> None:
        """All below moves with it; names that only begin alike stay."""
        tree = ["a_%", "a_%/b", "a_%/b/c", "a_%/d/e"]
        others = ["a", "ab", "a_%b", "axy/b", "a_", "x/a_%", "A_%", "A_%/b"]
        for name in [*tree, *others]:
            await home.create(name, [])
            await add(home, name)
        subjects = {name: await subjects_in(home, name) for name in [*tree, *others]}
        await home.rename("a_%", "new/place")
        moved = {name: name.replace("a_%", "new/place", 1) for name in tree}
        found = set(await _names(home))
        assert found >= {*moved.values(), *others}
        assert not found & set(tree)
        for old, new in moved.items():
            assert await subjects_in(home, new) == subjects[old]
        for name in others:
            assert await subjects_in(home, name) == subjects[name]

    @pytest_twisted.ensureDeferred
    async def test_a_level_without_a_mailbox(self, home: IHome) -> None:
        """A level that only has mailboxes below it takes them along (RFC 9051's example)."""
        await home.create("foo/bar", [])
        await add(home, "foo/bar")
        await home.rename("foo", "zowie")
        assert len(await uids_in(home, "zowie/bar")) == 1
        assert await info_of(home, "foo") is None

    @pytest_twisted.ensureDeferred
    async def test_one_level_of_a_tree(self, home: IHome) -> None:
        """A mailbox in the middle takes only its own part, also up and down the tree."""
        for name in ("a", "a/b", "a/b/c", "a/d"):
            await home.create(name, [])
        await home.rename("a/b", "b")
        assert {"a", "b", "b/c", "a/d"} <= set(await _names(home))
        await home.rename("b", "a/d/b")
        assert {"a", "a/d", "a/d/b", "a/d/b/c"} <= set(await _names(home))

    @pytest.mark.parametrize(
        ("old", "new", "error"),
        [
            ("Nowhere", "New", NoSuchMailbox),
            ("a", "b", AlreadyExists),
            ("a", "a", AlreadyExists),
            ("a", "inbox", AlreadyExists),
            ("a", "a/b/new", Cannot),
            ("a", "a/new", Cannot),
            ("a", "bad//name", Cannot),
            ("a", "../bad", Cannot),
            ("a", "/".join(["d"] * 49), Cannot),
            ("a", "x" * 998, Cannot),
            ("a", "c", AlreadyExists),
        ],
    )
    @pytest_twisted.ensureDeferred
    async def test_refused(self, home: IHome, old: str, new: str, error: type[Exception]) -> None:
        """What cannot be leaves every mailbox where it is (the last: ``c/b`` is there)."""
        for name in ("a", "a/b", "a/b/c", "b", "c/b"):
            await home.create(name, [])
            await add(home, name)
        before = await home.mailboxes()
        with pytest.raises(error):
            await home.rename(old, new)
        assert await home.mailboxes() == before
        for name in ("a", "a/b", "a/b/c", "b", "c/b"):
            assert len(await uids_in(home, name)) == 1

    @pytest_twisted.ensureDeferred
    async def test_a_name_used_before(self, home: IHome) -> None:
        """No name and UIDVALIDITY together ever mean two mailboxes (RFC 9051 §2.3.1.1)."""
        known: dict[tuple[str, int], str] = {}
        for turn in range(3):
            await home.create("a", [])
            await home.create("b", [])
            for old, new in (("a", "c"), ("b", "a"), ("c", "b")):
                await home.rename(old, new)
                mailbox = await home.open_mailbox(new)
                key = new, mailbox.uid_validity
                assert known.setdefault(key, mailbox.mailbox_id) == mailbox.mailbox_id, turn
                mailbox.close()
            await home.delete("a")
            await home.delete("b")


class RenamingInbox(StoreFixtures):
    """INBOX is emptied into the new mailbox and stays."""

    @pytest.mark.parametrize("name", ["INBOX", "inbox"])
    @pytest_twisted.ensureDeferred
    async def test_moves_the_messages(self, home: IHome, mailbox: IMailbox, name: str) -> None:
        """All messages move, with their flags; INBOX stays, empty; nothing is counted twice."""
        uids = await add(home, messages=3, flags=["\\Seen", "$A"])
        subjects, usage = await subjects_in(home, "INBOX"), await home.usage()
        seen = await Seen.of(mailbox)
        await home.rename(name, "Old mail")
        assert await uids_in(home) == []
        assert await subjects_in(home, "Old mail") == subjects
        old = await home.open_mailbox("Old mail")
        assert set((await flags_in(old)).values()) == {frozenset({"\\Seen", "$A"})}
        assert old.mailbox_id != mailbox.mailbox_id
        assert await home.usage() == usage
        await seen.catch_up(mailbox)
        assert seen.masks == {}
        assert (await add(home))[0] > uids[-1]
        assert (await status_of(home)).uid_validity == mailbox.uid_validity
        old.close()

    @pytest_twisted.ensureDeferred
    async def test_what_is_below_stays(self, home: IHome) -> None:
        """Mailboxes below INBOX are not touched."""
        await home.create("INBOX/sub", [])
        await add(home, "INBOX/sub")
        await add(home)
        await home.rename("INBOX", "Old mail")
        assert len(await uids_in(home, "INBOX/sub")) == 1
        assert "Old mail/sub" not in await _names(home)

    @pytest_twisted.ensureDeferred
    async def test_empty(self, home: IHome) -> None:
        """An empty INBOX gives an empty mailbox."""
        await home.rename("INBOX", "Empty")
        assert await uids_in(home, "Empty") == []

    @pytest_twisted.ensureDeferred
    async def test_refused(self, home: IHome) -> None:
        """A name that is taken or cannot be leaves the messages in INBOX."""
        await home.create("Box", [])
        await add(home)
        for name, error in (("Box", AlreadyExists), ("INBOX", AlreadyExists), ("a//b", Cannot)):
            with pytest.raises(error):
                await home.rename("INBOX", name)
        assert len(await uids_in(home)) == 1
        assert await uids_in(home, "Box") == []
