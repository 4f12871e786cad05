"""Tests for `mailplat.accounts.file` and `mailplat.accounts.text`."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor

from mailplat.accounts.directory import Directory, Entry
from mailplat.accounts.file import FileAccounts, write_durably
from mailplat.accounts.text import directory_of, read_rows, rewrite, write_rows
from mailplat.interfaces.plugins import PasswordSettings
from mailplat.model.account import Account
from mailplat.model.errors import ConfigurationFault, StorageFull, Unavailable
from mailplat.model.mailbox import QuotaLimit
from mailplat.testing.strict import LoggedErrors

QUICK = PasswordSettings(scheme="SSHA512")

TEXT = """\
# the accounts

alice@example.org:{PLAIN}a%3Ab%25:alias=alice:quota-storage=5GiB
Bob@Example.org:
info:{PLAIN}x:address=Info@example.org:address=sales@example.org:disabled=yes:quota-messages=7
"""


def test_reads() -> None:
    """Every field is read; names and addresses in lower case."""
    entries = list(directory_of(read_rows(TEXT, "f")))
    assert entries == [
        Entry(
            Account(
                "alice@example.org",
                addresses=("alice@example.org",),
                aliases=("alice",),
                quota=QuotaLimit(5 * 1024**3),
            ),
            "{PLAIN}a:b%",
        ),
        Entry(Account("bob@example.org", addresses=("bob@example.org",)), ""),
        Entry(
            Account(
                "info",
                addresses=("info@example.org", "sales@example.org"),
                enabled=False,
                quota=QuotaLimit(messages=7),
            ),
            "{PLAIN}x",
        ),
    ]


def test_leaves_alone_what_is_not_changed() -> None:
    """Comments, empty lines and unchanged accounts are written as they were read."""
    rows = read_rows(TEXT, "f")
    assert write_rows(rewrite(rows, directory_of(rows))) == TEXT
    changed = directory_of(rows).with_password("bob@example.org", "{PLAIN}y")
    assert write_rows(rewrite(rows, changed)) == TEXT.replace(
        "Bob@Example.org:", "bob@example.org:{PLAIN}y"
    )
    gone = directory_of(rows).removing("bob@example.org")
    assert write_rows(rewrite(rows, gone)) == TEXT.replace("Bob@Example.org:\n", "")


def test_every_fault_at_once() -> None:
    """A file with faults is refused, each named with its line."""
    with pytest.raises(ConfigurationFault) as caught:
        read_rows(
            "a@b:{PLAIN}x\n"
            "c:secret\n"
            "d:{SHA512-CRYPT}$6$x\n"
            "# a comment\n"
            "e:{PLAIN}x:colour=red\n"
            "f:{PLAIN}x:quota-storage=lots\n"
            "g:{PLAIN}x:disabled=perhaps\n"
            "h:{PLAIN}x:alias=a@b\n"
            "a b:{PLAIN}x\n"
            "i:{PLAIN}x:address=nowhere\n"
            "j:{PLAIN}x:full-name=J:full-name=K\n",
            "accounts",
        )
    lines = caught.value.reason.splitlines()
    assert [line.split(":")[1] for line in lines] == ["2", "3", "5", "6", "7", "11", "8", "9", "10"]
    assert "secret" not in caught.value.reason
    assert lines[3] == "accounts:6: found quota-storage=lots, expected as in quota-storage=5GiB"
    assert "{SHA512-CRYPT} is not known here" in lines[1]
    assert lines[6] == "accounts:8: there is an account a@b already"


words = st.text("abcdefghij.-_é", min_size=1, max_size=6).filter(lambda word: word.strip("."))
texts = st.text(st.characters(exclude_categories=["Cs"]))
accounts = st.builds(
    Account,
    name=words,
    addresses=st.lists(words.map(lambda word: word + "@é.org"), unique=True, max_size=3).map(tuple),
    full_name=texts,
    enabled=st.booleans(),
    quota=st.builds(
        QuotaLimit, st.none() | st.integers(0, 2**50), st.none() | st.integers(0, 10**9)
    ),
    aliases=st.lists(words.map(lambda word: word + "2"), unique=True, max_size=2).map(tuple),
)


@settings(max_examples=80)
@given(accounts, texts)
def test_what_is_written_reads_back(account: Account, password: str) -> None:
    """An account survives being written, whatever is in its fields."""
    entries = list(Directory([Entry(account, "{PLAIN}" + password)]))
    text = write_rows(rewrite([], Directory(entries)))
    assert text.count("\n") == 1
    assert list(directory_of(read_rows(text, "f"))) == entries


def test_names_that_are_no_addresses() -> None:
    """An account whose name looks like an address need not get its mail."""
    entries = [
        Entry(Account("a@b.example"), ""),
        Entry(Account("c@d.example", ("x@y.example",)), ""),
    ]
    text = write_rows(rewrite([], Directory(entries)))
    assert list(directory_of(read_rows(text, "f"))) == entries


class ClockedReactor:
    """The reactor's threads with a clock of the test's own."""

    now = 1000.0

    def seconds(self) -> float:
        """Tell the time."""
        return self.now

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)


@pytest.fixture
def clocked() -> ClockedReactor:
    """A reactor with a clock."""
    return ClockedReactor()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An accounts file."""
    path = tmp_path / "accounts"
    path.write_text(TEXT)
    return path


@pytest_twisted.async_yield_fixture
async def backend(file: Path, clocked: ClockedReactor) -> AsyncIterator[FileAccounts]:
    """A backend on the file."""
    made = FileAccounts(file, clocked, QUICK)
    await made.open()
    yield made
    await made.close()


@pytest_twisted.ensureDeferred
async def test_sees_what_people_edit(
    backend: FileAccounts, file: Path, clocked: ClockedReactor
) -> None:
    """A change of the file counts within a second; before that nobody looks at the file."""
    file.write_text("carol:{PLAIN}x\n")
    assert await backend.find_account("alice") is not None
    clocked.now += 1
    assert await backend.find_account("alice") is None
    assert await backend.check_password("carol", "x") == Account("carol")


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("damage", ["carol:x\n", None])
async def test_a_damaged_file_changes_nothing(
    backend: FileAccounts,
    file: Path,
    clocked: ClockedReactor,
    damage: str | None,
    logged_errors: LoggedErrors,
) -> None:
    """While the file is unreadable or gone the accounts stay; when it is mended they follow."""
    file.unlink()
    if damage is not None:
        file.write_text(damage)
    clocked.now += 1
    assert await backend.find_account("alice") is not None
    assert len(logged_errors.flush()) == 1
    file.write_text("carol:{PLAIN}x\n")
    clocked.now += 1
    assert await backend.find_account("carol") is not None
    assert await backend.find_account("alice") is None


@pytest_twisted.ensureDeferred
async def test_edits_meet_what_people_edited(backend: FileAccounts, file: Path) -> None:
    """An edit builds on the file as it is, not as it was last seen; the rest of it stays."""
    file.write_text("# mine\ncarol:{PLAIN}x\n")
    await backend.add(Account("david"), "pass")
    comment, carol, david, end = file.read_text().split("\n")
    assert (comment, carol, end) == ("# mine", "carol:{PLAIN}x", "")
    assert david.startswith("david:{SSHA512}")
    assert [account.name for account in await backend.list_accounts()] == ["carol", "david"]


def _fail(error: Exception, descriptor: int) -> None:
    raise error


@pytest_twisted.ensureDeferred
async def test_an_edit_is_whole(
    backend: FileAccounts, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk refuses, the file is as it was and nothing is left beside it."""
    for number, kind in [(28, StorageFull), (5, Unavailable)]:
        with monkeypatch.context() as refusing:
            refusing.setattr(
                os, "fsync", lambda fd, n=number: (_ for _ in ()).throw(OSError(n, "no"))
            )
            with pytest.raises(kind):
                await backend.add(Account("david"), "pass")
    assert file.read_text() == TEXT
    assert os.listdir(file.parent) == ["accounts"]
    assert await backend.find_account("david") is None


def test_nobody_else_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is its owner's alone; file and folder are flushed, in that order."""
    flushed = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        flushed.append(stat.S_ISDIR(os.fstat(descriptor).st_mode))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    path = tmp_path / "accounts"
    path.touch(0o644)
    write_durably(path, "x")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert flushed == [False, True]


@pytest_twisted.ensureDeferred
async def test_a_link_stays_one(file: Path, tmp_path: Path) -> None:
    """Editing through a symbolic link changes what it leads to."""
    link = tmp_path / "link"
    link.symlink_to(file)
    backend = FileAccounts(link, reactor, QUICK)
    await backend.open()
    await backend.remove("info")
    await backend.close()
    assert link.is_symlink()
    assert "info:" not in file.read_text()


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(
    ("content", "told"),
    [(None, "cannot be read: No such file"), (b"x\n\xff", ":2: found bytes"), (b"a:b", ":1: the ")],
)
async def test_cannot_be_opened(tmp_path: Path, content: bytes | None, told: str) -> None:
    """A file that is not there or not right is refused at the start, with the remedy."""
    path = tmp_path / "accounts"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationFault, match=told):
        await FileAccounts(path, reactor, QUICK).open()
