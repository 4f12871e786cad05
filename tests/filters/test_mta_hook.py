"""Tests for the hook that asks a web service, beyond the scanners' contract."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor as _reactor

from mailplat.interfaces.filters import Stage
from mailplat.message import headers
from mailplat.message.edit import edit_body, edit_header
from mailplat.model.account import Account
from mailplat.model.address import Address
from mailplat.model.envelope import Recipient, Sender
from mailplat.model.errors import ConfigurationFault, Unavailable
from mailplat.model.peer import Peer, TLSInfo
from mailplat.model.reply import Reply
from mailplat.model.verdict import Action, AddRecipient, ChangeSender, RemoveRecipient
from mailplat.net.selfsigned import write_self_signed
from mailplat.net.tls import CertificateFiles, TLSContexts, behind_tls
from mailplat.proto.mta_hook import Contents, HookStage, read_answer, request
from mailplat.testing.fake_scanners import (
    FakeHook,
    FakeScanner,
)
from mailplat.testing.scanners import (
    CLEAN,
    asked,
    context,
    mail_with,
    make_scanner,
)

reactor: Any = _reactor
HEADER = b"X-A: 1\r\nX-B: one\r\nX-A: 2\r\nX-A:\r\n 3\r\n\r\n"


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
@settings(max_examples=150)
def test_contents_however_they_are_cut(message: bytes, cuts: list[int]) -> None:
    """The blocks of a message make one JSON text, whatever the bytes and the cuts."""
    begun = request(HookStage.DATA, Peer("", 0, "", 0), header=b"A: b\r\n\r\n", size=len(message))
    contents, made, at = Contents(), begun, 0
    for cut in [*sorted(cuts), len(message)]:
        made += contents.spell(message[at:cut])
        at = max(at, min(cut, len(message)))
    found = json.loads(made + contents.finish())
    assert found["message"]["contents"] == message.decode("utf-8", "replace")


def test_what_a_service_is_told() -> None:
    """The request has the names that services know."""
    tls = TLSInfo("TLSv1.3", "TLS_AES_256_GCM_SHA384")
    sender = Sender(Address("a", "x.example"), size=7, smtputf8=True)
    made = request(
        HookStage.DATA,
        Peer("192.0.2.1", 4000, "192.0.2.25", 25, tls),
        helo="mail.x.example",
        hostname="host.x.example",
        login="alice",
        server="mx.example.org",
        queue_id="q1",
        sender=sender,
        recipients=[Recipient(Address("b", "example.org"))],
        header=HEADER,
        size=99,
    )
    assert json.loads(made + Contents().finish()) == {
        "context": {
            "stage": "data",
            "sasl": {"login": "alice"},
            "client": {
                "ip": "192.0.2.1",
                "port": 4000,
                "ptr": "host.x.example",
                "helo": "mail.x.example",
                "activeConnections": 1,
            },
            "tls": {"version": "TLSv1.3", "cipher": "TLS_AES_256_GCM_SHA384"},
            "server": {"name": "mx.example.org", "port": 25, "ip": "192.0.2.25"},
            "queue": {"id": "q1"},
            "protocol": {"version": 1},
        },
        "envelope": {
            "from": {
                "address": "a@x.example",
                "parameters": {"body": "7BIT", "size": "7", "smtputf8": ""},
            },
            "to": [{"address": "b@example.org"}],
        },
        "message": {
            "headers": [
                ["X-A", "1\r\n"],
                ["X-B", "one\r\n"],
                ["X-A", "2\r\n"],
                ["X-A", "\r\n 3\r\n"],
            ],
            "size": 99,
            "contents": "",
        },
    }


def answer(*modifications: Any, **more: Any) -> bytes:
    """Write an answer."""
    return json.dumps({"action": "accept", "modifications": modifications, **more}).encode()


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        ({"type": "addHeader", "name": "X-N", "value": "v"}, b"1 one 2 3 v"),
        ({"type": "insertHeader", "index": 0, "name": "X-N", "value": "v"}, b"v 1 one 2 3"),
        ({"type": "changeHeader", "index": 2, "name": "X-A", "value": "v"}, b"1 one 3 v"),
        ({"type": "deleteHeader", "index": 3, "name": "x-a"}, b"1 one 2"),
        ({"type": "deleteHeader", "index": 9, "name": "x-a"}, b"1 one 2 3"),
    ],
)
def test_changes_of_the_header(one: dict[str, Any], expected: bytes) -> None:
    """Fields are added, put in front, replaced and removed."""
    header = edit_header(HEADER, read_answer(answer(one), HEADER).changes)
    values = [value.strip() for _, value in headers.pairs(header)]
    assert b" ".join(values) == expected


def test_changes_of_the_envelope_and_the_body() -> None:
    """Sender, recipients and contents."""
    found = read_answer(
        answer(
            {"type": "changeFrom", "value": "new@x.example", "parameters": {}},
            {"type": "changeFrom", "value": ""},
            {"type": "addRecipient", "value": "more@example.org"},
            {"type": "deleteRecipient", "value": "b@example.org"},
            {"type": "replaceContents", "value": "Grüße\r\n"},
        )
    ).changes
    assert found[:4] == (
        ChangeSender(Address("new", "x.example")),
        ChangeSender(None),
        AddRecipient(Address("more", "example.org")),
        RemoveRecipient(Address("b", "example.org")),
    )
    assert edit_body(found) == "Grüße\r\n".encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b'{"action": "maybe"}',
        b'{"action": ["accept"]}',
        b'{"action": "reject", "response": 5}',
        b'{"action": "reject", "response": {"status": "550"}}',
        b"[" * 100_000,
        answer({"type": "explode"}),
        answer("addHeader"),
        answer({"type": "addHeader", "name": "bad name", "value": "v"}),
        answer({"type": "addHeader", "name": "X"}),
        answer({"type": "addRecipient", "value": "nobody"}),
        answer({"type": "addRecipient", "value": "a@b>\r\nRCPT TO:<c@d"}),
    ],
)
def test_answers_that_make_no_sense(content: bytes) -> None:
    """What cannot be used is an error, never a permission."""
    with pytest.raises(Unavailable):
        read_answer(content, HEADER)


@pytest.mark.parametrize(
    ("more", "action", "reply"),
    [
        ({"action": "accept"}, Action.CONTINUE, None),
        ({"action": "discard"}, Action.DISCARD, None),
        ({"action": "quarantine"}, Action.QUARANTINE, None),
        ({"action": "reject"}, Action.REJECT, Reply.of(550, "Refused by policy", "5.7.1")),
        (
            {
                "action": "reject",
                "response": {"status": 554, "enhancedStatus": "5.7.0", "message": "a\r\nb"},
            },
            Action.REJECT,
            Reply.of(554, "a??b", "5.7.0"),
        ),
        (
            {"action": "reject", "response": {"status": 451, "enhancedStatus": "5.1.1"}},
            Action.DEFER,
            Reply.of(451, "Refused by policy", "4.7.1"),
        ),
        (
            {"action": "reject", "response": {"status": 250, "message": "fine"}},
            Action.REJECT,
            Reply.of(550, "fine", "5.7.1"),
        ),
    ],
)
@pytest_twisted.ensureDeferred
async def test_verdicts(
    tmp_path: Path, more: dict[str, Any], action: Action, reply: Reply | None
) -> None:
    """Actions and replies become verdicts; a reply that is no refusal is not said."""
    fake = await FakeScanner(FakeHook(**more)).listen(tmp_path)
    verdict = await asked(f"mta_hook:{fake.where}", mail_with(CLEAN))
    assert (verdict.action, verdict.reply) == (action, reply)
    await fake.stop()


@pytest_twisted.ensureDeferred
async def test_stages(tmp_path: Path) -> None:
    """It is asked where the operator wants it, with what is known there."""
    dialect = FakeHook()
    fake = await FakeScanner(dialect).listen(tmp_path)
    stages = ["connect", "ehlo", "auth", "mail", "rcpt"]
    hook = make_scanner(f"mta_hook:{fake.where}", {"stages": stages})
    assert list(hook.stages) == [
        *(Stage.CONNECT, Stage.HELLO, Stage.AUTH, Stage.SENDER, Stage.RECIPIENT)
    ]
    one, where = hook.open(), context()
    alice = Account("alice", ())
    assert (await one.connect(where)).action is Action.CONTINUE
    await one.hello(where, "mail")
    where.account = alice
    await one.auth(where, alice)
    await one.sender(where, where.sender)
    await one.recipient(where, Recipient(Address("bob", "example.org")))
    await hook.close()
    assert [found["context"]["stage"] for found in dialect.asked] == stages
    assert ["envelope" in found for found in dialect.asked] == [False] * 3 + [True] * 2
    assert dialect.asked[-1]["envelope"]["to"] == [{"address": "bob@example.org"}]
    assert dialect.asked[2]["context"]["sasl"] == {"login": "alice"}
    await fake.stop()


@pytest_twisted.ensureDeferred
async def test_replaces_a_large_message(tmp_path: Path) -> None:
    """An answer may hold a message; one beyond the limit is an error."""
    text = "new\r\n" * 40_000
    more = {"modifications": [{"type": "replaceContents", "value": text}]}
    fake = await FakeScanner(FakeHook(**more)).listen(tmp_path)
    verdict = await asked(f"mta_hook:{fake.where}", mail_with(CLEAN))
    assert edit_body(verdict.changes) == text.encode()
    with pytest.raises(Unavailable):
        await asked(f"mta_hook:{fake.where}", mail_with(CLEAN), options={"max_answer": 100_000})
    await fake.stop()


@pytest_twisted.ensureDeferred
async def test_bytes_beyond_utf8(tmp_path: Path) -> None:
    """A message in another charset arrives, with what is no UTF-8 marked."""
    dialect = FakeHook()
    fake = await FakeScanner(dialect).listen(tmp_path)
    for size in (0, 200_000):
        message = mail_with(b"caf\xe9 \xf0\x9f\x98\x80", size=size)
        await asked(f"mta_hook:{fake.where}", message, directory=tmp_path)
        assert "caf\ufffd 😀" in dialect.asked[-1]["message"]["contents"]
    await fake.stop()


class TestToken:
    """Who gets the token."""

    @pytest.mark.parametrize(
        "url", ["http://192.0.2.1/", "http://hook.example.org/", "http://localhost.example.org/"]
    )
    def test_not_in_clear(self, url: str) -> None:
        """It is no configuration that sends it over a network in clear."""
        with pytest.raises(ConfigurationFault) as caught:
            make_scanner(f"mta_hook:{url}", {"token": "very-secret"})
        assert "very-secret" not in str(caught.value)

    @pytest_twisted.ensureDeferred
    async def test_over_tls(self, tmp_path: Path) -> None:
        """It goes to a server with a certificate that is trusted, and to no other."""
        pem = tmp_path / "server.pem"
        write_self_signed(pem, ["localhost"], datetime.now(UTC))
        dialect = FakeHook()
        fake = FakeScanner(dialect)
        factory = behind_tls(fake.factory(), TLSContexts([CertificateFiles(pem, pem)]))
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        use = f"mta_hook:https://localhost:{port.getHost().port}/hook"
        try:
            options = {"token": "very-secret", "authorities": str(pem)}
            assert (await asked(use, mail_with(CLEAN), options=options)).action is Action.CONTINUE
            assert b"Bearer very-secret" in dialect.fields
            with pytest.raises(Unavailable) as caught:
                await asked(use, mail_with(CLEAN), options={"token": "very-secret"})
            assert "very-secret" not in caught.value.reason
        finally:
            await port.stopListening()
