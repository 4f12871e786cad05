"""The other end of a connection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Peer", "TLSInfo"]


@dataclass(frozen=True, slots=True)
class TLSInfo:
    """What protects a connection.

    Attributes:
        version: ``TLSv1.3``.
        cipher: The cipher suite's OpenSSL name.
        server_name: What the client asked for by SNI, ``""`` if nothing.
        client_certificate: The client's certificate in DER, verified; None without one.
        bindings: What ties a log-in to this connection, by the channel binding's name
            (``tls-exporter``, RFC 9266; ``tls-server-end-point``, RFC 5929); those it has.
    """

    version: str
    cipher: str
    server_name: str = ""
    client_certificate: bytes | None = None
    bindings: Mapping[str, bytes] = field(default_factory=dict, repr=False, hash=False)


@dataclass(frozen=True, slots=True)
class Peer:
    """The two ends of a connection.

    Attributes:
        address: The client's IP address, or ``""`` on a local socket.
        port: The client's port, 0 on a local socket.
        local_address: Our IP address.
        local_port: Our port.
        tls: What protects the connection; None in clear.
    """

    address: str
    port: int
    local_address: str
    local_port: int
    tls: TLSInfo | None = None
