"""TLS from the client's side: opportunistic, or verified (RFC 3207, RFC 7435, RFC 9525).

Opportunistic TLS encrypts and believes every certificate: it protects from who only listens, and
asks nothing that a mail exchanger found by plain DNS could prove.  Verified TLS wants a chain to an
authority and the server's name in the certificate.
"""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

from OpenSSL import SSL
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import (
    verify_certificate_hostname,
    verify_certificate_ip_address,
)
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from mailplat.model.errors import ConfigurationFault
from mailplat.net.tls import CIPHERS, CertificateFiles

__all__ = ["ClientContexts", "ClientTLS"]

_OLD = "DEFAULT:!aNULL:!eNULL:@SECLEVEL=0"
_VERSIONS = {"TLSv1.2": SSL.TLS1_2_VERSION, "TLSv1.3": SSL.TLS1_3_VERSION}


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
        if identity is not None:
            self._show(identity)
        if authorities is None:
            self._verified.set_default_verify_paths()
            return
        try:
            self._verified.load_verify_locations(str(authorities))
        except SSL.Error as error:
            raise ConfigurationFault(
                f"{authorities} holds no certificates that can be read: it has to be PEM"
                " (-----BEGIN CERTIFICATE-----)"
            ) from error

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

    def begin(self, host: str, *, verified: bool) -> ClientTLS:
        """Make what one connection needs.

        Args:
            host: The server's name or address: for SNI, and to be found in its certificate.
            verified: Whether it has to prove that it is this host.
        """
        return ClientTLS(self._verified if verified else self._opportunistic, host, verified)


@implementer(IOpenSSLClientConnectionCreator)
class ClientTLS:
    """TLS of one connection, as Twisted's ``startTLS`` takes it.

    Attributes:
        verified: Whether the server has to prove who it is.
    """

    def __init__(self, context: SSL.Context, host: str, verified: bool) -> None:
        self.verified = verified
        self._context = context
        self._host = host
        self._connection: SSL.Connection | None = None

    def clientConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Begin TLS."""
        connection = self._connection = SSL.Connection(self._context, None)
        if not _is_address(self._host):  # no literals in SNI (RFC 6066 §3)
            connection.set_tlsext_host_name(self._host.encode("ascii"))
        return connection

    def fault(self) -> str:
        """Tell, after the handshake, what is wrong with the server's name; ``""`` is nothing.

        Whether the certificate's chain is good was found out by the handshake.
        """
        if not self.verified:
            return ""
        assert self._connection is not None
        certificate = self._connection.get_peer_certificate(as_cryptography=True)
        if certificate is None:
            return "it showed no certificate"
        try:
            if _is_address(self._host):
                verify_certificate_ip_address(certificate, self._host)
            else:
                verify_certificate_hostname(certificate, self._host)
        except (VerificationError, CertificateError):
            return f"its certificate is not for {self._host}"
        return ""


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
