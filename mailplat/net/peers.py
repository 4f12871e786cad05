"""What Twisted knows of a transport's two ends, as a value of ours."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.address import IPv4Address as TCP4
from twisted.internet.address import IPv6Address as TCP6
from twisted.internet.interfaces import IAddress, ISSLTransport, ITransport

from mailplat.model.peer import Peer, TLSInfo
from mailplat.net.bindings import bindings_of

__all__ = ["ends_of", "host_of", "tls_of"]


def host_of(address: IAddress | None) -> str:
    """Give an address's host; ``""`` for a local socket.

    An IPv4 address that came through an IPv6 socket is written as IPv4, and a zone is left
    out, so that lists and limits meet each peer under one name.
    """
    if not isinstance(address, TCP4 | TCP6):
        return ""
    host = address.host.partition("%")[0]
    if ":" in host:
        parsed = ip_address(host)
        if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
    return host


def _port_of(address: IAddress) -> int:
    return address.port if isinstance(address, TCP4 | TCP6) else 0


def tls_of(transport: ITransport, *, server: bool = True) -> TLSInfo | None:
    """Tell what protects a transport; None in clear.  Ask once the handshake is done.

    Args:
        transport: The connection.
        server: Whether ours is the server's side.
    """
    if not ISSLTransport.providedBy(transport):
        return None
    handle = transport.getHandle()  # type: ignore[attr-defined]
    theirs = handle.get_peer_certificate(as_cryptography=True)
    shown = handle.get_certificate(as_cryptography=True) if server else theirs
    return TLSInfo(
        version=handle.get_protocol_version_name(),
        cipher=handle.get_cipher_name() or "",
        server_name=(handle.get_servername() or b"").decode("ascii", "replace"),
        client_certificate=theirs.public_bytes(Encoding.DER) if server and theirs else None,
        bindings=bindings_of(handle, shown),
    )


def ends_of(transport: ITransport, tls: TLSInfo | None) -> Peer:
    """Tell who is connected to what."""
    there, here = transport.getPeer(), transport.getHost()
    return Peer(host_of(there), _port_of(there), host_of(here), _port_of(here), tls)
