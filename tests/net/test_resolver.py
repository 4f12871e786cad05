"""Tests for `mailplat.net.resolver`, `dns_messages` and `dns_exchange`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import pytest_twisted
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol
from twisted.internet.task import Clock
from twisted.names import dns
from zope.interface.verify import verifyObject

from mailplat.interfaces.resolver import MX, TLSA, Answer, IResolver
from mailplat.model.errors import Unavailable
from mailplat.net.dns_exchange import NoAnswer
from mailplat.net.dns_messages import (
    Kind,
    Question,
    Response,
    Said,
    make_query,
    read_response,
    reverse_name,
)
from mailplat.net.resolver import (
    Resolver,
    ResolverOptions,
    hosts_of,
    servers_of,
    system_resolver,
)
from mailplat.testing.fakes import KnownNames
from mailplat.testing.turns import all_of, started, wait_for

ORG = Question("example.org", Kind.MX)
SOA = dns.Record_SOA(b"ns.example.org", b"root.example.org", minimum=60, ttl=900)


def header(name: str, payload: Any, ttl: int = 300, kind: int | None = None) -> dns.RRHeader:
    """Make a record."""
    return dns.RRHeader(name.encode(), kind or payload.TYPE, dns.IN, ttl, payload)


def response(
    question: Question,
    *answers: dns.RRHeader,
    number: int = 7,
    code: int = dns.OK,
    authority: tuple[dns.RRHeader, ...] = (),
    **options: Any,
) -> bytes:
    """Make a response."""
    message = dns.Message(number, answer=1, rCode=code, recAv=1, **options)
    message.addQuery(question.name.upper().encode(), question.kind.value)
    message.answers.extend(answers)
    message.authority.extend(authority)
    return bytes(message.toStr())


def answer(question: Question, *answers: dns.RRHeader, **options: Any) -> Answer[Any]:
    """Read a response that is an answer."""
    read = read_response(response(question, *answers, **options), question, 7)
    assert read.said is Said.ANSWER
    assert read.answer is not None
    return read.answer


def test_query() -> None:
    """A query asks for recursion and for the AD bit, with and without EDNS."""
    message: Any = dns.Message()
    message.fromStr(make_query(ORG, 65535))
    assert (message.id, message.recDes, message.authenticData) == (65535, 1, 1)
    assert [(one.type, one.cls) for one in message.additional] == [(41, 1232)]
    assert str(message.queries[0].name) == "example.org"
    message = dns.Message()
    message.fromStr(make_query(ORG, 0, edns=False))
    assert message.additional == []


@pytest.mark.parametrize(
    ("kind", "payload", "value"),
    [
        (Kind.MX, dns.Record_MX(10, b"MX.Example.org"), MX(10, "mx.example.org")),
        (Kind.MX, dns.Record_MX(0, b""), MX(0, "")),
        (Kind.A, dns.Record_A("192.0.2.1"), "192.0.2.1"),
        (Kind.AAAA, dns.Record_AAAA("2001:db8:0::1"), "2001:db8::1"),
        (Kind.TXT, dns.Record_TXT(b"v=spf1 ", b"-all"), b"v=spf1 -all"),
        (Kind.PTR, dns.Record_PTR(b"Host.example.org"), "host.example.org"),
        (Kind.TLSA, dns.UnknownRecord(b"\3\1\1abc"), TLSA(3, 1, 1, b"abc")),
    ],
)
def test_records(kind: Kind, payload: Any, value: object) -> None:
    """Each type comes out as a value of ours."""
    question = Question("example.org", kind)
    found = answer(question, header("example.org", payload, kind=kind.value))
    assert found == Answer((value,), True, False, "example.org", 300.0)


def test_aliases_are_followed() -> None:
    """CNAMEs lead to the records; strangers' records are passed over."""
    www = Question("www.example.org", Kind.A)
    found = answer(
        www,
        header("WWW.example.org", dns.Record_CNAME(b"a.example.net"), 50),
        header("evil.example", dns.Record_A("192.0.2.66")),
        header("a.example.net", dns.Record_CNAME(b"b.example.net"), 200),
        header("b.example.net", dns.Record_A("192.0.2.1"), 70),
        authenticData=1,
    )
    assert found == Answer(("192.0.2.1",), True, True, "b.example.net", 50.0)
    circle = response(www, header("www.example.org", dns.Record_CNAME(b"www.example.org")))
    assert read_response(circle, www, 7).said is Said.REFUSED
    alone = Question("www.example.org", Kind.CNAME)  # asked for, it is not followed
    told = answer(alone, header("www.example.org", dns.Record_CNAME(b"a.example.net"), 50))
    assert (told.records, told.name) == (("a.example.net",), "www.example.org")
    cut_off = response(www, header("www.example.org", dns.Record_CNAME(b"a.example.net")))
    assert read_response(cut_off, www, 7).alias == "a.example.net"


def test_nothing_there() -> None:
    """No such name, or none of this type: kept as long as the SOA says (RFC 2308 §5)."""
    soa = (header("example.org", SOA, 900),)
    missing = answer(ORG, code=dns.ENAME, authority=soa)
    assert missing == Answer((), False, False, "example.org", 60.0)
    assert answer(ORG, authority=soa) == Answer((), True, False, "example.org", 60.0)
    assert answer(ORG).ttl == 0.0


def test_what_is_no_answer() -> None:
    """Other ids, other questions and broken bytes are passed over; failures are told."""
    good = response(ORG, header("example.org", dns.Record_MX(10, b"mx")))
    assert read_response(good, ORG, 8).said is Said.NOT_OURS
    assert read_response(good, Question("example.net", Kind.MX), 7).said is Said.NOT_OURS
    assert read_response(make_query(ORG, 7), ORG, 7).said is Said.NOT_OURS
    for code, said in [
        (dns.ESERVER, Said.REFUSED),
        (dns.EREFUSED, Said.REFUSED),
        (dns.EFORMAT, Said.NO_EDNS),
        (dns.ENOTIMP, Said.NO_EDNS),
    ]:
        assert read_response(response(ORG, code=code), ORG, 7).said is said
    assert read_response(response(ORG, trunc=1), ORG, 7).said is Said.CUT


@given(st.data())
def test_broken_bytes(data: st.DataObject) -> None:
    """No bytes make the reader raise anything."""
    good = bytearray(
        response(
            ORG,
            header("example.org", dns.Record_CNAME(b"x.org")),
            header("x.org", dns.Record_MX(10, b"mx.x.org")),
        )
    )
    for _ in range(data.draw(st.integers(0, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(good)))
    read_response(bytes(good[:cut]), ORG, 7)


def test_reverse_names() -> None:
    """Addresses have names of their own in DNS."""
    assert reverse_name("192.0.2.1") == "1.2.0.192.in-addr.arpa"
    assert reverse_name("2001:db8::1").startswith("1.0.0.0.")
    with pytest.raises(ValueError):
        reverse_name("example.org")


class Servers:
    """Name servers as a script: what each question is answered by."""

    def __init__(self, script: Callable[[str, Question], Response | None]) -> None:
        self.asked: list[tuple[str, str, float]] = []
        self.waiting: list[Deferred[None]] = []
        self.hold = False
        self._script = script

    async def ask(self, server: tuple[str, int], question: Question, timeout: float) -> Response:
        """Answer as the script says; None is silence."""
        self.asked.append((server[0], f"{question.kind.name} {question.name}", timeout))
        if self.hold:
            self.waiting.append(Deferred())
            await self.waiting[-1]
        said = self._script(server[0], question)
        if said is None:
            raise NoAnswer("timed out")
        return said


def given_answer(*records: Any, ttl: float = 100.0, exists: bool = True) -> Response:
    """Make a response that answers."""
    return Response(Said.ANSWER, Answer(records, exists, True, "x", ttl))


OPTIONS = ResolverOptions(servers=(("one", 53), ("two", 53)), timeouts=(1.0, 3.0), validating=True)


@pytest_twisted.ensureDeferred
async def test_who_is_believed() -> None:
    """What a server vouches for counts only where the configuration trusts the server."""
    for trusted in (False, True):
        servers = Servers(lambda server, question: given_answer("x"))
        options = ResolverOptions(servers=(("one", 53),), validating=trusted)
        resolver = Resolver(servers, Clock().seconds, options)
        assert (await resolver.tlsa("_25._tcp.example.org")).authentic is trusted
        assert (await resolver.addresses("example.org")).authentic is trusted


@pytest_twisted.ensureDeferred
async def test_addresses_of_one_kind_are_vouched_for() -> None:
    """That there is no address of the other kind takes nothing from those that there are."""
    servers = Servers(
        lambda server, question: (
            given_answer("192.0.2.1")
            if question.kind is Kind.A
            else Response(Said.ANSWER, Answer((), True, False, "y", 1.0))
        )
    )
    found = await Resolver(servers, Clock().seconds, OPTIONS).addresses("example.org")
    assert (found.records, found.authentic, found.name) == (("192.0.2.1",), True, "x")


@pytest_twisted.ensureDeferred
async def test_servers_take_turns() -> None:
    """Who is silent or refuses is passed over; in the next round everybody has more time."""
    servers = Servers(lambda server, question: None)
    clock = Clock()
    resolver = Resolver(servers, clock.seconds, OPTIONS)
    verifyObject(IResolver, resolver)
    with pytest.raises(Unavailable, match=r"no name server answers for example\.org \(MX\)"):
        await resolver.mx("Example.org.")
    assert servers.asked == [
        (server, "MX example.org", timeout) for timeout in (1.0, 3.0) for server in ("one", "two")
    ]
    with pytest.raises(Unavailable):  # remembered for a while
        await resolver.mx("example.org")
    assert len(servers.asked) == 4
    clock.advance(5)
    servers._script = lambda server, question: (
        Response(Said.REFUSED) if server == "one" else given_answer(MX(1, "a"))
    )
    assert (await resolver.mx("example.org")).records == (MX(1, "a"),)


@pytest_twisted.ensureDeferred
async def test_answers_are_remembered_and_shared() -> None:
    """Equal questions share one answer, and it is kept for its time; also that there is none."""
    servers = Servers(lambda server, question: given_answer(exists=False, ttl=30))
    servers.hold = True
    clock = Clock()
    resolver = Resolver(servers, clock.seconds, OPTIONS)
    asked = [started(resolver.txt("a.example")) for _ in range(3)]
    asked[0].cancel()
    asked[0].addErrback(lambda _: None)
    servers.hold = False
    servers.waiting.pop().callback(None)
    assert [await one for one in asked[1:]] == [Answer((), False, True, "x", 30)] * 2
    await resolver.txt("A.example")
    assert len(servers.asked) == 1
    clock.advance(30)
    await resolver.txt("a.example")
    assert len(servers.asked) == 2


@pytest_twisted.ensureDeferred
async def test_questions_wait_for_their_turn() -> None:
    """No more questions are under way than allowed, whatever becomes of them."""
    servers = Servers(lambda server, question: None)
    servers.hold = True
    options = ResolverOptions(timeouts=(1.0,), at_once=2)
    resolver = Resolver(servers, Clock().seconds, options)
    asked = [started(resolver.txt(f"n{number}.example")) for number in range(5)]
    for done in range(5):
        assert len(servers.asked) == min(done + 2, 5)
        servers.waiting[done].callback(None)
        with pytest.raises(Unavailable):
            await asked[done]


@pytest_twisted.ensureDeferred
async def test_failures_are_shared_too() -> None:
    """Everybody who waits hears that nobody answers."""
    servers = Servers(lambda server, question: None)
    servers.hold = True
    resolver = Resolver(servers, Clock().seconds, ResolverOptions(timeouts=(1.0,)))
    asked = [started(resolver.txt("a.example")) for _ in range(2)]
    servers.waiting.pop().callback(None)
    for one in asked:
        with pytest.raises(Unavailable):
            await one


@pytest_twisted.ensureDeferred
async def test_addresses_of_both_kinds() -> None:
    """IPv6 comes first; one kind that fails does not hide the other; hosts need no DNS."""

    def script(server: str, question: Question) -> Response | None:
        if question.kind is Kind.AAAA:
            return None if question.name == "half" else given_answer("2001:db8::1", ttl=9)
        return given_answer("192.0.2.1") if question.name != "none" else None

    resolver = Resolver(Servers(script), Clock().seconds, OPTIONS, hosts={"local": ["127.0.0.1"]})
    both = await resolver.addresses("both")
    assert (both.records, both.ttl) == (("2001:db8::1", "192.0.2.1"), 9)
    assert (await resolver.addresses("half")).records == ("192.0.2.1",)
    assert (await resolver.addresses("none")).records == ("2001:db8::1",)
    assert (await resolver.addresses("Local.")).records == ("127.0.0.1",)
    failing = Resolver(Servers(lambda *_: None), Clock().seconds, OPTIONS)
    with pytest.raises(Unavailable):
        await failing.addresses("x")


@pytest_twisted.ensureDeferred
async def test_what_is_asked_for() -> None:
    """Each method asks for its type, addresses under their reverse name."""
    servers = Servers(lambda server, question: given_answer())
    resolver = Resolver(servers, Clock().seconds, OPTIONS)
    await resolver.tlsa("_25._tcp.mx.example.org")
    await resolver.cname("mx.example.org")
    await resolver.ptr("192.0.2.1")
    assert [asked for _, asked, _ in servers.asked] == [
        "TLSA _25._tcp.mx.example.org",
        "CNAME mx.example.org",
        "PTR 1.2.0.192.in-addr.arpa",
    ]


@pytest_twisted.ensureDeferred
async def test_an_alias_that_is_left_to_us() -> None:
    """Where a server stops at an alias it is followed, not for ever, and nobody vouches for it."""

    def script(server: str, question: Question) -> Response:
        if question.name == "www":
            return Response(Said.ANSWER, alias="target")
        if question.name == "circle":
            return Response(Said.ANSWER, alias="circle")
        if question.name == "broken":
            return Response(Said.ANSWER, alias="a..b")
        return given_answer("192.0.2.1")

    servers = Servers(script)
    resolver = Resolver(servers, Clock().seconds, OPTIONS)
    assert await resolver.a("www") == Answer(("192.0.2.1",), True, False, "x", 60.0)
    assert not (await resolver.a("circle")).exists
    assert len(servers.asked) < 12
    assert not (await resolver.a("broken")).exists


@pytest_twisted.ensureDeferred
async def test_impossible_names_are_not_asked() -> None:
    """What DNS cannot have is not there, and no server hears of it."""
    servers = Servers(lambda *_: None)
    resolver = Resolver(servers, Clock().seconds, OPTIONS)
    for name in ["", "a..b", "x" * 64, ".".join(["x" * 60] * 5), "a b.example", "büch.er"]:
        assert not (await resolver.mx(name)).exists, name
    assert servers.asked == []


def test_system_files() -> None:
    """Name servers and hosts are read as the system reads them."""
    text = "# comment\nsearch x\nnameserver 192.0.2.53\nnameserver ::1\nnameserver no\n"
    assert servers_of(text) == (("192.0.2.53", 53), ("::1", 53))
    assert servers_of("") == (("127.0.0.1", 53),)
    hosts = hosts_of("127.0.0.1 localhost Loop # x\n::1 localhost\nnonsense\n\n")
    assert hosts == {"localhost": ["127.0.0.1", "::1"], "loop": ["127.0.0.1"]}


class NameServer(DatagramProtocol):
    """A name server on this machine; knows example.org, and is odd by name."""

    def __init__(self) -> None:
        self.ports: list[Any] = []
        self.asked: list[str] = []

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """Answer by UDP."""
        for said in self.answers(datagram, stream=False):
            wire: Any = self.transport
            wire.write(said, addr)

    def answers(self, data: bytes, *, stream: bool) -> list[bytes]:
        """Answer a query, as its name asks for it."""
        message: Any = dns.Message()
        message.fromStr(data)
        name = str(message.queries[0].name)
        question = Question(name, Kind(message.queries[0].type))
        self.asked.append(f"{name} {'tcp' if stream else 'udp'} {len(message.additional)}")
        mx = header(name, dns.Record_MX(10, b"mx.example.org"))
        number = message.id
        if name == "silent.example":
            return []
        if name == "long.example" and not stream:
            return [response(question, number=number, trunc=1)]
        if name == "hangs.example":
            return [b""] if stream else [response(question, number=number, trunc=1)]
        if name == "old.example" and message.additional:
            return [response(question, number=number, code=dns.EFORMAT)]
        forged = [response(question, mx, number=number ^ 1), b"junk"]
        return [*([] if stream else forged), response(question, mx, number=number)]


@pytest.fixture
def name_server() -> Iterator[NameServer]:
    """A name server on one port, UDP and TCP."""
    server = NameServer()

    class Stream(Protocol):
        def dataReceived(self, data: bytes) -> None:
            wire: Any = self.transport
            for said in server.answers(data[2:], stream=True):
                framed = len(said).to_bytes(2, "big") + said
                wire.write(framed[:3])
                wire.write(framed[3:])

    listening: Any = reactor
    tcp = listening.listenTCP(0, Factory.forProtocol(Stream), interface="127.0.0.1")
    udp = listening.listenUDP(tcp.getHost().port, server, interface="127.0.0.1")
    server.ports = [tcp, udp]
    yield server
    for port in server.ports:
        wait_for(port.stopListening())


@pytest_twisted.ensureDeferred
async def test_over_sockets(name_server: NameServer) -> None:
    """UDP, then TCP for what is too long, without EDNS where it is not known; forgeries pass."""
    port = name_server.ports[0].getHost().port
    options = ResolverOptions(servers=(("127.0.0.1", port),), timeouts=(0.2,))
    resolver = system_resolver(reactor, options)
    names = ["example.org", "long.example", "old.example"]
    found = await all_of([resolver.mx(name) for name in names])
    assert [one.records for one in found] == [(MX(10, "mx.example.org"),)] * 3
    assert sorted(name_server.asked) == [
        "example.org udp 1",
        "long.example tcp 1",
        "long.example udp 1",
        "old.example udp 0",
        "old.example udp 1",
    ]
    for name in ["silent.example", "hangs.example"]:
        with pytest.raises(Unavailable):
            await resolver.mx(name)


@pytest_twisted.ensureDeferred
async def test_nobody_listens() -> None:
    """A port that nobody listens on gives no answer, by either kind of address."""
    options = ResolverOptions(servers=(("127.0.0.1", 1), ("::1", 1)), timeouts=(0.1,))
    with pytest.raises(Unavailable):
        await system_resolver(reactor, options).mx("example.org")


@pytest_twisted.ensureDeferred
async def test_known_names() -> None:
    """The stand-in for tests answers as the resolver would."""
    names = KnownNames(
        mx={"example.org": [(10, "mx.example.org")]},
        hosts={"mx.example.org": ["192.0.2.1", "::1"]},
        broken=["broken.example"],
    )
    verifyObject(IResolver, names)
    assert (await names.mx("Example.org.")).records == (MX(10, "mx.example.org"),)
    assert (await names.a("mx.example.org")).records == ("192.0.2.1",)
    assert (await names.aaaa("mx.example.org")).records == ("::1",)
    assert not (await names.txt("nobody.example")).exists
    assert (await names.tlsa("example.org")).exists
    assert (await names.ptr("192.0.2.1")).records == ()
    with pytest.raises(Unavailable):
        await names.addresses("broken.example")
    assert names.asked[0] == "mx example.org"
