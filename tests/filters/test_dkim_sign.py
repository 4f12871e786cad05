"""Tests for `mailplat.filters.dkim_sign`, as a configuration names it, in a chain."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import dkim as oracle
import pytest
import pytest_twisted
from twisted.internet import reactor
from zope.interface.verify import verifyObject

from mailplat.app.parts import make_filter
from mailplat.config.values import duration
from mailplat.filters.chain import Chains, Rule
from mailplat.filters.dkim_sign import DkimSignFilter, DkimSignOptions
from mailplat.interfaces.filters import Context, IFilter, Mail, Stage
from mailplat.interfaces.plugins import FilterSettings
from mailplat.message import headers
from mailplat.message.auth.canonical import Canonicalisation
from mailplat.message.auth.dkim import Verifier
from mailplat.message.auth.result import Result
from mailplat.message.edit import edit_header
from mailplat.model.account import Account
from mailplat.model.address import Address
from mailplat.model.envelope import Envelope, Sender
from mailplat.model.errors import ConfigurationFault
from mailplat.model.peer import Peer
from mailplat.model.verdict import Action, AddHeader, Change, RemoveHeader, ReplaceBody
from mailplat.spool.intake import MemoryBody
from mailplat.testing.domain_keys import domain_key

NOW = 1_767_268_800
HEADER = b"From: Alice <alice@d.example>\r\nSubject: hi\r\nX-Old: 1\r\n\r\n"
BODY = b"Hello\r\n"
ALICE = Account("alice@d.example", ("alice@d.example",))
RSA, ED25519 = domain_key(), domain_key("ed25519")


@pytest.fixture
def settings(tmp_path: Path) -> FilterSettings:
    """A directory with keys."""
    (tmp_path / "rsa.pem").write_bytes(RSA.pem)
    (tmp_path / "ed.pem").write_bytes(ED25519.pem)
    (tmp_path / "bad.pem").write_bytes(b"hello")
    return FilterSettings(reactor, "mx.example.org", str(tmp_path), now=lambda: NOW)


async def signed(
    settings: FilterSettings,
    argument: str = "d.example:s:rsa.pem",
    *,
    account: Account | None = ALICE,
    sender: Address | None = Address("alice", "d.example"),  # noqa: B008 -- frozen
    changes: tuple[Change, ...] = (),
    body: bytes = BODY,
) -> bytes:
    """Send a message; give its header with what the filter adds."""
    one = make_filter(f"dkim_sign:{argument}", settings)
    assert verifyObject(IFilter, one)
    context = Context("s1", "submission", Peer("192.0.2.1", 4000, "192.0.2.2", 587))
    context.account = account
    envelope = Envelope(Sender(sender), ())
    mail = Mail("q1", envelope, HEADER, MemoryBody(HEADER + body), changes)
    verdict = await Chains([Rule(one)], reactor).open_chain(context).ask(Stage.MESSAGE, mail)
    assert verdict.action is Action.CONTINUE
    return edit_header(HEADER, [*changes, *verdict.changes])


async def verified(header: bytes, body: bytes = BODY) -> list[tuple[Result, str, str]]:
    """Verify what was signed."""

    async def texts(name: str) -> list[bytes]:
        return [ED25519.record if name.startswith("ed.") else RSA.record]

    verifier = Verifier(header)
    verifier.receive(body)
    found = await verifier.results(texts, NOW)
    return [(one.result, one.domain, one.algorithm) for one in found]


@pytest.mark.parametrize("size", [1, 20_000])
@pytest_twisted.ensureDeferred
async def test_signs_any_size(settings: FilterSettings, size: int) -> None:
    """The signature holds, for dkimpy too, whatever the body's size."""
    body = BODY * size
    header = await signed(settings, body=body)
    assert await verified(header, body) == [(Result.PASS, "d.example", "rsa-sha256")]
    assert oracle.verify(header + body, dnsfunc=lambda name, **_: RSA.record)


@pytest_twisted.ensureDeferred
async def test_two_keys(settings: FilterSettings) -> None:
    """A domain may sign with a key of each kind (RFC 8463 §3)."""
    header = await signed(settings, "D.example:s:rsa.pem, d.example:ed:ed.pem")
    assert await verified(header) == [
        (Result.PASS, "d.example", "ed25519-sha256"),
        (Result.PASS, "d.example", "rsa-sha256"),
    ]


@pytest_twisted.ensureDeferred
async def test_signs_what_will_be_sent(settings: FilterSettings) -> None:
    """What earlier filters wish changed is signed as it will be."""
    changes = (
        RemoveHeader("Subject"),
        AddHeader("Subject", "[list] hi", on_top=False),
        ReplaceBody(b"Bye\r\n"),
    )
    header = await signed(settings, changes=changes)
    assert headers.first(header, b"subject") == b"[list] hi"
    assert await verified(header, b"Bye\r\n") == [(Result.PASS, "d.example", "rsa-sha256")]


@pytest.mark.parametrize(
    ("account", "sender", "domains"),
    [
        (ALICE, Address("alice", "D.Example"), ["d.example"]),
        (ALICE, Address("alice", "mail.d.example"), ["d.example"]),
        (ALICE, Address("bob", "e.example"), []),
        (ALICE, Address("bob", "bad.example"), []),
        (ALICE, None, ["d.example"]),
        (Account("alice"), None, []),
        (None, Address("alice", "d.example"), []),
    ],
)
@pytest_twisted.ensureDeferred
async def test_who_signs(
    settings: FilterSettings, account: Account | None, sender: Address | None, domains: list[str]
) -> None:
    """The envelope's sender says which domain signs, and only for who logged in."""
    header = await signed(settings, account=account, sender=sender)
    assert [domain for _, domain, _ in await verified(header)] == domains


@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        ("", "which domain?"),
        ("d.example", "DOMAIN:SELECTOR:PATH"),
        ("localhost:s:rsa.pem", "DOMAIN:SELECTOR:PATH"),
        ("d.example:s:none.pem", "none.pem: No such file"),
        ("d.example:s:bad.pem", "bad.pem: not a private key"),
    ],
)
def test_bad_keys(settings: FilterSettings, argument: str, reason: str) -> None:
    """What cannot be read is told."""
    with pytest.raises(ConfigurationFault) as told:
        make_filter(f"dkim_sign:{argument}", settings)
    assert reason in told.value.reason


@pytest_twisted.ensureDeferred
async def test_options(settings: FilterSettings) -> None:
    """Canonical forms, expiry and signing once more than there is are options."""
    chosen = DkimSignOptions(
        oversign=False,
        expires=duration("1d"),
        header_form=Canonicalisation.SIMPLE,
        body_form=Canonicalisation.SIMPLE,
    )
    header = await signed(replace(settings, options=chosen))
    value = (headers.first(header, b"dkim-signature") or b"").replace(b"\r\n", b"")
    assert b"c=simple/simple" in value
    assert b"x=%d" % (NOW + 86_400) in value
    assert b"h=from: subject;" in value
    assert await verified(header) == [(Result.PASS, "d.example", "rsa-sha256")]
    assert b"h=from: from: to:" in (headers.first(await signed(settings), b"dkim-signature") or b"")


@pytest_twisted.ensureDeferred
async def test_own_mail(settings: FilterSettings) -> None:
    """What the server itself writes is signed too, if there is a key for its domain."""
    one = make_filter("dkim_sign:d.example:s:rsa.pem", settings)
    assert isinstance(one, DkimSignFilter)
    message = await one.signed("mail.D.example", HEADER + BODY)
    assert message.endswith(HEADER + BODY)
    header, body = headers.split(message)
    assert await verified(header, body) == [(Result.PASS, "d.example", "rsa-sha256")]
    assert await one.signed("e.example", HEADER + BODY) == HEADER + BODY
