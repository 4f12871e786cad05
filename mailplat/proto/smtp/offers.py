"""What an SMTP server offers, and what it bounds; EHLO's keywords are computed from them.

The same values decide what EHLO says and what MAIL, RCPT and the other commands take, so the two
cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum

from mailplat.proto.sasl.exchange import Mechanisms
from mailplat.proto.smtp.xclient import ATTRIBUTES

__all__ = ["Dialect", "Limits", "Offers", "keywords"]


class Dialect(Enum):
    """Which protocol is spoken."""

    SMTP = "ESMTP"
    LMTP = "LMTP"  # RFC 2033


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may use.

    Attributes:
        message_size: Bytes of a message (RFC 1870); RFC 5321 §4.5.3.1.7 asks for 64 KiB or more.
        recipients: Accepted recipients of one message; RFC 5321 §4.5.3.1.8 asks for 100 or more.
        recipient_domains: Different domains of the recipients of one connection; None for any
            number (RFC 9422 §4.3).
        command_line: Bytes of a command line with its CRLF: 512 (RFC 5321 §4.5.3.1.4), and
            what the extensions add to MAIL (SIZE 26, BODY 17, AUTH 500, RET 9, ENVID 107,
            SMTPUTF8 10, REQUIRETLS 11, BY 17, HOLDUNTIL 34, MT-PRIORITY 15) or RCPT
            (NOTIFY 28, ORCPT 500).
        auth_line: Bytes of an AUTH command or a SASL response (RFC 4954 §3).
        text_line: Bytes of a line of the message with its CRLF; RFC 5321 §4.5.3.1.6 asks for
            1000 or more.
        bare_newlines: Whether a message may have a CR or LF outside of a CRLF.  Such a message
            is otherwise read to its true end, and refused (RFC 5321 §2.3.8).
        mend_newlines: Whether such a message is mended instead: a LF alone becomes CRLF, a CR
            alone a blank.
        errors: Refused commands (5xx) since the last accepted message; after one more the
            connection ends.  None of them is worth a reconnect, so a broken client stops.
        login_failures: Log-ins that may fail (RFC 4954 §4 asks for 3 or more).
        messages: Messages that may be accepted before the client is told to connect again.
        idle_commands: Commands that bring no mail forward, since the last accepted message.
        read_ahead: Bytes of input that may wait while an answer is awaited.
    """

    message_size: int = 50 * 1024 * 1024
    recipients: int = 1000
    recipient_domains: int | None = None
    command_line: int = 2048
    auth_line: int = 12288
    text_line: int = 65536
    bare_newlines: bool = False
    mend_newlines: bool = False
    errors: int = 20
    login_failures: int = 3
    messages: int = 1000
    idle_commands: int = 100
    read_ahead: int = 65536


@dataclass(frozen=True, slots=True)
class Offers:
    """The extensions of a listener; PIPELINING and enhanced codes are always there.

    Attributes:
        eight_bit: 8BITMIME (RFC 6152).
        smtputf8: SMTPUTF8 (RFC 6531).
        dsn: DSN (RFC 3461): promises to send the reports asked for.
        chunking: CHUNKING (RFC 3030).
        binary: BINARYMIME (RFC 3030); needs chunking.
        require_tls: REQUIRETLS, once TLS is there (RFC 8689).
        starttls: STARTTLS, until TLS is there (RFC 3207).
        mechanisms: What AUTH takes, in the order offered (RFC 4954); empty is no AUTH.
        auth_needs_tls: Whether AUTH waits for TLS.
        deliver_by: DELIVERBY (RFC 2852): the fewest seconds that mode R takes; None is no such
            offer.
        hold: FUTURERELEASE (RFC 4865): the most seconds that mail is held; 0 is no such offer.
        priority: MT-PRIORITY (RFC 6710).
    """

    eight_bit: bool = True
    smtputf8: bool = False
    dsn: bool = False
    chunking: bool = False
    binary: bool = False
    require_tls: bool = False
    starttls: bool = False
    mechanisms: Mechanisms = field(default_factory=dict)
    auth_needs_tls: bool = True
    deliver_by: int | None = None
    hold: int = 0
    priority: bool = False


def keywords(
    offers: Offers, limits: Limits, *, tls: bool, proxy: bool = False, now: int = 0
) -> tuple[str, ...]:
    """Spell what EHLO answers behind the server's name (RFC 5321 §4.1.1.1).

    Args:
        offers: What there is.
        limits: For SIZE and LIMITS.
        tls: Whether TLS protects the connection.
        proxy: Whether the client may say whom it speaks for.
        now: The time, seconds since 1970 UTC, for FUTURERELEASE.
    """
    auth = offers.mechanisms and (tls or not offers.auth_needs_tls)
    chosen = {
        "PIPELINING": True,  # RFC 2920
        f"SIZE {limits.message_size}": True,
        "STARTTLS": offers.starttls and not tls,
        "AUTH " + " ".join(offers.mechanisms): auth,
        "ENHANCEDSTATUSCODES": True,  # RFC 2034
        "8BITMIME": offers.eight_bit,
        "SMTPUTF8": offers.smtputf8,
        "DSN": offers.dsn,
        "CHUNKING": offers.chunking,
        "BINARYMIME": offers.chunking and offers.binary,
        "REQUIRETLS": offers.require_tls and tls,
        f"DELIVERBY {offers.deliver_by or ''}".rstrip(): offers.deliver_by is not None,
        f"FUTURERELEASE {offers.hold} {_time(now + offers.hold)}": offers.hold,  # RFC 4865 §4
        "MT-PRIORITY": offers.priority,
        _limits(limits): True,
        "XCLIENT " + " ".join(ATTRIBUTES): proxy,
        "HELP": True,  # RFC 5321 §4.1.1.1: optional commands are named
    }
    return tuple(keyword for keyword, offered in chosen.items() if offered)


def _limits(limits: Limits) -> str:
    """Spell what a client should not go beyond (RFC 9422 §4)."""
    text = f"LIMITS MAILMAX={limits.messages} RCPTMAX={limits.recipients}"
    if limits.recipient_domains is not None:
        text += f" RCPTDOMAINMAX={limits.recipient_domains}"
    return text


def _time(seconds: int) -> str:
    """Spell a time as RFC 3339 has it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
