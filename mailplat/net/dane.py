"""What TLSA records demand of a server's certificate (RFC 6698, RFC 7671, RFC 7672 §3).

Invariants:

- DANE-EE(3) asks for this certificate or this key, and for nothing else: neither names nor dates
  count (RFC 7671 §5.1).
- DANE-TA(2) asks for a chain to that authority, with good dates, and for one of the names
  (RFC 7671 §5.2).
- A record that cannot be used proves nothing, and takes nothing from the others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL.crypto import (
    X509,
    X509Store,
    X509StoreContext,
    X509StoreContextError,
    X509StoreFlags,
)

from mailplat.interfaces.resolver import TLSA

__all__ = ["DANE", "names_match", "proved_by", "usable"]

_TA, _EE = 2, 3
_DIGESTS = {1: hashlib.sha256, 2: hashlib.sha512}
_SIZES = {1: 32, 2: 64}
_CHAIN = 10


@dataclass(frozen=True, slots=True)
class DANE:
    """What a server has to prove by DANE.

    Attributes:
        records: Usable ones; one of them has to fit.
        names: Of which one has to be in a certificate that an authority vouches for
            (RFC 7672 §3.2.2); the first is the TLSA base domain.
    """

    records: tuple[TLSA, ...]
    names: tuple[str, ...]


def usable(record: TLSA) -> bool:
    """Tell whether a record can prove something to SMTP (RFC 7672 §3.1, RFC 7671 §10.1)."""
    if record.usage not in (_TA, _EE) or record.selector not in (0, 1):
        return False
    if record.matching in _SIZES:
        return len(record.data) == _SIZES[record.matching]
    if record.matching != 0:
        return False
    if record.selector == 0:
        return _certificate(record.data) is not None
    return bool(record.data)


def proved_by(chain: Sequence[x509.Certificate], demand: DANE) -> bool:
    """Tell whether a server proved what was demanded.

    Args:
        chain: The certificates that it showed, its own first.
        demand: Records and names.
    """
    if not chain:
        return False
    chain = chain[:_CHAIN]
    if any(_fits(one, chain[0]) for one in demand.records if one.usage == _EE):
        return True
    authorities = [one for one in demand.records if one.usage == _TA]
    return (
        bool(authorities)
        and names_match(chain[0], demand.names)
        and any(_vouched(chain, one) for one in _anchors(chain, authorities))
    )


def names_match(certificate: x509.Certificate, names: Iterable[str]) -> bool:
    """Tell whether a certificate is for one of some names (RFC 7672 §3.2.3).

    A ``*`` may stand for the whole first label.  The common name counts where there are no others.
    """
    held = {one.lower().removesuffix(".") for one in _names_of(certificate)}
    return any(name in held or f"*.{name.partition('.')[2]}" in held for name in names)


def _names_of(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        found = names.value.get_values_for_type(x509.DNSName)
    except (x509.ExtensionNotFound, ValueError):
        found = []
    if found:
        return found
    common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return [str(one.value) for one in common]


def _fits(record: TLSA, certificate: x509.Certificate) -> bool:
    if record.selector == 0:
        data = certificate.public_bytes(Encoding.DER)
    else:
        try:
            key = certificate.public_key()
        except Exception:  # a kind of key that the library does not know
            return False
        data = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = _DIGESTS.get(record.matching)
    return (data if digest is None else digest(data).digest()) == record.data


def _anchors(
    chain: Sequence[x509.Certificate], records: Sequence[TLSA]
) -> Iterable[x509.Certificate]:
    """Find the authorities: shown by the server, or whole in the record (RFC 7671 §5.2.1)."""
    for record in records:
        yield from (one for one in chain if _fits(record, one))
        if (record.selector, record.matching) == (0, 0):
            whole = _certificate(record.data)
            if whole is not None:
                yield whole


def _vouched(chain: Sequence[x509.Certificate], anchor: x509.Certificate) -> bool:
    """Tell whether a chain of good certificates leads from the server's own to an authority."""
    if not _serves(chain[0]):
        return False
    store = X509Store()
    store.set_flags(X509StoreFlags.PARTIAL_CHAIN)  # the authority need not be a root
    store.add_cert(X509.from_cryptography(anchor))
    between = [X509.from_cryptography(one) for one in chain[1:]]
    try:
        X509StoreContext(store, X509.from_cryptography(chain[0]), between).verify_certificate()
    except X509StoreContextError:
        return False
    return True


def _serves(certificate: x509.Certificate) -> bool:
    """Tell whether a certificate may be a server's (RFC 5280 §4.2.1.12)."""
    try:
        uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    except ValueError:
        return False
    return (
        ExtendedKeyUsageOID.SERVER_AUTH in uses
        or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in uses
    )


def _certificate(data: bytes) -> x509.Certificate | None:
    try:
        return x509.load_der_x509_certificate(data)
    except ValueError:
        return None
