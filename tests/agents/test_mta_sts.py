"""Tests of MTA-STS: policies found and kept, and what the relay makes of them (RFC 8461)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHostnameResolver, IReactorPluggableNameResolver
from twisted.internet.task import Clock
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site
from zope.interface import directlyProvides, implementer, providedBy

from mailplat.agents.sts_file import StsFile
from mailplat.agents.sts_policies import POLICY_SIZE, Found, StsOptions, StsPolicies
from mailplat.agents.tls_demands import TLSEntry, TLSPolicy
from mailplat.interfaces.resolver import TLSA
from mailplat.model.address import Address
from mailplat.model.envelope import Sender
from mailplat.model.errors import ConfigurationFault, Unavailable
from mailplat.net.tls import behind_tls
from mailplat.net.web import WebAnswer, WebClient, WebOptions
from mailplat.proto.mta_sts import Mode, StsPolicy
from mailplat.testing.authority import MadeAuthority
from mailplat.testing.fakes import KnownNames
from mailplat.testing.turns import all_of, started, until, wait_for

ENFORCED = StsPolicy(Mode.ENFORCE, 86400, ("mx.dest.example",))
DELIVERED = ("Delivered", "")
UNTRUSTED, NO_TLS = ("Deferred", "4.7.5"), ("Deferred", "4.7.4")
START = 1_700_000_000.0


def text(policy: StsPolicy) -> bytes:
    """Spell a policy file."""
    return "\r\n".join(policy.lines()).encode()


class FakeWeb:
    """A web server that says what a test wants."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answer: WebAnswer | Exception = self.page(text(ENFORCED))
        self.hold: Deferred[None] | None = None

    @staticmethod
    def page(body: bytes, code: int = 200, kind: str = "text/plain; charset=utf-8") -> WebAnswer:
        """Make an answer."""
        return WebAnswer(code, {"content-type": kind}, body)

    async def ask(self, method: str, url: str) -> WebAnswer:
        """See `WebClient.ask`."""
        self.asked.append(f"{method} {url}")
        if self.hold is not None:
            await self.hold
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Sts:
    """Policies, with everything around them."""

    def __init__(self, path: Path) -> None:
        self.web = FakeWeb()
        self.clock: Any = Clock()
        self.clock.advance(START)
        self.names = self.named("1")
        self.path = path / "mta-sts.sqlite"
        self.made: list[StsPolicies] = []

    @staticmethod
    def named(policy_id: str) -> KnownNames:
        """DNS with a record of dest.example."""
        return KnownNames(txt={"_mta-sts.dest.example": [f"v=STSv1; id={policy_id}".encode()]})

    async def policies(self, web: Any = None, resolver: Any = None, **options: Any) -> StsPolicies:
        """Open policies."""

        class Names:
            """DNS, as it is now."""

            async def txt(_, name: str) -> Any:
                return await self.names.txt(name)

        asks: Any = resolver or Names()
        made = StsPolicies(
            self.clock,
            self.clock.seconds,
            asks,
            web or self.web,
            StsFile(self.path),
            StsOptions(**options),
        )
        self.made.append(made)
        await made.open()
        return made

    async def close(self) -> None:
        """Close all."""
        for made in self.made:
            await made.close()
        assert not self.clock.getDelayedCalls()


@pytest.fixture
def sts(tmp_path: Path) -> Iterator[Sts]:
    """An empty file of policies."""
    made = Sts(tmp_path)
    yield made
    wait_for(made.close())


@pytest_twisted.ensureDeferred
async def test_fetched_once_and_kept(sts: Sts) -> None:
    """A policy is fetched once, shared by who waits, and there after a restart."""
    policies = await sts.policies()
    sts.web.hold = Deferred()
    waiting = [started(policies.find("Dest.example")) for _ in range(3)]
    waiting[0].cancel()
    waiting[0].addErrback(lambda _: None)
    sts.web.hold.callback(None)
    assert [await one for one in waiting[1:]] == [Found(ENFORCED)] * 2
    assert sts.web.asked == ["GET https://mta-sts.dest.example/.well-known/mta-sts.txt"]
    assert [one.domain for one in policies] == ["dest.example"]
    assert await (await sts.policies()).find("dest.example") == Found(ENFORCED)
    assert len(sts.web.asked) == 1


@pytest_twisted.ensureDeferred
async def test_a_policy_that_was_seen_is_not_hidden(sts: Sts) -> None:
    """Neither DNS nor the web server takes a policy away before it expires (RFC 8461 §5.1)."""
    policies = await sts.policies()
    await policies.find("dest.example")
    sts.names = KnownNames()
    assert (await policies.find("dest.example")).policy == ENFORCED
    sts.names = KnownNames(broken=["_mta-sts.dest.example"])
    assert (await policies.find("dest.example")).policy == ENFORCED
    sts.names = sts.named("2")
    sts.web.answer = Unavailable("nobody there")
    found = await policies.find("dest.example")
    assert (found.policy, found.fault) == (ENFORCED, "sts-policy-fetch-error")
    sts.clock.advance(ENFORCED.max_age)
    assert (await policies.find("dest.example")).policy is None
    assert (await policies.find("[192.0.2.1]")) == Found()
    assert await (await sts.policies()).find("other.example") == Found()


@pytest_twisted.ensureDeferred
async def test_a_new_id_brings_a_new_policy(sts: Sts) -> None:
    """The id tells that there is a newer policy; mode none ends the old one."""
    policies = await sts.policies()
    await policies.find("dest.example")
    for number, mode in enumerate((Mode.TESTING, Mode.NONE), 2):
        sts.names = sts.named(str(number))
        newer = StsPolicy(mode, 100, ("mx.dest.example",) if mode is Mode.TESTING else ())
        sts.web.answer = sts.web.page(text(newer))
        expected = Found(newer if mode is Mode.TESTING else None)
        assert await policies.find("dest.example") == expected
        assert await policies.find("dest.example") == expected
    assert len(sts.web.asked) == 3


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (Unavailable("GET https://mta-sts: no answer in time"), "sts-policy-fetch-error"),
        (FakeWeb.page(text(ENFORCED), 301), "sts-policy-fetch-error"),
        (FakeWeb.page(text(ENFORCED), 404), "sts-policy-fetch-error"),
        (FakeWeb.page(text(ENFORCED), kind="text/html"), "sts-policy-invalid"),
        (FakeWeb.page(b"mode: enforce"), "sts-policy-invalid"),
        (FakeWeb.page(b"x" * (POLICY_SIZE + 1)), "sts-policy-invalid"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_no_policy(sts: Sts, answer: WebAnswer | Exception, fault: str) -> None:
    """A policy that cannot be had is none; the fetch is not repeated for a while."""
    policies = await sts.policies(failure=60.0)
    sts.web.answer = answer
    for _ in range(2):
        found = await policies.find("dest.example")
        assert (found.policy, found.fault) == (None, fault)
    assert len(sts.web.asked) == 1
    sts.clock.advance(60)
    sts.web.answer = FakeWeb.page(text(ENFORCED))
    assert (await policies.find("dest.example")).policy == ENFORCED


@pytest_twisted.ensureDeferred
async def test_refreshed_in_the_background(sts: Sts) -> None:
    """What is in use is fetched anew each day, and nobody waits; what is not, expires."""
    policies = await sts.policies(every=3600.0, refresh=86400.0)
    await policies.find("dest.example")
    await policies.find("dest.example")
    newer = StsPolicy(Mode.ENFORCE, 100_000, ("*.dest.example",))
    sts.web.answer = sts.web.page(text(newer))
    for _ in range(23):
        sts.clock.advance(3600)
    assert len(sts.web.asked) == 1
    sts.clock.advance(3600)
    # by now the old one has expired: 24 h
    await until(lambda: not list(policies) or len(sts.web.asked) == 2)
    assert (await policies.find("dest.example")).policy == newer
    await until(lambda: StsFile(sts.path).load(int(START), 10)[0].policy == newer)
    asked = len(sts.web.asked)
    assert (await policies.refresh("dest.example")).policy == newer
    assert len(sts.web.asked) == asked + 1
    assert (await policies.refresh("other.example")) == Found()


@pytest_twisted.ensureDeferred
async def test_refreshed_before_it_expires(sts: Sts) -> None:
    """A policy in use is fetched anew while the old one holds."""
    sts.web.answer = sts.web.page(text(StsPolicy(Mode.ENFORCE, 1_000_000, ("a.example",))))
    policies = await sts.policies(every=100.0, refresh=200.0)
    await policies.find("dest.example")
    await policies.find("dest.example")
    sts.web.answer = sts.web.page(text(ENFORCED))
    sts.clock.advance(100)
    sts.clock.advance(100)
    await until(lambda: next(iter(policies)).policy == ENFORCED)
    for _ in range(4):
        sts.clock.advance(100)
    assert len(sts.web.asked) == 2  # nobody asked for it since


@pytest_twisted.ensureDeferred
async def test_bounded(sts: Sts) -> None:
    """Only so many policies are kept, in memory and on the disk: those that hold longest."""
    domains = [f"d{n}.example" for n in range(5)]
    sts.names = KnownNames(txt={f"_mta-sts.{one}": [b"v=STSv1; id=1"] for one in domains})
    policies = await sts.policies(policies=3)
    for n, domain in enumerate(domains):
        sts.web.answer = sts.web.page(text(StsPolicy(Mode.ENFORCE, 1000 + n, ("a.example",))))
        await policies.find(domain)
    assert [one.domain for one in policies] == domains[2:]
    await until(lambda: len(StsFile(sts.path).load(int(START), 10)) == 3)


@pytest_twisted.ensureDeferred
async def test_slow_web_servers_hold_nobody_up(sts: Sts) -> None:
    """A mail waits so long and no longer, also behind other domains; the fetch goes on."""
    domains = ["a.example", "b.example", "dest.example"]
    sts.names = KnownNames(txt={f"_mta-sts.{one}": [b"v=STSv1; id=1"] for one in domains})
    policies = await sts.policies(at_once=1, patience=20.0, waiting=2)
    hold: Deferred[None] = Deferred()
    sts.web.hold = hold
    waiting = [started(policies.find(one)) for one in domains]
    assert (await waiting[2]).why == "too many policies are waited for"
    assert len(sts.web.asked) == 1
    sts.clock.advance(20)
    assert [(await one).fault for one in waiting[:2]] == ["sts-policy-fetch-error"] * 2
    sts.web.hold = None
    hold.callback(None)
    await until(lambda: len(list(policies)) == 2)
    assert (await policies.find("a.example")).policy == ENFORCED
    assert len(sts.web.asked) == 2


@pytest_twisted.ensureDeferred
async def test_a_file_that_is_none(sts: Sts) -> None:
    """A file that is no database is told when the server starts."""
    sts.path.write_bytes(b"no database, but long enough to look like one" * 10)
    with pytest.raises(ConfigurationFault, match=r"mta-sts\.sqlite"):
        await sts.policies()
    sts.made.clear()


# Over HTTPS.


class _Site(Resource):
    isLeaf = True

    def render_GET(self, request: Any) -> Any:
        """``mta-sts.dest.example`` has a policy; others are strange by name."""
        host = request.getRequestHostname().decode()
        if host == "mta-sts.away.example":
            request.redirect(b"https://mta-sts.dest.example/.well-known/mta-sts.txt")
            return b""
        if host == "mta-sts.silent.example":
            return NOT_DONE_YET
        request.setHeader(b"content-type", b"text/plain")
        if host == "mta-sts.endless.example":
            return b"x" * (POLICY_SIZE + 1)
        return text(ENFORCED) if request.path == b"/.well-known/mta-sts.txt" else b""


def _elsewhere(port: int) -> Any:
    """Give a reactor for which all names are this machine, and port 443 another."""

    @implementer(IHostnameResolver)
    class Names:
        def resolveHostName(
            self,
            resolutionReceiver: Any,
            hostName: str,
            portNumber: int = 0,
            addressTypes: Any = None,
            transportSemantics: str = "TCP",
        ) -> Any:
            receiver, name = resolutionReceiver, hostName
            receiver.resolutionBegan(receiver)
            if name != "mta-sts.nobody.example":
                receiver.addressResolved(IPv4Address("TCP", "127.0.0.1", 443))
            receiver.resolutionComplete()
            return receiver

    class Elsewhere:
        nameResolver = Names()

        def __getattr__(self, name: str) -> Any:
            return getattr(reactor, name)

        def connectTCP(self, host: str, _: int, *args: Any, **named: Any) -> Any:
            real: Any = reactor
            return real.connectTCP(host, port, *args, **named)

    made = Elsewhere()
    directlyProvides(made, providedBy(reactor), IReactorPluggableNameResolver)
    return made


@pytest_twisted.ensureDeferred
async def test_over_https(sts: Sts, authority: MadeAuthority) -> None:
    """A certificate for mta-sts.DOMAIN, in time, without redirects, of bounded length."""
    hosts = ["dest", "away", "silent", "endless", "nobody"]
    issued = authority.issue(*(f"mta-sts.{one}.example" for one in hosts))
    site: Any = Site(_Site())  # type: ignore[no-untyped-call]
    site.noisy = False
    site.timeOut = None
    listening: Any = reactor
    port = listening.listenTCP(0, behind_tls(site, issued.tls), interface="127.0.0.1")
    options = WebOptions(timeout=0.5, answer=POLICY_SIZE, per_server=0, authorities=authority.path)
    web = WebClient(_elsewhere(port.getHost().port), options)
    found = {}
    hosts.append("other")
    texts = {f"_mta-sts.{one}.example": [b"v=STSv1; id=1"] for one in hosts}
    policies = await sts.policies(web, KnownNames(txt=texts))
    results = await all_of([policies.find(f"{one}.example") for one in hosts])
    found = dict(zip(hosts, [one.fault for one in results], strict=True))
    assert results[0] == Found(ENFORCED)
    assert found == {
        "dest": "",
        "away": "sts-policy-fetch-error",
        "silent": "sts-policy-fetch-error",
        "endless": "sts-policy-fetch-error",
        "nobody": "sts-policy-fetch-error",
        "other": "sts-webpki-invalid",
    }
    strangers = await sts.policies(WebClient(_elsewhere(port.getHost().port), WebOptions()))
    sts.path.unlink()
    await strangers.reload()
    assert (await strangers.find("dest.example")).fault == "sts-webpki-invalid"
    await port.stopListening()


# In the relay.


class Known:
    """Policies that a test wants."""

    def __init__(self, policy: StsPolicy | None, fault: str = "") -> None:
        self.found = Found(policy, fault)
        self.asked: list[str] = []

    async def find(self, domain: str) -> Found:
        """See `StsPolicies.find`."""
        self.asked.append(domain)
        return self.found


TESTING = StsPolicy(Mode.TESTING, 1, ("mx.dest.example",))
ELSEWHERE = StsPolicy(Mode.ENFORCE, 1, ("*.other.example",))


@pytest.mark.parametrize(
    ("policy", "name", "expected", "noted"),
    [
        (ENFORCED, "mx.dest.example", DELIVERED, ("sts", "")),
        (ENFORCED, "*.dest.example", DELIVERED, ("sts", "")),
        (ENFORCED, "dest.example", UNTRUSTED, ("sts", "certificate-host-mismatch")),
        (ENFORCED, "", NO_TLS, ("sts", "starttls-not-supported")),
        (ELSEWHERE, "mx.dest.example", UNTRUSTED, ("sts", "validation-failure")),
        (TESTING, "mx.dest.example", DELIVERED, ("sts", "")),
        (TESTING, "dest.example", DELIVERED, ("sts", "certificate-host-mismatch")),
        (TESTING, "", DELIVERED, ("sts", "starttls-not-supported")),
        (
            StsPolicy(Mode.TESTING, 1, ("x.example",)),
            "mx.dest.example",
            DELIVERED,
            ("sts", "validation-failure"),
        ),
        (None, "dest.example", DELIVERED, ("no-policy-found", "")),
        (None, "", DELIVERED, ("no-policy-found", "starttls-not-supported")),
    ],
)
@pytest_twisted.ensureDeferred
async def test_modes(
    relayed: Any,
    policy: StsPolicy | None,
    name: str,
    expected: tuple[str, str],
    noted: tuple[str, str],
) -> None:
    """An enforced policy is kept to; one that is tried out is only reported on."""
    server = await relayed.server(relayed.authority.issue(name) if name else None)
    assert await relayed.send(Known(policy)) == expected
    assert relayed.notes.taken == [(*noted, "mx.dest.example")]
    assert bool(server.messages) is (expected == DELIVERED)


@pytest_twisted.ensureDeferred
async def test_certificates_that_prove_nothing(relayed: Any, tmp_path: Path) -> None:
    """An old certificate and a stranger's are told apart in reports; neither is believed."""
    for issued, noted in (
        (
            relayed.authority.issue("mx.dest.example", lifetime=timedelta(days=-1)),
            "certificate-expired",
        ),
        (MadeAuthority(tmp_path, "Stranger").issue("mx.dest.example"), "certificate-not-trusted"),
    ):
        relayed.notes.taken.clear()
        server = await relayed.server(issued)
        assert await relayed.send(Known(ENFORCED)) == UNTRUSTED
        assert await relayed.send(Known(TESTING)) == DELIVERED
        assert [result for _, result, _ in relayed.notes.taken] == [noted] * 2
        assert len(server.messages) == 1
        await relayed.servers.popitem()[1].stop()


@pytest_twisted.ensureDeferred
async def test_dane_goes_before_it(relayed: Any) -> None:
    """Where there is DANE nothing is asked of MTA-STS (RFC 8461 §2)."""
    issued = relayed.authority.issue("other.example")
    await relayed.server(issued)
    relayed.names.tlsa("_25._tcp.mx.dest.example", issued.tlsa())
    policies = Known(ELSEWHERE)
    assert await relayed.send(policies) == DELIVERED
    relayed.names.tlsa("_25._tcp.mx.dest.example", TLSA(3, 1, 1, b"x" * 32))
    assert await relayed.send(Known(ENFORCED)) == UNTRUSTED
    assert policies.asked == []


@pytest_twisted.ensureDeferred
async def test_a_policy_that_cannot_be_had(relayed: Any) -> None:
    """The first mail goes without, and the fault is noted."""
    await relayed.server(relayed.authority.issue("x.example"))
    assert await relayed.send(Known(None, "sts-policy-fetch-error")) == DELIVERED
    assert relayed.notes.taken[0][:2] == ("sts", "sts-policy-fetch-error")


@pytest_twisted.ensureDeferred
async def test_the_operator_has_the_last_word(relayed: Any) -> None:
    """The table replaces a policy, or asks for one; TLS is never less than what is asked of all."""
    await relayed.server(relayed.authority.issue("x.example"))
    for tls, policy, expected in (
        (TLSPolicy.OPPORTUNISTIC, ENFORCED, DELIVERED),
        (TLSPolicy.MTA_STS, TESTING, UNTRUSTED),
        (TLSPolicy.MTA_STS, None, UNTRUSTED),
    ):
        entries = {"dest.example": TLSEntry(tls)}
        assert await relayed.send(Known(policy), tls_entries=entries) == expected
    assert await relayed.send(Known(TESTING), tls=TLSPolicy.VERIFIED) == UNTRUSTED
    assert await relayed.send(Known(ENFORCED), tls=TLSPolicy.NEVER) == DELIVERED


@pytest_twisted.ensureDeferred
async def test_mail_that_has_to_be_protected(relayed: Any) -> None:
    """Without DNSSEC a policy says which hosts REQUIRETLS may go to (RFC 8689 §4.2.1)."""
    await relayed.server(relayed.authority.issue("mx.dest.example"))
    relayed.names.signed.clear()
    strict = Sender(Address("me", "example.net"), require_tls=True)
    for policy, expected in (
        (ENFORCED, DELIVERED),
        (TESTING, DELIVERED),
        (ELSEWHERE, ("Bounced", "5.7.10")),
        (None, ("Bounced", "5.7.10")),
    ):
        assert await relayed.send(Known(policy), sender=strict) == expected
    body = b"TLS-Required: No\r\n\r\nyour policy is broken\r\n"
    assert await relayed.send(Known(ELSEWHERE), body=body) == DELIVERED
