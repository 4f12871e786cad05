"""The commands MAIL and RCPT as a client spells them (RFC 5321 §4.1.1, RFC 3461 §4).

Only parameters that the server offers are given; what cannot be said without an extension that is
missing, `mailplat.proto.smtp.transfer` has found out before.

Invariant: nothing in an address or a parameter can end its line or add a parameter.
"""

from __future__ import annotations

import re

from mailplat.model.address import Address
from mailplat.model.envelope import BodyType, Recipient, Sender
from mailplat.proto.smtp.peer_offers import PeerOffers

__all__ = ["encode_xtext", "is_sendable", "mail_line", "rcpt_line"]

_NOT_XTEXT = re.compile(rb"[^!-*,-<>-~]")
_UNSENDABLE = re.compile("[\x00-\x1f\x7f\u0085\u2028\u2029\ud800-\udfff]")
_UNSENDABLE_DOMAIN = re.compile(r"[\s<>\"\\,@]")


def is_sendable(address: Address) -> bool:
    """Whether an address can stand in a command line at all."""
    return not (
        _UNSENDABLE.search(address.local)
        or _UNSENDABLE.search(address.domain)
        or _UNSENDABLE_DOMAIN.search(address.domain)
        or (not address.domain and address.local.lower() != "postmaster")
    )


def encode_xtext(text: str) -> str:
    """Encode what a parameter cannot hold as it is (RFC 3461 §4)."""
    return _NOT_XTEXT.sub(lambda match: b"+%02X" % match[0][0], text.encode()).decode("ascii")


def mail_line(
    sender: Sender,
    offers: PeerOffers,
    *,
    size: int,
    body: BodyType,
    smtputf8: bool,
    authenticated: bool,
    tls: bool,
) -> bytes:
    """Spell MAIL.

    Args:
        sender: The reverse path, sendable.
        offers: What the server offers.
        size: Bytes of the message (RFC 1870 §6).
        body: What the message needs.
        smtputf8: Whether the mail needs SMTPUTF8.
        authenticated: Whether the server knows who we are: only then AUTH= is for it.
        tls: Whether TLS protects the connection: only then REQUIRETLS may be said.
    """
    words = [f"MAIL FROM:<{sender.address or ''}>"]
    if offers.sized:
        words.append(f"SIZE={size}")
    if body is not BodyType.SEVEN_BIT and (offers.eight_bit or offers.binary):
        words.append(f"BODY={body.value}")
    if smtputf8 and offers.smtputf8:
        words.append("SMTPUTF8")
    if offers.dsn:
        if sender.returned is not None:
            words.append(f"RET={sender.returned.value}")
        if sender.envid:
            words.append(f"ENVID={encode_xtext(sender.envid)}")
    if sender.auth is not None and offers.mechanisms and authenticated:
        words.append(f"AUTH={sender.auth if sender.auth == '<>' else encode_xtext(sender.auth)}")
    if sender.require_tls and offers.require_tls and tls:
        words.append("REQUIRETLS")  # RFC 8689 §4.2.1
    if sender.deliver_by is not None and offers.deliver_by:
        by = sender.deliver_by
        words.append(f"BY={by.seconds};{by.mode.value}{'T' if by.trace else ''}")  # RFC 2852 §4
    if sender.priority and offers.priority:
        words.append(f"MT-PRIORITY={sender.priority}")  # RFC 6710 §4.2
    return " ".join(words).encode() + b"\r\n"


def rcpt_line(recipient: Recipient, offers: PeerOffers, *, smtputf8: bool) -> bytes:
    """Spell RCPT for a sendable address.

    Args:
        recipient: The forward path.
        offers: What the server offers.
        smtputf8: Whether MAIL had SMTPUTF8: the original recipient may then be beyond ASCII.
    """
    words = [f"RCPT TO:<{recipient.address}>"]
    if offers.dsn:
        if recipient.notify:
            words.append("NOTIFY=" + ",".join(sorted(recipient.notify)))
        original = _original(recipient.original, smtputf8=smtputf8)
        if original:
            words.append(f"ORCPT={original}")
    return " ".join(words).encode() + b"\r\n"


def _original(original: str, *, smtputf8: bool) -> str:
    """Spell ORCPT; text beyond ASCII in the way that fits the connection (RFC 6533 §3)."""
    kind, _, address = original.partition(";")
    if kind.lower() != "utf-8" or address.isascii():
        return f"{kind};{encode_xtext(address)}" if address else ""
    text = "".join(
        char
        if ("!" <= char <= "~" and char not in "+=\\") or (smtputf8 and char > "\u00a0")
        else f"\\x{{{ord(char):02X}}}"
        for char in address
    )
    return f"{kind};{text}"
