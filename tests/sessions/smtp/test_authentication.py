"""Mail is signed where it is submitted, and proved where it comes in, through whole sessions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import dkim as oracle
import pytest
import pytest_twisted
from twisted.internet import reactor

from mailplat.app.parts import make_filter
from mailplat.filters.chain import Chains, Rule
from mailplat.interfaces.plugins import FilterSettings
from mailplat.message import headers
from mailplat.testing.domain_keys import domain_key
from mailplat.testing.fakes import KnownNames
from mailplat.testing.turns import until

BOB = "bob@example.org"
HEADER = "From: Alice <alice@example.org>\r\nTo: bob@example.org\r\nSubject: hi\r\n\r\n"
FORGED = "Authentication-Results: mx.example.org; dmarc=pass header.from=bank.example\r\n"


def filtered(room: Any, tmp_path: Path, *filters: str) -> None:
    """Give the server these filters."""
    (tmp_path / "key.pem").write_bytes(domain_key().pem)
    names = KnownNames(
        txt={
            "s._domainkey.example.org": [domain_key().record],
            "example.org": [b"v=spf1 -all"],
            "_dmarc.example.org": [b"v=DMARC1; p=reject"],
        }
    )
    settings = FilterSettings(reactor, "mx.example.org", str(tmp_path), names, room.parts.now)
    rules = [Rule(make_filter(one, settings)) for one in filters]
    room.parts = replace(room.parts, chains=Chains(rules, room.clock))


async def sent(client: Any, sender: str, message: str) -> str:
    """Send a message to Bob; give the code at its end."""
    client.say(f"MAIL FROM:<{sender}>\r\nRCPT TO:<{BOB}>\r\nDATA\r\n")
    said = [client.say(message.replace("\r\n.", "\r\n..") + ".\r\n")]

    def answered() -> bool:
        said.append(client.wire.take().decode())
        return any(said)

    await until(answered)
    return "".join(said)[:9]


@pytest.mark.parametrize("lines", [1, 20_000])
@pytest_twisted.ensureDeferred
async def test_from_submission_to_mailbox(room: Any, tmp_path: Path, lines: int) -> None:
    """What was signed on its way out passes on its way in; a changed one is refused."""
    filtered(room, tmp_path, "dkim_sign:example.org:s:key.pem")
    client = room.hello()
    client.log_in()
    body = ".a  line\twith blanks \r\n" * lines + "\r\n\r\n"
    assert await sent(client, "alice@example.org", HEADER + body) == "250 2.0.0"
    (stored,) = await room.mail_of(BOB)
    assert oracle.verify(stored, dnsfunc=lambda name, **_: domain_key().record)
    top = b"Return-Path: <alice@example.org>\r\nDelivered-To: bob@example.org\r\n"
    assert stored.startswith(top + b"DKIM-Signature: v=1; ")

    filtered(room, tmp_path, "authentication:")
    signed = FORGED + stored[stored.index(b"DKIM-") :].decode()
    client = room.hello()
    assert await sent(client, "alice@example.org", signed) == "250 2.0.0"
    assert await sent(client, "alice@example.org", signed.replace(": hi", ": no")) == "550 5.7.1"
    _, passed = await room.mail_of(BOB)
    header, _ = headers.split(passed)
    (found,) = headers.every(header, b"authentication-results")
    assert found.startswith(b"mx.example.org; iprev=permerror ")
    assert b"; spf=fail smtp.mailfrom=alice@example.org; dkim=pass header.d=example.org" in found
    assert found.endswith(b"; dmarc=pass header.from=example.org")
    assert oracle.verify(passed, dnsfunc=lambda name, **_: domain_key().record)
