"""TLS from the client's side: opportunistic, verified, or by DANE (RFC 3207, RFC 7435, RFC 9525).

Opportunistic TLS encrypts and believes every certificate: it protects from who only listens, and
asks nothing that a mail exchanger found by plain DNS could prove.  Verified TLS wants a chain to an
authority and a name of the server in the certificate; DANE what DNS says (`mailplat.net.dane`).
Observed TLS notes what verified TLS would find, and goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from OpenSSL import SSL
from OpenSSL.crypto import X509
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import (
    verify_certificate_hostname,
    verify_certificate_ip_address,
)
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from mailplat.model.errors import ConfigurationFault
from mailplat.net.dane import DANE, proved_by
from mailplat.net.tls import CIPHERS, CertificateFiles

__all__ = ["ClientContexts", "ClientTLS", "Flaw", "FlawKind"]

_OLD = "DEFAULT:!aNULL:!eNULL:@SECLEVEL=0"
_VERSIONS = {"TLSv1.2": SSL.TLS1_2_VERSION, "TLSv1.3": SSL.TLS1_3_VERSION}

_BAD_DATES = {9, 10}  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED


class FlawKind(Enum):
    """What a server did not prove, in the words of reports (RFC 8460 §4.3)."""

    UNTRUSTED = "certificate-not-trusted"
    EXPIRED = "certificate-expired"
    OTHER_HOST = "certificate-host-mismatch"
    NOT_BY_DANE = "validation-failure"


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong with a server's certificate.

    Attributes:
        kind: For reports.
        text: For people.
    """

    kind: FlawKind
    text: str


class ClientContexts:
    """Makes what begins TLS with a server.

    Args:
        minimum: ``TLSv1.2`` or ``TLSv1.3``.
        authorities: A PEM file with the certificates to trust; None for the system's.
        identity: Our own certificate, for servers that have proved who they are and ask for it.

    Raises:
        ConfigurationFault: The file cannot be used.
    """

    def __init__(
        self,
        *,
        minimum: str = "TLSv1.2",
        authorities: Path | None = None,
        identity: CertificateFiles | None = None,
    ) -> None:
        # weak encryption is better than none where nothing is proved anyhow (RFC 7435 §3)
        self._opportunistic = _context(minimum, _OLD)
        self._verified = _context(minimum, CIPHERS)
        self._verified.set_verify(SSL.VERIFY_PEER)
        self._observed = _context(minimum, _OLD)
        if identity is not None:
            self._show(identity)
        for context in (self._verified, self._observed):
            if authorities is None:
                context.set_default_verify_paths()
            else:
                _trust(context, authorities)

    def _show(self, identity: CertificateFiles) -> None:
        try:
            self._verified.use_certificate_chain_file(str(identity.certificate))
            self._verified.use_privatekey_file(str(identity.key))
            self._verified.check_privatekey()
        except SSL.Error as error:
            raise ConfigurationFault(
                f"{identity.certificate} and {identity.key} cannot be used: they have to be a"
                " certificate and its private key, in PEM"
            ) from error

    def begin(
        self,
        host: str,
        *,
        verified: bool,
        names: Sequence[str] = (),
        observed: bool = False,
        dane: DANE | None = None,
    ) -> ClientTLS:
        """Make what one connection needs.

        Args:
            host: The server's name or address: for SNI, and to be found in its certificate.
            verified: Whether it has to prove that it is this host.
            names: Of which one has to be in its certificate, in place of ``host``.
            observed: Whether to look what would be proved, and go on in any case.
            dane: What it has to prove instead, by DANE; ``host`` is the TLSA base domain then.
        """
        context = self._opportunistic
        if dane is None and (verified or observed):
            context = self._verified if verified else self._observed
        return ClientTLS(
            context, host, verified, names=tuple(names) or (host,), observed=observed, dane=dane
        )


def _trust(context: SSL.Context, authorities: Path) -> None:
    try:
        context.load_verify_locations(str(authorities))
    except SSL.Error as error:
        raise ConfigurationFault(
            f"{authorities} holds no certificates that can be read: it has to be PEM"
            " (-----BEGIN CERTIFICATE-----)"
        ) from error


@implementer(IOpenSSLClientConnectionCreator)
class ClientTLS:
    """TLS of one connection, as Twisted's ``startTLS`` takes it.

    Attributes:
        verified: Whether the server has to prove who it is.
        flaw: What it did not prove, as far as that was looked at; known after the handshake.
    """

    def __init__(
        self,
        context: SSL.Context,
        host: str,
        verified: bool,
        *,
        names: tuple[str, ...],
        observed: bool = False,
        dane: DANE | None = None,
    ) -> None:
        self.verified = verified or dane is not None
        self.flaw: Flaw | None = None
        self._context = context
        self._host = host
        self._names = names
        self._observed = observed
        self._dane = dane
        self._chained = dane is None and (verified or observed)
        self._connection: SSL.Connection | None = None

    def clientConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Begin TLS."""
        connection = self._connection = SSL.Connection(self._context, None)
        if self._chained:
            connection.set_verify(SSL.VERIFY_PEER, self._judge)
        if not _is_address(self._host):  # no literals in SNI (RFC 6066 §3)
            connection.set_tlsext_host_name(self._host.encode("ascii"))
        return connection

    def fault(self) -> str:
        """Tell, after the handshake, what is wrong with the server's name; ``""`` is nothing.

        Whether the certificate's chain is good was found out by the handshake.
        """
        if not (self.verified or self._observed):
            return ""
        if self.flaw is None:
            self.flaw = self._flaw()
        return self.flaw.text if self.verified and self.flaw is not None else ""

    def _judge(self, _: SSL.Connection, __: X509, error: int, depth: int, good: int) -> bool:
        """Hear what OpenSSL finds in the chain; tell whether the handshake goes on."""
        if not good and self.flaw is None:
            expired = error in _BAD_DATES
            self.flaw = Flaw(
                FlawKind.EXPIRED if expired else FlawKind.UNTRUSTED,
                "no authority that is known vouches for its certificate"
                + (", which is out of date" if expired else ""),
            )
        return bool(good) or not self.verified

    def _flaw(self) -> Flaw | None:
        assert self._connection is not None
        chain = self._connection.get_peer_cert_chain(as_cryptography=True)
        if not chain:
            return Flaw(FlawKind.UNTRUSTED, "it showed no certificate")
        if self._dane is not None:
            if proved_by(chain, self._dane):
                return None
            return Flaw(FlawKind.NOT_BY_DANE, "its certificate is not the one that DANE demands")
        if any(_is_for(chain[0], name) for name in self._names):
            return None
        return Flaw(FlawKind.OTHER_HOST, f"its certificate is not for {' or '.join(self._names)}")


def _is_for(certificate: x509.Certificate, name: str) -> bool:
    try:
        if _is_address(name):
            verify_certificate_ip_address(certificate, name)
        else:
            verify_certificate_hostname(certificate, name)
    except (VerificationError, CertificateError):
        return False
    return True


def _context(minimum: str, ciphers: str) -> SSL.Context:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(_VERSIONS[minimum])
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_cipher_list(ciphers.encode("ascii"))
    return context


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
