"""Tests for `mailplat.net.bindings`."""

from __future__ import annotations

import contextlib
import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from mailplat.net.bindings import bindings_of
from mailplat.net.selfsigned import write_self_signed
from mailplat.net.tls import CertificateFiles, TLSContexts


def shake(server: SSL.Connection, client: SSL.Connection) -> None:
    """Carry a handshake between both sides in memory."""
    server.set_accept_state()
    client.set_connect_state()
    for _ in range(6):
        for one, other in ((client, server), (server, client)):
            with contextlib.suppress(SSL.WantReadError):
                one.do_handshake()
            with contextlib.suppress(SSL.WantReadError):
                other.bio_write(one.bio_read(1 << 16))


@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
def test_both_sides_see_the_same(tmp_path: Path, version: int) -> None:
    """Client and server find the same bindings; two connections share the certificate's alone."""
    path = tmp_path / "server.pem"
    write_self_signed(path, ["localhost"], datetime.now(UTC))
    protocol: Any = None
    contexts = TLSContexts([CertificateFiles(path, path)])
    found = []
    for _ in range(2):
        server = contexts.serverConnectionForTLS(protocol)
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_max_proto_version(version)
        client = SSL.Connection(context, None)
        shake(server, client)
        ours = bindings_of(server, server.get_certificate(as_cryptography=True))
        assert ours == bindings_of(client, client.get_peer_certificate(as_cryptography=True))
        found.append(ours)
    first, second = found
    assert first["tls-server-end-point"] == second["tls-server-end-point"]
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    whole = certificate.public_bytes(Encoding.DER)
    assert first["tls-server-end-point"] == hashlib.sha256(whole).digest()
    if version == SSL.TLS1_3_VERSION:
        assert first["tls-exporter"] != second["tls-exporter"]
        assert len(first["tls-exporter"]) == 32
    else:
        assert list(first) == ["tls-server-end-point"]


class OldConnection:
    """A connection that has no exporter to trust."""

    def get_protocol_version_name(self) -> str:
        """Tell the version."""
        return "TLSv1.2"


def test_certificates_without_a_hash() -> None:
    """A signature without a hash of its own gives no end point (RFC 5929 §4.1)."""
    key = Ed25519PrivateKey.generate()
    name = x509.Name([])
    now = datetime.now(UTC)
    certificate = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now).sign(key, None)
    connection: Any = OldConnection()
    assert bindings_of(connection, certificate) == {}
    assert bindings_of(connection, None) == {}
