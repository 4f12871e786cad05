"""Tests for ``mailplatctl store`` and ``db`` on PostgreSQL: faults found, mended, carried out."""

from __future__ import annotations

import mailbox as mailboxes
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import psycopg
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
from mailplat.store.index.schema import SCHEMA_VERSION
from mailplat.testing.mails import mail, new_message
from mailplat.testing.postgresql import PostgreSQLServer

Ctl = Callable[..., Awaitable[str]]


@pytest.fixture
def url(postgresql: PostgreSQLServer) -> str:
    """An empty schema."""
    return postgresql.new_schema()


@pytest.fixture
def file(url: str, tmp_path: Path) -> Path:
    """A configuration with a store in the schema."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "accounts").write_text("alice@example.org:{PLAIN}secret\n")
    path = tmp_path / "mailplat.toml"
    path.write_text(
        f'[server]\nhostname = "mail.example.org"\ndomains = ["example.org"]\n'
        f'[store]\nuse = "sql:{url}"\n'
        '[[listener]]\nprotocol = "imap"\nendpoint = "tcp:0"\ntls = "none"\n'
    )
    return path


@pytest.fixture
def ctl(monkeypatch: pytest.MonkeyPatch, file: Path) -> Ctl:
    """``mailplatctl`` in a thread, with its asynchronous work on the tests' reactor."""

    def run(work: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
        return blockingCallFromThread(
            IReactorFromThreads(reactor), lambda: Deferred.fromCoroutine(work(reactor))
        )

    monkeypatch.setattr("mailplat.app.ctl.running.run", run)
    monkeypatch.setenv("MAILPLAT_CONFIG", str(file))

    async def call(*words: object, code: int = 0) -> str:
        result: Result = await deferToThread(CliRunner().invoke, main, [str(w) for w in words])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        output: str = result.output
        return output

    return call


async def fill(file: Path) -> None:
    """Give Alice ten messages."""
    store = store_of(load(file), reactor)
    await store.open()
    home = await store.open_home("alice@example.org")
    await home.append("INBOX", [new_message(mail(number)) for number in range(10)])
    await store.close()


@pytest_twisted.ensureDeferred
async def test_verify_and_repair(ctl: Ctl, file: Path, url: str) -> None:
    """What is damaged is named with mailbox and UID; repair mends what can be mended."""
    await fill(file)
    assert "No faults." in await ctl("store", "verify")
    with psycopg.connect(url) as raw:
        for sql in (
            b"UPDATE mailboxes SET messages = 77 WHERE name = 'INBOX'",
            b"UPDATE homes SET storage = 5",
            b"DELETE FROM contents WHERE id = 3",
            b"UPDATE bodies SET data = substr(data, 1, 9) WHERE id = 5 << 16",
            b"INSERT INTO bodies (id, data) VALUES (999 << 16, 'x')",
        ):
            raw.execute(sql)
    found = await ctl("store", "verify", code=1)
    for words in ("'messages' says 77", "quota counts 5", "UID 3", "UID 5", "table bodies"):
        assert words in found
    mended = await ctl("store", "repair", code=1)
    assert "left:" in mended
    found = await ctl("store", "verify", code=1)
    assert "UID 5" in found
    assert "UID 3" not in found
    await ctl("store", "repair", "--drop-missing")
    assert "No faults." in await ctl("store", "verify")


@pytest_twisted.ensureDeferred
async def test_in_and_out(ctl: Ctl, file: Path, tmp_path: Path) -> None:
    """Mail is exported, counted, and imported again, each message once; indexes are made anew."""
    await fill(file)
    await ctl("store", "export", "alice", tmp_path / "out")
    assert len(list(mailboxes.Maildir(tmp_path / "out"))) == 10
    said = await ctl("store", "import", "alice", tmp_path / "out", "--into", "Copy")
    assert "10 messages imported" in said
    said = await ctl("store", "import", "alice", tmp_path / "out")
    assert "10 were there" in said
    assert "20 messages" in await ctl("store", "stats")
    assert "20 summaries" in await ctl("store", "reindex", "--all")
    assert "No faults." in await ctl("store", "verify")


@pytest_twisted.ensureDeferred
async def test_revisions(ctl: Ctl, file: Path) -> None:
    """The revision is told, and goes back and up again with the mail."""
    assert "not made yet" in await ctl("db", "current")
    await fill(file)
    assert "as this version needs it" in await ctl("db", "current")
    assert f"taken back: {SCHEMA_VERSION:04}" in await ctl("db", "downgrade")
    assert "mailplatctl db upgrade" in await ctl("store", "stats", code=1)
    assert f"upgraded to {SCHEMA_VERSION:04}" in await ctl("db", "upgrade")
    assert "10 messages" in await ctl("store", "stats")
