"""The filters that ask scanners, against fakes in every manner."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

from mailplat.config.structure import Refused
from mailplat.filters.scanning import client_name
from mailplat.interfaces.filters import Mail
from mailplat.interfaces.plugins import FilterSettings
from mailplat.message import headers
from mailplat.message.edit import edit_header
from mailplat.model.address import Address
from mailplat.model.envelope import Envelope, Recipient, Sender
from mailplat.model.errors import ConfigurationFault, Unavailable
from mailplat.model.reply import Reply
from mailplat.model.verdict import Action, AddHeader, RemoveHeader, ReplaceBody, Score, Verdict
from mailplat.spool.intake import MemoryBody
from mailplat.testing.fake_scanners import (
    FakeClamd,
    FakeHook,
    FakeRspamd,
    FakeScanner,
    FakeSpamd,
    Manner,
)
from mailplat.testing.fakes import KnownNames
from mailplat.testing.icap_services import FakeIcap
from mailplat.testing.scanners import (
    CLEAN,
    EICAR,
    GTUBE,
    ScannerContract,
    Under,
    asked,
    context,
    mail_of,
    mail_with,
    make_scanner,
)
from mailplat.testing.turns import started

MAKE: dict[str, Callable[[], Any]] = {
    "clamd": FakeClamd,
    "spamd": FakeSpamd,
    "rspamd": FakeRspamd,
    "mta_hook": FakeHook,
    "icap": FakeIcap,
}
QUICK = {"time": "300ms", "max_answer": 4096}


@pytest_twisted.async_yield_fixture(params=sorted(MAKE))
async def fake(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[FakeScanner]:
    """Every scanner's fake."""
    one = await FakeScanner(MAKE[request.param]()).listen(tmp_path / "socket")
    one.prefix = request.param  # type: ignore[attr-defined]
    yield one
    await one.stop()


def under(fake: Any) -> Under:
    """Describe a fake for the contract."""
    quarantine: dict[str, dict[str, Any]] = {
        "clamd": {"found": "quarantine"},
        "spamd": {"quarantine": 10, "reject": 2000},
        "rspamd": {"on_reject": "quarantine"},
        "mta_hook": {"token": "careful"},
        "icap": {"found": "quarantine"},
    }
    fields = {"clamd": "X-Virus-Status", "spamd": "X-Spam-Status", "rspamd": "X-Spam"}
    fields["icap"] = "X-Virus-Status"
    return Under(
        f"{fake.prefix}:{fake.where}",
        EICAR if fake.prefix in ("clamd", "icap") else GTUBE,
        quarantine[fake.prefix],
        fields.get(fake.prefix, ""),
    )


@pytest.fixture(name="under")
def under_fake(fake: FakeScanner) -> Under:
    """The fake, for the contract."""
    return under(fake)


class TestFakes(ScannerContract):
    """The fakes are as the contract wants them."""

    @pytest_twisted.ensureDeferred
    async def test_answers_byte_by_byte(self, fake: FakeScanner, under: Under) -> None:
        """An answer may come in any pieces."""
        fake.manner = Manner.BYTEWISE
        assert (await asked(under.use, mail_with(CLEAN))).action is Action.CONTINUE
        assert (await asked(under.use, mail_with(under.bad))).action is Action.REJECT

    @pytest.mark.parametrize(
        "manner", [Manner.LATE, Manner.CLOSING, Manner.CUT, Manner.GARBAGE, Manner.ENDLESS]
    )
    @pytest_twisted.ensureDeferred
    async def test_no_answer_is_no_pass(
        self, fake: FakeScanner, under: Under, manner: Manner
    ) -> None:
        """Late, cut, garbled or endless: the filter fails, and its connection is closed."""
        fake.manner = manner
        options = QUICK if "clamd" not in under.use else {"time": "300ms"}
        for text in (CLEAN, under.bad):
            with pytest.raises(Unavailable):
                await asked(under.use, mail_with(text), options=options)

    @pytest_twisted.ensureDeferred
    async def test_answer_before_the_message(
        self, fake: FakeScanner, under: Under, tmp_path: Path
    ) -> None:
        """A clean bill for a message that was not sent is none."""
        fake.manner = Manner.EARLY
        message = mail_with(under.bad, size=6_000_000)
        with pytest.raises(Unavailable):
            await asked(under.use, message, directory=tmp_path)

    @pytest_twisted.ensureDeferred
    async def test_nobody_listens(self, fake: FakeScanner, under: Under) -> None:
        """A daemon that is down fails the filter, and the reason names it."""
        await fake.stop()
        with pytest.raises(Unavailable) as caught:
            await asked(under.use, mail_with(CLEAN))
        assert fake.where.removeprefix("unix:") in caught.value.reason
        await fake.listen(Path(fake.where.removeprefix("unix:")))

    @pytest_twisted.ensureDeferred
    async def test_gets_the_message_as_it_came(
        self, fake: FakeScanner, under: Under, tmp_path: Path
    ) -> None:
        """Not a byte is changed or missing, whatever the size."""
        for size in (0, 200_000):
            message = mail_with(CLEAN, size=size)
            await asked(under.use, message, directory=tmp_path if size else None)
            if isinstance(fake.dialect, FakeHook):
                told = fake.dialect.asked[-1]["message"]
                assert told["contents"].encode() == message.partition(b"\r\n\r\n")[2]
                assert told["size"] == len(message)
            else:
                assert fake.seen[-1].endswith(message)

    @pytest_twisted.ensureDeferred
    async def test_gets_what_was_put_in_its_place(self, fake: FakeScanner, under: Under) -> None:
        """What an earlier filter replaced is scanned as it will be delivered."""
        new = ReplaceBody(under.bad + b"\r\n")
        verdict = await asked(
            under.use, mail_with(CLEAN), mail=lambda mail: replace(mail, changes=(new,))
        )
        assert verdict.action is Action.REJECT

    @pytest_twisted.ensureDeferred
    async def test_too_many_at_once_wait(self, fake: FakeScanner, tmp_path: Path) -> None:
        """No more connections than the operator wants, and all are served."""
        use = under(fake).use
        options = {"connections": 2}
        scanner = make_scanner(use, options)
        most = 0

        async def one() -> Action:
            nonlocal most
            message = mail_with(CLEAN, size=50_000)
            mail = mail_of(MemoryBody(message), message.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
            verdict: Verdict = await scanner.open().message(context(), mail)
            most = max(most, len(fake.open))
            return verdict.action

        actions = await gatherResults(started(one()) for _ in range(20))
        if hasattr(scanner, "close"):
            await scanner.close()
        assert actions == [Action.CONTINUE] * 20
        assert most <= 2


class TestClamd:
    """What only clamd has."""

    @pytest_twisted.ensureDeferred
    async def test_its_limit(self, tmp_path: Path) -> None:
        """What is beyond StreamMaxLength gets the operator's verdict."""
        fake = await FakeScanner(FakeClamd(limit=100_000)).listen(tmp_path / "socket")
        message = mail_with(EICAR, size=5_000_000)
        for word in ("defer", "reject", "quarantine"):
            verdict = await asked(f"clamd:{fake.where}", message, options={"on_oversize": word})
            assert verdict.action.name == word.upper()
        await fake.stop()

    @pytest_twisted.ensureDeferred
    async def test_by_file(self, tmp_path: Path) -> None:
        """A message that is in a file is handed over as one; it is all there."""
        fake = await FakeScanner(FakeClamd(limit=10)).listen(tmp_path / "socket")
        use, options = f"clamd:{fake.where}", {"by": "file"}
        fake.dialect.limit = 1 << 30  # type: ignore[attr-defined]
        for text, action in ((CLEAN, Action.CONTINUE), (EICAR, Action.REJECT)):
            message = mail_with(text, size=100_000)
            verdict = await asked(use, message, options=options, directory=tmp_path)
            assert verdict.action is action
            verdict = await asked(use, mail_with(text), options=options)
            assert verdict.action is action
        assert len(fake.seen) == 2, "those in memory were sent"
        await fake.stop()

    @pytest_twisted.ensureDeferred
    async def test_says_what_it_found(self, tmp_path: Path) -> None:
        """The name is in the reply, the reason and the field."""
        fake = await FakeScanner(FakeClamd()).listen(tmp_path / "socket")
        verdict = await asked(f"clamd:{fake.where}", mail_with(EICAR))
        assert verdict.reply == Reply.of(550, "Virus found: Eicar-Test", "5.7.1")
        assert AddHeader("X-Virus-Status", "Infected (Eicar-Test)") in verdict.changes
        verdict = await asked(f"clamd:{fake.where}", mail_with(CLEAN), options={"header": ""})
        assert verdict.changes == ()
        await fake.stop()


class TestSpamd:
    """What only spamd has."""

    @pytest.mark.parametrize("command", ["check", "symbols", "headers"])
    @pytest_twisted.ensureDeferred
    async def test_commands(self, tmp_path: Path, command: str) -> None:
        """Each of them refuses spam, and flags it when it is let through."""
        fake = await FakeScanner(FakeSpamd()).listen(tmp_path / "socket")
        options = {"command": command, "reject": 2000}
        verdict = await asked(f"spamd:{fake.where}", mail_with(GTUBE), options=options)
        assert verdict.action is Action.CONTINUE
        fields = {
            one.name.lower(): one.value for one in verdict.changes if isinstance(one, AddHeader)
        }
        assert fields["x-spam-flag"] == "YES"
        assert "subject" not in fields
        if command == "symbols":
            assert fields["x-spam-status"] == "Yes, score=1000.0 required=5.0 tests=GTUBE"
            assert fields["x-spam-level"] == "*" * 50
        await fake.stop()

    @pytest_twisted.ensureDeferred
    async def test_thresholds(self, tmp_path: Path) -> None:
        """Points decide, from the threshold on."""
        fake = await FakeScanner(FakeSpamd()).listen(tmp_path / "socket")
        expected: list[tuple[dict[str, float], Action]] = [
            ({"reject": 1000, "quarantine": 1}, Action.REJECT),
            ({"reject": 1000.1, "quarantine": 1000}, Action.QUARANTINE),
            ({"reject": 1000.1}, Action.CONTINUE),
        ]
        for options, action in expected:
            verdict = await asked(f"spamd:{fake.where}", mail_with(GTUBE), options=options)
            assert verdict.action is action
            assert Score("spamd", 1000.0) in verdict.changes
        await fake.stop()


class TestRspamd:
    """What only rspamd has."""

    @pytest_twisted.ensureDeferred
    async def test_tells_the_envelope(self, tmp_path: Path) -> None:
        """Sender, recipients, client and the rest travel in fields, and cannot break out."""
        fake = await FakeScanner(FakeRspamd()).listen(tmp_path)
        options = {"password": "secret", "settings": "inbound", "everything": True}
        several = [Recipient(Address(f"r{n}", "example.org")) for n in range(300)]

        def many(mail: Mail) -> Mail:
            sender = Sender(Address("a\r\nPass: none", "elsewhere.example"))
            return replace(mail, envelope=Envelope(sender, tuple(several)))

        await asked(f"rspamd:{fake.where}", mail_with(CLEAN), options=options, mail=many)
        fields = fake.dialect.fields  # type: ignore[attr-defined]
        told = {
            name: headers.first(fields, name) for name in (b"ip", b"helo", b"queue-id", b"pass")
        }
        assert told == {
            b"ip": b"192.0.2.1",
            b"helo": b"mail.elsewhere.example",
            b"queue-id": b"q1",
            b"pass": b"all",
        }
        assert headers.first(fields, b"from") == b'<"a  Pass: none"@elsewhere.example>'
        rcpt = headers.first(fields, b"rcpt") or b""
        assert rcpt.startswith(b"<r0@example.org>, <r1@example.org>")
        assert rcpt.count(b"@") == 100
        assert headers.first(fields, b"password") == b"secret"
        assert headers.first(fields, b"settings-id") == b"inbound"
        await fake.stop()

    @pytest.mark.parametrize(
        ("action", "expected"),
        [
            ("no action", Action.CONTINUE),
            ("greylist", Action.CONTINUE),
            ("add header", Action.CONTINUE),
            ("rewrite subject", Action.CONTINUE),
            ("soft reject", Action.DEFER),
            ("reject", Action.REJECT),
            ("quarantine", Action.QUARANTINE),
            ("discard", Action.DISCARD),
        ],
    )
    @pytest_twisted.ensureDeferred
    async def test_actions(self, tmp_path: Path, action: str, expected: Action) -> None:
        """Each action of rspamd's becomes what its milter would do, or what the operator says."""
        fake = await FakeScanner(FakeRspamd(action=action, subject="[SPAM] x")).listen(tmp_path)
        use = f"rspamd:{fake.where}"
        verdict = await asked(use, mail_with(CLEAN))
        assert verdict.action is expected
        flagged = AddHeader("X-Spam", "Yes") in verdict.changes
        assert flagged == (action in ("add header", "rewrite subject"))
        assert (RemoveHeader("Subject") in verdict.changes) == (action == "rewrite subject")
        if action != "no action":
            options = {"on_" + action.replace(" ", "_"): "hold"}
            assert (await asked(use, mail_with(CLEAN), options=options)).action is Action.HOLD
        await fake.stop()

    @pytest_twisted.ensureDeferred
    async def test_changes_the_header(self, tmp_path: Path) -> None:
        """Fields are removed and added as rspamd's milter would, signatures too."""
        more = {
            "milter": {
                "remove_headers": {"X-Old": 0, "X-Two": 2, "X-None": 7, "bad name": 0},
                "add_headers": {
                    "X-A": "1",
                    "X-B": {"value": "2", "order": -1},
                    "X-C": [{"value": "3", "order": 1}, "4"],
                },
            },
            "dkim-signature": "v=1; a=rsa-sha256;\r\n\td=example.org; b=abc",
        }
        fake = await FakeScanner(FakeRspamd(**more)).listen(tmp_path)
        message = mail_with(CLEAN, fields=b"X-Old: 1\r\nX-Two: a\r\nX-Two: b\r\nX-Old: 2\r\n")
        verdict = await asked(f"rspamd:{fake.where}", message)
        header = edit_header(headers.split(message)[0], verdict.changes)
        assert headers.names(header).count("x-old") == 0
        assert headers.every(header, b"X-Two") == [b"a"]
        assert headers.names(header)[:4] == ["dkim-signature", "x-c", "x-c", "x-a"]
        assert headers.names(header)[-1] == "x-b"
        assert b"d=example.org" in (headers.first(header, b"DKIM-Signature") or b"")
        await fake.stop()

    @pytest.mark.parametrize(
        "more",
        [
            {"action": "anything"},
            {"action": None},
            {"score": "high"},
            {"error": "task failed"},
            {"milter": {"add_headers": {f"X-{n}": "1" for n in range(200)}}},
        ],
    )
    @pytest_twisted.ensureDeferred
    async def test_strange_answers_fail(self, tmp_path: Path, more: dict[str, Any]) -> None:
        """An answer that makes no sense is no permission."""
        fake = await FakeScanner(FakeRspamd(**more)).listen(tmp_path)
        with pytest.raises(Unavailable):
            await asked(f"rspamd:{fake.where}", mail_with(CLEAN))
        await fake.stop()

    @pytest_twisted.ensureDeferred
    async def test_status(self, tmp_path: Path) -> None:
        """413 is a message that is too large; any other status but 200 fails."""
        dialect = FakeRspamd()
        fake = await FakeScanner(dialect).listen(tmp_path)
        dialect.status = b"413 Too Large"
        options = {"on_oversize": "quarantine"}
        verdict = await asked(f"rspamd:{fake.where}", mail_with(CLEAN), options=options)
        assert verdict.action is Action.QUARANTINE
        dialect.status = b"503 Busy"
        with pytest.raises(Unavailable):
            await asked(f"rspamd:{fake.where}", mail_with(CLEAN))
        await fake.stop()


@pytest.mark.parametrize(
    ("use", "words"),
    [
        ("clamd:nowhere", "names no daemon"),
        ("spamd:", "names no daemon"),
        ("rspamd:127.0.0.1", "expected rspamd:http"),
        ("mta_hook:ftp://x", "expected mta_hook:http"),
        ("mta_hook:http://u:p@x/", "expected mta_hook:http"),
    ],
)
def test_places_that_cannot_be_read(use: str, words: str) -> None:
    """What follows the prefix is checked at once."""
    with pytest.raises(ConfigurationFault) as caught:
        make_scanner(use)
    assert words in caught.value.reason


@pytest_twisted.ensureDeferred
async def test_the_name_of_the_client() -> None:
    """It is told if it leads back to the address; a DNS that hangs does not hold the mail up."""
    names = KnownNames(ptr={"192.0.2.1": ["a.example"]}, hosts={"a.example": ["192.0.2.1"]})
    told = FilterSettings(reactor, resolver=names)
    assert await client_name(context(), told, 5) == "a.example"
    assert await client_name(context(), FilterSettings(reactor), 5) == ""

    class Hanging(KnownNames):
        async def ptr(self, name: str) -> Any:
            await Deferred()

    assert await client_name(context(), FilterSettings(reactor, resolver=Hanging()), 0.05) == ""


@pytest.mark.parametrize(
    ("use", "options"),
    [
        ("clamd:unix:/x", {"found": "accept"}),
        ("clamd:unix:/x", {"time": "0s"}),
        ("clamd:unix:/x", {"by": "path"}),
        ("spamd:unix:/x", {"reject": "15"}),
        ("spamd:unix:/x", {"reject": True}),
        ("spamd:unix:/x", {"reject": float("nan")}),
        ("rspamd:http://x", {"connections": 0}),
        ("mta_hook:http://x", {"stages": ["vrfy"]}),
    ],
)
def test_options_that_cannot_be_read(use: str, options: dict[str, Any]) -> None:
    """The options are checked like all others."""
    with pytest.raises(Refused):
        make_scanner(use, options)


def test_numbers_are_read() -> None:
    """A threshold may be a whole number or not."""
    for points in (7, 7.5):
        assert make_scanner("spamd:unix:/x", {"reject": points}) is not None
