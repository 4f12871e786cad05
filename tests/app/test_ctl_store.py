"""Tests for ``mailplatctl store``: damage of every kind, and mail carried in and out."""

from __future__ import annotations

import mailbox as standard
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from click.testing import CliRunner, Result
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import blockingCallFromThread, deferToThread

from mailplat.app.ctl.main import main
from mailplat.app.keeping import store_of
from mailplat.config.load import load
from mailplat.interfaces.store import BodyRange, Column, IStore
from mailplat.model.errors import Corrupt
from mailplat.model.flags import flag_names
from mailplat.model.mailbox import QuotaUsage
from mailplat.model.numset import NumSet
from mailplat.testing.mails import NOON, mail, new_message
from mailplat.testing.store_contract.fixtures import ALL

Ctl = Callable[..., Awaitable[str]]
BOTH = pytest.mark.parametrize("use", ["sql:sqlite:///mail.db", "maildir:mail"])


@pytest.fixture
def made(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A configuration with two accounts, of the store that the test is about."""
    use = getattr(request, "param", "sql:sqlite:///mail.db")
    (tmp_path / "data").mkdir()
    lines = "alice@example.org:{PLAIN}secret::::::alias=alice\nbob@example.org:{PLAIN}secret\n"
    (tmp_path / "data" / "accounts").write_text(lines)
    return write_configuration(tmp_path, use)


def write_configuration(directory: Path, use: str) -> Path:
    """Write a configuration with a store."""
    file = directory / "mailplat.toml"
    file.write_text(
        f'[server]\nhostname = "mail.example.org"\ndomains = ["example.org"]\n'
        f'[store]\nuse = "{use}"\n'
        '[[listener]]\nprotocol = "imap"\nendpoint = "tcp:0"\ntls = "none"\n'
    )
    return file


@pytest.fixture
def ctl(monkeypatch: pytest.MonkeyPatch, made: Path) -> Ctl:
    """``mailplatctl store`` in a thread, with its asynchronous work on the tests' reactor."""

    def run(work: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
        return blockingCallFromThread(
            IReactorFromThreads(reactor), lambda: Deferred.fromCoroutine(work(reactor))
        )

    monkeypatch.setattr("mailplat.app.ctl.running.run", run)
    monkeypatch.setenv("MAILPLAT_CONFIG", str(made))

    async def call(*args: object, code: int = 0) -> str:
        words = ["store", *map(str, args)]
        result: Result = await deferToThread(CliRunner().invoke, main, words)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        output: str = result.output
        return output

    return call


async def opened(made: Path) -> IStore:
    """Open the store; the caller closes it."""
    store = store_of(load(made), reactor)
    await store.open()
    return store


async def fill(made: Path) -> None:
    """Give Alice six messages in INBOX and one below, Bob one."""
    store = await opened(made)
    home = await store.open_home("alice@example.org")
    new = [new_message(mail(number)) for number in range(1, 6)]
    new[1] = new_message(mail(2, 90_000) + b"\r\n")
    await home.append("INBOX", new)
    await home.append("INBOX", [new_message(mail(6), ["\\Seen", "\\Flagged", "$Work"], NOON + 60)])
    await home.create("Lists/Ünïcode", ())
    await home.append("Lists/Ünïcode", [new_message(mail(7))])
    await (await store.open_home("bob@example.org")).append("INBOX", [new_message(mail(8))])
    await store.close()


Row = tuple[bytes | None, int, frozenset[str]]


async def contents(made: Path, account: str = "alice@example.org") -> dict[str, list[Row]]:
    """Read all mail of an account: bytes, date and flags."""
    store = await opened(made)
    home = await store.open_home(account)
    found = {}
    for info in await home.mailboxes():
        if info.exists:
            box = await home.open_mailbox(info.name)
            rows = await box.rows(ALL, [Column.DATE, Column.FLAGS])
            bodies = await box.bodies([BodyRange(uid, 0, 1 << 30) for uid in rows.uids])
            flags = [frozenset(flag_names(mask, box.keywords)) for mask in rows[Column.FLAGS]]
            found[info.name] = list(zip(bodies, rows[Column.DATE], flags, strict=True))
            box.close()
    await store.close()
    return found


def spoil(made: Path, *statements: str) -> None:
    """Damage the database behind the store's back."""
    with closing(sqlite3.connect(made.parent / "data" / "mail.db")) as raw:
        for statement in statements:
            assert raw.execute(statement).rowcount, statement
        raw.commit()


@BOTH
@pytest_twisted.ensureDeferred
async def test_nothing_is_wrong(use: str, made: Path, ctl: Ctl) -> None:
    """What the stores themselves write has no faults; statistics count it."""
    write_configuration(made.parent, use)
    await fill(made)
    assert "No faults." in await ctl("verify")
    assert "No faults." in await ctl("verify", "--quick", "alice")
    lines = (await ctl("stats")).splitlines()
    assert [line.split()[0] for line in lines] == ["alice@example.org", "bob@example.org", "2"]
    assert "7 messages" in lines[0]
    assert lines[0].endswith(" KiB")
    assert lines[1].endswith(" B")
    assert "8 messages" in lines[2]
    assert "0 summaries" in await ctl("reindex")
    assert "8 summaries" in await ctl("reindex", "--all")
    assert "No faults." in await ctl("verify")


@pytest_twisted.ensureDeferred
async def test_counters(made: Path, ctl: Ctl) -> None:
    """Counters that drifted are told and set right."""
    await fill(made)
    spoil(
        made,
        "UPDATE mailboxes SET messages = 9, unseen = 0, size = 1 WHERE name = 'INBOX'",
        "UPDATE mailboxes SET uid_next = 2 WHERE name LIKE 'Lists%'",
        "UPDATE mailboxes SET uid_next = 1, modseq = 0 WHERE name LIKE 'Lists%'",
        "UPDATE homes SET storage = storage + 1",
    )
    told = await ctl("verify", "--quick", code=1)
    assert "alice@example.org/INBOX: the counter 'messages' says 9, there are 6" in told
    assert "the counter 'unseen' says 0, there are 5" in told
    assert "the counter 'size'" in told
    assert "Lists/Ünïcode: the next UID would be 1" in told
    assert "bob@example.org: its quota counts" in told
    await ctl("repair")
    assert "No faults." in await ctl("verify")
    store = await opened(made)
    home = await store.open_home("alice@example.org")
    sizes = sum(len(body or b"") for rows in (await contents(made)).values() for body, _, _ in rows)
    assert await home.usage() == QuotaUsage(sizes, 7)
    assert (await home.append("Lists/Ünïcode", [new_message(mail(9))])).uids == (2,)
    await store.close()


@pytest_twisted.ensureDeferred
async def test_summaries(made: Path, ctl: Ctl) -> None:
    """Old, missing and wrong summaries are named, and made anew; no mail is lost."""
    await fill(made)
    before = await contents(made)
    spoil(
        made,
        "UPDATE contents SET version = 0 WHERE id = 1",
        "DELETE FROM contents WHERE id = 2",
        "DELETE FROM headers WHERE content = 3",
        "UPDATE contents SET envelope = x'4e494c' WHERE id = 4",
        "UPDATE contents SET size = 3 WHERE id = 5",
    )
    told = await ctl("verify", "alice", code=1)
    for uid, what in {
        1: "not of this version",
        2: "missing",
        3: "header is missing",
        4: "not what its bytes say",
        5: "of another message",
    }.items():
        assert any(f"INBOX UID {uid}: " in line and what in line for line in told.splitlines())
    assert "UID 6" not in told
    assert "5 faults mended" not in await ctl("reindex")  # the wrong one cannot be known by it
    told = await ctl("verify", code=1)
    assert "1 fault;" in told
    assert "1 fault mended, 0 left" in await ctl("repair")
    assert "No faults." in await ctl("verify")
    assert await contents(made) == before


@pytest_twisted.ensureDeferred
async def test_lost_bytes(made: Path, ctl: Ctl, tmp_path: Path) -> None:
    """The message is named, the others are served; it goes only when that is asked for."""
    await fill(made)
    spoil(
        made,
        "DELETE FROM bodies WHERE id = (3 << 16)",
        "DELETE FROM bodies WHERE id = (2 << 16) + 1",
        "UPDATE bodies SET data = substr(data, 1, 50) WHERE id = (4 << 16)",
    )
    store = await opened(made)
    box = await (await store.open_home("alice@example.org")).open_mailbox("INBOX")
    for uid in (2, 3, 4):
        with pytest.raises(Corrupt) as caught:
            await box.bodies([BodyRange(uid, 0, 1 << 30)])
        assert "alice@example.org/INBOX" in caught.value.reason
        assert f"UID {uid}" in caught.value.reason
    assert (await box.bodies([BodyRange(5, 0, 1 << 30)]))[0] == mail(5)
    box.close()
    await store.close()
    told = await ctl("verify", code=1)
    assert [f"INBOX UID {uid}: " in told for uid in range(1, 7)] == [
        False, True, True, True, False, False,
    ]  # fmt: skip
    told = await ctl("export", "alice", tmp_path / "out", code=1)
    assert "4 messages exported" in told
    assert "left out: alice@example.org/INBOX: UID 2" in told
    assert "0 faults mended, 3 left" in await ctl("repair", code=1)
    assert "3 faults mended, 0 left" in await ctl("repair", "--drop-missing")
    assert "No faults." in await ctl("verify")
    rows = (await contents(made))["INBOX"]
    assert [body for body, _, _ in rows] == [mail(1), mail(5), mail(6)]


@pytest_twisted.ensureDeferred
async def test_a_file_cut_short(made: Path, ctl: Ctl) -> None:
    """The same in a Maildir."""
    write_configuration(made.parent, "maildir:mail")
    await fill(made)
    files = sorted((made.parent / "data/mail/bob@example.org").glob("*/*S=*"))
    files[0].write_bytes(files[0].read_bytes()[:60])
    told = await ctl("verify", code=1)
    assert "bob@example.org/INBOX UID 1: " in told
    assert "1 fault mended, 0 left" in await ctl("repair", "--drop-missing")
    assert "No faults." in await ctl("verify")
    assert (await contents(made, "bob@example.org"))["INBOX"] == []


@pytest_twisted.ensureDeferred
async def test_leftovers(made: Path, ctl: Ctl) -> None:
    """Rows that belong to nothing are counted and removed."""
    await fill(made)
    before = await contents(made)
    spoil(
        made,
        "INSERT INTO bodies VALUES (99 << 16, x'00')",
        "INSERT INTO headers VALUES (99, x'00')",
        "INSERT INTO vanished VALUES (99, 1, 1, 1)",
    )
    told = await ctl("verify", code=1)
    assert "store: 1 rows of the table bodies belong to nothing" in told
    assert "3 faults mended, 0 left" in await ctl("repair")
    assert "No faults." in await ctl("verify")
    assert await contents(made) == before


@pytest_twisted.ensureDeferred
async def test_a_damaged_database(made: Path, ctl: Ctl) -> None:
    """Pages of noise: what is hit is told, and no traceback."""
    store = await opened(made)
    home = await store.open_home("alice@example.org")
    await home.append("INBOX", [new_message(mail(n, 3000)) for n in range(200)])
    await store.close()
    path = made.parent / "data" / "mail.db"
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = raw.execute("SELECT rootpage FROM sqlite_master WHERE name='contents'").fetchone()
    data = bytearray(path.read_bytes())
    data[(page - 1) * 4096 : page * 4096] = os.urandom(4096)
    path.write_bytes(data)
    told = await ctl("verify", code=1)
    assert "malformed" in told or "Page" in told or "page" in told
    assert "alice@example.org/INBOX" in told
    await ctl("repair", code=1)


@pytest_twisted.ensureDeferred
async def test_a_search_index_that_misses(made: Path, ctl: Ctl) -> None:
    """It is noticed, and built anew."""
    await fill(made)
    assert "No faults." in await ctl("verify")
    with closing(sqlite3.connect(made.parent / "data" / "mail.db.search")) as raw:
        raw.execute("DROP TABLE span1")
        raw.execute(
            "CREATE VIRTUAL TABLE span1 USING fts5(text, content='', detail=none,"
            " columnsize=0, tokenize='trigram case_sensitive 1')"
        )
        raw.commit()
    told = await ctl("verify", code=1)
    assert "UID 1: the search index does not find its text" in told
    await ctl("repair")
    assert "No faults." in await ctl("verify")


@BOTH
@pytest.mark.parametrize("form", ["maildir", "mbox"])
@pytest_twisted.ensureDeferred
async def test_out_and_in(use: str, form: str, made: Path, ctl: Ctl, tmp_path: Path) -> None:
    """Everything comes back with flags and dates; doing it again changes nothing."""
    write_configuration(made.parent, use)
    await fill(made)
    before = await contents(made)
    out = tmp_path / "out"
    assert "7 messages exported" in await ctl("export", "alice", out, "--format", form)
    if form == "maildir":
        assert "0 messages exported" in await ctl("export", "alice", out)
        assert len(standard.Maildir(str(out), create=False)) == 6
    else:
        with closing(standard.mbox(str(out / "INBOX.mbox"), create=False)) as opened_again:
            assert len(opened_again) == 6
    assert "7 messages imported" in await ctl("import", "bob", out, "--into", "Old")
    after = await contents(made, "bob@example.org")
    assert after["Old"] == before["INBOX"]
    assert after["Old/Lists/Ünïcode"] == before["Lists/Ünïcode"]
    told = await ctl("import", "bob", out, "--into", "Old")
    assert "0 messages imported, 7 were there" in told
    assert await contents(made, "bob@example.org") == after
    assert "No faults." in await ctl("verify")


@pytest_twisted.ensureDeferred
async def test_an_import_goes_on(made: Path, ctl: Ctl, tmp_path: Path) -> None:
    """What is missing comes, the same message twice stays twice."""
    source = tmp_path / "old.mbox"
    one = b"From a Thu Jan  1 12:00:00 2026\nSubject: one\n\nsame\n\n"
    other = b"From a Thu Jan  1 12:00:00 2026\nSubject: two\n\nsame\n\n"
    source.write_bytes(one + one)
    assert "2 messages imported" in await ctl("import", "alice", source)
    source.write_bytes(one + other + one + one)
    assert "2 messages imported, 2 were there" in await ctl("import", "alice", source)
    assert len((await contents(made))["old"]) == 4
    assert "imported, 4 were there" in await ctl("import", "alice", source)


@pytest_twisted.ensureDeferred
async def test_too_many_keywords(made: Path, ctl: Ctl, tmp_path: Path) -> None:
    """Mail is worth more than keywords that find no room."""
    source = tmp_path / "k.mbox"
    words = " ".join(f"k{number}" for number in range(60))
    source.write_bytes(
        f"From a Thu Jan  1 12:00:00 2026\nStatus: R\nX-Keywords: {words}\n\nx\n".encode()
    )
    told = await ctl("import", "alice", source)
    assert "1 message imported" in told
    assert "1 message lost keywords" in told
    ((_, _, flags),) = (await contents(made))["k"]
    assert flags == {"\\Seen"}


@pytest_twisted.ensureDeferred
async def test_a_foreign_maildir(made: Path, ctl: Ctl, tmp_path: Path) -> None:
    """Files of another program: LF, letters, keywords, a folder below."""
    tree = tmp_path / "Maildir"
    for folder in (tree, tree / ".Sent Mail"):
        for sub in ("cur", "new", "tmp"):
            (folder / sub).mkdir(parents=True)
    (tree / "dovecot-keywords").write_text("0 work\n")
    (tree / "cur" / "1.a.host:2,FSa").write_bytes(b"Subject: one\n\ntext\n")
    (tree / "new" / "2.b.host").write_bytes(b"Subject: two\n\ntext\n")
    (tree / ".Sent Mail" / "cur" / "3.c.host:2,S").write_bytes(b"Subject: three\r\n\r\nx\r\n")
    for file in tree.rglob("?.?.host*"):
        os.utime(file, (NOON, NOON))
    assert "3 messages imported" in await ctl("import", "alice", tree)
    found = await contents(made)
    assert found["INBOX"] == [
        (b"Subject: one\r\n\r\ntext\r\n", NOON, frozenset({"\\Flagged", "\\Seen", "work"})),
        (b"Subject: two\r\n\r\ntext\r\n", NOON, frozenset()),
    ]
    assert found["Sent Mail"] == [(b"Subject: three\r\n\r\nx\r\n", NOON, frozenset({"\\Seen"}))]


@pytest_twisted.ensureDeferred
async def test_a_server_is_running(made: Path, ctl: Ctl) -> None:
    """Maildirs in use are left alone, with a word; a database may be worked on."""
    write_configuration(made.parent, "maildir:mail")
    store = await opened(made)
    other = [sys.executable, "-m", "mailplat.app.ctl", "store", "verify", "--config", str(made)]
    done = await deferToThread(subprocess.run, other, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "is served by another mailplat process: stop that one first" in done.stderr
    await store.close()
    write_configuration(made.parent, "sql:sqlite:///mail.db")
    await fill(made)
    store = await opened(made)
    box = await (await store.open_home("alice@example.org")).open_mailbox("INBOX")
    spoil(made, "UPDATE mailboxes SET unseen = 0 WHERE name = 'INBOX'")
    await ctl("repair")
    assert "No faults." in await ctl("verify")
    await box.expunge(NumSet.of([1]))
    box.close()
    await store.close()
    assert "No faults." in await ctl("verify")


@pytest.mark.parametrize(
    "words", [[], ["verify"], ["repair"], ["reindex"], ["stats"], ["export"], ["import"]]
)
@pytest_twisted.ensureDeferred
async def test_help_teaches(words: list[str], ctl: Ctl) -> None:
    """Every command explains itself."""
    told = await ctl(*words, "--help")
    assert "Usage: " in told
    assert "\\b" not in told


@pytest_twisted.ensureDeferred
async def test_mistakes(made: Path, ctl: Ctl, tmp_path: Path) -> None:
    """Each is answered with a line that says what to do."""
    assert "alcie has no mail here" in await ctl("verify", "alcie", code=1)
    (tmp_path / "empty").mkdir()
    assert "there is no account alcie" in await ctl("import", "alcie", tmp_path / "empty", code=1)
    assert "neither a Maildir nor" in await ctl("import", "alice", tmp_path / "empty", code=1)
    await fill(made)
    told = await ctl("export", "alice", tmp_path / "out", "--mailbox", "Nowhere", code=1)
    assert "Nowhere" in told
    (tmp_path / "file").touch()
    told = await ctl("export", "alice", tmp_path / "file" / "below", code=1)
    assert f"{tmp_path}/file" in told
    shutil.rmtree(tmp_path / "data")
    (tmp_path / "data").mkdir()
    assert "There is no mail." in await ctl("stats")
