"""EXTERNAL: who shows a certificate that the listener's authority signed is let in by it."""

from __future__ import annotations

import imaplib
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from mailplat.testing.twistd import Installation, TwistdServer

USER, OTHER = "u000@example.org", "u001@example.org"

LISTENERS = """protocol = "imap"
[[listener]]
protocol = "imaps"
client_authorities = "clients.pem"
"""


class Authority:
    """Signs certificates of clients."""

    def __init__(self, name: str) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self._sign(self.name, self.key, [], authority=True)

    def _sign(
        self,
        name: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        emails: list[str],
        *,
        authority: bool = False,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder(self.name, name, key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(authority, None), critical=True)
        )
        if emails:
            names = x509.SubjectAlternativeName([x509.RFC822Name(email) for email in emails])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self.key, SHA256())

    def issue(self, path: Path, *emails: str) -> Path:
        """Write a client's certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody")])
        path.write_bytes(
            self._sign(name, key, list(emails)).public_bytes(Encoding.PEM)
            + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        return path


AUTHORITY = Authority("our clients")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwistdServer]:
    """A server that asks clients for a certificate on 993, and not on 143."""
    made = Installation.make(
        tmp_path_factory.mktemp("external"), "memory:", users=2, options={"[listener]": LISTENERS}
    )
    pem = AUTHORITY.certificate.public_bytes(Encoding.PEM)
    (made.directory / "clients.pem").write_bytes(pem)
    running = TwistdServer(made)
    try:
        running.start()
        yield running
        running.stop()
    finally:
        running.end()


def connect(server: TwistdServer, certificate: Path | None) -> imaplib.IMAP4_SSL:
    """Connect, and show a certificate perhaps."""
    made = server.installation
    context = ssl.create_default_context(cafile=str(made.certificate))
    if certificate is not None:
        context.load_cert_chain(certificate)
    return imaplib.IMAP4_SSL("localhost", made.port("imaps"), ssl_context=context)


@pytest.mark.parametrize(
    ("emails", "authzid", "let_in"),
    [
        ([USER], b"", True),
        ([USER.upper()], USER.encode(), True),
        ([USER], OTHER.encode(), False),
        ([USER, OTHER], b"", False),
        ([USER, OTHER], OTHER.encode(), True),
        (["nobody@example.org"], b"", False),
        (["nobody@example.org"], USER.encode(), False),
        ([], b"", False),
    ],
)
def test_external(
    server: TwistdServer, tmp_path: Path, emails: list[str], authzid: bytes, let_in: bool
) -> None:
    """The addresses in the certificate say who it is; of several the client says which."""
    with connect(server, AUTHORITY.issue(tmp_path / "client.pem", *emails)) as imap:
        assert "AUTH=EXTERNAL" in imap.capabilities
        if let_in:
            imap.authenticate("EXTERNAL", lambda _: authzid)
            imap.select()
        else:
            with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
                imap.authenticate("EXTERNAL", lambda _: authzid)


def test_without_a_certificate(server: TwistdServer) -> None:
    """Who shows none logs in otherwise, and is not offered EXTERNAL."""
    with connect(server, None) as imap:
        assert "AUTH=EXTERNAL" not in imap.capabilities
        imap.login(USER, server.installation.password)


def test_another_authority(server: TwistdServer, tmp_path: Path) -> None:
    """A certificate that somebody else signed ends the connection."""
    stranger = Authority("strangers").issue(tmp_path / "client.pem", USER)
    with pytest.raises((OSError, imaplib.IMAP4.error)):
        connect(server, stranger)
