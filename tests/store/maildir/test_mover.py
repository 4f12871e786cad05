"""Files follow commits: many at once, late, and again after a failure."""

from __future__ import annotations

import errno
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import pytest_twisted
from twisted.internet.task import deferLater

from mailplat.interfaces.store import BodyRange
from mailplat.model.errors import ConfigurationFault, StorageFull, Unavailable
from mailplat.model.flags import FlagAction
from mailplat.model.numset import NumSet
from mailplat.store.index.store import IndexedStore
from mailplat.store.maildir.bodies import MaildirBodies, MaildirLimits
from mailplat.store.maildir.comparing import OutsideLimits
from mailplat.store.maildir.disk import Disk, failure
from mailplat.testing.mails import mail, new_message

if TYPE_CHECKING:
    from tests.store.maildir.conftest import Maildirs

ALICE = "alice@example.org"
QUICK = MaildirLimits(
    settle_seconds=0.05, outside=OutsideLimits(look_seconds=0, poll_seconds=0, notice_seconds=0)
)


class FailingDisk(Disk):
    """Fails where it is told to."""

    def __init__(self) -> None:
        self.renaming: str | None = None
        self.writing: int | None = None

    def rename(self, old: str, new: str) -> bool:
        """Fail for targets with that in them."""
        if self.renaming is not None and self.renaming in new:
            raise Unavailable(f"{old}: the disk says no")
        return super().rename(old, new)

    def write(
        self,
        path: str,
        blocks: Iterable[bytes],
        when: int | None = None,
        *,
        flush: bool = True,
        made: bool = False,
    ) -> None:
        """Fail for want of room."""
        if self.writing is not None:
            raise failure(OSError(self.writing, "told to fail"), path)
        super().write(path, blocks, when, flush=flush, made=made)


async def settled(store: IndexedStore) -> None:
    """Wait until no step is left in the journal."""
    from twisted.internet import reactor

    bodies = store.bodies
    assert isinstance(bodies, MaildirBodies)
    for _ in range(500):
        if bodies.journal.is_empty():
            return
        await deferLater(reactor, 0.01)
    raise AssertionError("the journal is never empty")


@pytest_twisted.ensureDeferred
async def test_many_at_once(maildirs: Maildirs) -> None:
    """What concerns hundreds of files is done by a thread; reading does not wait for it."""
    store = await maildirs.open()
    home = await store.open_home(ALICE)
    uids = (await home.append("INBOX", [new_message(mail(n)) for n in range(300)])).uids
    mailbox = await home.open_mailbox("INBOX")
    wanted = [BodyRange(uid, 0, 1 << 20) for uid in uids]
    whole = NumSet.of(uids)
    assert await mailbox.bodies(wanted) == [mail(n) for n in range(300)]
    await mailbox.store_flags(whole, FlagAction.ADD, ["\\Seen"], None)
    assert await mailbox.bodies(wanted) == [mail(n) for n in range(300)]
    await mailbox.store_flags(whole, FlagAction.REPLACE, ["\\Flagged", "$Word"], None)
    await mailbox.store_flags(NumSet.of(uids[:1]), FlagAction.ADD, ["\\Draft"], None)
    copied = await mailbox.copy(whole, "Sent")
    assert await mailbox.bodies(wanted) == [mail(n) for n in range(300)]
    await settled(store)
    names = maildirs.files()
    assert [name.partition(":2,")[2] for name in names].count("Fa") == 299
    assert sum(name.endswith(":2,DFa") for name in names) == 1
    assert len(maildirs.files(".Sent")) == len(copied.targets) == 300
    await mailbox.expunge(whole)
    await home.delete("Sent")
    await settled(store)
    assert maildirs.files() == []
    # the thread has nothing left to do: few steps are done at once again
    await home.append("INBOX", [new_message(mail(1))])
    assert len(maildirs.files()) == 1
    mailbox.close()


class CountingDisk(Disk):
    """Counts how often a directory is listed."""

    def __init__(self) -> None:
        self.listed = 0

    def names(self, path: str) -> Sequence[str]:
        """Count."""
        self.listed += 1
        return super().names(path)


@pytest_twisted.ensureDeferred
async def test_many_that_are_elsewhere(maildirs: Maildirs) -> None:
    """Messages that another program renamed a moment before are removed by few listings."""
    disk = CountingDisk()
    never = OutsideLimits(look_seconds=1000, poll_seconds=1000, notice_seconds=1000, watches=0)
    store = await maildirs.open(limits=MaildirLimits(settle_seconds=0.05, outside=never), disk=disk)
    home = await store.open_home(ALICE)
    uids = (await home.append("INBOX", [new_message(mail(n)) for n in range(300)])).uids
    mailbox = await home.open_mailbox("INBOX")
    await settled(store)
    folder = maildirs.root / ALICE
    for file in (folder / "new").iterdir():
        file.rename(folder / "cur" / f"{file.name}:2,F")
    before = disk.listed
    await mailbox.expunge(NumSet.of(uids))
    await settled(store)
    assert maildirs.files() == []
    assert disk.listed - before < 30
    mailbox.close()


@pytest_twisted.ensureDeferred
async def test_a_step_that_fails_is_done_later(maildirs: Maildirs) -> None:
    """Mail that was acknowledged is served although its file cannot be moved yet."""
    disk = FailingDisk()
    store = await maildirs.open(disk)
    home = await store.open_home(ALICE)
    disk.renaming = f"{ALICE}/new/"
    (uid,) = (await home.append("INBOX", [new_message(mail(1))])).uids
    mailbox = await home.open_mailbox("INBOX")
    assert list((await mailbox.state(False)).uids) == [uid]
    assert await mailbox.bodies([BodyRange(uid, 0, 1 << 20)]) == [mail(1)]
    await mailbox.store_flags(NumSet.of([uid]), FlagAction.ADD, ["\\Seen"], None)
    assert maildirs.files() == []
    mailbox.close()
    disk.renaming = None
    await maildirs.close(store)
    (name,) = maildirs.files()
    assert name.endswith(":2,S")


@pytest_twisted.ensureDeferred
async def test_a_directory_that_could_not_be_renamed(maildirs: Maildirs) -> None:
    """Until it is, its mail is served, and nothing else is done to the home's directories."""
    disk = FailingDisk()
    store = await maildirs.open(disk)
    home = await store.open_home(ALICE)
    await home.append("Sent", [new_message(mail(1))])
    disk.renaming = "/.Moved"
    await home.rename("Sent", "Moved")
    mailbox = await home.open_mailbox("Moved")
    assert await mailbox.bodies([BodyRange(1, 0, 1 << 20)]) == [mail(1)]
    with pytest.raises(Unavailable):
        await home.create("Sent", [])
    mailbox.close()
    disk.renaming = None
    await maildirs.close(store)
    assert len(maildirs.files(".Moved")) == 1
    store = await maildirs.open()
    home = await store.open_home(ALICE)
    await home.create("Sent", [])
    assert maildirs.files(".Sent") == []


@pytest.mark.parametrize(
    ("number", "error"), [(errno.ENOSPC, StorageFull), (errno.EDQUOT, StorageFull),
                          (errno.EACCES, Unavailable), (errno.EIO, Unavailable)],
)  # fmt: skip
@pytest_twisted.ensureDeferred
async def test_nothing_is_stored(maildirs: Maildirs, number: int, error: type[Unavailable]) -> None:
    """A disk without room, or without leave: an error that names the path, and no message."""
    disk = FailingDisk()
    store = await maildirs.open(disk, replace(QUICK, carried_bytes=0))
    home = await store.open_home(ALICE)
    disk.writing = number
    with pytest.raises(error) as raised:
        await home.append("INBOX", [new_message(mail(n)) for n in range(40)])
    assert str(maildirs.root) in raised.value.reason
    disk.writing = None
    assert (await home.append("INBOX", [new_message(mail(1))])).uids == (1,)
    assert len(maildirs.files()) == 1


@pytest_twisted.ensureDeferred
async def test_a_carried_message_whose_file_cannot_be_written(maildirs: Maildirs) -> None:
    """It is served from the index; the next one is refused; both end once the disk has room."""
    disk = FailingDisk()
    store = await maildirs.open(disk)
    home = await store.open_home(ALICE)
    disk.writing = errno.ENOSPC
    (uid,) = (await home.append("INBOX", [new_message(mail(1))])).uids
    with pytest.raises(StorageFull):
        await home.append("INBOX", [new_message(mail(2))])
    mailbox = await home.open_mailbox("INBOX")
    assert list((await mailbox.state(False)).uids) == [uid]
    assert await mailbox.bodies([BodyRange(uid, 0, 1 << 20)]) == [mail(1)]
    assert await mailbox.bodies([BodyRange(uid, 2, 7)]) == [mail(1)[2:7]]
    assert maildirs.files() == []
    mailbox.close()
    disk.writing = None
    await maildirs.close(store)
    assert len(maildirs.files()) == 1
    store = await maildirs.open(disk)
    home = await store.open_home(ALICE)
    await home.append("INBOX", [new_message(mail(2))])
    assert len(maildirs.files()) == 2


@pytest_twisted.ensureDeferred
async def test_what_is_not_flushed_yet_is_copied_and_moved(maildirs: Maildirs) -> None:
    """A copy of a carried message is carried too; rows go when all files are durable."""
    store = await maildirs.open(limits=replace(QUICK, settle_seconds=3600))
    home = await store.open_home(ALICE)
    uids = (await home.append("INBOX", [new_message(mail(n)) for n in range(3)])).uids
    mailbox = await home.open_mailbox("INBOX")
    await mailbox.copy(NumSet.of(uids[:1]), "Sent")
    await mailbox.move(NumSet.of(uids[1:2]), "Sent")
    bodies = store.bodies
    assert isinstance(bodies, MaildirBodies)
    assert len(bodies.journal.carried) == 5
    assert len(maildirs.files()) == len(maildirs.files(".Sent")) == 2
    mailbox.close()
    await maildirs.close(store)
    index = sqlite3.connect(maildirs.root / ".mailplat/index.sqlite")
    assert index.execute("SELECT count(*) FROM maildir_bodies").fetchone() == (0,)
    assert index.execute("SELECT count(*) FROM maildir_steps").fetchone() == (0,)
    index.close()


@pytest_twisted.ensureDeferred
async def test_another_program_removed_what_was_not_durable(maildirs: Maildirs) -> None:
    """A crash does not bring back what the index knows to be removed."""
    store = await maildirs.open(limits=replace(QUICK, settle_seconds=3600))
    home = await store.open_home(ALICE)
    await home.append("INBOX", [new_message(mail(n)) for n in range(2)])
    (maildirs.root / ALICE / maildirs.files()[0]).unlink()
    assert (await home.status(["INBOX"]))["INBOX"].messages == 1
    copied = maildirs.root.with_name("copied")
    shutil.copytree(maildirs.root, copied)  # what a crash would leave
    maildirs.root = copied
    store = await maildirs.open()
    assert len(maildirs.files()) == 1
    home = await store.open_home(ALICE)
    assert (await home.status(["INBOX"]))["INBOX"].messages == 1


@pytest_twisted.ensureDeferred
async def test_a_mailbox_nobody_may_write_to(maildirs: Maildirs) -> None:
    """Refused before the commit, by the path; other mailboxes go on."""

    class Forbidding(Disk):
        def check_directory(self, path: str, like: str) -> None:
            if ".Sent" in path:
                raise Unavailable(f"{path}: Permission denied")
            super().check_directory(path, like)

    store = await maildirs.open(Forbidding())
    home = await store.open_home(ALICE)
    await home.append("INBOX", [new_message(mail(1))])
    with pytest.raises(Unavailable, match="Permission denied") as raised:
        await home.append("Sent", [new_message(mail(1))])
    assert f"{maildirs.root}/{ALICE}/.Sent" in raised.value.reason
    assert (await home.status(["Sent"]))["Sent"].messages == 0


def test_check_directory(maildirs: Maildirs) -> None:
    """A directory that is not there, or on another file system, takes no files."""
    maildirs.root.mkdir()
    disk = Disk()
    disk.check_directory(str(maildirs.root), str(maildirs.root))
    with pytest.raises(Unavailable, match="No such file"):
        disk.check_directory(str(maildirs.root / "x"), str(maildirs.root))
    with pytest.raises(Unavailable, match="another file system"):
        disk.check_directory("/proc", str(maildirs.root))


@pytest_twisted.ensureDeferred
async def test_one_process_at_a_time(maildirs: Maildirs) -> None:
    """Another process that has the root open keeps this one out, with a word why."""
    store = await maildirs.open()
    with pytest.raises(ConfigurationFault, match="another mailplat"):
        await maildirs.open()  # nor has one process two stores there
    maildirs.opened.pop()
    await store.open_home(ALICE)
    await maildirs.close(store)
    lock = maildirs.root / ".mailplat" / "lock"
    hold = f"import fcntl, sys; f = open({str(lock)!r}, 'w'); fcntl.flock(f, fcntl.LOCK_EX);"
    with subprocess.Popen(
        [sys.executable, "-c", hold + "print(flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(ConfigurationFault, match="another mailplat"):
            await maildirs.open()
        other.communicate()


@pytest_twisted.ensureDeferred
async def test_without_notices(maildirs: Maildirs) -> None:
    """Where the kernel tells nothing, the poll finds what others did to a mailbox in use."""
    from twisted.internet.defer import Deferred

    polling = MaildirLimits(outside=OutsideLimits(watches=0, look_seconds=3600, poll_seconds=0.02))
    store = await maildirs.open(limits=polling)
    home = await store.open_home(ALICE)
    mailbox = await home.open_mailbox("INBOX")
    state = await mailbox.state(False)
    heard: Deferred[None] = Deferred()

    def tell() -> None:
        if not heard.called:
            heard.callback(None)

    watch = mailbox.watch(tell)
    (maildirs.root / ALICE / "new" / "1.a").write_bytes(b"Subject: x\n\n")
    await heard
    assert list((await mailbox.changes_since(state.modseq)).added) == [1]
    watch.stop()
    mailbox.close()
