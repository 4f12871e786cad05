"""Tests for ``mailplatctl queue``: choosing, looking, acting, with and without a server."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from click.testing import CliRunner, Result
from twisted.internet import reactor
from twisted.internet.defer import Deferred as Later
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import blockingCallFromThread, deferToThread

from mailplat.app.control import QUEUE_CHANGED, Control
from mailplat.app.ctl.main import main
from mailplat.app.ctl.selecting import selected
from mailplat.interfaces.spool import Selection, Settlement
from mailplat.interfaces.store import Target
from mailplat.model.outcome import Deferred
from mailplat.model.reply import Reply
from mailplat.spool.spool import Spool
from mailplat.testing.spools import NOON, accept, body_of, new_mail, to
from mailplat.testing.turns import all_of, wait_for

ANN, BOB = to("ann@example.net"), to("bob@example.com")
LATER = Deferred(Reply.of(451, "No answer", "4.4.1"), "mx.example.net")


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A configuration of a server that has accounts and no TLS."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "accounts").write_text("alice@example.org:{PLAIN}secret\n")
    file = tmp_path / "mailplat.toml"
    file.write_text(
        '[server]\nhostname = "mail.example.org"\ndomains = ["example.org"]\n'
        '[[listener]]\nprotocol = "imap"\nendpoint = "tcp:0"\ntls = "none"\n'
    )
    return file


@pytest.fixture
def spool(made: Path) -> Iterator[Spool]:
    """The server's spool, as the server has it open."""
    spool = Spool(reactor, made.parent / "data" / "spool", lambda: NOON)
    wait_for(spool.open())
    yield spool
    wait_for(spool.close())


class Ctl:
    """Runs ``mailplatctl queue`` in a thread, with its asynchronous work on the tests' reactor."""

    def __init__(self, made: Path) -> None:
        self._made = made

    async def __call__(self, command: str, *words: str, code: int = 0) -> str:
        """Give what it printed."""
        result: Result = await deferToThread(
            CliRunner().invoke,
            main,
            ["queue", command, *words],
            env={"MAILPLAT_CONFIG": str(self._made)},
        )
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result.output


@pytest.fixture
def ctl(made: Path, monkeypatch: pytest.MonkeyPatch) -> Ctl:
    """The command."""

    def run(work: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
        return blockingCallFromThread(
            IReactorFromThreads(reactor), lambda: Later.fromCoroutine(work(reactor))
        )

    monkeypatch.setattr("mailplat.app.ctl.running.run", run)
    return Ctl(made)


@pytest_twisted.ensureDeferred
async def test_tells_why_mail_is_held(ctl: Ctl, spool: Spool) -> None:
    """The operator sees who wanted it held, before it was ever tried."""
    why = Deferred(Reply.of(450, "Held by scanner: looks odd", "4.7.1"))
    await spool.accept([replace(new_mail("q1", ANN), held=True, why=why)])
    assert "ann@example.net  450 Held by scanner: looks odd" in await ctl("list", "--held")


@pytest_twisted.ensureDeferred
async def test_looks(ctl: Ctl, spool: Spool) -> None:
    """Mails are listed for people and programs, shown whole, and counted by destination."""
    await accept(spool, new_mail("q1", ANN, BOB))
    await accept(spool, new_mail("q2", BOB, sender=""), held=True)
    await spool.settle("q1", Settlement({ANN: LATER}, NOON + 300))
    listed = await ctl("list")
    assert "q1" in listed
    assert "ann@example.net  451 No answer" in listed
    assert "<>  held" in listed
    assert "2 mails." in listed
    assert "1 mails; there are more" in await ctl("list", "--limit", "1")
    (line,) = (await ctl("list", "--json", "--sender", "<>")).splitlines()
    assert json.loads(line)["recipients"][0]["address"] == "bob@example.com"
    shown = await ctl("show", "q1")
    assert "said    451 4.4.1 No answer (mx.example.net)" in shown
    assert "Subject: hello" in shown
    assert "there is no mail q9" in await ctl("show", "q9", code=1)
    assert "example.com" in await ctl("top", "--once")


@pytest_twisted.ensureDeferred
async def test_acts_and_tells_the_server(ctl: Ctl, spool: Spool, made: Path) -> None:
    """What is done is seen in the spool at once, and a running server is told."""
    for n in range(30):
        await accept(spool, new_mail(f"q{n:02}", to(f"u@d{n % 3}.example")))
    told: list[str] = []
    commands: dict[str, Any] = {QUEUE_CHANGED: lambda: told.append("changed")}
    control = Control(reactor, made.parent / "data", commands)
    await control.open()
    assert "10 mails held." in await ctl("hold", "--domain", "d0.example")
    assert "1 mail released." in await ctl("release", "q00")
    assert "21 mails to be tried now." in await ctl("retry", "--not-held", "--all")
    assert told == ["changed"] * 3
    await control.close()
    assert "9 mails removed (no server is running)." in await ctl("remove", "--held")
    assert "0 mails removed." in await ctl("remove", "--sender", "nobody@*")
    assert "there is no agent 'x'" in await ctl("reroute", "--all", "--to", "x", code=1)
    assert "21 mails given to 'mailbox'" in await ctl("reroute", "--all", "--to", "mailbox")
    assert len(await spool.select(Selection(agent="mailbox"), 100)) == 21


@pytest_twisted.ensureDeferred
async def test_bounces(ctl: Ctl, spool: Spool) -> None:
    """Senders are told of what is given up, in the same commit; the null sender is not."""
    await accept(spool, new_mail("q1", ANN, BOB, sender="alice@example.org"))
    await accept(spool, new_mail("q2", ANN, sender=""))
    await spool.settle("q1", Settlement({ANN: LATER}, NOON + 300))
    assert "2 mails given up" in await ctl("bounce", "--all")
    (report,) = await spool.select(Selection(), 10)
    assert [str(one.recipient.address) for one in report.pending] == ["alice@example.org"]
    assert report.pending[0].agent == "mailbox"
    data = await body_of(spool, report.queue_id)
    assert data.count(b"Action: failed") == 2
    assert b"smtp; 451 4.4.1 No answer" in data
    assert b"x-mailplat; 554 5.0.0 Given back" in data


@pytest_twisted.ensureDeferred
async def test_says_what_is_missing(ctl: Ctl) -> None:
    """Without a spool there is nothing; without a choice nothing is done; times are checked."""
    assert "No mail waits." in await ctl("list")
    assert "0 mails removed." in await ctl("remove", "--all")
    assert "say which mails" in await ctl("remove", code=1)
    assert "expected a duration" in await ctl("remove", "--older-than", "soon", code=1)


def test_selects() -> None:
    """Options become a selection, all of them together."""
    nothing: dict[str, Any] = dict.fromkeys(
        ("sender", "recipient", "domain", "reason", "agent", "older_than", "younger_than", "held")
    )
    nothing |= {"everything": False, "queue_ids": ()}
    assert selected(dict(nothing), everything=True) == Selection()
    assert selected({**nothing, "everything": True}) == Selection()
    one = selected({**nothing, "older_than": "1h", "queue_ids": ("q1",), "held": True})
    assert one.queue_ids == ("q1",)
    assert one.held
    assert one.before is not None
    assert one.after is None


@pytest_twisted.ensureDeferred
async def test_routes_again(ctl: Ctl, spool: Spool, made: Path) -> None:
    """Recipients whose way is another one now take it at once; the others stay as they are."""
    (made.parent / "data" / "aliases").write_text("team: alice, zoe@example.net\n")
    text = made.read_text() + '[[route]]\nuse = "aliases:aliases"\n'
    made.write_text(text + '[[relay_host]]\nname = "com"\nhost = "h"\ndomains = ["example.com"]\n')
    team, gone = to("team@example.org", original="rfc822;t@x"), to("gone@example.org")
    await accept(spool, new_mail("q1", team, gone, ANN, BOB, agent="mailbox"))
    await accept(spool, new_mail("q2", ANN))
    await spool.settle("q1", Settlement({team: LATER, BOB: LATER}, NOON + 300))
    assert "1 mail led another way" in await ctl("reroute", "--all")
    found = await spool.find("q1")
    assert found is not None
    ways = {
        str(one.recipient.address): (one.agent, one.targets, one.attempts, one.recipient.original)
        for one in found.pending
    }
    assert ways == {
        "gone@example.org": ("mailbox", (), 0, ""),
        "ann@example.net": ("", (), 0, ""),
        "bob@example.com": ("relay:com", (), 1, ""),
        "alice@example.org": ("mailbox", (Target("alice@example.org"),), 1, "rfc822;t@x"),
        "zoe@example.net": ("", (), 1, "rfc822;t@x"),
    }
    assert "    into    INBOX of alice@example.org\n" in await ctl("show", "q1")
    assert "0 mails led another way" in await ctl("reroute", "--all")
    assert "2 mails given to 'relay:com'" in await ctl("reroute", "--all", "--to", "relay:com")
    found = await spool.find("q1")
    assert found is not None
    assert {one.targets for one in found.pending} == {()}


@pytest_twisted.ensureDeferred
async def test_thousands_at_once(ctl: Ctl, spool: Spool) -> None:
    """Commands act on all that are there when they begin, however many, by any filter."""
    await all_of(
        accept(spool, new_mail(f"q{n}", to(f"u{n}@d{n % 3}.example"))) for n in range(2100)
    )
    assert "700 mails held" in await ctl("hold", "--domain", "d0.example")
    assert "700 mails released" in await ctl("release", "--held")
    assert "700 mails given to 'mailbox'" in await ctl(
        "reroute", "--recipient", "*@d1.example", "--to", "mailbox"
    )
    assert "2100 mails removed" in await ctl("remove", "--older-than", "1s")
    assert await spool.names(Selection()) == []
