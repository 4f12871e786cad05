"""Tests for `mailplat.sessions.smtp`: who may send what to whom."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import pytest_twisted

from mailplat.model.errors import StorageFull
from mailplat.model.mailbox import QuotaLimit
from mailplat.proto.smtp.offers import Dialect
from mailplat.sessions.smtp.queue_ids import QueueIds
from mailplat.sessions.smtp.submission import SubmissionOptions
from mailplat.testing.strict import LoggedErrors
from mailplat.testing.turns import until

ALICE, BOB = "alice@example.org", "bob@example.org"
TO_ALICE = f"MAIL FROM:<c@d.example>\r\nRCPT TO:<{ALICE}>\r\n"
MESSAGE = "Subject: hi\r\n\r\nhello\r\n"


@pytest_twisted.ensureDeferred
async def test_mail_is_in_the_mailbox_before_the_250(room: Any) -> None:
    """An accepted message is in INBOX, with its trace fields on top."""
    client = room.hello()
    assert client.greeting == "220 mx.example.org ESMTP mailplat\r\n"
    assert client.codes(TO_ALICE) == ["250 2.1.0", "250 2.1.5"]
    assert client.codes("DATA\r\n") == ["354 End"]
    said = client.say(MESSAGE + ".\r\n")
    assert said.startswith("250 2.0.0 Ok: queued as ")
    queue_id = said.split()[-1]
    (stored,) = await room.mail_of(ALICE)
    assert stored.decode() == (
        "Return-Path: <c@d.example>\r\n"
        f"Delivered-To: {ALICE}\r\n"
        "Received: from c.example ([192.0.2.1])\r\n"
        f"\tby mx.example.org with ESMTP id {queue_id}\r\n"
        f"\tfor <{ALICE}>;\r\n"
        "\tThu, 01 Jan 2026 12:00:00 +0000\r\n" + MESSAGE
    )
    assert client.codes("QUIT\r\n") == ["221 2.0.0"]


@pytest_twisted.ensureDeferred
async def test_whole_dialogue_in_one_read(room: Any) -> None:
    """Everything pipelined gives the same, in one write."""
    client = room.connect()
    wire = "EHLO c\r\n" + (TO_ALICE + "DATA\r\n" + MESSAGE + ".\r\n") * 3 + "QUIT\r\n"
    assert client.codes(wire).count("250 2.0.0") == 3
    assert client.wire.writes == 2
    assert len(await room.mail_of(ALICE)) == 3
    assert client.wire.closing


@pytest_twisted.ensureDeferred
async def test_several_recipients_share_one_commit(room: Any) -> None:
    """Each account has one copy, however often it was named; nobody's name is told."""
    client = room.hello()
    client.say(TO_ALICE + f"RCPT TO:<A@example.org>\r\nRCPT TO:<{BOB}>\r\n")
    assert client.codes("DATA\r\n" + MESSAGE + ".\r\n")[-1] == "250 2.0.0"
    (one,), (other,) = await room.mail_of(ALICE), await room.mail_of(BOB)
    assert one == other
    assert b"\tfor <" not in one


@pytest_twisted.ensureDeferred
async def test_recipients(room: Any) -> None:
    """Unknown users, other people's domains, postmaster."""
    client = room.hello()
    client.say("MAIL FROM:<>\r\n")
    assert client.codes("RCPT TO:<nobody@example.org>\r\n") == ["550 5.1.1"]
    assert client.codes("RCPT TO:<x@elsewhere.example>\r\n") == ["550 5.7.1"]
    assert client.codes("RCPT TO:<x%elsewhere.example@example.net>\r\n") == ["550 5.7.1"]
    assert client.codes("DATA\r\n") == ["554 5.5.1"]
    assert client.codes("RCPT TO:<POSTMASTER>\r\n") == ["250 2.1.5"]
    assert client.codes("RCPT TO:<alice+lists@EXAMPLE.org>\r\n") == ["250 2.1.5"]
    assert client.codes("DATA\r\n.\r\n")[-1] == "250 2.0.0"
    (mail,) = await room.mail_of(BOB)
    assert mail.startswith(b"Return-Path: <>\r\n")
    assert len(await room.mail_of(ALICE)) == 1


@pytest_twisted.ensureDeferred
async def test_over_quota(room: Any) -> None:
    """A full mailbox is told at RCPT, or at the end where nobody could know before."""
    home = await room.store.open_home(ALICE)
    await home.set_limit(QuotaLimit(storage=500))
    client = room.hello()
    assert client.codes("MAIL FROM:<> SIZE=501\r\n") == ["250 2.1.0"]
    assert client.codes(f"RCPT TO:<{ALICE}>\r\nRCPT TO:<{BOB}>\r\n") == ["452 4.2.2", "250 2.1.5"]
    client.say("RSET\r\nMAIL FROM:<>\r\n" + f"RCPT TO:<{ALICE}>\r\nRCPT TO:<{BOB}>\r\n")
    assert client.codes("DATA\r\n" + "x" * 500 + "\r\n.\r\n")[-1] == "452 4.2.2"
    assert await room.mail_of(ALICE) == await room.mail_of(BOB) == []
    await home.set_limit(QuotaLimit(messages=0))
    assert client.codes(TO_ALICE) == ["250 2.1.0", "452 4.2.2"]


@pytest_twisted.ensureDeferred
async def test_too_big(room: Any) -> None:
    """SIZE tells at MAIL; otherwise the end does, and the memory is given back."""
    room.limits = replace(room.limits, message_size=1000)
    client = room.hello()
    assert client.codes("MAIL FROM:<> SIZE=1001\r\n") == ["552 5.3.4"]
    left = room.intakes.memory_left
    client.say(TO_ALICE + "DATA\r\n")
    assert client.codes("x" * 600 + "\r\n") == []
    assert room.intakes.memory_left < left
    assert client.codes("x" * 600 + "\r\n") == []
    assert room.intakes.memory_left == left
    assert client.codes("x" * 9999 + "\r\n.\r\nNOOP\r\n") == ["552 5.3.4", "250 2.0.0"]
    assert await room.mail_of(ALICE) == []
    assert client.codes(TO_ALICE + "DATA\r\n.\r\n")[-1] == "250 2.0.0"


@pytest_twisted.ensureDeferred
async def test_large_messages_go_through_a_file(room: Any) -> None:
    """A message above what is kept in memory comes out as it went in."""
    client = room.hello()
    client.say(TO_ALICE + "DATA\r\n")
    text = b"Subject: large\r\n\r\n" + b"0123456789abcde\r\n" * 40_000
    for start in range(0, len(text), 65536):
        assert client.say(text[start : start + 65536]) == ""
    client.connection.dataReceived(b".\r\n")
    await until(lambda: b"queued" in client.wire.written())
    (stored,) = await room.mail_of(ALICE)
    assert stored.endswith(text)


@pytest_twisted.ensureDeferred
async def test_bdat(room: Any) -> None:
    """Chunks make one message."""
    client = room.hello()
    client.say(TO_ALICE)
    assert client.codes("BDAT 15\r\nSubject: hi\r\n\r\nBDAT 7 LAST\r\nhello\r\n") == [
        "250 2.0.0",
        "250 2.0.0",
    ]
    (stored,) = await room.mail_of(ALICE)
    assert stored.endswith(MESSAGE.encode())


@pytest_twisted.ensureDeferred
async def test_nothing_of_a_broken_connection_is_stored(room: Any) -> None:
    """A connection lost in the middle of a message leaves nothing."""
    left = room.intakes.memory_left
    client = room.hello()
    client.say(TO_ALICE + "DATA\r\n" + MESSAGE)
    client.lose()
    assert room.intakes.memory_left == left
    assert await room.mail_of(ALICE) == []


@pytest_twisted.ensureDeferred
async def test_lost_while_it_is_stored(room: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit under way is not disturbed when its client goes."""
    from twisted.internet.defer import Deferred

    gate: Deferred[None] = Deferred()
    deliver = room.store.deliver

    async def slow(message: Any, targets: Any) -> Any:
        await gate
        return await deliver(message, targets)

    monkeypatch.setattr(room.store, "deliver", slow)
    left = room.intakes.memory_left
    client = room.hello()
    client.say(TO_ALICE + "DATA\r\n" + MESSAGE + ".\r\n")
    client.lose()
    gate.callback(None)
    (stored,) = await room.mail_of(ALICE)
    assert stored.endswith(MESSAGE.encode())
    assert room.intakes.memory_left == left


@pytest_twisted.ensureDeferred
async def test_store_fails(
    room: Any, monkeypatch: pytest.MonkeyPatch, logged_errors: LoggedErrors
) -> None:
    """What the store raises is told in its public words; what we did wrong is not told."""
    client = room.hello()
    for error, code in (
        (StorageFull("/var is full"), "452 4.3.1"),
        (ZeroDivisionError("secret"), "451 4.3.0"),
    ):

        async def broken(message: Any, targets: Any, error: Exception = error) -> Any:
            raise error

        monkeypatch.setattr(room.store, "deliver", broken)
        client.say(TO_ALICE + "DATA\r\n")
        said = client.say(MESSAGE + ".\r\n")
        assert said.startswith(code)
        assert "secret" not in said
        assert "/var" not in said
    assert len(logged_errors.flush(ZeroDivisionError)) == 1
    monkeypatch.undo()
    assert client.codes(TO_ALICE + "DATA\r\n.\r\n")[-1] == "250 2.0.0"


def test_accounts_fail(room: Any) -> None:
    """While nobody can be looked up, mail is put off and so are log-ins."""
    client = room.hello()
    room.accounts.broken = True
    assert client.codes(TO_ALICE) == ["250 2.1.0", "451 4.3.0"]
    client.say("RSET\r\n")
    assert client.log_in() == ["454 4.7.0"]


@pytest_twisted.ensureDeferred
async def test_loop(room: Any) -> None:
    """A message that went through too many servers is stopped."""
    room.options = replace(room.options, max_received=3)
    client = room.hello()
    hop = "Received: from a by b; Thu, 01 Jan 2026 12:00:00 +0000\r\n"
    assert client.codes(TO_ALICE + "DATA\r\n" + hop * 3 + MESSAGE + ".\r\n")[-1] == "554 5.4.6"
    assert client.codes(TO_ALICE + "DATA\r\n" + hop * 2 + MESSAGE + ".\r\n")[-1] == "250 2.0.0"


def test_helo_and_vrfy(room: Any) -> None:
    """HELO is told in the trace; VRFY tells nothing."""
    client = room.connect()
    assert client.codes("HELO c\r\nVRFY alice\r\n") == ["250 mx.example.org", "252 2.5.0"]


# -- submission


@pytest.fixture
def submission(room: Any) -> Any:
    """A listener for users."""
    room.options = replace(room.options, submission=True)
    return room


@pytest_twisted.ensureDeferred
async def test_submission(submission: Any) -> None:
    """Without a log-in nothing is taken; with one, from one's own addresses alone."""
    client = submission.hello()
    assert client.codes(f"MAIL FROM:<{ALICE}>\r\nVRFY x\r\n") == ["530 5.7.0", "530 5.7.0"]
    assert client.log_in() == ["235 2.7.0"]
    assert client.codes(f"MAIL FROM:<{BOB}>\r\n") == ["553 5.7.1"]
    assert client.codes("MAIL FROM:<x@elsewhere.example>\r\n") == ["553 5.7.1"]
    assert client.codes("MAIL FROM:<A+tag@Example.org>\r\nRSET\r\n") == ["250 2.1.0", "250 2.0.0"]
    assert client.codes("MAIL FROM:<>\r\nRSET\r\n") == ["250 2.1.0", "250 2.0.0"]
    assert client.codes(f"MAIL FROM:<{ALICE}>\r\nRCPT TO:<{BOB}>\r\n")[-1] == "250 2.1.5"
    assert client.codes("RCPT TO:<x@elsewhere.example>\r\n") == ["550 5.7.1"]
    assert client.codes("DATA\r\n" + MESSAGE + ".\r\n")[-1] == "250 2.0.0"
    (stored,) = await submission.mail_of(BOB)
    assert b"with ESMTPA id" in stored


def test_submission_needs_tls(submission: Any) -> None:
    """Where passwords need TLS, that is said first."""
    submission.offers = replace(submission.offers, auth_needs_tls=True, starttls=True)
    client = submission.hello()
    assert "a STARTTLS command first" in client.say(f"MAIL FROM:<{ALICE}>\r\n")
    assert client.log_in() == ["538 5.7.11"]
    assert client.codes("STARTTLS\r\nEHLO evil\r\n") == ["220 2.0.0"]
    assert client.wire.tls is not None
    assert client.wire.clear_text.endswith(b"220 2.0.0 Ready to start TLS\r\n")


def test_any_sender(submission: Any) -> None:
    """An operator may allow every sender address."""
    submission.options = replace(submission.options, submissions=SubmissionOptions(any_sender=True))
    client = submission.hello()
    client.log_in()
    assert client.codes("MAIL FROM:<x@elsewhere.example>\r\n") == ["250 2.1.0"]


def test_wrong_passwords_wait(submission: Any) -> None:
    """Each further guess waits longer, before the password is looked at."""
    client = submission.hello()
    assert client.log_in(password="wrong") == ["535 5.7.8"]
    assert client.log_in(password="wronger") == []
    assert submission.accounts.asked == 1
    submission.clock.advance(2)
    assert client.wire.take().startswith(b"535 5.7.8")
    assert submission.accounts.asked == 2
    assert client.log_in() == []
    submission.clock.advance(4)
    assert client.wire.take().startswith(b"235 2.7.0")


def test_nobody_acts_for_another(submission: Any) -> None:
    """An authorization identity may only be one's own."""
    client = submission.hello()
    assert client.codes("AUTH PLAIN Ym9iAGFsaWNlQGV4YW1wbGUub3JnAHNlY3JldA==\r\n") == ["535 5.7.8"]


@pytest_twisted.ensureDeferred
async def test_lmtp(room: Any) -> None:
    """LMTP answers for each recipient, and one full mailbox holds up nobody else."""
    room.dialect = Dialect.LMTP
    room.options = replace(room.options, lmtp=True)
    home = await room.store.open_home(ALICE)
    await home.set_limit(QuotaLimit(storage=400))
    client = room.hello()
    client.say(f"MAIL FROM:<>\r\nRCPT TO:<{ALICE}>\r\nRCPT TO:<{BOB}>\r\nRCPT TO:<{ALICE}>\r\n")
    assert client.codes("DATA\r\n" + "x" * 500 + "\r\n.\r\n")[1:] == [
        "452 4.2.2",
        "250 2.0.0",
        "452 4.2.2",
    ]
    assert await room.mail_of(ALICE) == []
    (stored,) = await room.mail_of(BOB)
    assert b"with LMTP id" in stored
    client.say(f"MAIL FROM:<>\r\nRCPT TO:<{ALICE}>\r\nRCPT TO:<{BOB}>\r\n")
    assert client.codes("DATA\r\n" + MESSAGE + ".\r\n")[1:] == ["250 2.0.0"] * 2


def test_queue_ids() -> None:
    """Names ascend and are never the same, even while the clock stands still or goes back."""
    times = iter([5.0, 5.0, 4.0, 6.0])
    names = QueueIds(lambda: next(times), "abc")
    given = [names() for _ in range(4)]
    assert given == sorted(set(given))
    assert all(name.endswith("abc") for name in given)
    assert len(QueueIds(lambda: 1e9)()) >= 12
