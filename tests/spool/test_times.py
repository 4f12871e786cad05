"""What senders ask of time and urgency, in the spool: kept, obeyed, and brought over."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest_twisted
from twisted.internet import reactor

from mailplat.interfaces.spool import Lane, Selection
from mailplat.model.address import Address
from mailplat.model.envelope import ByMode, DeliverBy, Envelope, Sender
from mailplat.spool.spool import Spool
from mailplat.testing.spools import NOON, WARN_AFTER, MakeSpool, Times, accept, new_mail, to

LANE = Lane("", "example.net")
ANN, BEN = to("ann@example.net"), to("ben@example.net")
ALICE = Address("alice", "example.org")
ALL = Selection()


@pytest_twisted.ensureDeferred
async def test_urgent_mail_goes_first(make_spool: MakeSpool) -> None:
    """By priority, then by time; a bounded read takes the most urgent ones."""
    times = Times()
    spool = make_spool(times)
    await spool.open()
    try:
        told: list[bool] = []
        spool.watch(lambda lanes, special: told.append(special))
        for number, priority in enumerate((0, -5, 3, 0, 9, -1)):
            mail = new_mail(f"q{number}", ANN, BEN)
            sender = replace(mail.envelope.sender, priority=priority)
            envelope = Envelope(sender, mail.envelope.recipients)
            await accept(spool, replace(mail, envelope=envelope))
            times.seconds += 1
        assert told == [False, False, True, False, True, False]
        found = await spool.due(LANE, NOON + 9, 100, ())
        assert [mail.queue_id for mail in found] == ["q4", "q2", "q0", "q3", "q5", "q1"]
        assert found[0].sender.priority == 9
        found = await spool.due(LANE, NOON + 9, 5, ["q4"])
        assert [(mail.queue_id, len(mail.pending)) for mail in found] == [
            ("q2", 2),
            ("q0", 2),
            ("q3", 1),
        ]
    finally:
        await spool.close()


@pytest_twisted.ensureDeferred
async def test_held_mail_is_due_at_its_release(make_spool: MakeSpool) -> None:
    """No earlier, whatever the operator does; its deadlines count from then (RFC 4865)."""
    times = Times()
    spool = make_spool(times)
    await spool.open()
    try:
        for name, sender in (
            ("for", Sender(ALICE, hold_for=3600)),
            ("until", Sender(ALICE, hold_until=NOON + 7200)),
            ("by", Sender(ALICE, hold_for=60, deliver_by=DeliverBy(30, ByMode.RETURN, True))),
        ):
            mail = new_mail(name, ANN)
            await accept(spool, replace(mail, envelope=Envelope(sender, (ANN,))))
        found = {mail.queue_id: mail for mail in await spool.select(ALL, 10)}
        assert {name: mail.pending[0].due for name, mail in found.items()} == {
            "for": NOON + 3600,
            "until": NOON + 7200,
            "by": NOON + 60,
        }
        assert {name: mail.deadline for name, mail in found.items()} == {
            "for": NOON + 3600 + WARN_AFTER,
            "until": NOON + 7200 + WARN_AFTER,
            "by": NOON + 90,
        }
        assert found["by"].sender.deliver_by == DeliverBy(30, ByMode.RETURN, True)
        assert await spool.next_time(NOON) == NOON + 60
        assert await spool.retry(ALL) == 3
        assert await spool.hold(ALL, True) == 3
        assert await spool.hold(ALL, False) == 3
        assert await spool.reroute(ALL, "") == 3
        assert await spool.due(LANE, NOON + 59, 10, ()) == []
        assert [one.queue_id for one in await spool.due(LANE, NOON + 9999, 10, ())] == [
            "by",
            "for",
            "until",
        ]
    finally:
        await spool.close()


@pytest_twisted.ensureDeferred
async def test_an_older_spool_is_brought_over(tmp_path: Path) -> None:
    """What the first version wrote is delivered by this one."""
    spool = Spool(reactor, tmp_path, lambda: NOON)
    await spool.open()
    await accept(spool, new_mail("q1", ANN))
    await spool.close()
    db = sqlite3.connect(tmp_path / "spool.sqlite")
    columns = "id, mail, lane, local, domain, notify, original, attempts, depth, last, due"
    db.execute(f"CREATE TABLE former AS SELECT {columns} FROM recipient")
    db.execute("DROP TABLE recipient")
    db.execute("ALTER TABLE former RENAME TO recipient")
    db.execute("PRAGMA user_version = 1")
    db.commit()
    db.close()
    again = Spool(reactor, tmp_path, lambda: NOON)
    await again.open()
    await again.close()
    await again.open()
    (mail,) = await again.due(LANE, NOON, 10, ())
    assert mail.queue_id == "q1"
    await accept(again, new_mail("q2", BEN))
    assert len(await again.select(ALL, 10)) == 2
    await again.close()
