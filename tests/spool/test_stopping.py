"""What is left when the disk stops at any step, or the machine within a commit.

The states are those of ``docs/internals/queue-states.md``; nothing else may be found.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor

from mailplat.interfaces.bodies import IBody
from mailplat.interfaces.spool import NewMail, Selection, Settlement
from mailplat.interfaces.store import Target
from mailplat.model.errors import ConfigurationFault, Corrupt, StorageFull, Unavailable
from mailplat.model.outcome import Bounced, Deferred, Delivered
from mailplat.model.reply import Reply
from mailplat.spool.disk import Disk
from mailplat.spool.spool import Spool
from mailplat.testing.spools import NOON, accept, body_of, new_mail, to

BIG = b"big" * 30_000
SMALL = b"Subject: small\r\n\r\n"
ANN, BOB, SENDER = to("ann@example.net"), to("bob@example.com"), to("sender@example.org")
LATER = Deferred(Reply.of(451, "later", "4.0.0"))
NEVER = Bounced(Reply.of(550, "never", "5.0.0"))


class Stopped(Exception):
    """The disk does nothing any more."""


class StoppingDisk(Disk):
    """Stops after a number of steps; a file that is being written is left as it is then.

    Args:
        steps: How many are carried out.
        full: Whether it says that it is full instead, and goes on with the next step.
    """

    def __init__(self, steps: int, full: bool = False) -> None:
        self.left = steps
        self.full = full

    def step(self) -> None:
        """Count a step."""
        self.left -= 1
        if self.left < 0 and not (self.full and self.left < -1):
            raise StorageFull("full") if self.full else Stopped

    def write(self, path: str, body: IBody) -> None:
        """Make the file, write it, flush it: three steps."""
        self.step()
        try:
            with open(path, "xb") as file:
                self.step()
                file.write(body.read(0, body.size // 2))
                self.step()
                file.write(body.read(body.size // 2, body.size))
        except StorageFull:
            os.unlink(path)
            raise

    def sync_directory(self, path: str) -> None:
        """One step."""
        self.step()

    def commit(self, connection: sqlite3.Connection) -> None:
        """One step."""
        self.step()
        super().commit(connection)

    def unlink(self, path: str) -> None:
        """One step."""
        self.step()
        super().unlink(path)

    def names(self, path: str) -> Sequence[str]:
        """No step of its own."""
        return super().names(path)


def open_on(directory: Path, disk: Disk | None = None) -> Spool:
    """Make a spool that keeps bodies from 50,000 bytes in files."""
    return Spool(reactor, directory / "spool", lambda: NOON, inline=50_000, disk=disk)


REPORT = new_mail("report", SENDER, sender="", body=BIG[1:])

MAILS: dict[str, NewMail] = {
    "small": new_mail("small", ANN, BOB, body=SMALL),
    "big": new_mail("big", ANN, body=BIG),
}

LIST = replace(
    new_mail("list", ANN, to("alice@example.org"), body=SMALL),
    targets={to("alice@example.org"): (Target("alice@example.org", "Quarantine"),)},
)
COPY = new_mail("list-1", BOB, sender="owner@example.org", body=BIG[2:])

BODIES = {"small": SMALL, "big": BIG, "report": BIG[1:], "list": SMALL, "list-1": BIG[2:]}


async def scenario(spool: Spool) -> set[str]:
    """Do one thing after the other until the disk stops; give those that were answered."""
    answered: set[str] = set()
    try:
        for name, mail in MAILS.items():
            await accept(spool, mail)
            answered.add(name)
        await spool.settle("small", Settlement({ANN: Delivered("x"), BOB: LATER}, NOON + 300))
        answered.add("small settled")
        await spool.settle("big", Settlement({ANN: NEVER}, reports=(REPORT,)))
        answered.add("big settled")
        await spool.accept([LIST, COPY])
        answered.add("list")
        await spool.hold(Selection(queue_ids=("small",)), True)
        answered.add("held")
        await spool.remove(Selection(queue_ids=("report",)))
        answered.add("removed")
    except Stopped:
        pass
    return answered


async def check(directory: Path, answered: set[str]) -> None:
    """Open the spool again: what was answered is there, the rest is there or not, but whole."""
    spool = open_on(directory)
    await spool.open()
    try:
        found = {mail.queue_id: mail for mail in await spool.select(Selection(), 100)}
        files = set(os.listdir(directory / "spool" / "bodies"))
        assert files == found.keys() & {"big", "report", "list-1"}  # no orphans
        for name in found:
            assert await body_of(spool, name) == BODIES[name]
        if "small" in answered:
            pending = [(one.recipient, one.last) for one in found["small"].pending]
            after = [(BOB, LATER)]
            assert pending in (
                [after] if "small settled" in answered else [after, [(ANN, None), (BOB, None)]]
            )
        if "big" in answered:
            states = [set(), {"big"}, {"report"}]
            assert found.keys() & {"big", "report"} in states
        if "big settled" in answered:
            assert "big" not in found
        if "big" in answered and "big" not in found and "held" not in answered:
            assert "report" in found  # never an outcome without its report
        copies = found.keys() & {"list", "list-1"}
        assert len(copies) in ((2,) if "list" in answered else (0, 2))  # all of them or none
        if copies:  # and what was decided for each recipient is there with it
            decided = {one.recipient: one.targets for one in found["list"].pending}
            assert decided == {ANN: (), **LIST.targets}
            assert found["list-1"].sender == COPY.envelope.sender
        if "held" in answered:
            assert found["small"].held
        if "removed" in answered:
            assert "report" not in found
    finally:
        await spool.close()


@pytest_twisted.ensureDeferred
async def test_stops_after_every_step(tmp_path: Path) -> None:
    """Whatever the last step was, nothing answered is lost, and nothing is half there."""
    steps = 0
    while True:
        directory = tmp_path / str(steps)
        directory.mkdir()
        spool = open_on(directory, disk := StoppingDisk(100))
        await spool.open()
        disk.left = steps
        answered = await scenario(spool)
        await spool.close()
        await check(directory, answered)
        if "removed" in answered and disk.left >= 0:
            break
        steps += 1
    assert steps >= 20


@pytest_twisted.ensureDeferred
async def test_full_at_every_step(tmp_path: Path) -> None:
    """A full disk refuses one thing; the spool goes on, and leaves no file behind."""
    for steps in range(14):
        directory = tmp_path / str(steps)
        directory.mkdir()
        spool = open_on(directory, disk := StoppingDisk(100, full=True))
        await spool.open()
        disk.left = steps
        for name in MAILS:
            try:
                await accept(spool, MAILS[name])
            except StorageFull:
                await accept(spool, MAILS[name])
        settlement = Settlement({ANN: NEVER}, reports=(REPORT,))
        try:
            await spool.settle("big", settlement)
        except StorageFull:
            await spool.settle("big", settlement)
        await spool.close()
        await check(directory, {"small", "big", "big settled"})


@pytest_twisted.ensureDeferred
async def test_log_cut_anywhere(tmp_path: Path) -> None:
    """A power cut leaves a part of the log: the state is that of the last whole commit in it."""
    spool = open_on(tmp_path)
    await spool.open()
    folder = tmp_path / "spool"
    lengths = [(os.path.getsize(folder / "spool.sqlite-wal"), 0)]
    for number in range(1, 8):
        await accept(spool, new_mail(f"q{number}", ANN, BOB, body=b"x" * 3000))
        lengths.append((os.path.getsize(folder / "spool.sqlite-wal"), number))
    end = lengths[-1][0]
    for cut in [*range(32, end, 4120), *(length for length, _ in lengths), end - 1, end]:
        other = tmp_path / f"cut{cut}"
        (other / "spool" / "bodies").mkdir(parents=True, exist_ok=True)
        for name in ("spool.sqlite", "spool.sqlite-wal"):
            shutil.copyfile(folder / name, other / "spool" / name)
        with open(other / "spool" / "spool.sqlite-wal", "r+b") as log:
            log.truncate(cut)
        again = open_on(other)
        await again.open()
        found = await again.select(Selection(), 100)
        await again.close()
        whole = max(number for length, number in lengths if length <= cut or not number)
        assert [mail.queue_id for mail in found] == [f"q{n}" for n in range(1, whole + 1)], cut
        assert all(len(mail.pending) == 2 for mail in found)
    await spool.close()


@pytest_twisted.ensureDeferred
async def test_one_server_at_a_time(tmp_path: Path) -> None:
    """A second server on the same spool does not start; who looks after it may come."""
    first = open_on(tmp_path)
    await first.open()
    with pytest.raises(ConfigurationFault, match="another server"):
        await open_on(tmp_path).open()
    visitor = Spool(reactor, tmp_path / "spool", lambda: NOON, works=False)
    await visitor.open()
    await accept(first, MAILS["small"])
    assert await visitor.remove(Selection()) == 1
    assert await first.find("small") is None
    await visitor.close()
    await first.close()
    await (again := open_on(tmp_path)).open()
    await again.close()


@pytest_twisted.ensureDeferred
async def test_says_what_is_wrong_with_its_files(tmp_path: Path) -> None:
    """A foreign file, a newer schema, a missing body: each is told as what it is."""
    folder = tmp_path / "spool"
    folder.mkdir()
    (folder / "spool.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(Corrupt):
        await open_on(tmp_path).open()
    (folder / "spool.sqlite").unlink()
    foreign = sqlite3.connect(folder / "spool.sqlite")
    foreign.execute("CREATE TABLE mine (a)")
    foreign.close()
    with pytest.raises(ConfigurationFault, match="not a spool"):
        await open_on(tmp_path).open()
    (folder / "spool.sqlite").unlink()
    spool = open_on(tmp_path)
    await spool.open()
    for name in ("big", "shorter"):
        await accept(spool, new_mail(name, ANN, body=BIG))
    os.truncate(folder / "bodies" / "shorter", 10)
    os.unlink(folder / "bodies" / "big")
    for name in ("big", "shorter"):
        with pytest.raises(Corrupt):
            await spool.open_body(name)
    await spool.close()
    with pytest.raises(Unavailable):
        await spool.open_body("big")


@pytest_twisted.ensureDeferred
async def test_takes_over_an_older_spool(tmp_path: Path) -> None:
    """A spool of the first release is brought up, with the mail in it, which is routed later."""
    spool = open_on(tmp_path)
    await spool.open()
    await accept(spool, MAILS["small"])
    await spool.close()
    raw = sqlite3.connect(tmp_path / "spool" / "spool.sqlite")
    raw.execute("DROP INDEX recipient_priority")
    raw.execute("ALTER TABLE recipient DROP COLUMN targets")
    raw.execute("ALTER TABLE recipient DROP COLUMN priority")
    raw.execute("PRAGMA user_version=1")
    raw.close()
    await spool.open()
    found = await spool.find("small")
    assert found is not None
    assert [(one.recipient, one.targets) for one in found.pending] == [(ANN, ()), (BOB, ())]
    await spool.accept([LIST])
    await spool.close()
