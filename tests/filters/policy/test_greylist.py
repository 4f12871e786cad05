"""Tests for `mailplat.filters.greylist`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from mailplat.filters.greylist import sender_key
from mailplat.model.errors import Unavailable
from mailplat.model.verdict import Action
from mailplat.store.policy.memory import MemoryPolicyTable
from mailplat.store.policy.sqlite import SQLitePolicyDatabase
from mailplat.store.policy.table import DatabasePolicyTable
from mailplat.testing.fakes import KnownNames
from mailplat.testing.strict import LoggedErrors


async def tried(
    server: Any,
    address: str = "192.0.2.1",
    sender: str = "a@d.example",
    recipient: str = "bob@example.org",
    account: str = "",
) -> Action:
    """Try once; say what came of it."""
    visit = server.connect(address, account=account)
    await visit.sender(sender)
    action: Action = (await visit.recipient(recipient)).action
    return action


@pytest_twisted.ensureDeferred
async def test_comes_again(server: Any) -> None:
    """First deferred, and again when it comes too early; then let through, and known."""
    made = server("greylist:", {"delay": "5m"})
    visit = made.connect()
    await visit.sender()
    verdict = await visit.recipient()
    assert verdict.action is Action.DEFER
    assert (verdict.reply.code, verdict.reply.status) == (450, "4.7.1")
    assert "300 seconds" in verdict.reply.text
    made.time += 299
    assert await tried(made) is Action.DEFER
    made.time += 1
    assert await tried(made, "192.0.2.77", "A@D.example", "BOB@example.org") is Action.CONTINUE
    made.time += 34 * 86400
    assert await tried(made) is Action.CONTINUE
    made.time += 36 * 86400
    assert await tried(made) is Action.DEFER


@pytest_twisted.ensureDeferred
async def test_another_triplet(server: Any) -> None:
    """Another network, sender or recipient is another triplet."""
    made = server("greylist:", {"delay": "5m"})
    await tried(made)
    await tried(made, "2001:db8::1")
    made.time += 300
    assert await tried(made, "198.51.100.1") is Action.DEFER
    assert await tried(made, sender="b@d.example") is Action.DEFER
    assert await tried(made, recipient="eve@example.org") is Action.DEFER
    assert await tried(made, "2001:db8::2:3") is Action.CONTINUE
    assert await tried(made, "2001:db8:0:1::1") is Action.DEFER


@pytest_twisted.ensureDeferred
async def test_the_window(server: Any) -> None:
    """What comes back too late is new again."""
    made = server("greylist:", {"delay": "5m", "window": "1h"})
    await tried(made)
    made.time += 3601
    assert await tried(made) is Action.DEFER
    made.time += 300
    assert await tried(made) is Action.CONTINUE


@pytest_twisted.ensureDeferred
async def test_auto_allow(server: Any) -> None:
    """A client that came back often enough is let through at once."""
    made = server("greylist:", {"auto_allow": 2})
    for sender in ("a@d.example", "b@d.example"):
        await tried(made, sender=sender)
        made.time += 300
        assert await tried(made, sender=sender) is Action.CONTINUE
    assert await tried(made, sender="c@e.example") is Action.CONTINUE
    assert await tried(made, "198.51.100.1") is Action.DEFER


@pytest_twisted.ensureDeferred
async def test_left_alone(server: Any) -> None:
    """Who logged in, trusted networks, what an allow list lets in, and SPF where it is asked."""
    names = KnownNames(txt={"d.example": [b"v=spf1 ip4:192.0.2.1 -all"]})
    made = server("greylist:", {"spf_pass": True}, names=names)
    assert await tried(made, account="alice") is Action.CONTINUE
    assert await tried(made, "127.0.0.1") is Action.CONTINUE
    assert await tried(made) is Action.CONTINUE
    assert await tried(made, "192.0.2.2") is Action.DEFER
    visit = made.connect("192.0.2.2")
    await visit.sender()
    visit.context.tags.add("allowed")
    assert (await visit.recipient()).action is Action.CONTINUE


@pytest.mark.parametrize(
    ("sender", "key"),
    [
        ("Bob@D.example", "bob@d.example"),
        ("list-bounce-123-bob=x@d.example", "list-bounce-#-bob=x@d.example"),
        ("prvs=4711abc=bob@d.example", "bob@d.example"),
        ("bob+tag@d.example", "bob@d.example"),
        ("", "@"),
    ],
)
def test_sender_keys(sender: str, key: str) -> None:
    """Addresses that change with each mail count as one."""
    assert sender_key(sender) == key


@pytest_twisted.ensureDeferred
async def test_survives_a_restart(server: Any, tmp_path: Path) -> None:
    """What was seen is known to the next server on the same file."""

    def table() -> DatabasePolicyTable:
        database = SQLitePolicyDatabase(tmp_path / "policy.sqlite")
        return DatabasePolicyTable(database, reactor, lambda: made.time)

    made = server("greylist:")
    first = table()
    made = server("greylist:", table=first)
    assert await tried(made) is Action.DEFER
    await first.close()
    second = table()
    made = server("greylist:", table=second)
    made.time += 300
    assert await tried(made) is Action.CONTINUE
    await second.close()


@pytest_twisted.ensureDeferred
async def test_no_table(server: Any, logged_errors: LoggedErrors) -> None:
    """Without its table the filter fails, and its on_error says what becomes of mail."""
    table = MemoryPolicyTable(lambda: 0.0)
    made = server("greylist:", table=table)
    await table.close()
    visit = made.connect()
    await visit.sender()
    verdict = await visit.recipient()
    assert (verdict.action, verdict.reason) == (Action.DEFER, "greylist failed")
    logged_errors.flush(Unavailable)
