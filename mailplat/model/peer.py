"""The other end of a connection."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Peer", "TLSInfo"]


@dataclass(frozen=True, slots=True)
class TLSInfo:
    """What protects a connection.

    Attributes:
        version: ``TLSv1.3``.
        cipher: The cipher suite's OpenSSL name.
        server_name: What the client asked for by SNI, ``""`` if nothing.
        client_certificate: The client's certificate in DER, verified; None without one.
    """

    version: str
    cipher: str
    server_name: str = ""
    client_certificate: bytes | None = None


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
