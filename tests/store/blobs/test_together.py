"""Blobs with all that stands around them: a real S3 server, PostgreSQL, revisions, mailplatctl."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from click.testing import CliRunner
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import blockingCallFromThread, deferToThread

from mailplat.app.ctl.main import main
from mailplat.app.keeping import store_of
from mailplat.app.upkeep.migrating import Schema, store_schema
from mailplat.config.load import load
from mailplat.interfaces.blobs import IBlobStore
from mailplat.interfaces.plugins import StoreSettings
from mailplat.interfaces.store import BodyRange, Column, IStore, Target
from mailplat.model.errors import ConfigurationFault, Unavailable
from mailplat.store.blobs.bodies import BlobRules
from mailplat.store.blobs.files import FileBlobs
from mailplat.store.blobs.s3 import S3Blobs, S3Limits
from mailplat.store.index.store import IndexedStore
from mailplat.store.sql.store import sql_store
from mailplat.testing.mails import mail, new_message
from mailplat.testing.postgresql import PostgreSQLServer
from mailplat.testing.seaweedfs import S3Server
from mailplat.testing.turns import all_of, until

OpenStore = Callable[..., Awaitable[IndexedStore]]

_reactor: Any = reactor
ALICE, BOB = Target("alice"), Target("bob")
RULES = BlobRules(larger=1000, least=1000, keep_seconds=3600)


async def read(store: IStore, account: str, size: int = 300_000) -> list[bytes | None]:
    """Read all messages of an INBOX whole."""
    mailbox = await (await store.open_home(account)).open_mailbox("INBOX")
    try:
        uids = (await mailbox.state(False)).uids
        return list(await mailbox.bodies([BodyRange(uid, 0, size) for uid in uids]))
    finally:
        mailbox.close()


@pytest_twisted.ensureDeferred
async def test_in_s3(open_store: OpenStore, s3_server: S3Server) -> None:
    """A real S3 server keeps bodies once, tells which are there, and refuses who is a stranger."""
    url, limits = s3_server.new_place(), S3Limits(pause=0.01)
    blobs = S3Blobs(url, s3_server.key, reactor, limits)
    store = await open_store(blobs)
    large = [mail(number, 200_000) for number in range(6)]
    await all_of([store.deliver(new_message(data), [ALICE, BOB]) for data in large])
    await all_of([store.deliver(new_message(data), [BOB]) for data in large])
    assert sorted(map(bytes, filter(None, await read(store, "alice")))) == large
    assert len(await read(store, "bob")) == 12
    assert await store.bodies.faults() == []
    assert await store.bodies.sweep() == 0
    stranger = S3Blobs(url, type(s3_server.key)("tests", "wrong"), reactor, limits)
    with pytest.raises(Unavailable, match="SignatureDoesNotMatch"):
        await stranger.open()
    await stranger.close()
    nowhere = S3Blobs(url.replace("/mail/", "/nothing-here/"), s3_server.key, reactor, limits)
    with pytest.raises(Unavailable, match="NoSuchBucket"):
        await nowhere.open()
    await nowhere.close()


@pytest_twisted.ensureDeferred
async def test_two_processes(postgresql: PostgreSQLServer, tmp_path: Path) -> None:
    """Two stores on one database and one directory keep the same body once, also at once."""
    url = postgresql.new_schema()
    opened: list[IndexedStore] = []
    for _ in range(2):
        blobs: IBlobStore = FileBlobs(str(tmp_path / "bodies"), reactor)
        settings = StoreSettings(reactor, str(tmp_path), blobs=blobs)
        opened.append(sql_store(url, settings, rules=RULES))
        await opened[-1].open()
    one, two = opened
    try:
        large = mail(1, 300_000)
        await all_of(
            [store.deliver(new_message(large), [ALICE, BOB]) for store in opened for _ in range(4)]
        )
        assert await read(one, "alice") == await read(two, "bob") == [large] * 8
        await until(lambda: len(list((tmp_path / "bodies").glob("*/*/*"))) == 1)
        assert await one.bodies.faults() == []
    finally:
        for store in opened:
            await store.close()


@pytest_twisted.ensureDeferred
async def test_large_headers(open_store: OpenStore, tmp_path: Path) -> None:
    """A header that is too large for the summary is read out of the blob."""
    store = await open_store(FileBlobs(str(tmp_path / "bodies"), reactor))
    header = b"Subject: x\r\n" + b"X-Long: " + b"y" * 60 + b"\r\n"
    header = header * 8000 + b"\r\n"
    await store.deliver(new_message(header + b"body\r\n"), [ALICE])
    mailbox = await (await store.open_home("alice")).open_mailbox("INBOX")
    rows = await mailbox.rows([1], (Column.HEADER,))
    mailbox.close()
    assert rows[Column.HEADER][0] == header


def schema_of(description: str, directory: Path) -> Schema:
    """Find the schema of a store."""
    schema = store_schema(description, str(directory))
    assert schema is not None
    return schema


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@pytest_twisted.ensureDeferred
async def test_revisions(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Going back gives each message its own bytes; it is refused while some are outside."""
    url = "sqlite:///mail.db"
    if kind == "postgresql":
        url = request.getfixturevalue("postgresql").new_schema()
    bodies = [mail(1, 200_000), mail(2, 200_000), mail(1, 200_000), mail(3)]

    def make(blobs: IBlobStore | None = None) -> IndexedStore:
        return sql_store(url, StoreSettings(reactor, str(tmp_path), blobs=blobs))

    store = make()
    await store.open()
    for body in bodies:
        await store.deliver(new_message(body), [ALICE])
    await store.close()
    schema = schema_of(f"sql:{url}", tmp_path)
    await deferToThread(schema.downgrade, "0002")
    await deferToThread(schema.upgrade)
    store = make()
    await store.open()
    assert await read(store, "alice") == bodies
    assert list(await store.store_faults()) == []
    await store.close()
    store = make(FileBlobs(str(tmp_path / "bodies"), reactor))
    await store.open()
    await store.deliver(new_message(mail(4, 200_000)), [ALICE])
    await store.close()
    with pytest.raises(ConfigurationFault, match="1 bodies are in files or S3"):
        await deferToThread(schema.downgrade, "0002")
    store = make(FileBlobs(str(tmp_path / "bodies"), reactor))
    await store.open()
    assert await read(store, "alice") == [*bodies, mail(4, 200_000)]
    await store.close()


@pytest_twisted.ensureDeferred
async def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``mailplatctl store`` tells of a lost blob, and finds it when it is put back."""
    (tmp_path / "data").mkdir()
    file = tmp_path / "mailplat.toml"
    file.write_text(
        '[server]\nhostname = "mail.example.org"\ndomains = ["example.org"]\n'
        '[bodies]\nuse = "files:bodies"\nlarger = "64KiB"\n'
        '[[listener]]\nprotocol = "imap"\nendpoint = "tcp:0"\ntls = "none"\n'
    )
    monkeypatch.setenv("MAILPLAT_CONFIG", str(file))
    monkeypatch.setattr(
        "mailplat.app.ctl.running.run",
        lambda work: blockingCallFromThread(
            _reactor, lambda: Deferred.fromCoroutine(work(reactor))
        ),
    )

    async def ctl(*words: str, code: int) -> str:
        result = await deferToThread(CliRunner().invoke, main, ["store", *words])
        assert result.exit_code == code, result.output
        return result.output

    store = store_of(load(file), reactor)
    await store.open()
    await store.deliver(new_message(mail(1, 70_000)), [ALICE, BOB])
    await store.close()
    await ctl("verify", code=0)
    (blob,) = (tmp_path / "data" / "bodies").glob("*/*/*")
    elsewhere = tmp_path / "backup"
    shutil.move(blob, elsewhere)
    said = await ctl("verify", "--quick", code=1)
    assert f"{blob.name} is missing; messages with it: 2" in said
    said = await ctl("verify", code=1)
    assert "alice/INBOX UID 1: the bytes of UID 1 are missing" in said
    assert "2 mended" not in await ctl("repair", code=1)
    shutil.move(elsewhere, blob.with_name(blob.name.partition("-")[0] + "-again"))
    await ctl("repair", code=0)
    await ctl("verify", code=0)
    store = store_of(load(file), reactor)
    await store.open()
    assert await read(store, "bob") == [mail(1, 70_000)]
    await store.close()
