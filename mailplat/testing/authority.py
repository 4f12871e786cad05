"""An authority that makes certificates for tests: good ones, old ones, ones for another use."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from mailplat.interfaces.resolver import TLSA
from mailplat.net.tls import CertificateFiles, TLSContexts

__all__ = ["Issued", "MadeAuthority"]

_DAY = timedelta(days=1)


class Issued:
    """A server's certificate.

    Attributes:
        certificate: It.
        chain: It, and what is between it and a root; with the root.
        files: Where it and its key are.
        tls: What a server shows it with.
    """

    def __init__(
        self, chain: Sequence[x509.Certificate], key: ec.EllipticCurvePrivateKey, path: Path
    ) -> None:
        self.certificate = chain[0]
        self.chain = tuple(chain)
        pem = b"".join(one.public_bytes(Encoding.PEM) for one in chain)
        pem += key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(pem)
        self.files = CertificateFiles(path, path)
        self.tls = TLSContexts([self.files])

    def tlsa(self, selector: int = 1, matching: int = 1) -> TLSA:
        """Make a DANE-EE(3) record of it (RFC 7671 §5.1)."""
        return _tlsa(3, selector, matching, self.certificate)


class MadeAuthority:
    """An authority.

    Args:
        directory: Where certificates are written.
        name: What it calls itself.

    Attributes:
        path: Its own certificate, in PEM.
    """

    def __init__(self, directory: Path, name: str = "Authority") -> None:
        self._directory = directory
        self._count = 0
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = name
        subject = _named(name)
        self._certificate = _builder(subject, subject, self._key, _DAY * 10, None).sign(
            self._key, hashes.SHA256()
        )
        self.path = directory / f"{name}.pem"
        self.path.write_bytes(self._certificate.public_bytes(Encoding.PEM))

    def issue(
        self,
        *names: str,
        common: str = "server",
        lifetime: timedelta = _DAY,
        use: ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
        whole: bool = True,
    ) -> Issued:
        """Make a certificate.

        Args:
            names: Host names that it is for.
            common: Its common name.
            lifetime: From yesterday on; a negative one is over.
            use: What it may be used for.
            whole: Whether the server shows the authority's certificate too.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_named(common), _named(self._name), key, lifetime, use)
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), False
            )
        chain = [builder.sign(self._key, hashes.SHA256())]
        if whole:
            chain.append(self._certificate)
        self._count += 1
        return Issued(chain, key, self._directory / f"{self._name}-{self._count}.pem")

    def tlsa(self, selector: int = 1, matching: int = 1) -> TLSA:
        """Make a DANE-TA(2) record of the authority (RFC 7671 §5.2)."""
        return _tlsa(2, selector, matching, self._certificate)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    lifetime: timedelta,
    use: ObjectIdentifier | None,
) -> x509.CertificateBuilder:
    begin = datetime.now(UTC) - _DAY * 3
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(datetime.now(UTC) + lifetime)
        .add_extension(x509.BasicConstraints(ca=use is None, path_length=None), True)
    )
    return made if use is None else made.add_extension(x509.ExtendedKeyUsage([use]), False)


def _tlsa(usage: int, selector: int, matching: int, certificate: x509.Certificate) -> TLSA:
    if selector == 0:
        data = certificate.public_bytes(Encoding.DER)
    else:
        data = certificate.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
    digests = {0: lambda: data, 1: hashlib.sha256(data).digest, 2: hashlib.sha512(data).digest}
    return TLSA(usage, selector, matching, digests[matching]())
