"""Other programs add, move, mark and remove files while the store is open."""

from __future__ import annotations

import mailbox as stdlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from mailplat.interfaces.store import BodyRange, Column, IHome, IMailbox
from mailplat.model.errors import Corrupt, NoSuchMailbox, Unavailable
from mailplat.model.flags import FlagAction, flag_names
from mailplat.model.numset import NumSet
from mailplat.store.maildir.disk import Disk
from mailplat.testing.mails import mail, new_message
from mailplat.testing.turns import wait_for

if TYPE_CHECKING:
    from tests.store.maildir.conftest import Maildirs

ALICE = "alice@example.org"

LONG = b"x" * (1 << 20)


def put(directory: Path, name: str, data: bytes = b"Subject: x\r\n\r\nhello\r\n") -> Path:
    """Put a file there as a deliverer does: through ``tmp``."""
    (directory / "tmp" / "x").write_bytes(data)
    (directory / "tmp" / "x").rename(directory / name)
    return directory / name


async def uids_of(mailbox: IMailbox) -> list[int]:
    """Tell what is in a mailbox."""
    return list((await mailbox.state(False)).uids)


async def flags_of(mailbox: IMailbox) -> dict[int, set[str]]:
    """Tell the flags of all messages."""
    rows = await mailbox.rows(await uids_of(mailbox), [Column.FLAGS])
    return {
        uid: set(flag_names(mask, mailbox.keywords))
        for uid, mask in zip(rows.uids, rows[Column.FLAGS], strict=True)
    }


async def body_of(mailbox: IMailbox, uid: int, start: int = 0, stop: int = 1 << 30) -> bytes:
    """Read a message."""
    (data,) = await mailbox.bodies([BodyRange(uid, start, stop)])
    assert data is not None
    return data


@pytest.fixture
def home(maildirs: Maildirs) -> IHome:
    """Alice's home in an open store."""
    store = wait_for(maildirs.open())
    home: IHome = wait_for(store.open_home(ALICE))
    return home


@pytest.fixture
def inbox(maildirs: Maildirs) -> Path:
    """The directory of her INBOX."""
    return maildirs.root / ALICE


@pytest_twisted.ensureDeferred
async def test_layout(maildirs: Maildirs, home: IHome, inbox: Path) -> None:
    """Mail is where Maildir++ has it, byte for byte, with sizes in its name and its date."""
    await home.append("INBOX", [new_message(mail(1), date=1_600_000_000)])
    await home.append("Sent", [new_message(mail(2), ["\\Seen", "\\Flagged"])])
    (new,) = maildirs.files()
    (sent,) = maildirs.files(".Sent")
    size = len(mail(1))
    assert new.startswith("new/")
    assert new.endswith(f",S={size},W={size}")
    assert sent.endswith(":2,FS")
    assert (inbox / new).read_bytes() == mail(1)
    assert (inbox / new).stat().st_mtime == 1_600_000_000
    assert (inbox / ".Sent" / "maildirfolder").exists()
    await maildirs.close_all()
    assert (
        list((inbox / "tmp").iterdir()) == list((maildirs.root / ".mailplat/tmp").iterdir()) == []
    )


@pytest_twisted.ensureDeferred
async def test_added(home: IHome, inbox: Path) -> None:
    """A file that appears is a message: in new, or in cur with flags."""
    mailbox = await home.open_mailbox("INBOX")
    put(inbox, "new/1.a.host")
    first = await mailbox.state(False)
    put(inbox, "cur/2.b.host:2,RS")
    changes = await mailbox.changes_since(first.modseq)
    assert list(first.uids) == [1]
    assert list(changes.added) == [2]
    assert await flags_of(mailbox) == {1: set(), 2: {"\\Answered", "\\Seen"}}
    assert await body_of(mailbox, 1) == b"Subject: x\r\n\r\nhello\r\n"
    assert (await home.status(["INBOX"]))["INBOX"].messages == 2
    mailbox.close()


@pytest_twisted.ensureDeferred
async def test_moved_and_marked(home: IHome, inbox: Path) -> None:
    """From new to cur, and renamed for flags: the same UID, flags merged."""
    mailbox = await home.open_mailbox("INBOX")
    await home.append("INBOX", [new_message(mail(1), ["$Work"]), new_message(mail(2))])
    await mailbox.state(False)
    for path in [*(inbox / "new").iterdir(), *(inbox / "cur").iterdir()]:
        base, _, letters = path.name.partition(":2,")
        path.rename(inbox / "cur" / f"{base}:2,{''.join(sorted(letters + 'F'))}")
    assert await flags_of(mailbox) == {1: {"$Work", "\\Flagged"}, 2: {"\\Flagged"}}
    for path in (inbox / "cur").iterdir():
        path.rename(str(path).replace("F", "S"))
    assert await flags_of(mailbox) == {1: {"$Work", "\\Seen"}, 2: {"\\Seen"}}
    assert await body_of(mailbox, 2) == mail(2)
    mailbox.close()


@pytest_twisted.ensureDeferred
async def test_removed(home: IHome, inbox: Path) -> None:
    """A file that goes is a message expunged; its UID is not given again."""
    mailbox = await home.open_mailbox("INBOX")
    await home.append("INBOX", [new_message(mail(n)) for n in range(3)])
    before = await mailbox.state(False)
    sorted((inbox / "new").iterdir())[1].unlink()
    changes = await mailbox.changes_since(before.modseq)
    assert list(changes.vanished) == [2]
    put(inbox, "new/9.z.host")
    assert await uids_of(mailbox) == [1, 3, 4]
    assert (await home.usage()).messages == 3
    mailbox.close()


@pytest_twisted.ensureDeferred
async def test_vanishes_during_a_read(home: IHome, inbox: Path) -> None:
    """A message whose file is gone when it is read is gone, and no error."""
    mailbox = await home.open_mailbox("INBOX")
    await home.append("INBOX", [new_message(mail(n)) for n in range(2)])
    await mailbox.state(False)
    sorted((inbox / "new").iterdir())[0].unlink()
    answers = await mailbox.bodies([BodyRange(1, 0, 99), BodyRange(2, 0, 9)])
    assert answers == [None, mail(1)[:9]]
    assert await uids_of(mailbox) == [2]
    mailbox.close()


@pytest_twisted.ensureDeferred
async def test_cut_short(home: IHome, inbox: Path) -> None:
    """A file that lost bytes is damaged: the error names it and the message; others are served."""
    mailbox = await home.open_mailbox("INBOX")
    await home.append("INBOX", [new_message(mail(n)) for n in range(2)])
    first, _ = sorted((inbox / "new").iterdir())
    first.write_bytes(mail(0)[:-3])
    with pytest.raises(Corrupt) as raised:
        await mailbox.bodies([BodyRange(1, 0, 9)])
    assert first.name in raised.value.reason
    assert "UID 1" in raised.value.reason
    assert await mailbox.bodies([BodyRange(2, 0, 1 << 20)]) == [mail(1)]
    mailbox.close()


@pytest_twisted.ensureDeferred
async def test_renamed_during_a_read(home: IHome, inbox: Path) -> None:
    """A message whose file was renamed since is found again."""
    mailbox = await home.open_mailbox("INBOX")
    await home.append("INBOX", [new_message(mail(1))])
    await mailbox.state(False)
    (path,) = (inbox / "new").iterdir()
    path.rename(inbox / "cur" / f"{path.name}:2,S")
    assert await body_of(mailbox, 1) == mail(1)
    mailbox.close()


@pytest_twisted.ensureDeferred
async def test_a_library_as_other_program(home: IHome, inbox: Path) -> None:
    """Python's own Maildir library and the store see each other's mail, flags and folders."""
    await home.append("INBOX", [new_message(mail(1), ["\\Seen"])])
    other = stdlib.Maildir(inbox, create=False)
    (key,) = other.keys()
    assert other.get_bytes(key) == mail(1)
    assert other[key].get_flags() == "S"
    added = other.add(stdlib.MaildirMessage(b"Subject: by the library\n\nbody\n"))
    marked = other[key]
    marked.set_flags("FR")
    other[key] = marked
    folder = other.add_folder("Lists.Python")
    folder.add(b"Subject: in a folder\n\nbody\n")
    mailbox = await home.open_mailbox("INBOX")
    assert await flags_of(mailbox) == {1: {"\\Flagged", "\\Answered"}, 2: set()}
    assert await body_of(mailbox, 2) == b"Subject: by the library\r\n\r\nbody\r\n"
    lists = await home.open_mailbox("Lists/Python")
    assert await uids_of(lists) == [1]
    other.remove(added)
    assert await uids_of(mailbox) == [1]
    folder.clear()
    assert await uids_of(lists) == []
    other.remove_folder("Lists.Python")
    assert "Lists/Python" not in [info.name for info in await home.mailboxes()]
    with pytest.raises((NoSuchMailbox, Unavailable)):
        await lists.state(False)
    mailbox.close()
    lists.close()


@pytest.mark.parametrize(
    ("name", "data", "served"),
    [
        ("new/1.a", b"A: b\n\nc\n", b"A: b\r\n\r\nc\r\n"),
        ("new/1.a", b"A: b\r\n\nc\n", b"A: b\r\n\nc\n"),
        ("new/1.a,S=8,W=8", b"A: b\n\nc\n", b"A: b\n\nc\n"),
        ("new/1.a,S=8,W=11", b"A: b\n\nc\n", b"A: b\r\n\r\nc\r\n"),
        ("cur/1.a:2,", b"A: b\n\n" + LONG + b"\n", b"A: b\r\n\r\n" + LONG + b"\r\n"),
        ("new/1.a", b"", b""),
    ],
)  # fmt: skip
@pytest_twisted.ensureDeferred
async def test_line_ends(home: IHome, inbox: Path, name: str, data: bytes, served: bytes) -> None:
    """A file of bare LFs is served with CRLFs, sizes and offsets too; any other as it is."""
    put(inbox, name, data)
    mailbox = await home.open_mailbox("INBOX")
    (uid,) = await uids_of(mailbox)
    rows = await mailbox.rows([uid], [Column.SIZE, Column.HEADER])
    assert list(rows[Column.SIZE]) == [len(served)]
    assert await body_of(mailbox, uid) == served
    assert await body_of(mailbox, uid, 3, 7) == served[3:7]
    mailbox.close()


@pytest_twisted.ensureDeferred
async def test_what_is_no_message(home: IHome, inbox: Path, tmp_path: Path) -> None:
    """Directories, links, pipes and dot files in a Maildir are passed over; nothing hangs."""
    (tmp_path / "secret").write_bytes(b"secret")
    (inbox / "cur" / "1.link:2,").symlink_to(tmp_path / "secret")
    os.mkfifo(inbox / "new" / "2.pipe")
    (inbox / "cur" / "3.directory").mkdir()
    (inbox / "new" / ".hidden").write_bytes(b"x")
    mailbox = await home.open_mailbox("INBOX")
    assert await uids_of(mailbox) == []
    put(inbox, "new/4.good")
    assert await uids_of(mailbox) == [1]
    mailbox.close()


@pytest_twisted.ensureDeferred
async def test_odd_file_names(home: IHome, inbox: Path) -> None:
    """A name in no encoding, one with blanks, and one without any info in cur are served."""
    names = [b"new/\xff\xfe", "cur/ümlaut:2,S".encode(), b"cur/with blanks", b"new/a:2,F"]
    for name in names:
        with open(os.fsencode(inbox) + b"/" + name, "wb") as file:
            file.write(b"Subject: " + name[4:5] + b"\r\n\r\n")
    mailbox = await home.open_mailbox("INBOX")
    uids = await uids_of(mailbox)
    bodies = await mailbox.bodies([BodyRange(uid, 9, 10) for uid in uids])
    assert sorted(b for b in bodies if b) == sorted(name[4:5] for name in names)
    await mailbox.store_flags(NumSet.of(uids), FlagAction.ADD, ["\\Answered"], None)
    assert None not in await mailbox.bodies([BodyRange(uid, 9, 10) for uid in uids])
    mailbox.close()


@pytest_twisted.ensureDeferred
async def test_two_files_with_one_base(home: IHome, inbox: Path) -> None:
    """A copied file is a second message; a second name of the same file is not."""
    put(inbox, "cur/1.a:2,", b"Subject: one\r\n\r\n")
    put(inbox, "cur/1.a:2,S", b"Subject: two\r\n\r\n")
    put(inbox, "new/2.b")
    os.link(inbox / "new/2.b", inbox / "cur/2.b:2,")
    mailbox = await home.open_mailbox("INBOX")
    assert len(await uids_of(mailbox)) == 3
    (inbox / "new/2.b").unlink()
    assert len(await uids_of(mailbox)) == 3
    mailbox.close()


@pytest_twisted.ensureDeferred
async def test_keywords_are_letters(home: IHome, inbox: Path) -> None:
    """Keywords have letters by ``dovecot-keywords``, whoever wrote it."""
    (inbox / "dovecot-keywords").write_bytes(b"0 $Junk\n2 Work\n")
    put(inbox, "cur/1.a:2,Sac")
    mailbox = await home.open_mailbox("INBOX")
    assert await flags_of(mailbox) == {1: {"\\Seen", "$Junk", "Work"}}
    flags = ["work", "New", "$Forwarded"]
    await mailbox.store_flags(NumSet.of([1]), FlagAction.REPLACE, flags, None)
    assert (inbox / "dovecot-keywords").read_bytes() == b"0 $Junk\n1 $Forwarded\n2 Work\n3 New\n"
    assert (inbox / "cur/1.a:2,Pbcd").exists()
    (inbox / "cur/1.a:2,Pbcd").rename(inbox / "cur/1.a:2,ac")
    assert await flags_of(mailbox) == {1: {"$Junk", "Work"}}
    mailbox.close()


@pytest_twisted.ensureDeferred
async def test_more_keywords_than_letters(home: IHome, inbox: Path) -> None:
    """Keywords beyond the letters stay in the index, whatever others do to the file."""
    words = {f"word{n:02}" for n in range(30)}
    await home.append("INBOX", [new_message(mail(1), words)])
    mailbox = await home.open_mailbox("INBOX")
    assert await flags_of(mailbox) == {1: words}
    (path,) = (inbox / "cur").iterdir()
    path.rename(f"{path}T")
    assert await flags_of(mailbox) == {1: words | {"\\Deleted"}}
    mailbox.close()


@pytest_twisted.ensureDeferred
async def test_told_at_once(home: IHome, inbox: Path) -> None:
    """A session that waits hears of others' mail, without asking."""
    mailbox = await home.open_mailbox("INBOX")
    state = await mailbox.state(False)
    heard: Deferred[None] = Deferred()

    def tell() -> None:
        if not heard.called:
            heard.callback(None)

    watch = mailbox.watch(tell)
    put(inbox, "new/1.a")
    await heard
    assert list((await mailbox.changes_since(state.modseq)).added) == [1]
    watch.stop()
    mailbox.close()


@pytest_twisted.ensureDeferred
async def test_unreadable_directory(maildirs: Maildirs, home: IHome, inbox: Path) -> None:
    """A directory that is taken away is unavailable, by its path; it is no empty mailbox."""
    await home.append("INBOX", [new_message(mail(1))])
    mailbox = await home.open_mailbox("INBOX")
    inbox.rename(maildirs.root / "elsewhere")
    with pytest.raises(Unavailable) as raised:
        await mailbox.state(False)
    assert str(inbox) in raised.value.reason
    (maildirs.root / "elsewhere").rename(inbox)
    assert await uids_of(mailbox) == [1]
    mailbox.close()


@pytest_twisted.ensureDeferred
async def test_folders_come_and_go(home: IHome, inbox: Path) -> None:
    """Folders made, misnamed and removed by others."""
    for name in (".Made", ".Übung", ".a..b", ".sieve"):
        (inbox / name / "tmp").mkdir(parents=True)
        (inbox / name / "new").mkdir()
        if name != ".sieve":
            (inbox / name / "cur").mkdir()
    put(inbox / ".Übung", "new/1.a")
    names = [info.name for info in await home.mailboxes()]
    assert names == ["INBOX", "Made", "Sent", "Trash", "Übung"]
    mailbox = await home.open_mailbox("Übung")
    assert await uids_of(mailbox) == [1]
    mailbox.close()
    await home.rename("Übung", "Probe")
    assert (inbox / ".Probe" / "new" / "1.a").exists()
    assert not (inbox / ".Übung").exists()
    (inbox / ".Made").rename(inbox / ".Other")
    names = [info.name for info in await home.mailboxes()]
    assert names == ["INBOX", "Other", "Probe", "Sent", "Trash"]


@pytest_twisted.ensureDeferred
async def test_nothing_is_listed_when_nothing_changed(maildirs: Maildirs, home: IHome) -> None:
    """Our own deliveries, flags and expunges cause no listing; nor does asking again."""

    class Counting(Disk):
        listings = 0

        def names(self, path: str) -> Sequence[str]:
            self.listings += path.endswith(("/new", "/cur"))
            return super().names(path)

    disk = Counting()
    await maildirs.close_all()
    store = await maildirs.open(disk)
    home = await store.open_home(ALICE)
    mailbox = await home.open_mailbox("INBOX")
    await mailbox.state(False)
    disk.listings = 0
    for n in range(5):
        await home.append("INBOX", [new_message(mail(n))])
        await mailbox.store_flags(NumSet.of([n + 1]), FlagAction.ADD, ["\\Seen"], None)
        await mailbox.state(False)
    await mailbox.expunge(NumSet.of([2]))
    assert len(await uids_of(mailbox)) == 4
    assert disk.listings == 0
    mailbox.close()
