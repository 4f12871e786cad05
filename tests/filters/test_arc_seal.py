"""Tests for `mailplat.filters.arc_seal`, as a configuration names it, behind another filter."""

from __future__ import annotations

from pathlib import Path

import dkim as oracle
import pytest
import pytest_twisted
from twisted.internet import reactor
from zope.interface.verify import verifyObject

from mailplat.app.parts import make_filter
from mailplat.filters.chain import Chains, Rule
from mailplat.interfaces.filters import Context, IFilter, Mail, Stage
from mailplat.interfaces.plugins import FilterSettings
from mailplat.message import headers
from mailplat.message.edit import edit_header
from mailplat.model.account import Account
from mailplat.model.address import Address
from mailplat.model.envelope import Envelope, Sender
from mailplat.model.errors import ConfigurationFault
from mailplat.model.peer import Peer
from mailplat.spool.intake import MemoryBody
from mailplat.testing.domain_keys import domain_key
from mailplat.testing.fakes import KnownNames

HEADER = b"From: Alice <alice@d.example>\r\nSubject: hi\r\n\r\n"
BODY = b"Hello\r\n"


@pytest.fixture
def settings(tmp_path: Path) -> FilterSettings:
    """A directory with a key, and its record in the DNS."""
    (tmp_path / "key.pem").write_bytes(domain_key().pem)
    names = KnownNames(txt={"s._domainkey.example.org": [domain_key().record]})
    return FilterSettings(reactor, "mx.example.org", str(tmp_path), names, lambda: 1_767_268_800)


async def sealed(
    settings: FilterSettings,
    header: bytes = HEADER,
    body: bytes = BODY,
    *,
    account: Account | None = None,
    filters: tuple[str, ...] = ("authentication:", "arc_seal:example.org:s:key.pem"),
) -> bytes:
    """Send a message; give its header with what the filters add."""
    made = [make_filter(one, settings) for one in filters]
    assert all(verifyObject(IFilter, one) for one in made)
    context = Context("s1", "mx", Peer("192.0.2.1", 4000, "192.0.2.2", 25))
    context.account = account
    sender = Sender(Address("alice", "d.example"))
    mail = Mail("q1", Envelope(sender, ()), header, MemoryBody(header + body))
    chain = Chains([Rule(one) for one in made], reactor).open_chain(context)
    verdict = await chain.ask(Stage.MESSAGE, mail)
    return edit_header(header, verdict.changes)


def verdict_of_dkimpy(message: bytes) -> object:
    """Let dkimpy verify the chain."""
    return oracle.arc_verify(message, dnsfunc=lambda name, **_: domain_key().record)[0]


@pytest.mark.parametrize("size", [1, 20_000])
@pytest_twisted.ensureDeferred
async def test_seals(settings: FilterSettings, size: int) -> None:
    """Chains grow by one set each time, and hold for dkimpy."""
    body = BODY * size
    once = await sealed(settings, body=body)
    (results,) = headers.every(once, b"arc-authentication-results")
    assert results.startswith(b"i=1; mx.example.org; iprev=")
    assert verdict_of_dkimpy(once + body) == oracle.CV_Pass
    twice = await sealed(settings, once, body)
    assert b"arc=pass header.d=example.org" in headers.every(twice, b"authentication-results")[0]
    assert headers.every(twice, b"arc-seal")[0].startswith(b"i=2; a=rsa-sha256; ")
    assert verdict_of_dkimpy(twice + body) == oracle.CV_Pass


@pytest_twisted.ensureDeferred
async def test_a_broken_chain(settings: FilterSettings) -> None:
    """Whoever finds a chain broken says so."""
    once = await sealed(settings)
    twice = await sealed(settings, once, b"Other\r\n")
    assert b"cv=fail" in headers.every(twice, b"arc-seal")[0]


@pytest_twisted.ensureDeferred
async def test_nothing_to_vouch_for(settings: FilterSettings) -> None:
    """What was not checked is not sealed."""
    assert await sealed(settings, account=Account("alice")) == HEADER
    assert await sealed(settings, filters=("arc_seal:example.org:s:key.pem",)) == HEADER


@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        ("", "arc_seal: which domain?"),
        ("example.org:s:none.pem", "arc_seal: none.pem: No such file"),
        ("example.org:s:key.pem,example.org:t:key.pem", "one key"),
    ],
)
def test_bad_keys(settings: FilterSettings, argument: str, reason: str) -> None:
    """What cannot be read is told."""
    with pytest.raises(ConfigurationFault) as told:
        make_filter(f"arc_seal:{argument}", settings)
    assert reason in told.value.reason


def test_needs_a_resolver(settings: FilterSettings) -> None:
    """Without DNS no chain can be verified."""
    alone = FilterSettings(reactor, directory=settings.directory)
    with pytest.raises(ConfigurationFault, match="resolver"):
        make_filter("arc_seal:example.org:s:key.pem", alone)
