"""The server's certificates: read from PEM files, chosen by SNI, read again when they change.

Invariants:

- Connections keep the certificate they began with; new ones get the newest.
- A reload takes all or nothing: files that cannot be used leave the old ones in service.
- A fault names the file, what is wrong with it, and the remedy.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL
from OpenSSL.crypto import X509
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator, IProtocolFactory
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from zope.interface import implementer

from mailplat.model.errors import ConfigurationFault

__all__ = ["CIPHERS", "CertificateFiles", "TLSContexts", "behind_tls"]

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:!aNULL:!eNULL"
"""TLS 1.2: forward secrecy and authenticated encryption only; TLS 1.3 has nothing else."""

_Key = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey

_VERSIONS = {"TLSv1.2": SSL.TLS1_2_VERSION, "TLSv1.3": SSL.TLS1_3_VERSION}


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Where one certificate is.

    Attributes:
        certificate: A PEM file: the server's certificate first, then those of the CAs between
            it and a root.
        key: A PEM file with its private key; may be the same file.
        password: What the key is encrypted with, if it is.
    """

    certificate: Path
    key: Path
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class _Table:
    """Contexts by the names of their certificates, in lower case."""

    default: SSL.Context
    exact: dict[str, SSL.Context]
    stamps: tuple[tuple[int, int], ...]

    def find(self, name: str) -> SSL.Context:
        """Find the context for a name: its own, a wildcard's (RFC 6125 §6.4.3), or the first."""
        found = self.exact.get(name)
        if found is None:
            found = self.exact.get("*." + name.partition(".")[2])
        return self.default if found is None else found


@implementer(IOpenSSLServerConnectionCreator)
class TLSContexts:
    """What Twisted asks for when TLS begins, for STARTTLS and for ports that begin with it.

    Args:
        files: The certificates; the first is for clients that name no server, or an unknown one.
        minimum: ``TLSv1.2`` or ``TLSv1.3``.
        ciphers: OpenSSL's cipher list for TLS 1.2.
        client_authorities: A PEM file with the authorities whose certificates clients may show;
            None asks for none.  Who shows none is let in all the same; who shows another's is not.

    Raises:
        ConfigurationFault: A file cannot be used.
    """

    def __init__(
        self,
        files: Sequence[CertificateFiles],
        *,
        minimum: str = "TLSv1.2",
        ciphers: str = CIPHERS,
        client_authorities: Path | None = None,
    ) -> None:
        if not files:
            raise ConfigurationFault("TLS needs at least one certificate: none is configured")
        if minimum not in _VERSIONS:
            known = ", ".join(_VERSIONS)
            raise ConfigurationFault(f"TLS version {minimum!r} is not offered: use one of {known}")
        self._files = tuple(files)
        self._minimum = _VERSIONS[minimum]
        self._ciphers = ciphers
        self._client_authorities = client_authorities
        self._table = self._load()

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Begin TLS for one connection, with the newest certificates."""
        return SSL.Connection(self._table.default, None)

    def reload(self) -> bool:
        """Read the files again if one of them changed; tell whether they were read.

        Reads files: call it in a thread, while connections come and go.

        Raises:
            ConfigurationFault: A file cannot be used; the old certificates stay in service.
        """
        if self._stamps() == self._table.stamps:
            return False
        self._table = self._load()
        return True

    def _stamps(self) -> tuple[tuple[int, int], ...]:
        stamps = []
        for files in self._files:
            for path in (files.certificate, files.key):
                try:
                    status = os.stat(path)
                except OSError as error:
                    raise _unreadable(path, error) from error
                stamps.append((status.st_mtime_ns, status.st_ino))
        return tuple(stamps)

    def _load(self) -> _Table:
        stamps = self._stamps()  # before reading: a change while reading is seen the next time
        exact: dict[str, SSL.Context] = {}
        default: SSL.Context | None = None
        for files in self._files:
            context, names = self._read(files)
            default = default or context
            for name in names:
                exact.setdefault(name, context)
        assert default is not None
        table = _Table(default, exact, stamps)

        def choose(connection: SSL.Connection) -> None:
            asked = (connection.get_servername() or b"").decode("ascii", "replace").lower()
            connection.set_context(table.find(asked.rstrip(".")))

        default.set_tlsext_servername_callback(choose)
        return table

    def _read(self, files: CertificateFiles) -> tuple[SSL.Context, list[str]]:
        chain = _read_chain(files.certificate)
        key = _read_key(files.key, files.password)
        # compared here: OpenSSL would say no more than "key values mismatch"
        if key.public_key() != chain[0].public_key():
            raise ConfigurationFault(
                f"the key in {files.key} does not belong to the first certificate in"
                f" {files.certificate}: put the server's certificate before those of the CAs,"
                " and name the key it was made with"
            )
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(self._minimum)
        context.set_options(
            SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE
        )
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # 32 KiB less for an idle connection
        try:
            context.set_cipher_list(self._ciphers.encode("ascii"))
        except SSL.Error as error:
            raise ConfigurationFault(
                f"OpenSSL knows no cipher of {self._ciphers!r}: see openssl ciphers -v"
            ) from error
        context.use_certificate(chain[0])
        for certificate in chain[1:]:
            context.add_extra_chain_cert(certificate)
        context.use_privatekey(key)
        if self._client_authorities is not None:
            self._ask_clients(context, self._client_authorities)
        return context, _names_of(chain[0])

    def _ask_clients(self, context: SSL.Context, authorities: Path) -> None:
        """Ask clients for a certificate (RFC 8446 §4.3.2)."""
        trusted = _read_chain(authorities)
        store = context.get_cert_store()
        assert store is not None
        for certificate in trusted:
            store.add_cert(X509.from_cryptography(certificate))
            context.add_client_ca(certificate)
        context.set_verify(SSL.VERIFY_PEER)
        # without it OpenSSL refuses to resume sessions with clients that are verified
        context.set_session_id(b"mailplat")


def _unreadable(path: Path, error: OSError) -> ConfigurationFault:
    remedy = (
        "let the user that mailplat runs as read it"
        if isinstance(error, PermissionError)
        else "correct the path, or put the file there"
    )
    return ConfigurationFault(f"cannot read {path} ({error.strerror}): {remedy}")


def _read_pem(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


def _read_chain(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_read_pem(path))
    except ValueError as error:
        raise ConfigurationFault(
            f"{path} holds no certificate that can be read: it has to be PEM, with the server's"
            " certificate first (-----BEGIN CERTIFICATE-----)"
        ) from error


def _read_key(path: Path, password: str | None) -> _Key:
    try:
        key = load_pem_private_key(_read_pem(path), password.encode() if password else None)
    except TypeError as error:  # there is a password for a plain key, or none for another
        raise ConfigurationFault(
            f"the key in {path} "
            + (
                "is not encrypted: give no password for it"
                if password
                else "is encrypted: give its password (openssl pkey -in old.pem takes it off)"
            )
        ) from error
    except ValueError as error:
        raise ConfigurationFault(
            f"{path} holds no private key that can be read: it has to be PEM"
            " (-----BEGIN PRIVATE KEY-----)" + (", and the password its own" if password else "")
        ) from error
    if not isinstance(key, _Key):
        raise ConfigurationFault(
            f"the key in {path} is of a kind that TLS does not take: use EC, RSA or Ed25519"
        )
    return key


def _names_of(certificate: x509.Certificate) -> list[str]:
    """Name the hosts that a certificate is for, in lower case."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return [name.lower() for name in names.value.get_values_for_type(x509.DNSName)]


def behind_tls(factory: IProtocolFactory, contexts: TLSContexts) -> IProtocolFactory:
    """Let a factory's connections begin with TLS (RFC 8314 §3), on any listening endpoint."""
    return TLSMemoryBIOFactory(contexts, False, factory)
