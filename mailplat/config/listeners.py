"""The ports that a configuration listens on, worked out: each with its endpoint and its TLS.

Invariant: what the file leaves open is decided here and nowhere else, so that ``check-config``
shows what the server will do.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mailplat.config.options import Configuration
from mailplat.config.sections.auth import Mechanism
from mailplat.config.sections.server import ListenerOptions, ListenerProtocol, TLSUse
from mailplat.config.values import IPAddress

__all__ = ["STANDARD_PORTS", "Listener", "listeners_of", "tls_by_default"]

STANDARD_PORTS = {
    ListenerProtocol.SMTP: 25,
    ListenerProtocol.SUBMISSION: 587,
    ListenerProtocol.SUBMISSIONS: 465,
    ListenerProtocol.POP3: 110,
    ListenerProtocol.POP3S: 995,
    ListenerProtocol.IMAP: 143,
    ListenerProtocol.IMAPS: 993,
}
"""RFC 5321 §4.5.4.2, RFC 6409 §3.1, RFC 8314 §7; LMTP has no port of its own (RFC 2033 §5)."""

_IMPLICIT = {ListenerProtocol.SUBMISSIONS, ListenerProtocol.POP3S, ListenerProtocol.IMAPS}


@dataclass(frozen=True, slots=True)
class Listener:
    """One port.

    Attributes:
        name: For the log and for filters; listeners of one table share it.
        protocol: What is spoken there.
        endpoint: A server endpoint of Twisted's.
        tls: How it comes to TLS.
        require_tls: Whether log-ins need TLS.
        mechanisms: SASL mechanisms; empty for those of the server.
        client_authorities: Whose certificates clients may log in with; None for nobody's.
        proxies: Networks of the proxies that bring every client; empty for none.
    """

    name: str
    protocol: ListenerProtocol
    endpoint: str
    tls: TLSUse
    require_tls: bool
    mechanisms: tuple[Mechanism, ...] = ()
    client_authorities: Path | None = None
    proxies: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Say it in a line: ``imaps  tcp:993:interface=192.0.2.1  TLS from the start``."""
        words = {TLSUse.IMPLICIT: "TLS from the start", TLSUse.STARTTLS: "TLS on request"}
        return f"{self.name:<12} {self.endpoint:<40} {words.get(self.tls, 'in clear')}"


def tls_by_default(protocol: ListenerProtocol) -> TLSUse:
    """Tell how a protocol's port comes to TLS where nothing is said (RFC 8314 §3)."""
    if protocol is ListenerProtocol.LMTP:
        return TLSUse.NONE
    return TLSUse.IMPLICIT if protocol in _IMPLICIT else TLSUse.STARTTLS


def listeners_of(configuration: Configuration) -> tuple[Listener, ...]:
    """Work out the ports of a configuration, in its order."""
    tables = configuration.listeners or tuple(
        ListenerOptions(protocol=protocol) for protocol in STANDARD_PORTS
    )
    return tuple(
        Listener(
            name=table.name or table.protocol.value,
            protocol=table.protocol,
            endpoint=endpoint,
            tls=table.tls or tls_by_default(table.protocol),
            require_tls=(
                configuration.auth.require_tls if table.require_tls is None else table.require_tls
            ),
            mechanisms=table.mechanisms,
            client_authorities=table.client_authorities,
            proxies=table.proxies,
        )
        for table in tables
        for endpoint in _endpoints(table, configuration)
    )


def _endpoints(table: ListenerOptions, configuration: Configuration) -> list[str]:
    if table.endpoint:
        return [table.endpoint]
    port = STANDARD_PORTS[table.protocol] + configuration.server.port_offset
    return [_tcp(port, address) for address in configuration.server.listen]


def _tcp(port: int, address: IPAddress) -> str:
    if ":" in address:
        return f"tcp6:{port}:interface=" + address.replace(":", "\\:")
    return f"tcp:{port}:interface={address}"
