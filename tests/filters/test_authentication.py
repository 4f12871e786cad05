"""Tests for `mailplat.filters.authentication`, as a configuration names it, in a chain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from zope.interface import implementer
from zope.interface.verify import verifyObject

from mailplat.app.parts import make_filter
from mailplat.config.values import Domain
from mailplat.filters.authentication import CheckOptions
from mailplat.filters.chain import Chains, Rule
from mailplat.interfaces.dmarc import IDmarcResults
from mailplat.interfaces.filters import Context, IChain, IFilter, Mail, Stage
from mailplat.interfaces.plugins import FilterSettings
from mailplat.message import headers
from mailplat.message.auth.arc import Chain, Link
from mailplat.message.auth.arc_sealing import Sealer
from mailplat.message.auth.canonical import BodyHash, Canonicalisation
from mailplat.message.auth.dkim_signing import NAME, Signer
from mailplat.message.auth.dmarc_report import Override, Published, Row
from mailplat.message.auth.result import Result
from mailplat.message.edit import edit_header
from mailplat.model.account import Account
from mailplat.model.address import Address
from mailplat.model.envelope import Envelope, Sender
from mailplat.model.errors import ConfigurationFault
from mailplat.model.peer import Peer
from mailplat.model.verdict import Action, Verdict
from mailplat.spool.intake import MemoryBody
from mailplat.testing.domain_keys import domain_key
from mailplat.testing.fakes import KnownNames
from mailplat.testing.strict import LoggedErrors
from mailplat.testing.turns import started

NOW = 1_767_268_800
HOST = "mx.example.org"
HEADER = b"From: Alice <alice@d.example>\r\nSubject: hi\r\n\r\n"
BODY = b"Hello\r\n"
TEXTS: dict[str, list[bytes]] = {
    "d.example": [b"v=spf1 ip4:192.0.2.1 -all"],
    "_dmarc.d.example": [b"v=DMARC1; p=reject"],
    "s._domainkey.d.example": [domain_key().record],
    "_dmarc.q.example": [b"v=DMARC1; p=quarantine"],
    "_dmarc.n.example": [b"v=DMARC1; p=none"],
}
HOSTS = {"mail.d.example": ["192.0.2.1"]}
REVERSE = {"192.0.2.1": ["mail.d.example"]}


def names(texts: Mapping[str, list[bytes]] | None = None, *broken: str) -> KnownNames:
    """A DNS."""
    return KnownNames(
        txt=TEXTS if texts is None else texts, hosts=HOSTS, ptr=REVERSE, broken=broken
    )


@implementer(IDmarcResults)
class Visit:
    """A connection to a server with this filter alone."""

    def __init__(
        self,
        resolver: Any = None,
        argument: str = "",
        *,
        address: str = "192.0.2.1",
        account: Account | None = None,
        clock: Any = None,
        options: CheckOptions | None = None,
    ) -> None:
        self.noted: list[tuple[float, Published, str, Row]] = []
        settings = FilterSettings(
            clock or Clock(),
            HOST,
            ".",
            names() if resolver is None else resolver,
            lambda: NOW,
            options,
            dmarc_results=self,
        )
        self.filter = make_filter(f"authentication:{argument}", settings)
        self.context = Context("s1", "mx", Peer(address, 4000, "192.0.2.2", 25))
        self.context.helo, self.context.account = "mail.d.example", account
        self.chain: IChain = Chains([Rule(self.filter)], settings.reactor).open_chain(self.context)

    def note(self, at: float, published: Published, reports_to: str, row: Row) -> None:
        """See `IDmarcResults.note`."""
        self.noted.append((at, published, reports_to, row))

    async def mail(
        self, header: bytes = HEADER, body: bytes = BODY, sender: str = "alice@d.example"
    ) -> tuple[Verdict, bytes]:
        """Send a message; give the first verdict that is against it, and the changed header."""
        local, _, domain = sender.rpartition("@")
        one = self.context.sender = Sender(Address(local, domain) if sender else None)
        verdict = await self.chain.ask(Stage.SENDER, one)
        if verdict.action >= Action.DEFER:
            return verdict, header
        mail = Mail("q1", Envelope(one, ()), header, MemoryBody(header + body))
        verdict = await self.chain.ask(Stage.MESSAGE, mail)
        return verdict, edit_header(header, verdict.changes)


def results(header: bytes) -> list[str]:
    """Give the parts of the topmost Authentication-Results."""
    found = headers.first(header, b"authentication-results")
    assert found is not None
    host, *parts = found.decode().split("; ")
    assert host == HOST
    return parts


def signed(header: bytes = HEADER, body: bytes = BODY) -> bytes:
    """Put a signature of d.example on top."""
    signer = Signer("d.example", "s", domain_key().private)
    digest = BodyHash(signer.body_form)
    digest.receive(body)
    return headers.field(NAME, signer.sign(header, digest.finish(), NOW)) + header


def test_provides() -> None:
    """The filter keeps its interface."""
    assert verifyObject(IFilter, Visit().filter)


@pytest_twisted.ensureDeferred
async def test_good_mail() -> None:
    """What is proved is written down, in one field."""
    verdict, header = await Visit().mail(signed())
    assert verdict.action is Action.CONTINUE
    iprev, sender, dkim, dmarc = results(header)
    assert iprev == "iprev=pass policy.iprev=192.0.2.1"
    assert sender == "spf=pass smtp.mailfrom=alice@d.example"
    assert dkim.startswith("dkim=pass header.d=d.example header.i=@d.example header.s=s ")
    assert dmarc == "dmarc=pass header.from=d.example"


@pytest.mark.parametrize(
    ("argument", "domain", "action"),
    [
        ("", "d.example", Action.REJECT),
        ("reject=quarantine", "d.example", Action.QUARANTINE),
        ("reject=continue", "d.example", Action.CONTINUE),
        ("reject=defer", "d.example", Action.DEFER),
        ("", "q.example", Action.QUARANTINE),
        ("quarantine=hold, none=reject", "q.example", Action.HOLD),
        ("", "n.example", Action.CONTINUE),
        ("none=discard", "n.example", Action.DISCARD),
        ("none=discard", "other.example", Action.CONTINUE),
    ],
)
@pytest_twisted.ensureDeferred
async def test_policies(argument: str, domain: str, action: Action) -> None:
    """What becomes of mail that fails a policy is the operator's to say."""
    header = b"From: x@" + domain.encode() + b"\r\n\r\n"
    verdict, _ = await Visit(argument=argument).mail(header, sender="eve@eve.example")
    assert verdict.action is action
    if action in (Action.REJECT, Action.DEFER):
        assert verdict.reply is not None
        assert "DMARC" in verdict.reply.text
        assert "example" not in verdict.reply.text


@pytest_twisted.ensureDeferred
async def test_spf_fail() -> None:
    """A host that the sender's domain does not allow is refused at MAIL, if so wished."""
    verdict, header = await Visit(address="192.0.2.9").mail(b"From: x@other.example\r\n\r\n")
    assert verdict.action is Action.CONTINUE
    assert results(header)[1] == "spf=fail smtp.mailfrom=alice@d.example"
    verdict, _ = await Visit(argument="spf_fail=reject", address="192.0.2.9").mail()
    assert verdict.reply is not None
    assert (verdict.reply.code, verdict.reply.status) == (550, "5.7.23")


@pytest_twisted.ensureDeferred
async def test_null_sender() -> None:
    """The null sender is checked by the name that the client gave itself."""
    texts = {"mail.d.example": [b"v=spf1 a -all"]}
    _, header = await Visit(names(texts)).mail(sender="")
    assert results(header)[1] == "spf=pass smtp.helo=mail.d.example"


@pytest_twisted.ensureDeferred
async def test_dns_away() -> None:
    """Mail that cannot be checked goes on, or is put off if so wished."""
    broken = ("d.example", "_dmarc.d.example", "s._domainkey.d.example", "192.0.2.1")
    verdict, header = await Visit(names(None, *broken)).mail(signed())
    assert verdict.action is Action.CONTINUE
    assert [part.split(" ")[0] for part in results(header)] == [
        f"{method}=temperror" for method in ("iprev", "spf", "dkim", "dmarc")
    ]
    for lost in broken[:2]:
        visit = Visit(names(None, lost), "temperror=defer")
        verdict, _ = await visit.mail(b"From: x@d.example\r\n\r\n")
        assert verdict.action is Action.DEFER


@pytest_twisted.ensureDeferred
async def test_no_answer_in_time() -> None:
    """A DNS that never answers is a TEMPERROR after a while."""

    class Silent(KnownNames):
        async def txt(self, name: str) -> Any:
            return await Deferred()

    clock = Clock()
    waiting = started(Visit(Silent(), clock=clock).mail())
    clock.advance(20)
    clock.advance(20)
    verdict, header = await waiting
    assert verdict.action is Action.CONTINUE
    assert [part.split(" ")[0] for part in results(header)] == [
        "iprev=permerror",
        "spf=temperror",
        "dkim=none",
        "dmarc=temperror",
    ]
    assert not clock.getDelayedCalls()


@pytest_twisted.ensureDeferred
async def test_exceptions(logged_errors: LoggedErrors) -> None:
    """An error of ours is logged, and a TEMPERROR; nothing of it gets out."""

    class Odd(KnownNames):
        async def txt(self, name: str) -> Any:
            raise ZeroDivisionError("secret")

        async def ptr(self, address: str) -> Any:
            raise ZeroDivisionError("secret")

    verdict, header = await Visit(Odd()).mail(signed())
    assert verdict.action is Action.CONTINUE
    assert b"secret" not in header
    assert len(results(header)) == 4
    assert len(logged_errors.flush(ZeroDivisionError)) == 3


@pytest_twisted.ensureDeferred
async def test_chain() -> None:
    """A chain of servers that vouch for what they found is told, and is no pass by itself."""
    sealer = Sealer("d.example", "s", domain_key().private)
    digest = BodyHash(Canonicalisation.RELAXED)
    digest.receive(BODY)
    header = b"From: x@q.example\r\n\r\n"
    fields = sealer.seal(header, digest.finish(), Chain(Result.NONE), "d.example; none", NOW)
    for name, value in fields:
        header = headers.field(name, value) + header
    verdict, header = await Visit().mail(header)
    assert verdict.action is Action.QUARANTINE
    assert results(header)[3] == "arc=pass header.d=d.example"


@pytest_twisted.ensureDeferred
async def test_a_from_that_nobody_could_check() -> None:
    """Too many domains in From do not get around the policies."""
    many = b"From: " + b", ".join(b"a@d%d.example" % n for n in range(9)) + b"\r\n\r\n"
    verdict, header = await Visit().mail(many)
    assert verdict.action is Action.QUARANTINE
    assert results(header)[3] == 'dmarc=permerror reason="too many domains in From"'


FORGED = b"Authentication-Results: MX.example.org;\r\n\tdmarc=pass header.from=bank.example\r\n"
FOREIGN = b"Authentication-Results: mx.other.example; dmarc=fail\r\n"


@pytest.mark.parametrize("account", [None, Account("alice@example.org")])
@pytest_twisted.ensureDeferred
async def test_forged_results_go(account: Account | None) -> None:
    """Fields that claim to be ours are taken out; those of other servers stay."""
    visit = Visit(account=account)
    _, header = await visit.mail(FORGED + FOREIGN + FORGED + HEADER)
    assert b"bank.example" not in header
    assert FOREIGN in header
    assert header.count(b"Authentication-Results") == (2 if account is None else 1)


@pytest_twisted.ensureDeferred
async def test_many_forged_results() -> None:
    """A thousand forged fields are taken out at once."""
    forged = b"".join(b"Authentication-Results: mx.example.org; n=%d\r\n" % n for n in range(1000))
    verdict, header = await Visit().mail(forged + b"From: x@q.example\r\n\r\n")
    assert verdict.action is Action.QUARANTINE  # by the policy, not for want of an answer
    assert len(verdict.changes) == 2
    assert b"n=1" not in header


@pytest_twisted.ensureDeferred
async def test_own_mail_is_not_checked() -> None:
    """Whoever logged in is one of us."""
    resolver = names()
    verdict, header = await Visit(resolver, account=Account("a@d.example")).mail()
    assert (verdict.action, header, resolver.asked) == (Action.CONTINUE, HEADER, [])


@pytest_twisted.ensureDeferred
async def test_local_socket() -> None:
    """A client without an address has no SPF; its mail passes by its signature."""
    verdict, header = await Visit(address="").mail(signed())
    assert verdict.action is Action.CONTINUE
    assert [part.split("=")[0] for part in results(header)] == ["dkim", "dmarc"]


@pytest.mark.parametrize("blocks", [1, 700])
@pytest_twisted.ensureDeferred
async def test_large_body(blocks: int) -> None:
    """A large body is read in a thread."""
    body = b"0123456789  abcdef\r\n" * 50 * blocks
    verdict, header = await Visit(clock=reactor).mail(signed(body=body), body)
    assert verdict.action is Action.CONTINUE
    assert results(header)[2].startswith("dkim=pass")


@pytest.mark.parametrize(
    "argument", ["reject=maybe", "reject", "host=", "spf=reject", "none=accept"]
)
def test_bad_options(argument: str) -> None:
    """What cannot be read is told with what can."""
    with pytest.raises(ConfigurationFault, match="authentication: "):
        Visit(argument=argument)


def test_needs_a_resolver() -> None:
    """Without DNS there is nothing to check by."""
    with pytest.raises(ConfigurationFault, match="resolver"):
        make_filter("authentication:", FilterSettings(Clock()))


@pytest_twisted.ensureDeferred
async def test_host() -> None:
    """Another name may vouch, and is protected then."""
    forged = b"Authentication-Results: mx.cluster.example; none\r\n"
    visit = Visit(argument="host=mx.cluster.example", account=Account("a@d.example"))
    _, header = await visit.mail(forged + FORGED + HEADER)
    assert header == FORGED + HEADER


TRUSTING = CheckOptions(trusted_sealers=(Domain("list.example"), Domain("fwd.example")))
SEALED = "d.example; dmarc=pass header.from=r.example"


def sealed(found: str, *domains: str) -> bytes:
    """Make a header that some servers sealed; the first one found these results."""
    header = b"From: x@r.example\r\n\r\n"
    digest = BodyHash(Canonicalisation.RELAXED)
    digest.receive(BODY)
    body_hash, chain = digest.finish(), Chain(Result.NONE)
    for domain in domains:
        sealer = Sealer(domain, "s", domain_key().private)
        fields = sealer.seal(header, body_hash, chain, found, NOW)
        for name, value in fields:
            header = headers.field(name, value) + header
        link = Link(*(headers.field(name, value).partition(b":")[2] for name, value in fields))
        chain, found = Chain(Result.PASS, (*chain.links, link)), f"{domain}; arc=pass"
    return header


@pytest.mark.parametrize(
    ("found", "domains", "options", "action"),
    [
        (SEALED, ["list.example"], TRUSTING, Action.CONTINUE),
        (SEALED, ["fwd.example", "list.example"], TRUSTING, Action.CONTINUE),
        (SEALED, ["list.example"], None, Action.REJECT),
        (SEALED, ["eve.example"], TRUSTING, Action.REJECT),
        (SEALED, ["eve.example", "list.example"], TRUSTING, Action.REJECT),
        (SEALED, ["list.example", "eve.example"], TRUSTING, Action.REJECT),
        (SEALED.replace("pass", "fail"), ["list.example"], TRUSTING, Action.REJECT),
        (SEALED.replace("r.example", "x.example"), ["list.example"], TRUSTING, Action.REJECT),
        ("d.example; dmarc=pass", ["list.example"], TRUSTING, Action.REJECT),
        ("d.example; spf=pass", ["list.example"], TRUSTING, Action.REJECT),
    ],
)
@pytest_twisted.ensureDeferred
async def test_trusted_sealers(
    found: str, domains: list[str], options: CheckOptions | None, action: Action
) -> None:
    """What the first of trusted sealers found counts more than a policy."""
    zone = {
        "_dmarc.r.example": [b"v=DMARC1; p=reject; rua=mailto:a@r.example"],
        **{f"s._domainkey.{domain}": [domain_key().record] for domain in domains},
    }
    visit = Visit(names(zone), options=options)
    verdict, header = await visit.mail(sealed(found, *domains), sender="x@list.example")
    assert verdict.action is action
    ((_, _, _, row),) = visit.noted
    if action is Action.REJECT:
        assert (row.disposition, row.overrides) == ("reject", ())
        return
    assert "dmarc=fail" in results(header)[-1]
    seals = [f"as[{n}].d={one} as[{n}].s=s" for n, one in enumerate(domains, 1)]
    comment = " ".join(["arc=pass", *reversed(seals)])
    assert (row.disposition, row.overrides) == ("none", (Override("local_policy", comment),))


@pytest_twisted.ensureDeferred
async def test_results_for_reports() -> None:
    """Mail of domains that want reports is noted, with all that was found."""
    zone = TEXTS | {"_dmarc.d.example": [b"v=DMARC1; p=reject; pct=0; aspf=s; rua=mailto:a@b.c"]}
    visit = Visit(names(zone))
    await visit.mail(signed(), sender="b@d.example")
    await visit.mail(sender="")
    ((at, published, wanted, row), (_, _, _, other)) = visit.noted
    assert (at, wanted) == (NOW, "mailto:a@b.c")
    assert published == Published("d.example", "reject", "reject", "r", "s", 0)
    assert (row.source, row.dkim, row.spf, row.disposition) == (
        "192.0.2.1", "pass", "pass", "none",
    )  # fmt: skip
    assert (row.header_from, row.envelope_from) == ("d.example", "d.example")
    assert [(one.domain, one.selector, one.result) for one in row.signatures] == [
        ("d.example", "s", "pass")
    ]
    assert [(one.domain, one.scope, one.result) for one in row.senders] == [
        ("d.example", "mfrom", "pass")
    ]
    assert (other.dkim, other.spf, other.disposition, other.envelope_from) == (
        "fail", "fail", "quarantine", "",
    )  # fmt: skip
    assert other.overrides == (Override("sampled_out"),)
    assert [one.scope for one in other.senders] == ["helo"]


@pytest_twisted.ensureDeferred
async def test_no_results_for_reports() -> None:
    """Where nobody wants reports, where nothing can be said yet, and of our own mail: none."""
    for visit, header in (
        (Visit(), HEADER),
        (Visit(names(TEXTS, "_dmarc.d.example")), HEADER),
        (Visit(account=Account("alice@d.example")), HEADER),
        (Visit(), b"Subject: x\r\n\r\n"),
    ):
        await visit.mail(header)
        assert not visit.noted


@pytest_twisted.ensureDeferred
async def test_signatures_that_count() -> None:
    """How long a key has to be is an option."""
    visit = Visit(options=CheckOptions(key_bits=4096))
    _, header = await visit.mail(signed())
    assert any("dkim=policy" in one and "too short" in one for one in results(header))
