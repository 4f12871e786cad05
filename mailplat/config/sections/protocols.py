"""What SMTP and POP3 allow a client: ``[smtp]``, ``[pop3]``; IMAP is in `sections.imap`."""

from __future__ import annotations

from enum import StrEnum

import attrs

from mailplat.config.option import option
from mailplat.config.values import Duration, Network, Size, duration, size

__all__ = ["BareNewlines", "POP3Options", "SMTPOptions", "UidlFormat"]


class BareNewlines(StrEnum):
    """What becomes of a message with a CR or LF that is no line end."""

    REFUSE = "refuse"
    ACCEPT = "accept"
    NORMALISE = "normalise"


class Told(StrEnum):
    """Who is told whether an address exists."""

    NOBODY = "nobody"
    USERS = "users"
    EVERYBODY = "everybody"


class UidlFormat(StrEnum):
    """How POP3's unique names are made."""

    MAILPLAT = "mailplat"
    DOVECOT = "dovecot"


@attrs.frozen(kw_only=True)
class SMTPOptions:
    """Taking mail in: SMTP, submission and LMTP."""

    idle_timeout: Duration = option(
        duration("5m"),
        least=1,
        meaning="How long a client may take for its next command.",
        precedent="RFC 5321 §4.5.3.2.7 (5 minutes)",
    )
    login_timeout: Duration = option(
        duration("3m"),
        least=1,
        meaning="How long a client of a submission port may take to log in.",
        precedent="Dovecot (180 s)",
    )
    block_timeout: Duration = option(
        duration("3m"),
        least=1,
        meaning="How long a client may take for the next bytes of a message.",
        precedent="RFC 5321 §4.5.3.2.5 (3 minutes)",
    )
    least_rate: Size = option(
        size("100B"),
        unit="bytes a second",
        meaning="How fast a message has to come on average; 0 is for any speed.",
        precedent="Postfix smtpd_min_data_rate (500)",
    )
    rate_grace: Duration = option(
        duration("5m"),
        meaning="How long a client may keep the server waiting for a message before its speed "
        "counts.",
        precedent="Postfix smtpd_per_request_deadline",
    )
    max_recipients: int = option(
        1000,
        unit="recipients",
        least=100,
        meaning="How many a message may have; further ones are told to come in another one.",
        precedent="Postfix smtpd_recipient_limit; RFC 5321 §4.5.3.1.8 (at least 100)",
    )
    max_recipient_domains: int | None = option(
        None,
        unit="domains",
        least=1,
        meaning="How many different domains the recipients of one connection may have.",
        precedent="RFC 9422 §4.3",
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
    message_rate_by_address: int | None = option(
        None,
        unit="messages a minute",
        least=1,
        meaning="How many messages one client may bring that did not log in: one IPv4 address, or "
        "one IPv6 /64. Those of `limits.trusted` may bring any number.",
        precedent="Postfix smtpd_client_message_rate_limit (none)",
    )
    recipient_rate_by_address: int | None = option(
        None,
        unit="recipients a minute",
        least=1,
        meaning="How many recipients these messages may have together.",
        precedent="Postfix smtpd_client_recipient_rate_limit (none)",
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
        "`accept` it byte for byte, or `normalise` it: a LF alone becomes CRLF, a CR alone a "
        "blank. Neither ever ends a line or the message here.",
        precedent="Postfix smtpd_forbid_bare_newline = reject; RFC 5321 §2.3.8",
    )
    max_received: int = option(
        100,
        unit="fields",
        least=10,
        meaning="How many Received fields a message may have; more is a mail loop.",
        precedent="RFC 5321 §6.3 (at least 100); Postfix hopcount_limit (50)",
    )
    smtputf8: bool = option(
        True,
        meaning="Whether mail with addresses and headers beyond ASCII is taken. What leads to a "
        "server that does not take it comes back.",
        precedent="RFC 6531; Postfix smtputf8_enable (yes)",
    )
    requiretls: bool = option(
        True,
        meaning="Whether mail is taken that has to be encrypted and verified on all of its way. "
        "What cannot be sent on so comes back.",
        precedent="RFC 8689",
    )
    binarymime: bool = option(
        False,
        meaning="Whether binary mail is taken. What leads to a server that does not take it comes "
        "back, and few do.",
        precedent="RFC 3030; Postfix has none",
    )
    deliver_by: bool = option(
        True,
        meaning="Whether a sender may say by when a mail is to be delivered.",
        precedent="RFC 2852; Sendmail",
    )
    least_deliver_by: Duration = option(
        duration("1s"),
        least=0,
        meaning="The shortest time after which a mail may be asked back undelivered.",
        precedent="RFC 2852 §2; Sendmail DeliverByMin",
    )
    priority: bool = option(
        True,
        meaning="Whether a sender may say how urgent a mail is. Anybody may make it less urgent.",
        precedent="RFC 6710",
    )
    priority_from: tuple[Network, ...] = option(
        (),
        meaning="Clients that may make mail as urgent as they like; see also "
        "`submission.max_priority`.",
        precedent="RFC 6710 §4.1",
        example=("192.0.2.10",),
    )
    vrfy: Told = option(
        Told.NOBODY,
        meaning="Who is told by VRFY whether an address exists here: `nobody`, `users` who logged "
        "in, or `everybody`.",
        precedent="RFC 5321 §7.3; Postfix disable_vrfy_command",
    )
    expn: Told = option(
        Told.NOBODY,
        meaning="Who is told by EXPN which addresses an alias or a list leads to.",
        precedent="RFC 5321 §7.3",
    )
    xclient_from: tuple[Network, ...] = option(
        (),
        meaning="Proxies that may say by XCLIENT whom they speak for, and who logged in there: "
        "what they say is believed.",
        precedent="Postfix smtpd_authorized_xclient_hosts (none)",
        example=("192.0.2.10",),
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
    login_delay: Duration = option(
        duration("0s"),
        meaning="How long an account has to wait from one log-in to the next; clients are told "
        "(`LOGIN-DELAY`). 0 asks for nothing.",
        precedent="RFC 2449 §6.5",
    )
    expire: int | None = option(
        None,
        unit="days",
        least=0,
        meaning="How long messages are kept at least, as clients are told (`EXPIRE`); nothing is "
        "removed by this. `unlimited` is told as `NEVER`.",
        precedent="RFC 2449 §6.7",
        example=90,
    )
    implementation: str = option(
        "mailplat",
        meaning="What clients are told that the server is (`IMPLEMENTATION`). Empty tells nothing.",
        precedent="RFC 2449 §6.9",
    )
    uidl_format: UidlFormat = option(
        UidlFormat.MAILPLAT,
        meaning="How the unique names of messages are made. Where mailboxes were taken over from "
        'Dovecot with their UIDs, "dovecot" gives clients the names that they know, so that they '
        "fetch nothing again.",
        precedent="Dovecot pop3_uidl_format (%08Xu%08Xv)",
    )
    mark_seen: bool = option(
        True,
        meaning="Whether a message that was fetched counts as read, as IMAP clients see it.",
        precedent="Dovecot pop3_no_flag_updates",
    )
