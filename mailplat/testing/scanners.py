"""What filters that ask a scanner are tested with: mails, a way to ask, and their contract.

`ScannerContract` runs against a fake (`mailplat.testing.fake_scanners`) and against the real daemon
alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor as _reactor
from twisted.internet.defer import gatherResults
from twisted.plugin import getPlugins

from mailplat import plugins
from mailplat.config.structure import structure_part
from mailplat.interfaces.bodies import IBody
from mailplat.interfaces.filters import Context, Mail
from mailplat.interfaces.plugins import FilterSettings, IFilterPlugin
from mailplat.message import headers
from mailplat.message.edit import edit_header
from mailplat.model.address import Address
from mailplat.model.envelope import Envelope, Recipient, Sender
from mailplat.model.peer import Peer
from mailplat.model.verdict import Action, Verdict
from mailplat.spool.intake import Intakes, MemoryBody
from mailplat.testing.bodies import taken
from mailplat.testing.turns import started

__all__ = [
    "CLEAN",
    "EICAR",
    "GTUBE",
    "ScannerContract",
    "Under",
    "asked",
    "context",
    "mail_of",
    "mail_with",
    "make_scanner",
]

reactor: Any = _reactor

# in pieces, so that no scanner on the developer's machine takes this file away
EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-" + b"ANTIVIRUS-TEST-FILE!$H+H*"
GTUBE = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*" + b"GTUBE-STANDARD-ANTI-" + b"UBE-TEST-EMAIL*C.34X"
CLEAN = b"Dinner at eight?"
_HEAD = (
    b"From: Alice <alice@elsewhere.example>\r\nTo: bob@example.org\r\nSubject: hello\r\n"
    b"Date: Mon, 02 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@elsewhere.example>\r\n"
)


def mail_with(text: bytes, *, size: int = 0, fields: bytes = b"") -> bytes:
    """Make a message with a line of text, behind an attachment of so many bytes."""
    if not size:
        return _HEAD + fields + b"\r\n" + text + b"\r\n"
    lines = b"the quick brown fox jumps over the lazy dog\r\n" * (size // 45 + 1)
    parts = [
        b"Content-Type: application/octet-stream\r\n\r\n" + lines,
        b"Content-Type: text/plain\r\n\r\n" + text + b"\r\n",
    ]
    kind = b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="cut"\r\n\r\n'
    whole = b"".join(b"--cut\r\n" + part for part in parts)
    return _HEAD + fields + kind + whole + b"--cut--\r\n"


def mail_of(body: IBody, header: bytes) -> Mail:
    """Make what a filter is asked about."""
    sender = Sender(Address("alice", "elsewhere.example"))
    recipient = Recipient(Address("bob", "example.org"))
    return Mail("q1", Envelope(sender, (recipient,)), header, body)


def context() -> Context:
    """Make a connection."""
    peer = Peer("192.0.2.1", 4000, "192.0.2.25", 25)
    made = Context("s1", "smtp", peer, helo="mail.elsewhere.example")
    made.sender = Sender(Address("alice", "elsewhere.example"))
    return made


def make_scanner(use: str, options: Mapping[str, Any] | None = None) -> Any:
    """Make a filter as a configuration names it, with its own options as in TOML."""
    prefix, _, argument = use.partition(":")
    plugin: Any
    (plugin,) = (one for one in getPlugins(IFilterPlugin, plugins) if one.prefix == prefix)
    read = structure_part(dict(options or {}), plugin.options(), Path(), {})
    return plugin.filter(prefix, argument, FilterSettings(reactor, "mx.example.org", options=read))


async def asked(
    use: str,
    message: bytes,
    *,
    options: Mapping[str, Any] | None = None,
    directory: Path | None = None,
    mail: Callable[[Mail], Mail] | None = None,
) -> Verdict:
    """Ask a filter about a message.

    Args:
        use: As it stands in the configuration: ``clamd:unix:/run/clamd``.
        message: The bytes.
        options: The filter's own.
        directory: Where the message is put into a file; None keeps it in memory.
        mail: Changes what the filter is told.
    """
    header, _ = headers.split(message)
    body: IBody = MemoryBody(message)
    if directory is not None:
        intake = Intakes(reactor, str(directory), spill=1000).open_intake()
        body = await taken(
            intake, [message[at : at + 65000] for at in range(0, len(message), 65000)]
        )
    what = mail_of(body, header)
    scanner = make_scanner(use, options)
    try:
        verdict: Verdict = await scanner.open().message(context(), mail(what) if mail else what)
    finally:
        body.close()
        if hasattr(scanner, "close"):
            await scanner.close()
    return verdict


@dataclass(frozen=True, slots=True)
class Under:
    """What the contract is run against.

    Attributes:
        use: The filter, as a configuration has it.
        bad: A line that it objects to.
        quarantine: Options that make it put such mail into quarantine.
        field: The field that it writes; ``""`` for none.
    """

    use: str
    bad: bytes
    quarantine: Mapping[str, Any]
    field: str = ""


class ScannerContract:
    """What a filter does that asks a scanner.

    A subclass adds the fixture ``under``.
    """

    @pytest_twisted.ensureDeferred
    async def test_clean_mail_passes(self, under: Under) -> None:
        """Mail that there is nothing against goes on."""
        assert (await asked(under.use, mail_with(CLEAN))).action is Action.CONTINUE

    @pytest_twisted.ensureDeferred
    async def test_bad_mail_is_refused(self, under: Under) -> None:
        """Mail that the scanner objects to is refused for good, with a reason for the log."""
        verdict = await asked(under.use, mail_with(under.bad))
        assert verdict.action is Action.REJECT
        assert verdict.reply is not None
        assert verdict.reply.permanent
        assert verdict.reason

    @pytest_twisted.ensureDeferred
    async def test_bad_mail_is_put_aside(self, under: Under) -> None:
        """It goes into quarantine instead where the operator wants it."""
        verdict = await asked(under.use, mail_with(under.bad), options=under.quarantine)
        assert verdict.action is Action.QUARANTINE

    @pytest.mark.parametrize("size", [70_000, 900_000])
    @pytest_twisted.ensureDeferred
    async def test_all_of_a_large_message(self, under: Under, size: int, tmp_path: Path) -> None:
        """The last line of a large message in a file is scanned too."""
        for text, action in ((CLEAN, Action.CONTINUE), (under.bad, Action.REJECT)):
            message = mail_with(text, size=size)
            assert (await asked(under.use, message, directory=tmp_path)).action is action

    @pytest_twisted.ensureDeferred
    async def test_many_at_once(self, under: Under) -> None:
        """Each of many messages gets its own verdict."""
        texts = [under.bad if number % 3 == 0 else CLEAN for number in range(30)]
        verdicts = await gatherResults(started(asked(under.use, mail_with(one))) for one in texts)
        assert [one.action is Action.REJECT for one in verdicts] == [
            one == under.bad for one in texts
        ]

    @pytest_twisted.ensureDeferred
    async def test_too_large_for_us(self, under: Under) -> None:
        """What is above the limit gets the operator's verdict, a deferral if nothing is said."""
        options = {"max_size": 1000}
        message = mail_with(CLEAN, size=2000)
        assert (await asked(under.use, message, options=options)).action is Action.DEFER
        for word in ("reject", "quarantine", "continue"):
            verdict = await asked(under.use, message, options={**options, "on_oversize": word})
            assert verdict.action.name == word.upper()

    @pytest_twisted.ensureDeferred
    async def test_forged_fields_go(self, under: Under) -> None:
        """What the sender wrote into our field is not there any more."""
        if not under.field:  # nothing to forge
            return
        message = mail_with(CLEAN, fields=f"{under.field}: forged\r\n".encode())
        verdict = await asked(under.use, message)
        header = edit_header(headers.split(message)[0], verdict.changes)
        values = headers.every(header, under.field.encode())
        assert len(values) <= 1
        assert b"forged" not in values
