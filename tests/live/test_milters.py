"""The filter that asks milters, with Debian's opendkim, clamav-milter and rspamd's proxy."""

from __future__ import annotations

import smtplib
from collections.abc import Callable, Iterator
from pathlib import Path
from time import time
from typing import Any

import pytest
import pytest_twisted

from mailplat.filters.asking import ResolverLookups
from mailplat.interfaces.filters import Mail
from mailplat.message import headers
from mailplat.message.auth.dkim import Verifier
from mailplat.message.auth.result import Result
from mailplat.message.edit import edit_header
from mailplat.model.account import Account
from mailplat.model.address import Address
from mailplat.model.envelope import Envelope, Recipient, Sender
from mailplat.model.verdict import Action, Verdict
from mailplat.spool.intake import MemoryBody
from mailplat.testing.domain_keys import domain_key
from mailplat.testing.fakes import KnownNames
from mailplat.testing.milter_daemons import MILTERS, MilterDaemon, start_opendkim
from mailplat.testing.scanners import CLEAN, EICAR, GTUBE, context, mail_with, make_scanner
from mailplat.testing.twistd import Installation, TwistdServer

BAD = {"clamav-milter": EICAR, "rspamd": GTUBE}
REPLIES = {"clamav-milter": "Virus: ", "rspamd": "Gtube pattern"}
TRACE = b"Received: from a.example by mx.example.org;\r\n\tMon, 02 Nov 2026 10:00:00 +0000\r\n"


async def walked(
    use: str,
    message: bytes,
    *,
    login: str = "",
    mails: int = 1,
    options: dict[str, Any] | None = None,
) -> Verdict:
    """Ask a milter about the same mail so many times; give the last verdict."""
    one, about = make_scanner(use, {"command_timeout": "5s", **(options or {})}), context()
    about.account, about.mechanism = (Account(login), "PLAIN") if login else (None, "")
    sender, recipient = (
        Sender(Address("alice", "example.org")),
        Recipient(Address("b", "c.example")),
    )
    message = TRACE + message
    header, _ = headers.split(message)
    mail = Mail(
        *("q1", Envelope(sender, (recipient,)), header, MemoryBody(message)), trace=len(TRACE)
    )
    verdict = Verdict()
    try:
        for _ in range(mails):
            stages = one.open()
            for answer in (
                stages.connect(about),
                stages.hello(about, about.helo),
                stages.sender(about, sender),
                stages.recipient(about, recipient),
            ):
                assert (await answer).action is Action.CONTINUE
            verdict = await stages.message(about, mail)
            await stages.disconnect(about)
    finally:
        await one.close()
    return verdict


@pytest.fixture(scope="session", params=sorted(MILTERS))
def milter(
    request: pytest.FixtureRequest,
    needs: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[str, MilterDaemon]]:
    """Each of the real milters that refuse something, started once."""
    needs(request.param)
    if request.param == "clamav-milter":
        needs("clamd")
    one = MILTERS[request.param](tmp_path_factory.mktemp(request.param))
    yield request.param, one
    one.stop()


@pytest.mark.parametrize("reuse", [False, True])
@pytest_twisted.ensureDeferred
async def test_says_yes_and_no(milter: tuple[str, MilterDaemon], *, reuse: bool) -> None:
    """Clean mail passes, bad mail is refused in the milter's words; also large, also again.

    Milters of libmilter's do not answer a second connection on the same one (QUIT_NC): that is
    noticed, and goes no further.
    """
    name, daemon = milter
    options = {"reuse": reuse, "connect_timeout": "500ms"}
    for size in (0, 300_000):
        clean, bad = mail_with(CLEAN, size=size), mail_with(BAD[name], size=size)
        assert (await walked(daemon.use, clean, mails=3, options=options)).action is Action.CONTINUE
        verdict = await walked(daemon.use, bad, mails=3, options=options)
        assert verdict.action is Action.REJECT
        assert verdict.reply is not None
        assert REPLIES[name] in verdict.reply.text


def test_in_a_server(milter: tuple[str, MilterDaemon], tmp_path: Path) -> None:
    """Clean mail arrives, bad mail is refused, at one connection after the other."""
    name, daemon = milter
    installation = Installation.make(tmp_path, "memory:", users=1)
    with installation.configuration.open("a") as file:
        file.write(f'\n[[filter]]\nuse = "{daemon.use}"\n')
    server = TwistdServer(installation)
    (alice,) = installation.users
    try:
        server.start()
        for _ in range(2):
            server.send(alice, mail_with(CLEAN))
            with pytest.raises(smtplib.SMTPDataError) as caught:
                server.send(alice, mail_with(BAD[name]))
            assert REPLIES[name].encode() in caught.value.smtp_error
        assert len(server.bodies(alice)) == 2
        server.stop()
        assert not server.complaints()
    finally:
        server.end()


@pytest.fixture
def key(tmp_path: Path) -> bytes:
    """A key that opendkim signs with; its record."""
    pair = domain_key()
    path = tmp_path / "key.pem"
    path.touch(0o600)
    path.write_bytes(pair.pem)
    return pair.record


@pytest.mark.parametrize("canonical", ["simple", "relaxed"])
@pytest_twisted.ensureDeferred
async def test_opendkim_signs(
    needs: Callable[[str], str], tmp_path: Path, key: bytes, canonical: str
) -> None:
    """What OpenDKIM signs through us, our own verifier finds good; then OpenDKIM does too."""
    needs("opendkim")
    record = f"s._domainkey.example.org {key.decode()}\n"
    daemon = start_opendkim(tmp_path, records=record, canonical=canonical)
    try:
        message = mail_with(CLEAN).replace(b"elsewhere.example", b"example.org")
        verdict = await walked(daemon.use, message, login="alice@example.org", mails=2)
        assert verdict.action is Action.CONTINUE
        header, body = headers.split(TRACE + message)
        signed = edit_header(header, verdict.changes)
        assert headers.first(signed, b"dkim-signature")
        lookups = ResolverLookups(KnownNames(txt={"s._domainkey.example.org": [key]}))
        verifier = Verifier(signed)
        verifier.receive(body)
        (found,) = await verifier.results(lookups.txt, time())
        assert found.result is Result.PASS, found
        verdict = await walked(daemon.use, (signed + body).removeprefix(TRACE))
        checked = edit_header(signed, verdict.changes)
        assert b"dkim=pass" in (headers.first(checked, b"authentication-results") or b"")
    finally:
        daemon.stop()
