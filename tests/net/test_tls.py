"""Tests for `mailplat.net.tls` and `mailplat.net.selfsigned`."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from OpenSSL import SSL

from mailplat.model.errors import ConfigurationFault
from mailplat.net.selfsigned import self_signed, write_self_signed
from mailplat.net.tls import CertificateFiles, TLSContexts

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def made(path: Path, *names: str) -> CertificateFiles:
    """Write a certificate for these names."""
    path.write_bytes(self_signed(names, NOW))
    return CertificateFiles(path, path)


def common_name(contexts: TLSContexts, server_name: str | None, version: int = 0) -> str:
    """Shake hands in memory; tell whose certificate the server showed."""
    server = contexts.serverConnectionForTLS(None)  # type: ignore[arg-type]
    server.set_accept_state()
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    if version:
        context.set_max_proto_version(version)
    client = SSL.Connection(context, None)
    if server_name is not None:
        client.set_tlsext_host_name(server_name.encode())
    client.set_connect_state()
    for _ in range(4):
        for one, other in ((client, server), (server, client)):
            with suppress(SSL.WantReadError):
                one.do_handshake()
            with suppress(SSL.WantReadError):
                other.bio_write(one.bio_read(65536))
    certificate = client.get_peer_certificate(as_cryptography=True)
    assert certificate is not None
    return str(certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)


def test_certificate_is_chosen_by_name(tmp_path: Path) -> None:
    """SNI chooses by exact name, then by wildcard; the first serves everybody else."""
    contexts = TLSContexts(
        [
            made(tmp_path / "1", "mail.example.org", "imap.example.org"),
            made(tmp_path / "2", "*.example.com"),
            made(tmp_path / "3", "special.example.com"),
        ]
    )
    for asked, shown in [
        (None, "mail.example.org"),
        ("unknown.example", "mail.example.org"),
        ("IMAP.example.org", "mail.example.org"),
        ("a.example.com", "*.example.com"),
        ("a.b.example.com", "mail.example.org"),
        ("special.example.com", "special.example.com"),
    ]:
        assert common_name(contexts, asked) == shown, asked


def test_changed_files_are_read_again(tmp_path: Path) -> None:
    """A reload reads only what changed, and a broken file leaves the old ones in service."""
    path = tmp_path / "cert.pem"
    contexts = TLSContexts([made(path, "old.example.org")])
    assert contexts.reload() is False
    made(tmp_path / "new", "new.example.org")
    os.replace(tmp_path / "new", path)
    assert contexts.reload() is True
    assert common_name(contexts, None) == "new.example.org"
    path.write_bytes(b"broken")
    with pytest.raises(ConfigurationFault, match=r"cert\.pem holds no certificate"):
        contexts.reload()
    path.unlink()
    with pytest.raises(ConfigurationFault, match=r"cannot read .*cert\.pem .*correct the path"):
        contexts.reload()
    assert common_name(contexts, None) == "new.example.org"


def test_old_versions_are_refused(tmp_path: Path) -> None:
    """TLS 1.1 is not spoken, and TLS 1.2 only where it is allowed (RFC 8996, RFC 8997)."""
    files = [made(tmp_path / "1", "mail.example.org")]
    assert common_name(TLSContexts(files), None, SSL.TLS1_2_VERSION) == "mail.example.org"
    with pytest.raises(SSL.Error):
        common_name(TLSContexts(files), None, SSL.TLS1_1_VERSION)
    with pytest.raises(SSL.Error):
        common_name(TLSContexts(files, minimum="TLSv1.3"), None, SSL.TLS1_2_VERSION)


def test_faults_name_file_and_remedy(tmp_path: Path) -> None:
    """Whatever is wrong with the files, the operator reads which one and what to do."""
    good, other = tmp_path / "good.pem", tmp_path / "other.pem"
    made(good, "mail.example.org")
    made(other, "mail.example.org")
    key = load_pem_private_key(good.read_bytes(), None)
    locked = tmp_path / "locked.pem"
    locked.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pass"))
    )
    strange = tmp_path / "dsa.pem"
    strange.write_bytes(
        dsa.generate_private_key(1024).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
    )
    empty = tmp_path / "empty.pem"
    empty.write_bytes(b"")
    for certificate, private, words in [
        (good, other, r"other\.pem does not belong to .*good\.pem"),
        (good, locked, r"locked\.pem is encrypted: .*openssl pkey"),
        (good, strange, r"dsa\.pem is of a kind that TLS does not take"),
        (good, empty, r"empty\.pem holds no private key"),
        (empty, good, r"empty\.pem holds no certificate"),
        (good, tmp_path, r"cannot read .*Is a directory"),
    ]:
        with pytest.raises(ConfigurationFault, match=words):
            TLSContexts([CertificateFiles(certificate, private)])
    with pytest.raises(ConfigurationFault, match="is not encrypted: give no password"):
        TLSContexts([CertificateFiles(good, good, "pass")])
    with pytest.raises(ConfigurationFault, match="and the password its own"):
        TLSContexts([CertificateFiles(good, locked, "wrong")])
    assert common_name(TLSContexts([CertificateFiles(good, locked, "pass")]), None)
    with pytest.raises(ConfigurationFault, match="none is configured"):
        TLSContexts([])
    with pytest.raises(ConfigurationFault, match="OpenSSL knows no cipher of 'ROT13'"):
        TLSContexts([CertificateFiles(good, good)], ciphers="ROT13")
    with pytest.raises(ConfigurationFault, match=r"use one of TLSv1\.2, TLSv1\.3"):
        TLSContexts([CertificateFiles(good, good)], minimum="SSLv3")


def test_first_certificate_is_for_its_names(tmp_path: Path) -> None:
    """The certificate of the first start names hosts and addresses, and is its owner's alone."""
    path = tmp_path / "first.pem"
    write_self_signed(path, ["mail.example.org", "192.0.2.1", "bücher.example"], NOW)
    assert path.stat().st_mode & 0o777 == 0o600
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["mail.example.org", "xn--bcher-kva.example"]
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.1"]
    assert certificate.not_valid_before_utc < NOW
    assert certificate.not_valid_after_utc == NOW + timedelta(days=3650)
    with pytest.raises(FileExistsError):
        write_self_signed(path, ["mail.example.org"], NOW)
    assert common_name(TLSContexts([CertificateFiles(path, path)]), None) == "mail.example.org"
