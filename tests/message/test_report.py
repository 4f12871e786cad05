"""Tests for `mailplat.message.report`: read back by the standard library."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.message.report import Action, Fate, Report, delivery_report
from mailplat.model.address import Address
from mailplat.model.envelope import Recipient, Sender
from mailplat.model.reply import Reply

NOON = 1_767_268_800
SENDER = Sender(Address("alice", "example.org"), envid="QQ314159")
ANN = Recipient(Address("ann", "example.net"), original="rfc822;Ann@Old.example")
HEADER = b"From: alice@example.org\r\nSubject: lunch\r\nMessage-ID: <1@example.org>\r\n\r\n"
NO = Reply(550, ("No such user", "sorry"), "5.1.1")


def read(report: Report) -> tuple[EmailMessage, list[Any], bytes]:
    """Write a report; give the message, the blocks of its second part, and its bytes."""
    data = delivery_report(report, "r1", NOON + 60)
    message = message_from_bytes(data, policy=policy.default)
    assert isinstance(message, EmailMessage)
    status = list(message.iter_parts())[1]
    blocks = [
        dict(
            line.split(": ", 1)
            for line in block.partition("\r\n--")[0].split("\r\n")
            if ": " in line
        )
        for block in data.decode("utf-8").split("\r\n\r\n")
        if block.startswith(("Original-Envelope-Id", "Reporting-MTA", "Original-R", "Final-R"))
    ]
    assert status.get_content_maintype() == "message"
    return message, blocks, data


def test_failure() -> None:
    """A failure report has its three parts, with the sender's parameters in the second."""
    fate = Fate(ANN, Action.FAILED, NO, "mx.example.net", NOON + 5)
    message, blocks, data = read(
        Report("mail.example.org", "q1", SENDER, NOON, [fate], HEADER, b"Noon?\r\n")
    )
    assert message["From"] == "Mail Delivery System <MAILER-DAEMON@mail.example.org>"
    assert message["To"] == "alice@example.org"
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["In-Reply-To"] == "<1@example.org>"
    assert message.get_content_type() == "multipart/report"
    assert message["Content-Type"].params["report-type"] == "delivery-status"
    text, status, returned = message.iter_parts()
    assert '"lunch"' in text.get_content()
    assert "mx.example.net said: 550 5.1.1 No such user sorry" in text.get_content()
    assert status.get_content_type() == "message/delivery-status"
    assert blocks == [
        {
            "Original-Envelope-Id": "QQ314159",
            "Reporting-MTA": "dns; mail.example.org",
            "X-Mailplat-Queue-ID": "q1",
            "Arrival-Date": "Thu, 01 Jan 2026 12:00:00 +0000",
        },
        {
            "Original-Recipient": "rfc822; Ann@Old.example",
            "Final-Recipient": "rfc822; ann@example.net",
            "Action": "failed",
            "Status": "5.1.1",
            "Remote-MTA": "dns; mx.example.net",
            "Diagnostic-Code": "smtp; 550 5.1.1 No such user sorry",
            "Last-Attempt-Date": "Thu, 01 Jan 2026 12:00:05 +0000",
        },
    ]
    assert returned.get_content_type() == "message/rfc822"
    assert HEADER + b"Noon?\r\n" in data
    assert data.isascii()


def test_delay_and_success() -> None:
    """Delays say until when; what was asked for and what was not are left as they are."""
    plain = Sender(Address("alice", "example.org"))
    until = NOON + 5 * 86400
    late = Fate(
        Recipient(ANN.address), Action.DELAYED, Reply.of(451, "Wait", "4.7.1"), "mx", until=until
    )
    done = Fate(Recipient(Address("bob", "example.org")), Action.DELIVERED, None)
    on = Fate(Recipient(Address("c", "example.com")), Action.RELAYED, Reply.of(250, "ok"), "mx2")
    message, blocks, data = read(
        Report("mail.example.org", "q1", plain, NOON, [late, done, on], HEADER)
    )
    assert message["Subject"] == "Your mail is delayed"
    assert "Original-Envelope-Id" not in blocks[0]
    assert blocks[1]["Status"] == "4.7.1"
    assert blocks[1]["Will-Retry-Until"] == "Tue, 06 Jan 2026 12:00:00 +0000"
    assert blocks[2] == {
        "Final-Recipient": "rfc822; bob@example.org",
        "Action": "delivered",
        "Status": "2.0.0",
    }
    assert (blocks[3]["Action"], blocks[3]["Diagnostic-Code"]) == ("relayed", "smtp; 250 ok")
    assert list(message.iter_parts())[2].get_content_type() == "text/rfc822-headers"
    assert data.count(HEADER) == 1


def test_international() -> None:
    """Addresses beyond ASCII make a report of the other types (RFC 6533)."""
    fate = Fate(Recipient(Address("änn", "example.net")), Action.FAILED, NO, "mx")
    message, blocks, _ = read(Report("mail.example.org", "q1", SENDER, NOON, [fate], HEADER))
    assert [one.get_content_type() for one in message.iter_parts()] == [
        "text/plain",
        "message/global-delivery-status",
        "message/global-headers",
    ]
    assert blocks[1]["Final-Recipient"] == "utf-8; änn@example.net"
    assert message["Content-Transfer-Encoding"] == "8bit"


def test_without_a_mail_and_without_codes() -> None:
    """What cannot be read is left out; a status is there in any case, and fits the action."""
    fates = [
        Fate(ANN, Action.FAILED, Reply.of(550, "no")),
        Fate(ANN, Action.FAILED, Reply.of(451, "given up", "4.4.1")),
        Fate(ANN, Action.DELAYED, Reply.of(451, "odd", "9.9")),
        Fate(ANN, Action.DELIVERED, Reply.of(250, "odd", "5.0.0")),
    ]
    message, blocks, _ = read(Report("mail.example.org", "q1", SENDER, NOON, fates, b""))
    assert len(list(message.iter_parts())) == 2
    assert [one["Status"] for one in blocks[1:]] == ["5.0.0", "4.4.1", "4.0.0", "2.0.0"]
    assert blocks[1]["Diagnostic-Code"] == "x-mailplat; 550 no"


NASTY = st.text(st.sampled_from("a\r\n:;é\0--=_ <>\x85\u2028Subject"), max_size=40)


@settings(max_examples=80)
@given(NASTY, NASTY, NASTY, NASTY, st.booleans())
def test_nothing_breaks_out(envid: str, said: str, remote: str, local: str, whole: bool) -> None:
    """Whatever hosts say and addresses hold, there are three parts and one block a recipient."""
    sender = Sender(Address(local or "x", "example.org"), envid=envid)
    header = HEADER.replace(b"lunch", said.encode().replace(b"\n", b"") or b"x") + b"--=_r1\r\n"
    who = Recipient(Address(local or "x", "example.net"), original=f"rfc822;{envid}")
    fate = Fate(who, Action.FAILED, Reply.of(550, said, "5.0.0"), remote)
    data = delivery_report(
        Report("mail.example.org", "q1", sender, NOON, [fate, fate], header, b"--=_r1--" * whole),
        "r1",
        NOON,
    )
    top, _, _ = data.partition(b"\r\n\r\n")
    names = [line.partition(b":")[0] for line in top.split(b"\r\n") if not line.startswith(b"\t")]
    assert set(names) <= {
        *(b"Date", b"From", b"To", b"Subject", b"Message-ID", b"Auto-Submitted"),
        *(b"In-Reply-To", b"References", b"MIME-Version", b"Content-Type"),
        b"Content-Transfer-Encoding",
    }
    boundary = top.partition(b'boundary="')[2].partition(b'"')[0]
    parts = data.split(b"--" + boundary + b"\r\n")
    assert len(parts) == 4
    status = parts[2].partition(b"\r\n\r\n")[2]
    assert status.rstrip(b"\r\n").count(b"\r\n\r\n") == 2
    assert status.count(b"Final-Recipient: ") == 2


@pytest.mark.parametrize("body", [b"no end", b"end\r\n", b""])
def test_boundary_stands_on_a_line_of_its_own(body: bytes) -> None:
    """A mail that ends without a line end does not swallow the boundary."""
    fate = Fate(ANN, Action.FAILED, NO)
    data = delivery_report(
        Report("mail.example.org", "q1", SENDER, NOON, [fate], HEADER, body), "r1", NOON
    )
    assert data.endswith(b"\r\n--=_r1--\r\n")
