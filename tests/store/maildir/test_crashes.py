"""The disk stops after any number of operations: what was acknowledged is there once and whole."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
import pytest_twisted

from mailplat.interfaces.store import BodyRange, Column, IHome, Target
from mailplat.model.errors import MailError, Unavailable
from mailplat.model.flags import FlagAction, flag_names
from mailplat.model.numset import NumSet
from mailplat.store.index.store import IndexedStore
from mailplat.store.maildir.bodies import MaildirLimits
from mailplat.store.maildir.comparing import OutsideLimits
from mailplat.store.maildir.disk import Disk
from mailplat.testing.mails import mail, new_message

if TYPE_CHECKING:
    from tests.store.maildir.conftest import Maildirs

ALICE, BOB = "alice@example.org", "bob@example.org"

# nobody else changes files here, and the kernel takes 30 ms to end an inotify
_ALONE = OutsideLimits(look_seconds=0, poll_seconds=0, watches=0)
LAZY = MaildirLimits(settle_seconds=3600, spares=4, outside=_ALONE)
RUSHED = MaildirLimits(settle_seconds=0, spares=4, outside=_ALONE)

State = dict[tuple[str, str], dict[int, tuple[str, frozenset[str]]]]
"""Subject and flags of each message, by account, mailbox and UID."""


class Lost(Enum):
    """What a disk forgets of what was not flushed."""

    NOTHING = "killed"
    ALL = "power cut"
    BYTES = "power cut, entries written"


class StoppingDisk(Disk):
    """Stops after some operations; forgets, if the power went, what was not flushed.

    Args:
        operations: How many it does.
        lost: What `cut` undoes of what was not flushed.
    """

    def __init__(self, operations: int = 1 << 30, lost: Lost = Lost.NOTHING) -> None:
        self.left = operations
        self.done = 0
        self._lost = lost
        self._unflushed: set[int] = set()
        self._changes: list[tuple[set[str], Callable[[], None]]] = []

    def _count(self) -> None:
        if self.done >= self.left:
            raise Unavailable("the disk stopped")
        self.done += 1

    def _note(self, directories: Iterable[str], undo: Callable[[], None]) -> None:
        self._changes.append(({os.path.dirname(path) for path in directories}, undo))

    def write(
        self,
        path: str,
        blocks: Iterable[bytes],
        when: int | None = None,
        *,
        flush: bool = True,
        made: bool = False,
    ) -> None:
        """Write; half a file, if it is the last operation."""
        if self.done == self.left:
            with suppress(OSError):
                Path(path).write_bytes(b"".join(blocks)[:20])
        self._count()
        super().write(path, blocks, when, flush=flush, made=made)
        number = os.stat(path).st_ino
        self._unflushed.discard(number)
        if not flush:
            self._unflushed.add(number)
        if not made:
            self._note([path], lambda: os.unlink(path))

    def create(self, path: str) -> None:
        """Make a file."""
        self._count()
        super().create(path)
        self._unflushed.add(os.stat(path).st_ino)
        self._note([path], lambda: os.unlink(path))

    def rename(self, old: str, new: str) -> bool:
        """Rename."""
        self._count()
        if done := super().rename(old, new):
            self._note([old, new], lambda: os.rename(new, old))
        return done

    def link(self, old: str, new: str) -> bool:
        """Link."""
        self._count()
        if done := super().link(old, new):
            self._note([new], lambda: os.unlink(new))
        return done

    def unlink(self, path: str) -> bool:
        """Unlink."""
        self._count()
        kept = Path(path).read_bytes() if os.path.exists(path) else b""
        if done := super().unlink(path):
            self._note([path], lambda: (Path(path).write_bytes(kept), None)[1])
        return done

    def make_directory(self, path: str) -> None:
        """Make a directory."""
        self._count()
        super().make_directory(path)

    def remove_tree(self, path: str) -> None:
        """Remove a directory."""
        self._count()
        super().remove_tree(path)

    def sync_directory(self, path: str) -> None:
        """Flush a directory."""
        self._count()
        super().sync_directory(path)
        for directories, _ in self._changes:
            directories.discard(path)
        self._changes = [change for change in self._changes if change[0]]

    def sync_all(self, path: str) -> None:
        """Flush everything."""
        self._count()
        super().sync_all(path)
        self._changes.clear()
        self._unflushed.clear()

    def cut(self, root: Path) -> None:
        """Undo what was not flushed, if the power went; of bytes, something else each time."""
        if self._lost is Lost.NOTHING:
            return
        for path in root.glob("**/*"):
            if path.parent.name in {"tmp", "new", "cur", "dead"} and path.is_file():
                status = path.stat()
                if status.st_ino in self._unflushed:
                    left = (b"", path.read_bytes()[: status.st_size // 2], bytes(status.st_size))
                    path.write_bytes(left[self.done % 3])
        for _, undo in reversed(self._changes if self._lost is Lost.ALL else []):
            with suppress(OSError):
                undo()


Step = Callable[[IndexedStore, IHome], Awaitable[None]]


async def deliver(store: IndexedStore, home: IHome) -> None:
    """One mail for two, one of them new."""
    targets = [Target(ALICE), Target(BOB), Target(ALICE, "Lists/New", frozenset({"\\Flagged"}))]
    await store.deliver(new_message(mail(1)), targets)


async def append(store: IndexedStore, home: IHome) -> None:
    """Three at once."""
    flags: list[list[str]] = [[], ["\\Seen"], ["$Work"]]
    await home.append("INBOX", [new_message(mail(2 + n), f) for n, f in enumerate(flags)])


async def flag(store: IndexedStore, home: IHome) -> None:
    """Flags for two."""
    mailbox = await home.open_mailbox("INBOX")
    words = ["\\Answered", "$New"]
    await mailbox.store_flags(NumSet.of([1, 3]), FlagAction.ADD, words, None)
    mailbox.close()


async def move(store: IndexedStore, home: IHome) -> None:
    """Two move."""
    mailbox = await home.open_mailbox("INBOX")
    await mailbox.move(NumSet.of([2, 3]), "Sent")
    mailbox.close()


async def expunge(store: IndexedStore, home: IHome) -> None:
    """One goes."""
    mailbox = await home.open_mailbox("INBOX")
    await mailbox.expunge(NumSet.of([1]))
    mailbox.close()


async def rename(store: IndexedStore, home: IHome) -> None:
    """A mailbox gets another name."""
    await home.rename("Sent", "Old/Sent")


async def make_again(store: IndexedStore, home: IHome) -> None:
    """Another one gets the name that became free."""
    await home.create("Sent", [])


async def copy(store: IndexedStore, home: IHome) -> None:
    """One is copied."""
    mailbox = await home.open_mailbox("INBOX")
    await mailbox.copy(NumSet.of([4]), "Sent")
    mailbox.close()


async def delete(store: IndexedStore, home: IHome) -> None:
    """A mailbox with messages goes."""
    await home.delete("Old/Sent")


STEPS: list[Step] = [deliver, append, flag, move, expunge, rename, make_again, copy, delete]


async def state_of(store: IndexedStore) -> State:
    """Read everything, and see that all bodies are whole."""
    found: State = {}
    for account in await store.accounts():
        home = await store.open_home(account)
        for info in await home.mailboxes():
            if not info.exists:
                continue
            mailbox = await home.open_mailbox(info.name)
            uids = (await mailbox.state(False)).uids
            rows = await mailbox.rows(uids, [Column.FLAGS, Column.BASE_SUBJECT])
            subjects = rows[Column.BASE_SUBJECT]
            bodies = await mailbox.bodies([BodyRange(uid, 0, 1 << 20) for uid in uids])
            assert bodies == [mail(int(subject.split()[1])) for subject in subjects]
            flags = [frozenset(flag_names(mask, mailbox.keywords)) for mask in rows[Column.FLAGS]]
            found[account, info.name] = dict(
                zip(rows.uids, zip(subjects, flags, strict=True), strict=True)
            )
            mailbox.close()
    return found


def files_are_right(root: Path, state: State) -> None:
    """Every message has one file, and there is no other; flags are letters."""
    counted = sum(len(messages) for messages in state.values())
    there = [
        path
        for path in root.glob("*/**/*")
        if path.parent.name in {"new", "cur"} and ".mailplat" not in path.parts
    ]
    assert len(there) == counted, there
    seen = sum("\\Seen" in flags for messages in state.values() for _, flags in messages.values())
    assert sum("S" in path.name.partition(":2,")[2] for path in there) == seen
    assert not list((root / ".mailplat/tmp").iterdir())
    assert not list((root / ".mailplat/dead").iterdir())


async def run(
    maildirs: Maildirs,
    disk: Disk,
    states: list[State] | None = None,
    limits: MaildirLimits = RUSHED,
) -> int:
    """Do all steps until one fails; tell how many were acknowledged."""
    acknowledged = -1
    store: IndexedStore | None = None
    try:
        store = await maildirs.open(disk, limits)
        home = await store.open_home(ALICE)
        acknowledged = 0
        for number, step in enumerate(STEPS, 1):
            if states is not None:
                states.append(await state_of(store))
            await step(store, home)
            acknowledged = number
        if states is not None:
            states.append(await state_of(store))
    except MailError:
        pass
    for opened in list(maildirs.opened):
        maildirs.opened.remove(opened)
        with suppress(MailError):
            await opened.close()
    return acknowledged


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory, where there is such a thing: these tests flush some thousand times."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with TemporaryDirectory(dir="/dev/shm") as name:
        yield Path(name)


_expected: list[tuple[list[State], int]] = []


async def expect(maildirs: Maildirs) -> tuple[list[State], int]:
    """Tell how everything is before and after each step, and how many operations all take."""
    if not _expected:
        states: list[State] = []
        disk = StoppingDisk()
        await run(maildirs, disk, states)
        _expected.append((states, disk.done))
    return _expected[0]


@pytest.mark.parametrize("lost", Lost, ids=lambda lost: lost.value)
@pytest.mark.parametrize("limits", [RUSHED, LAZY], ids=["settled soon", "settled late"])
@pytest.mark.parametrize("part", range(2))
@pytest_twisted.ensureDeferred
async def test_the_disk_stops(
    memory: Path, maildirs: Maildirs, part: int, limits: MaildirLimits, lost: Lost
) -> None:
    """Each operation is the last one, once; what follows is one of the states that may be."""
    states, operations = await expect(maildirs)
    # what a kill leaves is mostly what a power cut leaves too: try it at every fourth operation,
    # at others when journal and files are settled late
    often = 1 if lost is Lost.ALL else 4
    first = often * part + (limits is LAZY and often // 2)
    for stop in range(first, operations + 1, often * 2):
        maildirs.root = memory / f"{stop}"
        maildirs.root.mkdir()
        disk = StoppingDisk(stop, lost)
        acknowledged = await run(maildirs, disk, limits=limits)
        disk.cut(maildirs.root)

        store = await maildirs.open(limits=RUSHED)
        state = await state_of(store)
        allowed = states[max(acknowledged, 0) : acknowledged + 2]
        if acknowledged < 0:  # not even alice's home was
            allowed.append({})
        assert state in allowed, (stop, acknowledged)
        home = await store.open_home(ALICE)
        given = max(
            (uid for s in states[: acknowledged + 1] for uid in s.get((ALICE, "INBOX"), ())),
            default=0,
        )
        (uid,) = (await home.append("INBOX", [new_message(mail(9))])).uids
        assert uid > given, (stop, acknowledged)
        state = await state_of(store)
        await maildirs.close(store)
        files_are_right(maildirs.root, state)
