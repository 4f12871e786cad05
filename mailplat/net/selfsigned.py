"""A certificate for the first start, signed by itself: encryption without proof of identity.

It serves until the operator has one of a public authority; mail programs ask their users whether
they trust it, and other mail servers do not care (RFC 7435).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["self_signed", "write_self_signed"]

LIFETIME = timedelta(days=3650)
"""Users trust it by hand, once; so it lasts as long as the server is likely to."""


def self_signed(names: Sequence[str], now: datetime) -> bytes:
    """Make a key (EC P-256) and a certificate for it; both in one PEM text.

    Args:
        names: Host names and IP addresses, at least one; the first is its common name.
        now: When its lifetime begins, less a day for clocks that are slow.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(Encoding.PEM) + key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )


def write_self_signed(path: Path, names: Sequence[str], now: datetime) -> None:
    """Write certificate and key to one new file that only its owner can read.

    Raises:
        FileExistsError: There is one, which stays as it is.
    """
    pem = self_signed(names, now)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(descriptor)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name.encode("idna").decode("ascii"))
