"""What ties a log-in to the TLS connection it goes over (RFC 5056).

tls-unique is not here: TLS 1.3 has none (RFC 9266 §1).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

__all__ = ["bindings_of"]


def bindings_of(
    connection: SSL.Connection, server_certificate: x509.Certificate | None
) -> Mapping[str, bytes]:
    """Give a connection's channel bindings by their names, once its handshake is done.

    Args:
        connection: Either side's.
        server_certificate: The one that the server showed.
    """
    found: dict[str, bytes] = {}
    if connection.get_protocol_version_name() == "TLSv1.3":
        # of older versions it would need the extended master secret (RFC 9266 §3)
        found["tls-exporter"] = connection.export_keying_material(
            b"EXPORTER-Channel-Binding", 32, b""
        )
    if server_certificate is not None:
        end_point = _end_point(server_certificate)
        if end_point:
            found["tls-server-end-point"] = end_point
    return found


def _end_point(certificate: x509.Certificate) -> bytes:
    """Hash a certificate as its own signature does, but never by MD5 or SHA-1 (RFC 5929 §4.1)."""
    signed_by = certificate.signature_hash_algorithm
    if signed_by is None:  # Ed25519 has no hash of its own: there is no such binding
        return b""
    name = signed_by.name if signed_by.name not in ("md5", "sha1") else "sha256"
    return hashlib.new(name, certificate.public_bytes(Encoding.DER)).digest()
