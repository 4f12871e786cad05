"""The contract of mailbox names: what they may be, create, delete, list, subscribe (rule 7)."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import pytest_twisted
from zope.interface.verify import verifyObject

from mailplat.interfaces.store import IHome, IStore, Target
from mailplat.model.errors import AlreadyExists, Cannot, MailError, NoSuchMailbox
from mailplat.model.mailbox import SpecialUse, normal_name
from mailplat.testing.mails import mail, new_message
from mailplat.testing.store_contract.fixtures import (
    StoreFixtures,
    add,
    info_of,
    status_of,
    subjects_in,
    uids_in,
)

__all__ = ["BAD_NAMES", "ODD_NAMES", "Listing", "MakingAndDeleting", "Names"]

ODD_NAMES = [
    "Entwürfe",
    "日本語/メール",
    "😀",
    *["a", "A", "a b", " a", "a ", "a  b", "inboxes", "INBOX.x", "INBOX/a", "NIL", "nil"],
    *["cur", "new", "tmp", "new/cur/tmp"],
    *[".hidden", "..a", "a..", "...", "a.b", ".a/.b", "a/.b.c"],
    *["~", "~root", "%", "*", "&", "&-", "a&b", "&AOk-", "a%2Fb", "%00", "a\\b", "\\", "_", "a_b"],
    *["a:b", "a;b", "a,S=1:2,S", "-rf", "$(id)", "`id`", "'; DROP TABLE mailboxes; --", '"', "''"],
    *["#shared", "(a)", "{5}", "{5+}", "[x]", "?", "|", "<a>", "a=b", "!x", "a\u00a0b", "\ufeff"],
    *["con", "aux.h2", "dovecot-uidlist", "maildirfolder", "subscriptions", "index.sqlite"],
    "n" * 255,
    "ü" * 500,
    "/".join(["d"] * 50),
    "/".join(f"level {n:02} of 50 ...." for n in range(47)),
]
"""Names that may be, though something in them might trip a store."""

BAD_NAMES = [
    *["", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/./b", "a/../b"],
    *[
        "../../../../etc/passwd",
        "a/../../../b",
        "a\0b",
        "\0",
        "a\nb",
        "a\r",
        "a\tb",
        "\x7f",
        "\x85",
    ],
    *["\ud800", "a/\udcff", "x" * 1001, "ü" * 501, "/".join(["d"] * 51)],
]
"""Names that cannot be."""

_OBJECT_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")


class Names(StoreFixtures):
    """What a mailbox may be called."""

    def test_provides(self, home: IHome) -> None:
        """A home has every member of the interface, with its signature."""
        assert verifyObject(IHome, home)
        assert home.account == "alice@example.org"

    @pytest_twisted.ensureDeferred
    async def test_odd_names(self, store: IStore, home: IHome, tmp_path: Path) -> None:
        """All kinds of names live side by side, each with its own mail, and none outside."""
        other = await store.open_home("bob@example.org")
        before = await other.mailboxes()
        ids = {name: await home.create(name, []) for name in ODD_NAMES}
        assert len(set(ids.values())) == len(ODD_NAMES)
        for number, name in enumerate(ODD_NAMES):
            await home.append(name, [new_message(mail(number))])
        listed = {info.name: info for info in await home.mailboxes()}
        for number, name in enumerate(ODD_NAMES):
            assert listed[name].exists, name
            assert listed[name].mailbox_id == ids[name], name
            assert await subjects_in(home, name) == [f"number {number}"], name
            assert (await status_of(home, name)).messages == 1, name
        for name in ODD_NAMES[1::2]:
            await home.delete(name)
        left = {info.name for info in await home.mailboxes() if info.exists}
        assert left >= set(ODD_NAMES[::2])
        assert not left & set(ODD_NAMES[1::2])
        for name in ODD_NAMES[::2]:
            assert len(await uids_in(home, name)) == 1, name
        assert await other.mailboxes() == before
        assert os.listdir(tmp_path) == ["data"]

    @pytest_twisted.ensureDeferred
    async def test_odd_names_renamed(self, home: IHome) -> None:
        """Every odd name can be renamed to and from."""
        await home.create("start", [])
        await add(home, "start")
        subjects = await subjects_in(home, "start")
        current = "start"
        for name in ODD_NAMES:
            await home.rename(current, name)
            current = name
        assert await subjects_in(home, current) == subjects

    @pytest.mark.parametrize("name", BAD_NAMES)
    @pytest_twisted.ensureDeferred
    async def test_bad_names(self, store: IStore, home: IHome, tmp_path: Path, name: str) -> None:
        """Names that cannot be are refused everywhere, and nothing is changed."""
        await home.create("a", [])
        before = await home.mailboxes()
        with pytest.raises(Cannot):
            normal_name(name)
        with pytest.raises(Cannot):
            await home.create(name, [])
        with pytest.raises(Cannot):
            await home.rename("a", name)
        with pytest.raises(MailError):
            await store.deliver(new_message(mail(1)), [Target("alice@example.org", name)])
        for call in (home.open_mailbox(name), home.delete(name), home.rename(name, "b")):
            with pytest.raises((NoSuchMailbox, Cannot)):
                await call
        with pytest.raises((NoSuchMailbox, Cannot)):
            await home.append(name, [new_message(mail(1))])
        assert await home.mailboxes() == before
        assert (await home.usage()).messages == 0
        assert os.listdir(tmp_path) == ["data"]

    @pytest.mark.parametrize("name", ["inbox", "InBoX", "INBOX"])
    @pytest_twisted.ensureDeferred
    async def test_inbox_in_any_case(self, store: IStore, home: IHome, name: str) -> None:
        """INBOX is one mailbox however it is written (RFC 9051 §5.1), also as a first level."""
        await add(home, name)
        await store.deliver(new_message(mail(1)), [Target("alice@example.org", name)])
        assert len(await uids_in(home, name)) == len(await uids_in(home)) == 2
        assert (await status_of(home, name)).messages == 2
        with pytest.raises(AlreadyExists):
            await home.create(name, [])
        await home.create(f"{name}/Sub", [])
        assert await info_of(home, "INBOX/Sub") is not None
        assert await uids_in(home, "inbox/Sub") == []
        assert [i.name for i in await home.mailboxes()].count("INBOX") == 1

    @pytest_twisted.ensureDeferred
    async def test_unicode_has_one_spelling(self, home: IHome) -> None:
        """Names that Unicode calls the same are the same (RFC 5198 §3)."""
        await home.create("e\u0301te\u0301", [])
        with pytest.raises(AlreadyExists):
            await home.create("\u00e9t\u00e9", [])
        await add(home, "\u00e9te\u0301")
        assert len(await uids_in(home, "\u00e9t\u00e9")) == 1
        assert await info_of(home, "\u00e9t\u00e9") is not None


class MakingAndDeleting(StoreFixtures):
    """CREATE and DELETE (RFC 9051 §6.3.4, §6.3.5)."""

    @pytest_twisted.ensureDeferred
    async def test_create(self, home: IHome) -> None:
        """A new mailbox has the MAILBOXID answered and the uses asked for, and is empty."""
        made = await home.create("Box", [SpecialUse.JUNK, SpecialUse.ARCHIVE])
        info = await info_of(home, "Box")
        assert info is not None
        assert (info.exists, info.mailbox_id) == (True, made)
        assert info.special_use == {SpecialUse.JUNK, SpecialUse.ARCHIVE}
        mailbox = await home.open_mailbox("Box")
        assert (mailbox.name, mailbox.mailbox_id) == ("Box", made)
        assert (await status_of(home, "Box")).mailbox_id == made
        assert _OBJECT_ID.fullmatch(made)
        mailbox.close()

    @pytest_twisted.ensureDeferred
    async def test_create_twice(self, home: IHome) -> None:
        """A name that is taken is refused, and its mailbox stays as it is."""
        await home.create("Box", [])
        await add(home, "Box")
        with pytest.raises(AlreadyExists):
            await home.create("Box", [SpecialUse.JUNK])
        assert len(await uids_in(home, "Box")) == 1
        info = await info_of(home, "Box")
        assert info is not None
        assert not info.special_use

    @pytest_twisted.ensureDeferred
    async def test_levels_above_need_not_exist(self, home: IHome) -> None:
        """They are listed as not existing, until somebody makes them."""
        await home.create("a/b/c", [])
        for above in ("a", "a/b"):
            info = await info_of(home, above)
            assert info is not None
            assert (info.exists, info.mailbox_id) == (False, "")
            with pytest.raises(NoSuchMailbox):
                await home.open_mailbox(above)
        await home.create("a/b", [])
        info = await info_of(home, "a/b")
        assert info is not None
        assert info.exists

    @pytest_twisted.ensureDeferred
    async def test_delete(self, home: IHome) -> None:
        """A deleted mailbox is gone with its messages."""
        await home.create("Box", [])
        await add(home, "Box", messages=3)
        await home.delete("Box")
        assert await info_of(home, "Box") is None
        assert (await home.usage()).messages == 0
        assert await home.status(["Box"]) == {}
        for call in (home.delete("Box"), home.open_mailbox("Box"), add(home, "Box")):
            with pytest.raises(NoSuchMailbox):
                await call

    @pytest.mark.parametrize("name", ["INBOX", "inbox"])
    @pytest_twisted.ensureDeferred
    async def test_inbox_stays(self, home: IHome, name: str) -> None:
        """INBOX cannot be deleted."""
        await add(home)
        with pytest.raises(Cannot):
            await home.delete(name)
        assert len(await uids_in(home)) == 1

    @pytest_twisted.ensureDeferred
    async def test_what_is_below_stays(self, home: IHome) -> None:
        """Deleting a mailbox leaves those below it; its level does not exist any more."""
        for name in ("a", "a/b", "a/b/c", "ab"):
            await home.create(name, [])
            await add(home, name)
        await home.delete("a")
        for name in ("a/b", "a/b/c", "ab"):
            assert len(await uids_in(home, name)) == 1
        info = await info_of(home, "a")
        assert info is not None
        assert not info.exists
        with pytest.raises(NoSuchMailbox):
            await home.delete("a")

    @pytest_twisted.ensureDeferred
    async def test_made_again(self, home: IHome) -> None:
        """A mailbox made again has a higher UIDVALIDITY and another MAILBOXID, each time."""
        validities, ids = [], []
        for _ in range(4):
            ids.append(await home.create("Box", []))
            appended = await home.append("Box", [new_message(mail(1))])
            assert len(await uids_in(home, "Box")) == 1
            validities.append(appended.uid_validity)
            await home.delete("Box")
        assert validities == sorted(set(validities))
        assert len(set(ids)) == 4

    @pytest_twisted.ensureDeferred
    async def test_handles_of_a_deleted_mailbox(self, home: IHome) -> None:
        """They touch nothing any more, least of all a new mailbox of that name."""
        await home.create("Box", [])
        await add(home, "Box", messages=2)
        old = await home.open_mailbox("Box")
        state = await old.state(False)
        await home.delete("Box")
        await home.create("Box", [])
        await add(home, "Box", messages=2)
        with pytest.raises(NoSuchMailbox):
            await old.changes_since(state.modseq)
        new = await home.open_mailbox("Box")
        assert new.uid_validity > old.uid_validity
        assert new.mailbox_id != old.mailbox_id
        new.close()
        old.acknowledge(state.modseq)
        old.close()
        assert len(await uids_in(home, "Box")) == 2


class Listing(StoreFixtures):
    """LIST, LSUB, STATUS: what a home says of its mailboxes."""

    @pytest_twisted.ensureDeferred
    async def test_new_home(self, home: IHome) -> None:
        """A new home has INBOX and the store's folders, subscribed, with their uses."""
        infos = {info.name: info for info in await home.mailboxes()}
        assert [name for name, info in infos.items() if info.exists] == [
            "INBOX",
            "Drafts",
            "Old/Mail",
        ]
        assert infos["Drafts"].subscribed
        assert infos["Drafts"].special_use == {SpecialUse.DRAFTS}
        assert infos["Old/Mail"].subscribed
        assert not infos["Old"].exists
        ids = [info.mailbox_id for info in infos.values() if info.exists]
        assert len(set(ids)) == 3
        assert all(_OBJECT_ID.fullmatch(mailbox_id) for mailbox_id in ids)

    @pytest_twisted.ensureDeferred
    async def test_order(self, home: IHome) -> None:
        """INBOX comes first, the others by name."""
        for name in ("zebra", "Ant", "ant/b", "ant", "Ünder", "INBOX/below", "10", "9"):
            await home.create(name, [])
        names = [info.name for info in await home.mailboxes()]
        assert names[0] == "INBOX"
        assert names[1:] == sorted(names[1:])
        assert len(set(names)) == len(names)

    @pytest_twisted.ensureDeferred
    async def test_status(self, home: IHome) -> None:
        """Counts come for all names that exist, under the names asked for."""
        await home.create("Box", [])
        uids = await add(home, "Box", messages=2, size=700, flags=["\\Seen"])
        await add(home, "Box", size=800, flags=["\\Deleted"])
        found = await home.status(["Box", "Gone", "INBOX", "Old"])
        assert sorted(found) == ["Box", "INBOX"]
        status, mailbox = found["Box"], await home.open_mailbox("Box")
        state = await mailbox.state(False)
        assert (status.messages, status.unseen, status.deleted, status.size) == (3, 1, 1, 2200)
        assert (status.uid_next, status.highest_modseq) == (state.uid_next, state.modseq)
        assert (status.uid_validity, status.mailbox_id) == (
            mailbox.uid_validity,
            mailbox.mailbox_id,
        )
        assert status.uid_next > uids[-1]
        assert found["INBOX"].messages == 0
        assert await home.status([]) == {}
        mailbox.close()

    @pytest_twisted.ensureDeferred
    async def test_subscriptions(self, home: IHome) -> None:
        """Any name can be subscribed; it stays on the list until it is taken off."""

        async def subscribed() -> set[str]:
            return {info.name for info in await home.mailboxes() if info.subscribed}

        first = await subscribed()
        await home.create("Box", [])
        assert await subscribed() == first
        for name in ("Box", "Box", "Not/There", "inbox/low"):
            await home.subscribe(name)
        assert await subscribed() == first | {"Box", "Not/There", "INBOX/low"}
        info = await info_of(home, "Not/There")
        assert info is not None
        assert (info.exists, info.mailbox_id) == (False, "")
        await home.delete("Box")
        info = await info_of(home, "Box")
        assert info is not None
        assert (info.exists, info.subscribed) == (False, True)
        await home.create("Not/There", [])
        info = await info_of(home, "Not/There")
        assert info is not None
        assert (info.exists, info.subscribed) == (True, True)
        for name in ("Box", "Box", "Never", "Not/There", "INBOX/low"):
            await home.unsubscribe(name)
        assert await subscribed() == first
        assert await info_of(home, "Box") is None
        assert await info_of(home, "Not/There") is not None

    @pytest_twisted.ensureDeferred
    async def test_subscriptions_survive_rename(self, home: IHome) -> None:
        """A rename leaves the subscription list as it is (RFC 9051 §6.3.6)."""
        await home.create("Box", [])
        await home.subscribe("Box")
        await home.rename("Box", "Chest")
        old, new = await info_of(home, "Box"), await info_of(home, "Chest")
        assert old is not None
        assert (old.exists, old.subscribed) == (False, True)
        assert new is not None
        assert (new.exists, new.subscribed) == (True, False)
