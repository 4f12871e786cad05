"""Tests for `mailplat.agents.smtp`: against scripted servers on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint

from mailplat.agents.smtp import RelayAgent, RelayOptions, Smarthost
from mailplat.agents.tls_demands import TLSPolicy
from mailplat.interfaces.agents import Attempt, IDeliveryAgent
from mailplat.model.address import Address
from mailplat.model.credentials import PasswordCredentials
from mailplat.model.envelope import BodyType, ByMode, DeliverBy, Recipient, Sender
from mailplat.model.outcome import Deferred, Delivered, Outcome
from mailplat.net.channel_options import ChannelOptions
from mailplat.net.client_tls import ClientContexts
from mailplat.net.selfsigned import write_self_signed
from mailplat.net.tls import CertificateFiles, TLSContexts, behind_tls
from mailplat.testing import agents
from mailplat.testing.agents import StringBody
from mailplat.testing.fakes import KnownNames
from mailplat.testing.scripted_server import HANG_UP, STALL, ScriptedServer
from mailplat.testing.strict import LoggedErrors
from mailplat.testing.turns import started, until, wait_for

MESSAGE = b"Subject: x\r\n\r\n.hello\r\n"
ANN, BEN, CAT = (Recipient(Address(name, "one.example")) for name in ("ann", "ben", "cat"))
DAN = Recipient(Address("dan", "two.example"))
OTTO = Address("otto", "one.example")
QUICK = ChannelOptions(
    "me.example", greeting=0.3, command=0.3, data=0.3, end=0.3, block=0.3, handshake=0.3, idle=5.0
)


class World:
    """Scripted servers, each under an address of its own, DNS, and agents that relay to them."""

    def __init__(self) -> None:
        self.servers: dict[str, ScriptedServer] = {}
        self.connected: list[str] = []
        self.agents: list[RelayAgent] = []
        self.names = KnownNames()
        self.reverse: bool = False

    async def add(self, address: str, server: ScriptedServer | None = None) -> ScriptedServer:
        """Put a server at an address."""
        made = self.servers[address] = server or ScriptedServer()
        if not made.port:
            await made.listen()
        return made

    def endpoint(self, address: str, port: int) -> Any:
        """Connect to the server at an address, or to nobody."""
        self.connected.append(address)
        server = self.servers.get(address)
        return TCP4ClientEndpoint(reactor, "127.0.0.1", server.port if server else 1, timeout=5)

    def relay(self, contexts: ClientContexts | None = None, **options: Any) -> RelayAgent:
        """Make an agent."""
        options.setdefault("channel", QUICK)
        agent = RelayAgent(
            reactor,
            self.names,
            contexts or ClientContexts(),
            RelayOptions(**options),
            endpoint=self.endpoint,
            shuffle=lambda them: them.reverse() if self.reverse else None,
        )
        self.agents.append(agent)
        return agent

    async def stop(self) -> None:
        """End everything."""
        for agent in self.agents:
            await agent.close()
            assert agent.connections == 0
        for server in self.servers.values():
            await server.stop()


@pytest.fixture
def world() -> Iterator[World]:
    """An empty world, with one.example's mail at 192.0.2.1."""
    made = World()
    made.names = KnownNames(
        mx={
            "one.example": [(20, "b.one.example"), (10, "a.one.example")],
            "two.example": [(10, "a.two.example")],
            "null.example": [(0, "")],
            "us.example": [(5, "ME.example".lower()), (10, "a.one.example")],
            "backup.example": [(5, "a.one.example"), (10, "me.example"), (20, "b.one.example")],
            "twins.example": [(5, "a.one.example"), (5, "b.one.example")],
            "lost.example": [(5, "nowhere.example")],
            "unknown.example": [(5, "broken.example")],
        },
        hosts={
            "a.one.example": ["2001:db8::1", "192.0.2.1"],
            "b.one.example": ["192.0.2.2"],
            "a.two.example": ["192.0.2.3"],
            "implicit.example": ["192.0.2.1"],
            "smart.example": ["192.0.2.9"],
            "nothing.example": [],
        },
        broken=["broken.example"],
    )
    yield made
    wait_for(made.stop())


def attempt(*recipients: Recipient, sender: Sender | None = None, body: bytes = MESSAGE) -> Attempt:
    """Make an attempt."""
    whom = recipients or (ANN,)
    given = sender or Sender(Address("me", "example.net"))
    return Attempt("q1", given, whom, StringBody(body), None, 1_700_000_000)


def to(domain: str) -> Recipient:
    """Make a recipient in a domain."""
    return Recipient(Address("ann", domain))


def status(outcome: Outcome) -> tuple[str, str]:
    """Tell an outcome's kind and status."""
    assert not isinstance(outcome, Delivered) or outcome.reply is not None
    reply: Any = getattr(outcome, "reply", None)
    return type(outcome).__name__, reply.status


class TestContract(agents.AgentContract):
    """The relay keeps the contract of delivery agents."""

    @pytest.fixture
    def agent(self, world: World) -> IDeliveryAgent:
        """A relay to one server."""
        wait_for(world.add("192.0.2.1"))
        return world.relay()

    @pytest.fixture
    def recipients(self) -> Sequence[Recipient]:
        """Whom that server takes."""
        return [ANN, BEN]


@pytest_twisted.ensureDeferred
async def test_domains_side_by_side(world: World) -> None:
    """Each domain's recipients go to its own server, in one transaction."""
    one, two = await world.add("192.0.2.1"), await world.add("192.0.2.3")
    outcomes = await world.relay().deliver(attempt(ANN, DAN, BEN))
    assert one.messages == [(("ann@one.example", "ben@one.example"), MESSAGE)]
    assert two.messages == [(("dan@two.example",), MESSAGE)]
    where = {whom.address.local: found.where for whom, found in outcomes.items()}  # type: ignore[union-attr]
    assert where == {
        "ann": "a.one.example[192.0.2.1]:25",
        "ben": "a.one.example[192.0.2.1]:25",
        "dan": "a.two.example[192.0.2.3]:25",
    }


@pytest_twisted.ensureDeferred
async def test_connections_are_reused(world: World) -> None:
    """The next mail goes over the same connection, and a dead one is replaced at once."""
    server = await world.add("192.0.2.1")
    agent = world.relay()
    for _ in range(3):
        await agent.deliver(attempt())
    assert (server.connections, len(server.messages)) == (1, 3)
    for script in ([HANG_UP, "250 ok"], ["421 4.4.2 you are slow", "250 ok"]):
        server.script["MAIL"] = script
        outcomes = await agent.deliver(attempt())
        assert isinstance(outcomes[ANN], Delivered)
    assert (server.connections, len(server.messages)) == (3, 5)


@pytest.mark.parametrize(
    ("script", "expected", "again"),
    [
        ({"RCPT": ["250 ok", "550 5.1.1 who"]}, {"ann": "Delivered", "ben": "Bounced"}, 0),
        ({"MAIL": ["550 5.7.1 spam"]}, {"ann": "Bounced", "ben": "Bounced"}, 0),
        ({"END": ["554 5.6.0 no"]}, {"ann": "Bounced", "ben": "Bounced"}, 0),
        # a temporary failure: the next host has it
        ({"RCPT": ["250 ok", "450 4.2.1 later"]}, {"ann": "Delivered", "ben": "Delivered"}, 1),
        ({"MAIL": ["452 4.3.1 full"]}, {"ann": "Delivered", "ben": "Delivered"}, 2),
        ({"END": ["451 4.3.0 no"]}, {"ann": "Delivered", "ben": "Delivered"}, 2),
        ({"GREETING": ["554 no"]}, {"ann": "Delivered", "ben": "Delivered"}, 2),
        ({"GREETING": [HANG_UP]}, {"ann": "Delivered", "ben": "Delivered"}, 2),
        ({"GREETING": [STALL]}, {"ann": "Delivered", "ben": "Delivered"}, 2),
        ({"GREETING": ["Hi!"]}, {"ann": "Delivered", "ben": "Delivered"}, 2),
        ({"EHLO": ["421 busy"]}, {"ann": "Delivered", "ben": "Delivered"}, 2),
        ({"EHLO": ["250 mx\r\n421 4.3.2 but no"]}, {"ann": "Delivered", "ben": "Delivered"}, 2),
        ({"EHLO": [HANG_UP]}, {"ann": "Delivered", "ben": "Delivered"}, 2),
        ({"MAIL": [HANG_UP]}, {"ann": "Delivered", "ben": "Delivered"}, 2),
        ({"RCPT": [STALL]}, {"ann": "Delivered", "ben": "Delivered"}, 2),
        ({"DATA": [HANG_UP]}, {"ann": "Delivered", "ben": "Delivered"}, 2),
        ({"DATA": ["250 what"]}, {"ann": "Delivered", "ben": "Delivered"}, 2),
        ({"END": ["421 4.3.2 down"]}, {"ann": "Delivered", "ben": "Delivered"}, 2),
        # the one case that nobody can know: not tried elsewhere at once
        ({"END": [HANG_UP]}, {"ann": "Deferred", "ben": "Deferred"}, 0),
        ({"END": [STALL]}, {"ann": "Deferred", "ben": "Deferred"}, 0),
        ({"END": ["nonsense"]}, {"ann": "Deferred", "ben": "Deferred"}, 0),
    ],
)
@pytest_twisted.ensureDeferred
async def test_the_first_host_fails(
    world: World, script: dict[str, list[str]], expected: dict[str, str], again: int
) -> None:
    """Who was surely not served is served by the next host; the others keep their answers."""
    first, second = await world.add("192.0.2.1"), await world.add("192.0.2.2")
    first.script.update(script)
    outcomes = await world.relay().deliver(attempt(ANN, BEN))
    assert {whom.address.local: type(it).__name__ for whom, it in outcomes.items()} == expected
    assert sum(len(taken) for taken, _ in second.messages) == again
    for server in (first, second):
        assert len(server.messages) <= 1


@pytest_twisted.ensureDeferred
async def test_all_hosts_fail(world: World) -> None:
    """Where all hosts fail for now, the last one's words are the reason."""
    first, second = await world.add("192.0.2.1"), await world.add("192.0.2.2")
    first.script["GREETING"] = ["554 5.3.2 no"]
    second.script["MAIL"] = ["450 4.7.1 greylisted"]
    outcome = (await world.relay().deliver(attempt()))[ANN]
    assert isinstance(outcome, Deferred)
    assert (outcome.reply.text, outcome.where) == ("greylisted", "b.one.example[192.0.2.2]:25")
    second.script["GREETING"] = ["554 5.3.2 go away"]
    agent = world.relay()
    outcome = (await agent.deliver(attempt()))[ANN]
    assert isinstance(outcome, Deferred)  # a refused connection is no refused mail
    assert (outcome.reply.code, outcome.reply.status) == (451, "4.3.2")


@pytest_twisted.ensureDeferred
async def test_it_leaves_before_it_is_asked(world: World) -> None:
    """A server that says 421 behind its offers is the reason for all."""
    server = await world.add("192.0.2.3")
    server.script["EHLO"] = ["250 mx\r\n421 4.3.2 but no"]
    outcome = (await world.relay().deliver(attempt(DAN)))[DAN]
    assert isinstance(outcome, Deferred)
    assert (outcome.reply.code, outcome.reply.text) == (421, "but no")


@pytest_twisted.ensureDeferred
async def test_dead_hosts_are_left_alone(world: World) -> None:
    """A host that cannot be reached is not tried again for every mail."""
    agent = world.relay(dead_time=0.2)
    assert status((await agent.deliver(attempt()))[ANN]) == ("Deferred", "4.4.1")
    assert world.connected == ["2001:db8::1", "192.0.2.1", "192.0.2.2"]
    assert status((await agent.deliver(attempt()))[ANN]) == ("Deferred", "4.4.1")
    assert len(world.connected) == 3
    await world.add("192.0.2.2")
    end = reactor.seconds() + 0.2
    await until(lambda: reactor.seconds() > end)
    assert isinstance((await agent.deliver(attempt()))[ANN], Delivered)
    assert len(world.connected) == 6


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("null.example", ("Bounced", "5.1.10")),
        ("missing.example", ("Bounced", "5.1.2")),
        ("broken.example", ("Deferred", "4.4.3")),
        ("unknown.example", ("Deferred", "4.4.3")),
        ("lost.example", ("Bounced", "5.4.4")),
        ("nothing.example", ("Bounced", "5.4.4")),
        ("us.example", ("Bounced", "5.4.6")),
        ("me.example", ("Bounced", "5.1.2")),
        ("[300.1.1.1]", ("Bounced", "5.1.2")),
        ("x..\u200b", ("Bounced", "5.1.2")),
    ],
)
@pytest_twisted.ensureDeferred
async def test_domains_without_a_server(
    world: World, domain: str, expected: tuple[str, str]
) -> None:
    """What DNS says decides: never, or not now; and nobody is connected to."""
    whom = to(domain)
    assert status((await world.relay().deliver(attempt(whom)))[whom]) == expected
    assert world.connected == []


@pytest_twisted.ensureDeferred
async def test_which_host_is_tried(world: World) -> None:
    """Literals, implicit MX, equal preferences in random order, and none behind ourselves."""
    for address in ("192.0.2.1", "192.0.2.2"):
        await world.add(address)
    for domain, reverse, tried in [
        ("[192.0.2.2]", False, ["192.0.2.2"]),
        ("implicit.example", False, ["192.0.2.1"]),
        ("twins.example", False, ["2001:db8::1", "192.0.2.1"]),
        ("twins.example", True, ["192.0.2.2"]),
        ("backup.example", False, ["2001:db8::1", "192.0.2.1"]),
    ]:
        world.connected.clear()
        world.reverse = reverse
        agent = world.relay()
        await agent.deliver(attempt(to(domain)))
        assert world.connected == tried, domain
    world.connected.clear()
    await world.servers["192.0.2.1"].stop()
    world.servers.pop("192.0.2.1")
    whom = to("backup.example")
    outcome = (await world.relay().deliver(attempt(whom)))[whom]
    assert isinstance(outcome, Deferred)  # the exchangers behind us are not tried
    assert "192.0.2.2" not in world.connected


@pytest_twisted.ensureDeferred
async def test_five_addresses_at_most(world: World) -> None:
    """An attempt does not try addresses without end."""
    world.names = KnownNames(
        mx={"many.example": [(1, "mx")]}, hosts={"mx": [f"192.0.2.{n}" for n in range(10, 60)]}
    )
    await world.relay().deliver(attempt(to("many.example")))
    assert len(world.connected) == 5


@pytest_twisted.ensureDeferred
async def test_many_recipients(world: World) -> None:
    """Recipients go in transactions of bounded size; the server's own bound counts too."""
    server = await world.add("192.0.2.1", ScriptedServer("PIPELINING", "LIMITS RCPTMAX=3"))
    many = [Recipient(Address(f"u{n}", "one.example")) for n in range(7)]
    outcomes = await world.relay(at_once=5).deliver(attempt(*many))
    assert all(isinstance(one, Delivered) for one in outcomes.values())
    assert [len(taken) for taken, _ in server.messages] == [3, 3, 1]
    strict = await world.add("192.0.2.3", ScriptedServer("PIPELINING"))
    strict.script["RCPT"] = ["250 ok", "250 ok", "452 4.5.3 many"] * 2 + ["250 ok"]
    some = [Recipient(Address(f"u{n}", "two.example")) for n in range(4)]
    outcomes = await world.relay(at_once=3).deliver(attempt(*some))
    assert all(isinstance(one, Delivered) for one in outcomes.values())
    assert sorted(one for taken, _ in strict.messages for one in taken) == sorted(
        str(one.address) for one in some
    )


@pytest_twisted.ensureDeferred
async def test_lost_between_two_transactions(world: World) -> None:
    """Who waited for the second transaction has the reason that the first one was lost."""
    server = await world.add("192.0.2.3")
    server.script["END"] = [HANG_UP]
    eve = Recipient(Address("eve", "two.example"))
    outcomes = await world.relay(at_once=1).deliver(attempt(DAN, eve))
    assert [status(one) for one in outcomes.values()] == [("Deferred", "4.4.2")] * 2
    assert server.connections == 1


@pytest_twisted.ensureDeferred
async def test_what_the_server_cannot_take(world: World) -> None:
    """8-bit, internationalised and too large mail bounces where it cannot be sent."""
    await world.add("192.0.2.3", ScriptedServer("PIPELINING", "SIZE 100"))
    agent = world.relay()
    for given, expected in [
        (attempt(DAN, body=b"A: b\r\n\r\n\xe9\r\n"), "5.6.3"),
        (attempt(DAN, body=b"x" * 101), "5.3.4"),
        (attempt(DAN, sender=Sender(None, body=BodyType.BINARY)), "5.6.3"),
        (attempt(DAN, sender=Sender(OTTO, require_tls=True)), "5.7.10"),
        (attempt(DAN, sender=Sender(OTTO, deliver_by=DeliverBy(9, ByMode.RETURN))), "5.3.3"),
    ]:
        outcome = (await agent.deliver(given))[DAN]
        assert status(outcome)[1] == expected
    for sender in (Sender(None), Sender(None, require_tls=True)):  # a report goes on (RFC 8689 §5)
        assert isinstance((await agent.deliver(attempt(DAN, sender=sender)))[DAN], Delivered)


@pytest_twisted.ensureDeferred
async def test_limits_that_the_server_tells(world: World) -> None:
    """Mails of a connection and domains of its recipients are what the server says (RFC 9422)."""
    server = await world.add("192.0.2.9", ScriptedServer("LIMITS MAILMAX=2 RCPTDOMAINMAX=2"))
    agent = world.relay(smarthost=smart())
    many = [Recipient(Address(f"u{n}", f"d{n % 5}.example")) for n in range(10)]
    outcomes = await agent.deliver(attempt(*many))
    assert all(isinstance(one, Delivered) for one in outcomes.values())
    assert [len(taken) for taken, _ in server.messages] == [4, 4, 2]
    assert server.connections == 3
    for _ in range(4):
        await agent.deliver(attempt(many[9]))
    assert server.connections == 5  # the third one had one mail to come


@pytest_twisted.ensureDeferred
async def test_time_and_priority_go_on(world: World) -> None:
    """A server that offers DELIVERBY and MT-PRIORITY is told of them (RFC 2852, RFC 6710)."""
    server = await world.add("192.0.2.3", ScriptedServer("DELIVERBY 20", "MT-PRIORITY"))
    sender = Sender(OTTO, deliver_by=DeliverBy(50, ByMode.RETURN, True), priority=-3)
    agent = world.relay()
    (outcome,) = (await agent.deliver(attempt(DAN, sender=sender))).values()
    assert isinstance(outcome, Delivered)
    assert outcome.timed
    assert any("BY=50;RT MT-PRIORITY=-3" in line for line in server.commands)
    sender = Sender(OTTO, deliver_by=DeliverBy(19, ByMode.RETURN))
    (outcome,) = (await agent.deliver(attempt(DAN, sender=sender))).values()
    assert status(outcome) == ("Bounced", "5.4.7")


@pytest_twisted.ensureDeferred
async def test_a_sender_may_do_without_tls(world: World) -> None:
    """TLS-Required: No goes out in clear where it has to (RFC 8689 §4.2.2), to no smarthost."""
    await world.add("192.0.2.3")
    await world.add("192.0.2.9")
    body = b"TLS-Required: No\r\n\r\nthe certificate is expired\r\n"
    for policy in (TLSPolicy.REQUIRED, TLSPolicy.VERIFIED):
        agent = world.relay(tls=policy)
        assert status((await agent.deliver(attempt(DAN)))[DAN])[1] == "4.7.4"
        assert isinstance((await agent.deliver(attempt(DAN, body=body)))[DAN], Delivered)
        agent = world.relay(tls=policy, smarthost=smart())
        assert status((await agent.deliver(attempt(DAN, body=body)))[DAN])[1] == "4.7.4"


@pytest_twisted.ensureDeferred
async def test_it_greets_by_our_name(world: World) -> None:
    """A server with our own name would send everything back."""
    server = await world.add("192.0.2.3")
    server.script["EHLO"] = ["250 ME.example"]
    assert status((await world.relay().deliver(attempt(DAN)))[DAN]) == ("Deferred", "4.4.6")


@pytest_twisted.ensureDeferred
async def test_an_error_of_ours(world: World, logged_errors: LoggedErrors) -> None:
    """What fails unexpectedly defers its own domain, and takes nobody's answer away."""
    await world.add("192.0.2.1")

    async def fails(domain: str, mx: Any = world.names.mx) -> Any:
        if domain == "two.example":
            raise RuntimeError("oops")
        return await mx(domain)

    world.names.mx = fails  # type: ignore[method-assign]
    outcomes = await world.relay().deliver(attempt(ANN, DAN))
    assert isinstance(outcomes[ANN], Delivered)
    assert status(outcomes[DAN]) == ("Deferred", "4.3.0")
    assert logged_errors.flush(RuntimeError)


@pytest.mark.parametrize("step", ["GREETING", "EHLO", "MAIL", "END"])
@pytest_twisted.ensureDeferred
async def test_cancelled(world: World, step: str) -> None:
    """An attempt that is given up tells what it knows: who was served stays served."""
    await world.add("192.0.2.1")
    two = await world.add("192.0.2.3")
    two.script[step] = [STALL]
    verb = {"END": "DATA"}.get(step, step)
    slow = ChannelOptions("me.example")
    agent = world.relay(channel=slow)
    delivering = started(agent.deliver(attempt(ANN, DAN)))
    await until(lambda: len(agent._pool) == 1 and two.open == 1)
    await until(lambda: step == "GREETING" or any(one.startswith(verb) for one in two.commands))
    delivering.cancel()
    outcomes: Any = await delivering
    assert isinstance(outcomes[ANN], Delivered)
    assert isinstance(outcomes[DAN], Deferred)


@pytest_twisted.ensureDeferred
async def test_a_body_in_a_file(world: World) -> None:
    """A body that may block is read in threads, small and large."""
    server = await world.add("192.0.2.1")
    agent = world.relay()
    for size in (10, 10_000):
        body = StringBody(b".line\r\n" * size * 10)
        body.in_memory = False
        given = Attempt("q1", Sender(None), (ANN,), body, None, 0)
        assert isinstance((await agent.deliver(given))[ANN], Delivered)
    assert [len(body) for _, body in server.messages] == [700, 700_000]


# TLS and log-in.


class Certified:
    """A certificate for smart.example and 192.0.2.9, and who trusts it."""

    def __init__(self, directory: Path) -> None:
        path = directory / "smart.pem"
        write_self_signed(path, ["smart.example", "192.0.2.9"], datetime.now(UTC))
        self.tls = TLSContexts([CertificateFiles(path, path)])
        self.trusted = ClientContexts(authorities=path)


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Certified:
    """The certificate."""
    return Certified(tmp_path_factory.mktemp("tls"))


def smart(**options: Any) -> Smarthost:
    """Make a smarthost."""
    return Smarthost(**{"host": "smart.example", "port": 25, **options})


@pytest.mark.parametrize(
    ("policy", "offered", "trusted", "expected"),
    [
        (TLSPolicy.NEVER, True, False, ("Delivered", False)),
        (TLSPolicy.OPPORTUNISTIC, True, False, ("Delivered", True)),
        (TLSPolicy.OPPORTUNISTIC, False, False, ("Delivered", False)),
        (TLSPolicy.REQUIRED, True, False, ("Delivered", True)),
        (TLSPolicy.REQUIRED, False, False, ("Deferred", "4.7.4")),
        (TLSPolicy.VERIFIED, True, True, ("Delivered", True)),
        (TLSPolicy.VERIFIED, True, False, ("Deferred", "4.7.5")),
        (TLSPolicy.VERIFIED, False, True, ("Deferred", "4.7.4")),
    ],
)
@pytest_twisted.ensureDeferred
async def test_tls(
    world: World,
    certified: Certified,
    policy: TLSPolicy,
    offered: bool,
    trusted: bool,
    expected: tuple[str, object],
) -> None:
    """Each policy takes what it should, and sends nothing in clear that must not be."""
    offers = ("PIPELINING", "STARTTLS") if offered else ("PIPELINING",)
    server = await world.add("192.0.2.9", ScriptedServer(*offers, tls=certified.tls))
    contexts = certified.trusted if trusted else None
    agent = world.relay(contexts, tls=policy, smarthost=smart())
    outcome = (await agent.deliver(attempt()))[ANN]
    kind, detail = expected
    assert type(outcome).__name__ == kind
    if isinstance(outcome, Deferred):
        assert outcome.reply.status == detail
        assert not any(one.startswith("MAIL") for one in server.commands)
    else:
        assert server.commands.count("EHLO me.example") == (2 if detail else 1)


@pytest_twisted.ensureDeferred
async def test_tls_for_another_name(world: World, certified: Certified) -> None:
    """A good certificate of somebody else proves nothing; an address may stand in it too."""
    server = await world.add("192.0.2.9", ScriptedServer("STARTTLS", tls=certified.tls))
    world.names = KnownNames(hosts={"other.example": ["192.0.2.9"]})
    host = smart(host="other.example")
    agent = world.relay(certified.trusted, tls=TLSPolicy.VERIFIED, smarthost=host)
    outcome = (await agent.deliver(attempt()))[ANN]
    assert status(outcome) == ("Deferred", "4.7.5")
    assert isinstance(outcome, Deferred)
    assert "not for other.example" in outcome.reply.text
    assert server.commands == ["EHLO me.example", "STARTTLS"]
    host = smart(host="192.0.2.9")
    agent = world.relay(certified.trusted, tls=TLSPolicy.VERIFIED, smarthost=host)
    assert isinstance((await agent.deliver(attempt()))[ANN], Delivered)


@pytest.mark.parametrize("said", ["454 4.7.0 no", "220 go\r\n220 junk that is no TLS", HANG_UP])
@pytest_twisted.ensureDeferred
async def test_tls_fails(world: World, said: str) -> None:
    """Opportunistic mail goes in clear where TLS fails, and mail that must not waits."""
    server = await world.add("192.0.2.9", ScriptedServer("STARTTLS"))
    server.tls = _NoTLS()
    server.script["STARTTLS"] = [said]
    outcome = (await world.relay(smarthost=smart()).deliver(attempt()))[ANN]
    assert isinstance(outcome, Delivered) is (said != HANG_UP)
    agent = world.relay(smarthost=smart(), tls=TLSPolicy.REQUIRED)
    outcome = (await agent.deliver(attempt()))[ANN]
    assert isinstance(outcome, Deferred)
    assert len(server.messages) == (said != HANG_UP)


class _NoTLS:
    """Fails as soon as TLS begins."""

    def __new__(cls) -> Any:
        from OpenSSL import SSL
        from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
        from zope.interface import implementer

        @implementer(IOpenSSLServerConnectionCreator)
        class Creator:
            def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:
                # no certificate: every handshake fails
                return SSL.Connection(SSL.Context(SSL.TLS_SERVER_METHOD), None)

        return Creator()


@pytest_twisted.ensureDeferred
async def test_implicit_tls(world: World, certified: Certified) -> None:
    """A smarthost may speak TLS from the first byte on; a plain one then is no smarthost."""
    server = ScriptedServer("PIPELINING")
    await server.listen(wrap=lambda factory: behind_tls(factory, certified.tls))
    await world.add("192.0.2.9", server)
    host = smart(port=465, implicit_tls=True)
    agent = world.relay(certified.trusted, tls=TLSPolicy.VERIFIED, smarthost=host)
    outcome = (await agent.deliver(attempt(ANN, DAN)))[DAN]
    assert isinstance(outcome, Delivered)
    assert outcome.where == "smart.example[192.0.2.9]:465"
    assert len(server.messages) == 1
    await server.stop()
    await world.add("192.0.2.9", ScriptedServer())
    agent = world.relay(certified.trusted, smarthost=host)
    assert status((await agent.deliver(attempt()))[ANN]) == ("Deferred", "4.7.5")


@pytest.mark.parametrize(
    ("offers", "clear", "answer", "expected"),
    [
        ("AUTH PLAIN", True, "235 ok", "2"),
        ("AUTH LOGIN CRAM-MD5", True, "235 ok", "2"),
        ("AUTH PLAIN", True, "535 5.7.8 wrong", "4.7.8"),
        ("AUTH PLAIN", True, HANG_UP, "4.4.2"),
        ("AUTH PLAIN", False, "235 ok", "4.7.11"),
        ("AUTH CRAM-MD5", True, "235 ok", "4.7.0"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_login(world: World, offers: str, clear: bool, answer: str, expected: str) -> None:
    """A log-in that fails is never the mail's fault, and no password goes out in clear."""
    server = await world.add("192.0.2.9", ScriptedServer(offers))
    server.script["AUTH"] = [answer]
    if "LOGIN" in offers:
        server.script["AUTH"] = ["334 VXNlcm5hbWU6"]
        server.script["bWU="] = ["334 UGFzc3dvcmQ6"]
        server.script["c2VjcmV0"] = [answer]
    host = smart(credentials=PasswordCredentials("me", "secret"), clear_passwords=clear)
    outcome = (await world.relay(smarthost=host).deliver(attempt()))[ANN]
    assert isinstance(outcome, Delivered) is (expected == "2")
    if isinstance(outcome, Deferred):
        assert outcome.reply.status == expected
    assert any(one.startswith("AUTH") for one in server.commands) is (
        expected not in {"4.7.11", "4.7.0"}
    )


@pytest_twisted.ensureDeferred
async def test_no_recipients(world: World) -> None:
    """Nobody is nobody."""
    given = Attempt("q1", Sender(None), (), StringBody(b""), None, 0)
    assert await world.relay().deliver(given) == {}
