"""A Maildir that was there before, and one whose index is lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_twisted

from mailplat.interfaces.store import BodyRange, Column, IHome, IMailbox, Target
from mailplat.model.errors import ConfigurationFault
from mailplat.model.flags import flag_names
from mailplat.model.numset import NumSet
from mailplat.testing.mails import mail, new_message
from mailplat.testing.turns import until

if TYPE_CHECKING:
    from tests.store.maildir.conftest import Maildirs

ALICE = "alice@example.org"


def make_maildir(directory: Path, *files: str) -> None:
    """Make a Maildir as other programs leave one."""
    for sub in ("tmp", "new", "cur"):
        (directory / sub).mkdir(parents=True)
    for name in files:
        (directory / name).write_bytes(f"Subject: {name[4:]}\n\nbody\n".encode())


async def subjects(mailbox: IMailbox) -> dict[int, str]:
    """Tell the subject of each message, by UID."""
    state = await mailbox.state(False)
    rows = await mailbox.rows(state.uids, [Column.BASE_SUBJECT])
    return dict(zip(rows.uids, rows[Column.BASE_SUBJECT], strict=True))


async def look(home: IHome, name: str = "INBOX") -> tuple[int, int, dict[int, str]]:
    """Tell UIDVALIDITY, the next UID and the subjects of a mailbox."""
    mailbox = await home.open_mailbox(name)
    state = await mailbox.state(False)
    found = mailbox.uid_validity, state.uid_next, await subjects(mailbox)
    mailbox.close()
    return found


def from_dovecot(root: Path) -> Path:
    """Make a home as Dovecot leaves one."""
    home = root / ALICE
    make_maildir(home, "cur/1.a,S=1:2,S", "cur/2.b:2,Fb", "new/4.d", "cur/3.c:2,")
    (home / "dovecot-uidlist").write_bytes(
        b"3 V1234 N90 Gabc\n20 :2.b\n7 W9 :1.a,S=1:2,S\n80 :3.c\n"
    )
    (home / "dovecot-keywords").write_bytes(b"0 $Junk\n1 Work\n")
    (home / "subscriptions").write_bytes(b"V\t2\n\nLists\tPython\nEntw&APw-rfe\n")
    make_maildir(home / ".Lists.Python", "cur/9.z:2,S")
    (home / ".Lists.Python" / "dovecot-uidlist").write_bytes(b"1 77 5\n4 9.z\n")
    return home


@pytest_twisted.ensureDeferred
async def test_uids_are_kept(maildirs: Maildirs) -> None:
    """UIDVALIDITY, UIDs, flags, keywords and subscriptions are those that Dovecot had."""
    from_dovecot(maildirs.root)
    store = await maildirs.open()
    home = await store.open_home(ALICE)
    found = {7: "1.a,s=1:2,s", 20: "2.b:2,fb", 80: "3.c:2,", 90: "4.d"}
    assert await look(home) == (1234, 91, found)
    assert await look(home, "Lists/Python") == (77, 5, {4: "9.z:2,s"})
    mailbox = await home.open_mailbox("INBOX")
    rows = await mailbox.rows([7, 20, 80, 90], [Column.FLAGS])
    flags = [flag_names(mask, mailbox.keywords) for mask in rows[Column.FLAGS]]
    assert flags == [("\\Seen",), ("\\Flagged", "Work"), (), ()]
    assert (await mailbox.state(True)).recent_uid == 90
    status = (await home.status(["INBOX"]))["INBOX"]
    assert (status.messages, status.unseen, status.uid_validity) == (4, 3, 1234)
    infos = {info.name: info for info in await home.mailboxes()}
    assert infos["Lists/Python"].subscribed
    assert infos["Entwürfe"].subscribed
    assert not infos["Entwürfe"].exists
    assert (await home.append("INBOX", [new_message(mail(1))])).uids == (91,)
    mailbox.close()


@pytest_twisted.ensureDeferred
async def test_delivery_comes_first(maildirs: Maildirs) -> None:
    """Mail for an account whose Maildir nobody opened yet comes behind what lies there."""
    from_dovecot(maildirs.root)
    store = await maildirs.open()
    assert await store.accounts() == [ALICE]
    (appended,) = await store.deliver(new_message(mail(1)), [Target(ALICE)])
    assert (appended.uid_validity, appended.uids) == (1234, (91,))


@pytest_twisted.ensureDeferred
async def test_an_old_list_is_not_believed(maildirs: Maildirs) -> None:
    """A list that was used before gives no UIDs again: others may have them since."""
    home_directory = from_dovecot(maildirs.root)
    (home_directory / "mailplat-taken-over").touch()
    store = await maildirs.open()
    home = await store.open_home(ALICE)
    validity, _, found = await look(home)
    assert validity > 1234
    assert sorted(found) == [1, 2, 3, 4]
    assert list(found.values()) == ["1.a,s=1:2,s", "2.b:2,fb", "3.c:2,", "4.d"]


@pytest_twisted.ensureDeferred
async def test_index_is_lost(maildirs: Maildirs) -> None:
    """Without its index everything is there again, under a higher UIDVALIDITY."""
    from_dovecot(maildirs.root)
    store = await maildirs.open()
    home = await store.open_home(ALICE)
    await look(home)
    deep = "Deep/Ünï.code/" + "n" * 250
    await home.create(deep, [])
    await home.append(deep, [new_message(mail(5), ["\\Seen", "$Odd"], date=7_000_000)])
    names = [info.name for info in await home.mailboxes() if info.exists]
    await maildirs.close(store)
    shutil.rmtree(maildirs.root / ".mailplat")

    store = await maildirs.open()
    home = await store.open_home(ALICE)
    assert [info.name for info in await home.mailboxes() if info.exists] == names
    validity, _, found = await look(home)
    assert validity > 1234
    assert sorted(found.values()) == ["1.a,s=1:2,s", "2.b:2,fb", "3.c:2,", "4.d"]
    mailbox = await home.open_mailbox(deep)
    rows = await mailbox.rows([1], [Column.FLAGS, Column.DATE])
    assert flag_names(rows[Column.FLAGS][0], mailbox.keywords) == ("\\Seen", "$Odd")
    assert list(rows[Column.DATE]) == [7_000_000]
    assert await mailbox.bodies([BodyRange(1, 0, 1 << 20)]) == [mail(5)]
    mailbox.close()


@pytest_twisted.ensureDeferred
async def test_changes_while_closed(maildirs: Maildirs) -> None:
    """What others did while the store was closed is seen when it is open again."""
    store = await maildirs.open()
    home = await store.open_home(ALICE)
    await home.append("INBOX", [new_message(mail(n)) for n in range(3)])
    before = await look(home)
    await maildirs.close(store)
    directory = maildirs.root / ALICE
    first, second, _ = sorted((directory / "new").iterdir())
    first.unlink()
    second.rename(directory / "cur" / f"{second.name}:2,S")
    (directory / "cur" / "1.added:2,").write_bytes(b"Subject: added\n\n")
    store = await maildirs.open()
    home = await store.open_home(ALICE)
    after = await look(home)
    assert after[0] == before[0]
    assert after[2] == {2: "number 1", 3: "number 2", 4: "added"}
    status = (await home.status(["INBOX"]))["INBOX"]
    assert status.unseen == 2


@pytest_twisted.ensureDeferred
async def test_a_home_is_deleted_and_made_again(maildirs: Maildirs) -> None:
    """Deleting a home removes its directory; a new one has nothing of it."""
    store = await maildirs.open()
    home = await store.open_home(ALICE)
    await home.append("Sent", [new_message(mail(1))])
    validity = (await look(home, "Sent"))[0]
    await store.delete_home(ALICE)
    assert not (maildirs.root / ALICE).exists()
    home = await store.open_home(ALICE)
    again = await look(home, "Sent")
    assert again[0] > validity
    assert again[2] == {}
    await home.append("INBOX", [new_message(mail(2))])
    await maildirs.close(store)
    store = await maildirs.open()
    assert (await look(await store.open_home(ALICE)))[2] == {1: "number 2"}
    assert list((maildirs.root / ".mailplat" / "dead").iterdir()) == []


@pytest_twisted.ensureDeferred
async def test_a_deleted_mailbox_is_readable_to_its_viewers(maildirs: Maildirs) -> None:
    """Messages of a deleted mailbox are there until the handle is closed, then the files go."""
    store = await maildirs.open()
    home = await store.open_home(ALICE)
    await home.append("Trash", [new_message(mail(n)) for n in range(3)])
    mailbox = await home.open_mailbox("Trash")
    await mailbox.state(False)
    await mailbox.expunge(NumSet.of([1]))
    await home.delete("Trash")
    assert not (maildirs.root / ALICE / ".Trash").exists()
    answers = await mailbox.bodies([BodyRange(uid, 0, 1 << 20) for uid in (1, 2, 3)])
    assert answers == [mail(0), mail(1), mail(2)]
    mailbox.close()
    # what is not done before the store is closed is done when it is opened
    await until(lambda: not list((maildirs.root / ".mailplat" / "dead").iterdir()))
    await maildirs.close(store)


def noise_at_the_start(index: Path) -> None:
    """Exchange the header."""
    index.write_bytes(os.urandom(100) + index.read_bytes()[100:])


def noise_in_pages(index: Path) -> None:
    """Exchange the beginnings of all pages but the first two."""
    data = bytearray(index.read_bytes())
    for start in range(8192, len(data), 4096):
        data[start : start + 200] = os.urandom(200)
    index.write_bytes(data)


def half(index: Path) -> None:
    """Cut the file."""
    os.truncate(index, index.stat().st_size // 2)


@pytest.mark.parametrize("damage", [noise_at_the_start, noise_in_pages, half])
@pytest_twisted.ensureDeferred
async def test_a_damaged_index(maildirs: Maildirs, damage: Callable[[Path], None]) -> None:
    """It is refused with the remedy, and the remedy works: all mail is there under new UIDs."""
    store = await maildirs.open()
    for number in range(20):
        await store.deliver(new_message(mail(number)), [Target(ALICE)])
    before = await look(await store.open_home(ALICE))
    await maildirs.close(store)
    directory = maildirs.root / ".mailplat"
    with closing(sqlite3.connect(directory / "index.sqlite")) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # what stands there would hide the damage
    damage(directory / "index.sqlite")
    with pytest.raises(ConfigurationFault) as caught:
        await maildirs.open()
    maildirs.opened.clear()
    assert f"{directory}/index.sqlite" in caught.value.reason
    assert "move it away" in caught.value.reason
    for file in directory.glob("index.sqlite*"):
        file.rename(maildirs.root.parent / file.name)
    store = await maildirs.open()
    after = await look(await store.open_home(ALICE))
    assert sorted(after[2].values()) == sorted(before[2].values())
    await maildirs.close(store)


@pytest_twisted.ensureDeferred
async def test_noise_behind_the_log(maildirs: Maildirs) -> None:
    """A log ahead that is no log, or ends in the middle of a transaction, harms nothing."""
    store = await maildirs.open()
    await store.deliver(new_message(mail(1)), [Target(ALICE)])
    before = await look(await store.open_home(ALICE))
    await maildirs.close(store)
    (maildirs.root / ".mailplat/index.sqlite-wal").write_bytes(os.urandom(50_000))
    store = await maildirs.open()
    assert await look(await store.open_home(ALICE)) == before
    await maildirs.close(store)
