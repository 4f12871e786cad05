"""What a session puts into the spool: where each copy goes is decided once, at acceptance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import pytest_twisted
from zope.interface import implementer

from mailplat.interfaces.agents import ALIAS_AGENT, LIST_AGENT, MAILBOX_AGENT
from mailplat.interfaces.routes import Expanded, Found, IRoute
from mailplat.interfaces.store import Target
from mailplat.model.address import Address
from mailplat.model.errors import Unavailable
from mailplat.model.verdict import Action, AddHeader, ChangeSender, Verdict
from mailplat.proto.smtp.offers import Dialect
from mailplat.routes.local import LocalRoute
from mailplat.routes.srs import SenderRewriting
from mailplat.routes.table import RouteTable

ALICE, BOB = "alice@example.org", "bob@example.org"
MESSAGE = "Subject: hi\r\n\r\nhello\r\n"


def at(text: str) -> Address:
    """Make an address."""
    local, _, domain = text.partition("@")
    return Address(local, domain)


@implementer(IRoute)
class Lists:
    """An alias each: for one elsewhere, for several, for a mailing list."""

    name = "lists"
    _all: Mapping[str, Sequence[str]] = {
        "away": ["x@example.net"],
        "team": [ALICE, "x@example.net", "nobody@example.org"],
        "list": [BOB, "x@example.net"],
        "half": [ALICE, "nobody@example.org"],
    }

    def is_local_domain(self, domain: str) -> bool:
        """See `IRoute.is_local_domain`."""
        return False

    async def find(self, address: Address, sender: Address | None) -> Found | None:
        """See `IRoute.find`."""
        found = self._all.get(address.local.lower())
        if found is None or address.domain != "example.org":
            return None
        owner = at("owner@example.org") if address.local.lower() == "list" else None
        return Found(Expanded(tuple(map(at, found)), owner))


@pytest.fixture
def spooled(room: Any) -> Any:
    """A server with a spool and these lists."""
    routes = RouteTable(
        [Lists(), LocalRoute(room.accounts, ["example.org"])],
        srs=SenderRewriting("example.org", [b"key"], lambda: 0.0),
    )
    room.parts = replace(room.parts, spool=room.spool, routes=routes)
    room.offers = replace(room.offers, dsn=True)
    return room


def send(room: Any, *recipients: str, message: str = MESSAGE) -> str:
    """Send a mail from elsewhere; each recipient may have parameters behind a blank."""
    client = room.hello()
    client.say("MAIL FROM:<s@example.com>\r\n")
    for one in recipients:
        address, _, parameters = one.partition(" ")
        assert client.codes(f"RCPT TO:<{address}> {parameters}".rstrip() + "\r\n") == ["250 2.1.5"]
    codes: list[str] = client.codes(f"DATA\r\n{message}.\r\n")
    return codes[-1]


def found(room: Any) -> list[dict[str, Any]]:
    """Say what is in the spool."""
    return [
        {
            "from": str(envelope.sender.address),
            "to": [
                (str(one.address), agents[one], ",".join(sorted(one.notify)), one.original)
                for one in envelope.recipients
            ],
            "first": body.partition(b"\r\n")[0].decode(),
        }
        for envelope, agents, body in room.spool.mails
    ]


def test_quarantine_is_kept(spooled: Any) -> None:
    """The mailbox of mail in quarantine goes into the spool; what leads elsewhere is held."""
    verdict = Verdict(Action.QUARANTINE, reason="odd")
    spooled.filter = {"message": lambda context, mail: verdict}
    assert send(spooled, ALICE, "away@example.org") == "250 2.0.0"
    here, _ = spooled.spool.targets
    assert {str(one.address): targets for one, targets in here.items()} == {
        ALICE: (Target(ALICE, "Junk"),)
    }
    (_, _, body), (_, _, other) = spooled.spool.mails
    for each in (body, other):
        assert b"odd\r\n" in each[each.index(b"X-Quarantine-Reason: ") :][:50]
    assert len(spooled.spool.held) == 1
    assert spooled.spool.held[0].endswith("-1")


def test_mailboxes_are_decided(spooled: Any) -> None:
    """A mailbox here is kept with its recipient, who need not be looked up again."""
    assert send(spooled, f"{ALICE} NOTIFY=SUCCESS ORCPT=rfc822;a@x.example") == "250 2.0.0"
    (mail,) = found(spooled)
    assert mail["to"] == [(ALICE, MAILBOX_AGENT, "SUCCESS", "rfc822;a@x.example")]
    (targets,) = spooled.spool.targets
    assert list(targets.values()) == [(Target(ALICE, "INBOX"),)]


def test_forwarded(spooled: Any) -> None:
    """A forwarded copy says who forwarded it; all that its sender asked for goes on with it."""
    asked = "NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a@x.example"
    assert send(spooled, f"away@example.org {asked}") == "250 2.0.0"
    (mail,) = found(spooled)
    assert mail["from"].startswith("SRS0=")
    assert mail["to"] == [("x@example.net", "", "DELAY,SUCCESS", "rfc822;a@x.example")]
    assert mail["first"] == "Delivered-To: away@example.org"


def test_alias_of_several(spooled: Any) -> None:
    """Its members report no success, the alias reports its expansion; who is unknown bounces."""
    asked = "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;t@x.example"
    assert send(spooled, f"team@example.org {asked}") == "250 2.0.0"
    here, elsewhere = found(spooled)
    first = "rfc822;t@x.example"
    assert here["to"] == [
        ("team@example.org", ALIAS_AGENT, "FAILURE,SUCCESS", first),
        (ALICE, MAILBOX_AGENT, "FAILURE", first),
        ("nobody@example.org", MAILBOX_AGENT, "FAILURE", first),
    ]
    assert here["from"] == "s@example.com"
    assert elsewhere["to"] == [("x@example.net", "", "FAILURE", first)]
    targets = {str(one.address): led for one, led in spooled.spool.targets[0].items()}
    assert targets == {ALICE: (Target(ALICE, "INBOX"),)}


def test_only_success_was_asked_for(spooled: Any) -> None:
    """Members of an alias whose sender wants nothing but success report nothing."""
    assert send(spooled, "team@example.org NOTIFY=SUCCESS") == "250 2.0.0"
    here, _ = found(spooled)
    assert [notify for _, _, notify, _ in here["to"]] == ["SUCCESS", "NEVER", "NEVER"]


def test_mailing_list(spooled: Any) -> None:
    """The list reports its delivery; its members' copies are its owner's, and ask for nothing."""
    assert send(spooled, "list@example.org NOTIFY=SUCCESS ORCPT=rfc822;l@x.example") == "250 2.0.0"
    first, copies = found(spooled)
    assert first["to"] == [("list@example.org", LIST_AGENT, "SUCCESS", "rfc822;l@x.example")]
    assert copies["from"] == "owner@example.org"
    assert copies["to"] == [(BOB, MAILBOX_AGENT, "", ""), ("x@example.net", "", "", "")]
    assert copies["first"] == "Delivered-To: list@example.org"


@pytest_twisted.ensureDeferred
async def test_loops_are_refused(spooled: Any) -> None:
    """What was delivered to an address, or forwarded by it, is not taken for it again."""
    for address in (ALICE, "away@example.org", "LIST@example.org"):
        assert send(spooled, address.lower(), message=f"Delivered-To: {address}\r\n{MESSAGE}") == (
            "554 5.4.6"
        )
        assert send(spooled, BOB, address, message=f"Delivered-To: {address}\r\n{MESSAGE}") == (
            "554 5.4.6"
        )
    assert send(spooled, BOB, message=f"Delivered-To: {ALICE}\r\n{MESSAGE}") == "250 2.0.0"
    assert spooled.spool.mails == []
    (stored,) = await spooled.mail_of(BOB)
    assert stored.startswith(
        b"Return-Path: <s@example.com>\r\nDelivered-To: bob@example.org\r\nReceived: "
    )


@pytest_twisted.ensureDeferred
async def test_several_are_not_told_of_each_other(spooled: Any) -> None:
    """A copy that is shared says for none of them that it was delivered."""
    assert send(spooled, ALICE, BOB) == "250 2.0.0"
    (stored,) = await spooled.mail_of(BOB)
    assert b"Delivered-To" not in stored


def test_a_sender_that_filters_change_is_the_one_rewritten(spooled: Any) -> None:
    """Routes are asked again for the sender that the mail really goes under."""
    verdict = Verdict(changes=(ChangeSender(at("t@example.com")), AddHeader("X-A", "b")))
    spooled.filter = {"message": lambda context, mail: verdict}
    assert send(spooled, "away@example.org") == "250 2.0.0"
    (mail,) = found(spooled)
    assert mail["from"].endswith("=example.com=t@example.org")


@pytest_twisted.ensureDeferred
async def test_lmtp(spooled: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over LMTP mailboxes are filled at once; an alias with a member who is unknown is queued."""
    spooled.dialect = Dialect.LMTP
    spooled.options = replace(spooled.options, lmtp=True)
    wire = (
        "MAIL FROM:<s@example.com>\r\nRCPT TO:<half@example.org>\r\nRCPT TO:<away@example.org>\r\n"
        f"RCPT TO:<{BOB}>\r\nDATA\r\n{MESSAGE}.\r\n"
    )
    assert spooled.hello().codes(wire)[-3:] == ["250 2.0.0", "550 5.1.2", "250 2.0.0"]
    (mail,) = found(spooled)
    assert [(address, agent) for address, agent, _, _ in mail["to"]] == [
        (ALICE, MAILBOX_AGENT),
        ("nobody@example.org", MAILBOX_AGENT),
    ]
    assert len(await spooled.mail_of(BOB)) == 1

    async def broken(*args: Any) -> None:
        raise Unavailable("away")

    monkeypatch.setattr(spooled.spool, "accept", broken)
    assert spooled.hello().codes(wire)[-3:] == ["451 4.3.0", "550 5.1.2", "250 2.0.0"]
