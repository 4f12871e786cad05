"""What peers may ask, whatever they speak: ``[limits]``, ``[message]``."""

from __future__ import annotations

import attrs

from mailplat.config.option import option
from mailplat.config.values import Duration, Network, Size, duration, size

__all__ = ["LimitOptions", "MessageOptions"]


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
    connections_by_prefix: int | None = option(
        None,
        unit="connections",
        least=1,
        meaning="How many the neighbours of a client may have open at once, with it: one IPv4 /24, "
        "or one IPv6 /48.",
        precedent="Postfix smtpd_client_ipv4_prefix_length, smtpd_client_ipv6_prefix_length",
    )
    connection_rate_by_address: int | None = option(
        None,
        unit="connections a minute",
        least=1,
        meaning="How often one client may connect.",
        precedent="Postfix smtpd_client_connection_rate_limit (none)",
    )
    connection_rate_by_prefix: int | None = option(
        None,
        unit="connections a minute",
        least=1,
        meaning="How often a client and its neighbours may connect.",
        precedent="Postfix smtpd_client_connection_rate_limit (none)",
    )
    trusted: tuple[Network, ...] = option(
        (),
        meaning="Clients that may connect as often as they like: webmail, a monitor.",
        precedent="Postfix smtpd_client_event_limit_exceptions",
        example=("192.0.2.10", "2001:db8::/64"),
    )
    proxy_header_timeout: Duration = option(
        duration("5s"),
        least=0.1,
        meaning="How long a trusted proxy may take for its PROXY header.",
        precedent="Postfix smtpd_upstream_proxy_timeout (5s)",
    )
    proxy_header_size: Size = option(
        size("4KiB"),
        least=536,
        meaning="The longest PROXY header, with all that a proxy tells beside addresses.",
        precedent="HAProxy's proxy-protocol.txt §2.2 (at least 536)",
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
