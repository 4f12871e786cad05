"""The list of subscriptions that other programs share."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_twisted
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.interfaces.store import IHome
from mailplat.model.errors import Cannot, Unavailable
from mailplat.model.mailbox import normal_name
from mailplat.store.maildir.disk import Disk
from mailplat.store.maildir.subscriptions import merged_file, subscribed_names
from mailplat.testing.turns import until

if TYPE_CHECKING:
    from tests.store.maildir.conftest import Maildirs

ALICE = "alice@example.org"
FIRST = {"INBOX", "Sent", "Trash"}


class Falling(Disk):
    """A disk that stops before or after a list of subscriptions is there.

    Attributes:
        falls: ``before``, ``after``, or ``""``.
    """

    falls = ""

    def rename(self, old: str, new: str) -> bool:
        """See `Disk.rename`."""
        if not new.endswith("/subscriptions") or not self.falls:
            return super().rename(old, new)
        if self.falls == "after":
            super().rename(old, new)
        raise Unavailable("the power is gone")


async def subscribed(home: IHome) -> set[str]:
    """Tell what a home is subscribed to."""
    return {info.name for info in await home.mailboxes() if info.subscribed}


def written(path: Path) -> set[str]:
    """Tell what stands in a file."""
    return set(subscribed_names(path.read_bytes())) if path.exists() else set()


def put(path: Path, data: bytes) -> None:
    """Write a file as Dovecot does."""
    new = path.with_name("subscriptions.new")
    new.write_bytes(data)
    new.rename(path)


@given(st.sets(st.text(min_size=1, max_size=20), max_size=6), st.booleans())
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read(texts: set[str], old: bool) -> None:
    """Whatever a mailbox may be called, its line names it again, in either version."""
    names = set()
    for text in texts:
        try:
            names.add(normal_name(text))
        except Cannot:
            continue
    data = merged_file(b"Sent\n" if old else b"", names)
    assert subscribed_names(data) == names
    assert data.startswith(b"V\t2\n\n") is not old
    assert merged_file(data, names) == data or not data


def test_long_names() -> None:
    """A name that no directory can have stands there as a whole."""
    name = "/".join(["ä" * 60] * 5)
    assert subscribed_names(merged_file(b"", [name])) == {name}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b"V\t2\n\nINBOX\nA\tB\nEntw&APw-rfe\n"),
        (b"V\t2\n\nGone\nA\tB\n\x01?.x\tEntw\xc3\xbcrfe\n", None),
        (b"A.B\nGone\n\xff/..\n", b"A.B\n\xff/..\nINBOX\nEntw&APw-rfe\n"),
        (b"Entw\xc3\xbcrfe\n", b"Entw\xc3\xbcrfe\nINBOX\nA.B\n"),
    ],
)
def test_what_stands_there_stays(before: bytes, after: bytes | None) -> None:
    """Version, order, spelling and strange lines are kept; names that are not wanted go."""
    data = merged_file(before, ["INBOX", "A/B", "Entwürfe"])
    assert subscribed_names(data) >= {"INBOX", "A/B", "Entwürfe"}
    if after is not None:
        assert data == after
    assert b"Gone" not in data


@pytest_twisted.ensureDeferred
async def test_ours_are_written(maildirs: Maildirs) -> None:
    """The file follows each change, and another program's lock is waited for."""
    store = await maildirs.open()
    home = await store.open_home(ALICE)
    path = maildirs.root / ALICE / "subscriptions"
    await until(lambda: written(path) == FIRST)
    await home.subscribe("Lists/Entwürfe")
    await until(lambda: written(path) == {*FIRST, "Lists/Entwürfe"})
    assert b"\nLists\tEntw&APw-rfe\n" in path.read_bytes()
    lock = path.with_name("subscriptions.lock")
    lock.touch()
    await home.unsubscribe("Sent")
    await home.mailboxes()
    assert "Sent" in written(path)
    os.utime(lock, (time.time() - 200, time.time() - 200))
    assert await subscribed(home) == {"INBOX", "Trash", "Lists/Entwürfe"}
    await until(lambda: written(path) == {"INBOX", "Trash", "Lists/Entwürfe"})
    assert not lock.exists()


@pytest_twisted.ensureDeferred
async def test_others_are_read(maildirs: Maildirs) -> None:
    """What another program added and took away counts, and what we changed meanwhile too."""
    store = await maildirs.open()
    home = await store.open_home(ALICE)
    path = maildirs.root / ALICE / "subscriptions"
    await until(lambda: written(path) == FIRST)
    put(path, b"V\t2\n\nINBOX\nTrash\nLists\tPython\n")
    await home.subscribe("Ours")
    expected = {"INBOX", "Trash", "Lists/Python", "Ours"}
    assert await subscribed(home) == expected
    await until(lambda: written(path) == expected)
    path.unlink()
    assert await subscribed(home) == expected
    await until(lambda: written(path) == expected)
    path.write_bytes(b"")
    assert await subscribed(home) == expected


@pytest.mark.parametrize("falls", ["before", "after"])
@pytest_twisted.ensureDeferred
async def test_crash(maildirs: Maildirs, falls: str) -> None:
    """A crash around the writing loses nothing, and takes nothing of ours for another's."""
    disk = Falling()
    store = await maildirs.open(disk)
    home = await store.open_home(ALICE)
    path = maildirs.root / ALICE / "subscriptions"
    await until(lambda: written(path) == FIRST)
    disk.falls = falls
    await home.subscribe("Ours")
    await home.unsubscribe("Sent")
    await home.mailboxes()
    await maildirs.close(store)
    store = await maildirs.open()
    home = await store.open_home(ALICE)
    expected = {"INBOX", "Trash", "Ours"}
    assert await subscribed(home) == expected
    await until(lambda: written(path) == expected)


@pytest_twisted.ensureDeferred
async def test_strange_files(maildirs: Maildirs) -> None:
    """A link or a huge file is left alone, and the mailboxes are served."""
    store = await maildirs.open()
    home = await store.open_home(ALICE)
    path = maildirs.root / ALICE / "subscriptions"
    await until(lambda: written(path) == FIRST)
    put(path, b"x" * (1 << 20) + b"\n")
    await home.subscribe("Ours")
    assert await subscribed(home) == {*FIRST, "Ours"}
    other = maildirs.root / "elsewhere"
    other.write_bytes(b"Stolen\n")
    path.unlink()
    path.symlink_to(other)
    assert await subscribed(home) == {*FIRST, "Ours"}
    assert other.read_bytes() == b"Stolen\n"
