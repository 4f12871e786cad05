"""What SMTP and POP3 allow a client: ``[smtp]``, ``[pop3]``; IMAP is in `sections.imap`."""

from __future__ import annotations

from enum import StrEnum

import attrs

from mailplat.config.option import option
from mailplat.config.values import Duration, Size, duration, size

__all__ = ["BareNewlines", "POP3Options", "SMTPOptions"]


class BareNewlines(StrEnum):
    """What becomes of a message with a CR or LF that is no line end."""

    REFUSE = "refuse"
    ACCEPT = "accept"


@attrs.frozen(kw_only=True)
class SMTPOptions:
    """Taking mail in: SMTP, submission and LMTP."""

    idle_timeout: Duration = option(
        duration("5m"),
        least=1,
        meaning="How long a client may take for its next command, or for the next bytes of a "
        "message.",
        precedent="RFC 5321 §4.5.3.2.7",
    )
    max_recipients: int = option(
        1000,
        unit="recipients",
        least=100,
        meaning="How many a message may have; further ones are told to come in another one.",
        precedent="Postfix smtpd_recipient_limit; RFC 5321 §4.5.3.1.8 (at least 100)",
    )
    max_command_line: Size = option(
        size("2KiB"),
        least=512,
        meaning="The longest command line.",
        precedent="Postfix line_length_limit; RFC 5321 §4.5.3.1.4 (at least 512)",
    )
    any_sender: bool = option(
        False,
        meaning="Whether someone who logged in may send with the addresses of others.",
        precedent="RFC 6409 §6.1; Postfix reject_sender_login_mismatch",
    )
    max_errors: int = option(
        10,
        unit="replies",
        least=1,
        meaning="How many commands may fail before the connection is closed.",
        precedent="Postfix smtpd_soft_error_limit",
    )
    max_idle_commands: int = option(
        100,
        unit="commands",
        least=10,
        meaning="How many commands that bring no mail forward (NOOP, RSET, VRFY) may follow each "
        "other before the connection is closed.",
        precedent="Postfix smtpd_junk_command_limit (100)",
    )
    max_messages: int = option(
        1000,
        unit="messages",
        least=1,
        meaning="How many messages one connection may bring.",
        precedent="Exim smtp_accept_max_per_connection",
    )
    max_text_line: Size = option(
        size("64KiB"),
        least=1000,
        meaning="The longest line of a message.",
        precedent="RFC 5321 §4.5.3.1.6 (at least 1000); Postfix line_length_limit (2048)",
    )
    bare_newlines: BareNewlines = option(
        BareNewlines.REFUSE,
        meaning="What becomes of a message with a CR or LF outside of a line end: `refuse` it, "
        "or `accept` it byte for byte. Neither ever ends a line or the message here.",
        precedent="Postfix smtpd_forbid_bare_newline = reject; RFC 5321 §2.3.8",
    )
    max_received: int = option(
        100,
        unit="fields",
        least=10,
        meaning="How many Received fields a message may have; more is a mail loop.",
        precedent="RFC 5321 §6.3 (at least 100); Postfix hopcount_limit (50)",
    )


@attrs.frozen(kw_only=True)
class POP3Options:
    """Giving mail out by POP3."""

    idle_timeout: Duration = option(
        duration("10m"),
        least=1,
        meaning="How long a client may be silent.",
        precedent="RFC 1939 §3 (at least 10 minutes)",
    )
    login_timeout: Duration = option(
        duration("3m"),
        least=1,
        meaning="How long a client may take to log in.",
        precedent="Dovecot (180 s)",
    )
    max_command_line: Size = option(
        size("1KiB"),
        least=255,
        meaning="The longest command line.",
        precedent="RFC 2449 §4 (at least 255)",
    )
    max_errors: int = option(
        10,
        unit="replies",
        least=1,
        meaning="How many commands may fail before the connection is closed.",
    )
    mark_seen: bool = option(
        True,
        meaning="Whether a message that was fetched counts as read, as IMAP clients see it.",
        precedent="Dovecot pop3_no_flag_updates",
    )
