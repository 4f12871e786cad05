"""What becomes of the mail of who logged in (RFC 6409)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import pytest_twisted

from mailplat.net.networks import Networks
from mailplat.net.rates import Rates
from mailplat.sessions.smtp.mail_rates import MailRates
from mailplat.sessions.smtp.submission import FromCheck, SubmissionOptions

ALICE, BOB = "alice@example.org", "bob@example.org"
ENVELOPE = f"MAIL FROM:<{ALICE}>\r\nRCPT TO:<{BOB}>\r\nDATA\r\n"


@pytest.fixture
def submission(room: Any) -> Any:
    """A listener for users."""
    room.options = replace(room.options, submission=True)
    return room


def set_options(room: Any, **options: Any) -> None:
    """Say what is done to mail."""
    room.options = replace(room.options, submissions=SubmissionOptions(**options))


async def stored(room: Any, header: str) -> str:
    """Send a message as Alice; give what Bob has of it behind the trace fields."""
    client = room.hello()
    assert client.log_in() == ["235 2.7.0"]
    assert client.codes(f"{ENVELOPE}{header}\r\nhello\r\n.\r\n")[-1] == "250 2.0.0"
    text = (await room.mail_of(BOB))[-1].decode()
    return str(text[text.index("+0000\r\n") + 7 :])


@pytest_twisted.ensureDeferred
async def test_missing_fields_are_added(submission: Any) -> None:
    """Date and Message-ID, below the fields that are there (RFC 6409 §8.2, §8.3)."""
    text = await stored(submission, "From: alice@example.org\r\n")
    header = text.split("\r\n\r\n")[0].split("\r\n")
    assert header[:2] == ["From: alice@example.org", "Date: Thu, 01 Jan 2026 12:00:00 +0000"]
    assert header[2].startswith("Message-ID: <")
    assert header[2].endswith("@mx.example.org>")
    whole = "Date: Fri, 02 Jan 2026 12:00:00 +0000\r\nmessage-id: <x@y>\r\n"
    assert await stored(submission, whole) == f"{whole}\r\nhello\r\n"
    set_options(submission, add_fields=False)
    assert await stored(submission, "Subject: x\r\n") == "Subject: x\r\n\r\nhello\r\n"


@pytest_twisted.ensureDeferred
async def test_bcc_is_taken_out(submission: Any) -> None:
    """Nobody sees who else got it, unless the operator wants that."""
    header = "Date: x\r\nBcc: carol@example.org,\r\n dave@example.org\r\nMessage-ID: <x@y>\r\n"
    assert await stored(submission, header) == "Date: x\r\nMessage-ID: <x@y>\r\n\r\nhello\r\n"
    set_options(submission, remove_bcc=False)
    assert "Bcc: carol" in await stored(submission, header)


@pytest_twisted.ensureDeferred
async def test_mail_from_others_is_left_alone(room: Any) -> None:
    """On the port for other servers nothing is added."""
    client = room.hello()
    client.say(f"MAIL FROM:<x@y.example>\r\nRCPT TO:<{BOB}>\r\nDATA\r\nBcc: a\r\n\r\nhi\r\n.\r\n")
    (mail,) = await room.mail_of(BOB)
    assert mail.endswith(b"+0000\r\nBcc: a\r\n\r\nhi\r\n")


FOREIGN = [
    "From: mallory@elsewhere.example\r\n",
    "From: alice@example.org, bob@example.org\r\n",
    "From: alice@example.org\r\nFrom: bob@example.org\r\n",
    'From: "alice@example.org" <bob@example.org>\r\n',
    "From: Alice\r\n",
    "From:\r\n",
    "Subject: no author\r\n",
    "From: " + ", ".join(["a@example.org"] * 51) + "\r\n",
]


@pytest.mark.parametrize("header", FOREIGN)
def test_foreign_authors(submission: Any, header: str) -> None:
    """A From field that is not the user's is refused where that is wanted."""
    client = submission.hello()
    client.log_in()
    assert client.codes(f"{ENVELOPE}{header}\r\nhello\r\n.\r\n")[-1] == "250 2.0.0"
    set_options(submission, from_check=FromCheck.WARN)
    client = submission.hello()
    client.log_in()
    assert client.codes(f"{ENVELOPE}{header}\r\nhello\r\n.\r\n")[-1] == "250 2.0.0"
    set_options(submission, from_check=FromCheck.REJECT)
    client = submission.hello()
    client.log_in()
    assert client.codes(f"{ENVELOPE}{header}\r\nhello\r\n.\r\n")[-1] == "550 5.7.1"
    good = "From: Alice <A+tag@Example.org>, alice@example.org\r\n"
    assert client.codes(f"{ENVELOPE}{good}\r\nhello\r\n.\r\n")[-1] == "250 2.0.0"


@pytest_twisted.ensureDeferred
async def test_sender_says_who_it_was(submission: Any) -> None:
    """Where From is another's, Sender tells the truth, whatever it said (RFC 6409 §8.1)."""
    set_options(submission, from_check=FromCheck.WARN, add_sender=True, add_fields=False)
    text = await stored(submission, "From: boss@elsewhere.example\r\nSender: nobody@x\r\n")
    assert text == ("From: boss@elsewhere.example\r\nSender: alice@example.org\r\n\r\nhello\r\n")
    own = "From: alice@example.org\r\n"
    assert await stored(submission, own) == f"{own}\r\nhello\r\n"


def test_rates(submission: Any) -> None:
    """So many messages and recipients an hour; other accounts have their own."""
    now = [0.0]
    rates = MailRates(Rates(lambda: now[0], 2, 3600.0), Rates(lambda: now[0], 3, 3600.0))
    submission.parts = replace(submission.parts, rates=rates)
    client = submission.hello()
    client.log_in()
    two = f"MAIL FROM:<{ALICE}>\r\nRCPT TO:<{BOB}>\r\nRCPT TO:<{ALICE}>\r\nDATA\r\n"
    mail = "From: alice@example.org\r\n\r\nhello\r\n.\r\n"
    assert client.codes(two + mail)[-1] == "250 2.0.0"
    said = client.codes(two + mail)  # one recipient is left
    assert said == ["250 2.1.0", "250 2.1.5", "450 4.7.1", "354 End", "250 2.0.0"]
    assert client.codes(f"MAIL FROM:<{ALICE}>\r\n") == ["450 4.7.1"]
    other = submission.hello()
    assert other.log_in("bob@example.org") == ["235 2.7.0"]
    assert other.codes(f"MAIL FROM:<{BOB}>\r\n") == ["250 2.1.0"]
    now[0] = 1800.0
    assert client.codes(ENVELOPE + mail)[-1] == "250 2.0.0"
    assert client.codes(f"MAIL FROM:<{ALICE}>\r\n") == ["450 4.7.1"]
    now[0] = 7200.0
    both = [submission.hello() for _ in range(4)]  # more than are left, all at once
    for one in both:
        one.log_in()
        assert one.codes(ENVELOPE.removesuffix("DATA\r\n"))[-1] == "250 2.1.5"
    assert [one.codes("DATA\r\n")[0] for one in both] == ["354 End"] * 2 + ["450 4.7.1"] * 2


def test_rates_of_addresses(room: Any) -> None:
    """Who did not log in is counted by address, unless that is trusted."""
    one, two = (Rates(lambda: 0.0, most, 60.0) for most in (1, 2))
    rates = MailRates(address_messages=one, address_recipients=two)
    room.parts = replace(room.parts, rates=rates)
    client = room.hello()
    many = "".join(f"RCPT TO:<{to}>\r\n" for to in (ALICE, BOB, "a@example.org"))
    said = client.codes(f"MAIL FROM:<x@y.example>\r\n{many}DATA\r\nA: b\r\n\r\nhi\r\n.\r\n")
    assert said[1:] == ["250 2.1.5", "250 2.1.5", "450 4.7.1", "354 End", "250 2.0.0"]
    assert room.hello().codes("MAIL FROM:<x@y.example>\r\n") == ["450 4.7.1"]
    client.log_in()
    assert client.codes(f"MAIL FROM:<{ALICE}>\r\n") == ["250 2.1.0"]
    room.parts = replace(room.parts, rates=replace(rates, trusted=Networks(["192.0.2.1"])))
    assert room.hello().codes("MAIL FROM:<x@y.example>\r\n") == ["250 2.1.0"]
