"""What other programs bring is there at once, and read when somebody wants it, or later."""

from __future__ import annotations

import os
from dataclasses import replace
from io import FileIO
from typing import TYPE_CHECKING

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import deferLater

from mailplat.interfaces.store import BodyRange, Column, IHome, IMailbox
from mailplat.model.errors import Corrupt
from mailplat.model.flags import SEEN
from mailplat.model.numset import NumSet
from mailplat.store.maildir.bodies import MaildirLimits
from mailplat.store.maildir.comparing import OutsideLimits
from mailplat.store.maildir.disk import Disk

if TYPE_CHECKING:
    from tests.store.maildir.conftest import Maildirs

ALICE = "alice@example.org"
NEVER = MaildirLimits(
    settle_seconds=0.05,
    outside=OutsideLimits(look_seconds=0, poll_seconds=0, notice_seconds=0, complete_seconds=3600),
)
SOON = replace(NEVER, outside=replace(NEVER.outside, complete_seconds=0, chunk=2))


class CountingDisk(Disk):
    """Counts the messages that are read, and refuses some."""

    def __init__(self) -> None:
        self.read_messages = 0
        self.refused = ""

    def open_message(self, path: str) -> FileIO | None:
        """Count; a name that is refused is no message."""
        self.read_messages += 1
        if self.refused and self.refused in path:
            return None
        return super().open_message(path)


def bring(maildirs: Maildirs, *numbers: int) -> None:
    """Put mails there as another program does, with lines that end in LF."""
    for number in numbers:
        path = maildirs.root / ALICE / "cur" / f"{number}.a:2,S"
        path.write_bytes(b"Subject: mail %d\n\nHello\n" % number)


async def opened(maildirs: Maildirs, disk: Disk, limits: MaildirLimits) -> tuple[IHome, IMailbox]:
    """Open alice's INBOX."""
    store = await maildirs.open(disk, limits)
    home = await store.open_home(ALICE)
    return home, await home.open_mailbox("INBOX")


SIZE = len(b"Subject: mail 1\r\n\r\nHello\r\n")


@pytest_twisted.ensureDeferred
async def test_rows_first(maildirs: Maildirs) -> None:
    """UIDs, flags and dates need no file; whoever wants more has just those messages read."""
    disk = CountingDisk()
    home, mailbox = await opened(maildirs, disk, NEVER)
    bring(maildirs, 1, 2, 3, 4, 5)
    state = await mailbox.state(True)
    assert list(state.uids) == [1, 2, 3, 4, 5]
    rows = await mailbox.rows(state.uids, [Column.FLAGS, Column.DATE, Column.MODSEQ])
    assert list(rows[Column.FLAGS]) == [SEEN] * 5
    assert disk.read_messages == 0
    rows = await mailbox.rows([2, 3], [Column.SIZE, Column.BASE_SUBJECT])
    assert list(rows[Column.SIZE]) == [SIZE] * 2
    assert list(rows[Column.BASE_SUBJECT]) == ["mail 2", "mail 3"]
    assert disk.read_messages == 2
    (body,) = await mailbox.bodies([BodyRange(4, 0, 16)])
    assert body == b"Subject: mail 4\r"
    assert disk.read_messages == 3
    assert (await mailbox.changes_since(state.modseq)).modseq == state.modseq  # nothing to tell
    copied = await mailbox.copy(NumSet.of([5]), "Sent")
    assert len(copied.targets) == 1
    await mailbox.rows([1, 2, 3, 4, 5], [Column.SIZE])
    assert disk.read_messages == 5
    status = (await home.status(["INBOX"]))["INBOX"]
    assert status.size == 5 * SIZE
    assert (await home.usage()).storage == 6 * SIZE
    mailbox.close()


@pytest_twisted.ensureDeferred
async def test_in_the_background(maildirs: Maildirs) -> None:
    """What nobody asked for is read all the same, also after the store was closed."""
    _, mailbox = await opened(maildirs, Disk(), NEVER)
    bring(maildirs, *range(1, 8))
    assert len((await mailbox.state(False)).uids) == 7
    mailbox.close()
    await maildirs.close_all()
    disk = CountingDisk()
    home, mailbox = await opened(maildirs, disk, SOON)
    for _ in range(500):
        if (await home.status(["INBOX"]))["INBOX"].size == 7 * SIZE:
            break
        await deferLater(reactor, 0.01)
    assert disk.read_messages == 7
    assert list((await mailbox.rows(range(1, 8), [Column.SIZE]))[Column.SIZE]) == [SIZE] * 7
    assert disk.read_messages == 7
    mailbox.close()


@pytest_twisted.ensureDeferred
async def test_renamed_before_it_was_read(maildirs: Maildirs) -> None:
    """It is found under its new name, and one that is gone is not waited for."""
    _, mailbox = await opened(maildirs, Disk(), NEVER)
    bring(maildirs, 1, 2, 3)
    assert len((await mailbox.state(False)).uids) == 3
    directory = maildirs.root / ALICE / "cur"
    (directory / "1.a:2,S").rename(directory / "1.a:2,FS")
    (directory / "2.a:2,S").unlink()
    rows = await mailbox.rows([1, 2, 3], [Column.BASE_SUBJECT])
    assert list(rows.uids) == [1, 3]
    assert list(rows[Column.BASE_SUBJECT]) == ["mail 1", "mail 3"]
    mailbox.close()


@pytest_twisted.ensureDeferred
async def test_a_file_that_nobody_can_read(maildirs: Maildirs) -> None:
    """It leaves the index when somebody tries, and the others are served."""
    disk = CountingDisk()
    disk.refused = "2.a"
    _, mailbox = await opened(maildirs, disk, NEVER)
    bring(maildirs, 1, 2, 3)
    assert len((await mailbox.state(False)).uids) == 3
    bodies = await mailbox.bodies([BodyRange(uid, 0, SIZE) for uid in (1, 2, 3)])
    assert [body is None for body in bodies] == [False, True, False]
    assert list((await mailbox.state(False)).uids) == [1, 3]
    mailbox.close()


@pytest_twisted.ensureDeferred
async def test_gone_while_it_was_to_be_read(maildirs: Maildirs) -> None:
    """A file that comes and goes fails that one message, with its mailbox and UID in the reason."""

    class Hiding(Disk):
        def open_message(self, path: str) -> FileIO | None:
            return None

        def entry(self, path: str) -> os.stat_result | None:
            return None if looked else super().entry(path)

    looked: list[bool] = []
    _, mailbox = await opened(maildirs, Hiding(), NEVER)
    bring(maildirs, 1)
    assert list((await mailbox.state(False)).uids) == [1]
    looked.append(True)
    with pytest.raises(Corrupt, match="UID 1"):
        await mailbox.bodies([BodyRange(1, 0, SIZE)])
    mailbox.close()
