"""What IMAP allows a client, and what is offered to whom: ``[imap]``, ``[[imap.client]]``."""

from __future__ import annotations

import attrs

from mailplat.config.option import option, required
from mailplat.config.values import Duration, Size, duration, size

__all__ = ["IMAPClientOptions", "IMAPOptions"]


@attrs.frozen(kw_only=True)
class IMAPClientOptions:
    """A kind of client that is not offered everything; all tables that match count."""

    client: str = required(
        meaning="A pattern for the name that the client gives with ID; `*` and `?` stand for "
        "anything, capitals and small letters are the same.",
        example="*Outlook*",
    )
    version: str = option(
        "*",
        meaning="A pattern for its version.",
        example="16.*",
    )
    disabled_capabilities: tuple[str, ...] = option(
        (),
        meaning="Capabilities that such a client is not offered.",
        example=("COMPRESS=DEFLATE",),
    )


@attrs.frozen(kw_only=True)
class IMAPOptions:
    """Giving mail out by IMAP."""

    idle_timeout: Duration = option(
        duration("30m"),
        least=1,
        meaning="How long a client may be silent after it logged in.",
        precedent="RFC 9051 §5.4 (at least 30 minutes)",
    )
    login_timeout: Duration = option(
        duration("3m"),
        least=1,
        meaning="How long a client may take to log in.",
        precedent="Dovecot (180 s)",
    )
    idle_notice: Duration = option(
        duration("2m"),
        least=1,
        meaning="How often a client in IDLE is told that the server is still there.",
        precedent="Dovecot imap_idle_notify_interval",
    )
    max_line_before_login: Size = option(
        size("8KiB"),
        least=1024,
        meaning="The longest command line before log-in.",
        precedent="RFC 7162 §4 (at least 8192)",
    )
    max_line: Size = option(
        size("64KiB"),
        least=8192,
        meaning="The longest command line after log-in.",
        precedent="Dovecot imap_max_line_length",
    )
    max_literal: Size = option(
        size("64KiB"),
        least=1024,
        meaning="The largest literal in a command; messages that are appended have "
        "`message.max_size`.",
        precedent="Dovecot imap_max_line_length",
    )
    max_literals: int = option(
        100,
        unit="literals",
        least=1,
        meaning="How many literals a command may have.",
    )
    max_command: Size = option(
        size("256KiB"),
        least=8192,
        meaning="The largest command, with its literals but without messages.",
    )
    max_read_ahead: Size = option(
        size("64KiB"),
        least=1024,
        meaning="How much of further commands may wait while one is being answered; then nothing "
        "more is read from the client.",
    )
    max_append_messages: int = option(
        1000,
        unit="messages",
        least=1,
        meaning="How many messages one APPEND may have.",
        precedent="RFC 3502",
    )
    max_append_size: Size = option(
        size("100MiB"),
        least=64 * 1024,
        meaning="The bytes of all messages of one APPEND.",
    )
    max_nesting: int = option(
        50,
        unit="levels",
        least=5,
        meaning="How deep lists and search keys may be nested.",
    )
    max_errors: int = option(
        20,
        unit="replies",
        least=1,
        meaning="How many commands may be BAD before the connection is closed.",
        precedent="Dovecot (20)",
    )
    disabled_capabilities: tuple[str, ...] = option(
        (),
        meaning="Capabilities that are not offered, for clients that cannot do with them; what is "
        "built on them goes too. An account's own setting `imap-disabled` adds to these.",
        precedent="Dovecot imap_capability",
        example=("COMPRESS=DEFLATE",),
    )
    clients: tuple[IMAPClientOptions, ...] = option(
        (), name="client", meaning="Kinds of clients that are not offered everything."
    )
    extensions: tuple[str, ...] = option(
        ("unauthenticate",),
        meaning="Extensions by plugins: each a prefix, and behind a colon its argument.",
        example=("unauthenticate",),
    )
