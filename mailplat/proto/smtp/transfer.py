"""One mail for one server: what is to be handed over, and what came of it for each recipient.

`fit` holds a mail against what the server offers, before a word of it is said: who cannot be
served there has an answer at once, and everything else goes out in a form that the server knows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from mailplat.message.headers import every, split
from mailplat.model.address import Address
from mailplat.model.envelope import BodyType, ByMode, Recipient, Sender
from mailplat.model.errors import TooBig
from mailplat.model.reply import Reply
from mailplat.proto.smtp.domains import ascii_address
from mailplat.proto.smtp.peer_offers import PeerOffers
from mailplat.proto.smtp.spell import is_sendable

__all__ = ["NO_REQUIRE_TLS", "ContentScan", "Contents", "Fitted", "Result", "Transfer", "fit"]

_TOO_BIG = Reply(TooBig.code, ("The next server does not take a message of this size",), "5.3.4")
_NO_EIGHT_BIT = Reply.of(554, "The next server takes no 8-bit message", "5.6.3")
_NO_BINARY = Reply.of(554, "The next server takes no binary message", "5.6.3")
_NO_UTF8 = Reply.of(550, "The next server takes no internationalised mail", "5.6.7")
NO_REQUIRE_TLS = Reply.of(550, "REQUIRETLS support required", "5.7.30")
"""Another host of the domain may offer it (RFC 8689 §4.2.1)."""
_TOO_LATE = Reply.of(554, "Too late to deliver it within the time that was asked for", "5.4.7")
_NO_DELIVER_BY = Reply.of(554, "The next server does not promise to deliver in time", "5.3.3")
_BAD_SENDER = Reply.of(553, "The sender's address cannot be sent", "5.1.7")
_BAD_RECIPIENT = Reply.of(553, "The address cannot be sent", "5.1.3")

_HEADER = 256 * 1024
"""Bytes of a header that are looked at for fields."""
_HEADER_END = re.compile(rb"\n\r?\n")


@dataclass(frozen=True, slots=True)
class Contents:
    """What the bytes of a message ask of a server.

    Attributes:
        size: How many there are.
        eight_bit: Some byte is above 127.
        eight_bit_header: So in the header.
        tls_optional: Its sender asks to have it sent in clear rather than not at all, by the field
            ``TLS-Required: No`` (RFC 8689 §3).
    """

    size: int
    eight_bit: bool = False
    eight_bit_header: bool = False
    tls_optional: bool = False


class ContentScan:
    """Finds `Contents` in blocks, cut anywhere."""

    def __init__(self) -> None:
        self._size = 0
        self._eight_bit = self._eight_bit_header = False
        self._tail: bytes | None = b"\n"  # None behind the header
        self._header: list[bytes] = []

    def receive(self, block: bytes) -> None:
        """Look at the next bytes."""
        self._size += len(block)
        high = not block.isascii()
        self._eight_bit |= high
        if self._tail is None:
            return
        if self._size <= _HEADER or not self._header:
            self._header.append(block[:_HEADER])
        data = self._tail + block
        end = _HEADER_END.search(data)
        if high:
            self._eight_bit_header |= not (data[: end.end()] if end else data).isascii()
        self._tail = None if end else data[-2:]

    def contents(self) -> Contents:
        """Tell what was found."""
        header = split(b"".join(self._header))[0]
        asked = [value.strip().lower() for value in every(header, b"tls-required")]
        return Contents(self._size, self._eight_bit, self._eight_bit_header, asked == [b"no"])


@dataclass(frozen=True, slots=True)
class Transfer:
    """A mail to be handed over in one transaction.

    Attributes:
        sender: The reverse path.
        recipients: Whom the server is to serve; at least one.
        contents: What the message needs.
        verify: Only ask about the recipients: the transaction ends before the message.
    """

    sender: Sender
    recipients: tuple[Recipient, ...]
    contents: Contents
    verify: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a transfer for one recipient.

    Attributes:
        reply: The server's last word on it, or ours where it had none.
        unsure: The message was sent to its end and no answer came: the server may have it.
            A retry may double it, none may lose it: RFC 5321 §4.5.3.2.6 takes the first.
    """

    reply: Reply
    unsure: bool = False


@dataclass(frozen=True, slots=True)
class Fitted:
    """A mail in the form that one server takes.

    Attributes:
        sender: The reverse path.
        recipients: For each recipient of the transfer, what to say or why it cannot be.
        body: What BODY has to say.
        smtputf8: Whether SMTPUTF8 is needed.
    """

    sender: Sender
    recipients: tuple[Recipient | Reply, ...]
    body: BodyType
    smtputf8: bool


def fit(transfer: Transfer, offers: PeerOffers, *, tls: bool, final: bool = False) -> Fitted:
    """Bring a mail into the form that a server takes.

    Args:
        transfer: The mail.
        offers: What the server offers.
        tls: Whether TLS protects the connection.
        final: Whether the server delivers and does not relay, as LMTP's do: then it is in time.
    """
    sender, contents = transfer.sender, transfer.contents
    body = BodyType.SEVEN_BIT
    if sender.body is BodyType.BINARY:
        body = BodyType.BINARY
    elif contents.eight_bit:
        body = BodyType.EIGHT_BIT
    # the extension is asked for only where it is needed (RFC 6531 §3.4)
    smtputf8 = sender.smtputf8 and contents.eight_bit_header
    refusal = _refusal(sender, contents, body, smtputf8, offers, tls)
    if not final:
        refusal = refusal or _too_late(sender, offers)
    address = sender.address
    if address is not None and refusal is None:
        if not is_sendable(address):
            refusal = _BAD_SENDER
        elif not address.ascii_only and not offers.smtputf8:
            address = ascii_address(address)
            refusal = None if address else _NO_UTF8
    recipients = tuple(refusal or _fit_recipient(one, offers) for one in transfer.recipients)
    smtputf8 = smtputf8 or not all(
        one.ascii_only for one in _addresses(address, recipients) if one is not None
    )
    return Fitted(replace(sender, address=address), recipients, body, smtputf8)


def _refusal(
    sender: Sender,
    contents: Contents,
    body: BodyType,
    smtputf8: bool,
    offers: PeerOffers,
    tls: bool,
) -> Reply | None:
    if offers.size is not None and contents.size > offers.size:  # RFC 1870 §6.1
        return _TOO_BIG
    if body is BodyType.BINARY and not offers.binary:  # RFC 3030 §3
        return _NO_BINARY
    if body is BodyType.EIGHT_BIT and not offers.eight_bit:  # RFC 6152 §3
        return _NO_EIGHT_BIT
    if smtputf8 and not offers.smtputf8:  # RFC 6531 §3.2
        return _NO_UTF8
    # a report is not lost for want of it (RFC 8689 §5)
    if sender.require_tls and sender.address is not None and not (tls and offers.require_tls):
        return NO_REQUIRE_TLS
    return None


def _too_late(sender: Sender, offers: PeerOffers) -> Reply | None:
    """Tell why a mail cannot be relayed that is to be delivered by a time, or else returned."""
    by = sender.deliver_by
    if by is None or by.mode is not ByMode.RETURN:
        return None
    if not offers.deliver_by:  # nobody there would take it back in time
        return _NO_DELIVER_BY
    return _TOO_LATE if by.seconds <= 0 or by.seconds < offers.least_by else None  # RFC 2852 §4


def _fit_recipient(recipient: Recipient, offers: PeerOffers) -> Recipient | Reply:
    address: Address | None = recipient.address
    assert address is not None
    if not is_sendable(address):
        return _BAD_RECIPIENT
    if address.ascii_only or offers.smtputf8:
        return recipient
    address = ascii_address(address)
    return _NO_UTF8 if address is None else replace(recipient, address=address)


def _addresses(
    sender: Address | None, recipients: tuple[Recipient | Reply, ...]
) -> list[Address | None]:
    return [sender, *(one.address for one in recipients if isinstance(one, Recipient))]
