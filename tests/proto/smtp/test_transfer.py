"""Tests for `mailplat.proto.smtp.transfer`, `spell` and `domains`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mailplat.model.address import Address
from mailplat.model.envelope import (
    BodyType,
    ByMode,
    DeliverBy,
    Notify,
    Recipient,
    Return,
    Sender,
)
from mailplat.model.reply import Reply
from mailplat.proto.smtp.domains import ascii_address, ascii_domain
from mailplat.proto.smtp.offers import Limits, Offers
from mailplat.proto.smtp.parse import decode_xtext, parse_mail, parse_rcpt
from mailplat.proto.smtp.peer_offers import PeerOffers
from mailplat.proto.smtp.spell import encode_xtext, is_sendable, mail_line, rcpt_line
from mailplat.proto.smtp.transfer import Contents, ContentScan, Transfer, fit

ALL = PeerOffers(
    extended=True,
    pipelining=True,
    size=1000,
    sized=True,
    eight_bit=True,
    smtputf8=True,
    dsn=True,
    chunking=True,
    binary=True,
    require_tls=True,
    mechanisms=frozenset(("PLAIN",)),
)
ANN = Recipient(Address("ann", "example.org"))
JOSE = Recipient(Address("josé", "example.org"))
BOOKS = Recipient(Address("info", "bücher.example"))
SENDER = Sender(Address("sender", "example.net"))


def scan(*blocks: bytes) -> Contents:
    """Scan a message in these blocks."""
    found = ContentScan()
    for block in blocks:
        found.receive(block)
    return found.contents()


@pytest.mark.parametrize(
    ("message", "eight_bit", "in_header"),
    [
        (b"", False, False),
        (b"A: b\r\n\r\nc", False, False),
        (b"A: b\r\n\r\n\xe9", True, False),
        (b"A: \xe9\r\n\r\nc", True, True),
        (b"A: b\n\n\xe9", True, False),
        (b"\r\n\xe9", True, False),
        (b"A: b\r\n \xe9", True, True),
    ],
)
def test_contents_at_every_cut(message: bytes, eight_bit: bool, in_header: bool) -> None:
    """What a message needs does not depend on its blocks."""
    for cut in range(len(message) + 1):
        expected = Contents(len(message), eight_bit, in_header)
        assert scan(message[:cut], message[cut:]) == expected, cut


@pytest.mark.parametrize(
    ("sender", "contents", "missing", "status"),
    [
        (SENDER, Contents(1001), {}, "5.3.4"),
        (SENDER, Contents(10, eight_bit=True), {"eight_bit": False}, "5.6.3"),
        (replace(SENDER, body=BodyType.BINARY), Contents(10), {"binary": False}, "5.6.3"),
        (replace(SENDER, smtputf8=True), Contents(9, True, True), {"smtputf8": False}, "5.6.7"),
        (Sender(JOSE.address, smtputf8=True), Contents(9), {"smtputf8": False}, "5.6.7"),
        (replace(SENDER, require_tls=True), Contents(9), {"require_tls": False}, "5.7.30"),
        (Sender(Address("a\r\nb", "x")), Contents(9), {}, "5.1.7"),
    ],
)
def test_what_does_not_fit_is_refused(
    sender: Sender, contents: Contents, missing: dict[str, bool], status: str
) -> None:
    """A mail that the server cannot take has an answer at once, for every recipient."""
    offers = replace(ALL, **missing)  # type: ignore[arg-type]
    refusals = fit(Transfer(sender, (ANN, JOSE), contents), offers, tls=True).recipients
    assert [isinstance(one, Reply) and one.status for one in refusals] == [status, status]


def test_what_is_to_be_delivered_in_time() -> None:
    """Where it cannot be returned in time, it is returned now; who delivers needs no promise."""
    for by, offers, status in (
        (DeliverBy(9, ByMode.RETURN), ALL, "5.3.3"),
        (DeliverBy(9, ByMode.RETURN), replace(ALL, deliver_by=True), None),
        (DeliverBy(0, ByMode.RETURN), replace(ALL, deliver_by=True), "5.4.7"),
        (DeliverBy(9, ByMode.RETURN), replace(ALL, deliver_by=True, least_by=10), "5.4.7"),
        (DeliverBy(-9, ByMode.NOTIFY), ALL, None),
    ):
        transfer = Transfer(replace(SENDER, deliver_by=by), (ANN,), Contents(9))
        (said,) = fit(transfer, offers, tls=False).recipients
        assert (said.status if isinstance(said, Reply) else None) == status
        assert fit(transfer, offers, tls=False, final=True).recipients == (ANN,)


def test_what_is_needed_is_asked_for() -> None:
    """8BITMIME and SMTPUTF8 are asked for where bytes or addresses need them, else not."""
    plain = fit(Transfer(replace(SENDER, smtputf8=True), (ANN,), Contents(9)), ALL, tls=False)
    assert (plain.body, plain.smtputf8) == (BodyType.SEVEN_BIT, False)
    rich = fit(Transfer(SENDER, (ANN, JOSE), Contents(9, True)), ALL, tls=False)
    assert (rich.body, rich.smtputf8) == (BodyType.EIGHT_BIT, True)


def test_domains_without_smtputf8() -> None:
    """A domain has an ASCII spelling; a local part has none, and that recipient alone fails."""
    offers = replace(ALL, smtputf8=False)
    fitted = fit(Transfer(SENDER, (BOOKS, JOSE, ANN), Contents(9)), offers, tls=False)
    books, jose, ann = fitted.recipients
    assert isinstance(books, Recipient)
    assert books.address == Address("info", "xn--bcher-kva.example")
    assert isinstance(jose, Reply)
    assert jose.status == "5.6.7"
    assert ann is ANN
    assert not fitted.smtputf8
    assert ascii_domain("EXAMPLE.org") == "example.org"
    assert ascii_domain("\u200b..x") is None
    assert ascii_address(JOSE.address) is None


@pytest.mark.parametrize(
    ("address", "good"),
    [
        (Address("a b", "example.org"), True),
        (Address("postmaster", ""), True),
        (Address("a", ""), False),
        (Address("a\nb", "example.org"), False),
        (Address("a", "example.org> X"), False),
        (Address("a", "ex\r\nample"), False),
        (Address("\ud800", "example.org"), False),
    ],
)
def test_nothing_breaks_out_of_its_line(address: Address, good: bool) -> None:
    """Addresses that could end their line or their brackets are not sent."""
    assert is_sendable(address) is good


def test_our_server_reads_what_our_client_spells() -> None:
    """Every parameter comes back as the value it was made from."""
    sender = Sender(
        Address("odd name", "bücher.example"),
        size=17,
        body=BodyType.EIGHT_BIT,
        smtputf8=True,
        returned=Return.HEADERS,
        envid="a+b =c",
        require_tls=True,
        auth="me@example.org",
    )
    line = mail_line(
        sender, ALL, size=17, body=sender.body, smtputf8=True, authenticated=True, tls=True
    )
    offers = Offers(
        smtputf8=True,
        dsn=True,
        chunking=True,
        binary=True,
        require_tls=True,
        mechanisms={"PLAIN": None},  # type: ignore[dict-item]
    )
    assert line.startswith(b"MAIL FROM:<")
    assert line.endswith(b"\r\n")
    assert parse_mail(line[5:-2], offers, Limits(), tls=True) == sender
    for smtputf8, original in [
        (False, "rfc822;ann+x@example.org"),
        (True, "utf-8;josé@example.org"),
        (False, "utf-8;josé+x\\@example.org"),
        (False, ""),
    ]:
        one = Recipient(ANN.address, frozenset((Notify.DELAY, Notify.SUCCESS)), original)
        line = rcpt_line(one, ALL, smtputf8=smtputf8)
        assert parse_rcpt(line[5:-2], offers, smtputf8=smtputf8) == one, original
    assert decode_xtext(encode_xtext("a+b =é\r\n")) == "a+b =é\r\n"


def test_nothing_is_said_that_is_not_offered() -> None:
    """A server without extensions gets bare commands."""
    sender = Sender(None, envid="x", returned=Return.FULL, auth="<>", require_tls=True)
    none = PeerOffers()
    line = mail_line(
        sender, none, size=5, body=BodyType.EIGHT_BIT, smtputf8=True, authenticated=True, tls=True
    )
    assert line == b"MAIL FROM:<>\r\n"
    one = Recipient(ANN.address, frozenset((Notify.NEVER,)), "rfc822;x@y")
    assert rcpt_line(one, none, smtputf8=False) == b"RCPT TO:<ann@example.org>\r\n"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"A: b\r\nTLS-Required: No\r\n", True),
        (b"tls-required:no\r\nA: b\r\n", True),
        (b"TLS-Required:\r\n No\r\n", True),
        (b"TLS-Required: Yes\r\n", False),
        (b"TLS-Required: No\r\nTLS-Required: No\r\n", False),  # one at most (RFC 8689 §3)
        (b"A: b\r\n", False),
        (b"A: b\r\n\r\nTLS-Required: No\r\n", False),
    ],
)
def test_mail_that_may_go_in_clear(header: bytes, expected: bool) -> None:
    """The field TLS-Required is found, wherever the header is cut."""
    message = header + b"\r\nbody\r\n"
    for cut in range(len(message)):
        scan = ContentScan()
        scan.receive(message[:cut])
        scan.receive(message[cut:])
        assert scan.contents().tls_optional is expected, cut
