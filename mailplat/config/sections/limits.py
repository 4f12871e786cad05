"""What peers may ask, whatever they speak: ``[limits]``, ``[auth]``, ``[message]``."""

from __future__ import annotations

from enum import StrEnum

import attrs

from mailplat.config.option import option
from mailplat.config.values import Duration, Size, duration, size

__all__ = ["AuthOptions", "LimitOptions", "Mechanism", "MessageOptions"]


class Mechanism(StrEnum):
    """A SASL mechanism."""

    PLAIN = "PLAIN"
    LOGIN = "LOGIN"


@attrs.frozen(kw_only=True)
class LimitOptions:
    """Limits of connections, on all listeners."""

    connections: int = option(
        10_000,
        unit="connections",
        least=1,
        meaning="How many may be open at once; one more is told to come back later.",
        precedent="Dovecot default_client_limit (1000)",
    )
    connections_by_address: int = option(
        50,
        unit="connections",
        least=1,
        meaning="How many one client may have open at once: one IPv4 address, or one IPv6 /64.",
        precedent="Postfix smtpd_client_connection_count_limit",
    )
    connections_by_account: int = option(
        1000,
        unit="connections",
        least=1,
        meaning="How many IMAP sessions one account may have at once.",
        precedent="Dovecot mail_max_userip_connections (10, of each address)",
    )
    handshake_timeout: Duration = option(
        duration("30s"), meaning="How long a TLS handshake may take."
    )
    stall_timeout: Duration = option(
        duration("3m"), meaning="How long a client may leave a full buffer unread."
    )
    close_timeout: Duration = option(
        duration("10s"),
        meaning="How long the last bytes of a connection may take; then it is cut.",
    )


@attrs.frozen(kw_only=True)
class AuthOptions:
    """Logging in, the same for SMTP, POP3 and IMAP."""

    require_tls: bool = option(
        True,
        meaning="Whether log-ins need TLS: without it no mechanism is offered in clear.",
        precedent="RFC 8314 §4.1; Dovecot disable_plaintext_auth",
    )
    mechanisms: tuple[Mechanism, ...] = option(
        (Mechanism.PLAIN, Mechanism.LOGIN),
        meaning="The SASL mechanisms offered.",
        precedent="Dovecot auth_mechanisms",
    )
    failure_delays: tuple[Duration, ...] = option(
        (duration("2s"), duration("4s"), duration("8s"), duration("15s")),
        meaning="How long a client's next log-ins wait after one, two, three... failures; the last "
        "holds for all further ones.",
        precedent="Dovecot auth_penalty (2 s to 15 s)",
    )
    failures_by_connection: int = option(
        3,
        unit="log-ins",
        least=1,
        meaning="How many may fail before the connection is closed.",
        precedent="RFC 4954 §4 (at least 3)",
    )


@attrs.frozen(kw_only=True)
class MessageOptions:
    """What a message may be, and how it is kept while it arrives."""

    max_size: Size = option(
        size("50MiB"),
        least=64 * 1024,
        meaning="The largest message taken, over SMTP and by IMAP's APPEND.",
        precedent="Exim message_size_limit; RFC 5321 §4.5.3.1.7 (at least 64 KiB)",
    )
    mime_depth: int = option(
        100,
        unit="levels",
        least=1,
        most=1000,
        meaning="How deep parts in parts are told apart; what is deeper counts as one part.",
        precedent="Postfix mime_nesting_limit; Dovecot (100)",
    )
    mime_parts: int = option(
        10_000,
        unit="parts",
        least=1,
        meaning="How many parts of a message are told apart.",
        precedent="Dovecot (10,000)",
    )
    mime_parameters: int = option(
        128,
        unit="parameters",
        least=8,
        meaning="How many parameters of a Content-Type field are read, continuations counted.",
        precedent="Dovecot (128)",
    )
    memory_size: Size = option(
        size("2MiB"),
        meaning="The largest message that is kept in memory while it arrives; a larger one goes "
        "to a temporary file.",
    )
    memory_total: Size = option(
        size("64MiB"),
        meaning="What all messages that are arriving may keep in memory together.",
    )
