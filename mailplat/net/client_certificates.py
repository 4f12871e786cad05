"""Whose certificate a client showed: the names in it that may lead to an account.

The handshake has verified the certificate; here it is only read.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from cryptography import x509
from cryptography.x509.oid import NameOID, ObjectIdentifier

__all__ = ["CertificateName", "names_in"]


class CertificateName(Enum):
    """Where in a certificate a name is looked for."""

    SAN_EMAIL = "san-email"  # subjectAltName's rfc822Name (RFC 5280 §4.2.1.6)
    SUBJECT_EMAIL = "subject-email"  # emailAddress in the subject: old, and common
    COMMON_NAME = "common-name"


_IN_SUBJECT: dict[CertificateName, ObjectIdentifier] = {
    CertificateName.SUBJECT_EMAIL: NameOID.EMAIL_ADDRESS,
    CertificateName.COMMON_NAME: NameOID.COMMON_NAME,
}


def names_in(certificate: bytes, kinds: Sequence[CertificateName]) -> tuple[str, ...]:
    """Give a certificate's names of the first kind that it has any of.

    Args:
        certificate: In DER.
        kinds: Where to look, in this order.
    """
    parsed = x509.load_der_x509_certificate(certificate)
    for kind in kinds:
        try:
            names = _names(parsed, kind)
        except ValueError:  # an extension or a name that cannot be read
            return ()
        if names:
            return names
    return ()


def _names(certificate: x509.Certificate, kind: CertificateName) -> tuple[str, ...]:
    if kind is CertificateName.SAN_EMAIL:
        try:
            found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except x509.ExtensionNotFound:
            return ()
        return tuple(dict.fromkeys(found.value.get_values_for_type(x509.RFC822Name)))
    values = (one.value for one in certificate.subject.get_attributes_for_oid(_IN_SUBJECT[kind]))
    return tuple(value for value in values if isinstance(value, str))
