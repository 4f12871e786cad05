"""What someone presents to prove who they are: values that a session hands to the accounts.

Invariant: no representation shows a secret, so that a value may stand in a log line or a
traceback.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = [
    "CertificateCredentials",
    "Credentials",
    "Denied",
    "PasswordCredentials",
    "ScramKeys",
    "ScramProof",
    "ScramRequest",
    "TokenCredentials",
]


@dataclass(frozen=True, slots=True)
class PasswordCredentials:
    """A name and a password in the clear (RFC 4616; USER and PASS; IMAP LOGIN).

    Attributes:
        authcid: Whose password it is.
        password: Never shown.
        authzid: As whom they would act; ``""`` is as themselves (RFC 4616 §2).
    """

    authcid: str
    password: str = field(repr=False)
    authzid: str = ""


@dataclass(frozen=True, slots=True)
class ScramRequest:
    """A name whose keys SCRAM needs before it can go on (RFC 5802 §3); answered by `ScramKeys`.

    Attributes:
        authcid: Whose keys.
        algorithm: ``SCRAM-SHA-256`` or ``SCRAM-SHA-1``, without ``-PLUS``.
    """

    authcid: str
    algorithm: str


@dataclass(frozen=True, slots=True)
class ScramProof:
    """How SCRAM ended: whether the client knows the password of this name.

    Attributes:
        authcid: Whose password.
        proved: Whether the proof is right.
        authzid: As whom they would act; ``""`` is as themselves.
    """

    authcid: str
    proved: bool
    authzid: str = ""


@dataclass(frozen=True, slots=True)
class TokenCredentials:
    """An OAuth 2 bearer token (RFC 7628, XOAUTH2); where it is refused, `Denied` may answer.

    Attributes:
        token: Never shown.
        authzid: The name that stood beside it; ``""`` is whoever the token is for.
    """

    token: str = field(repr=False)
    authzid: str = ""


@dataclass(frozen=True, slots=True)
class CertificateCredentials:
    """The certificate that the client showed in the TLS handshake (RFC 4422 appendix A).

    Attributes:
        authzid: As whom they would act; ``""`` is as whom the certificate names.
    """

    authzid: str = ""


Credentials = (
    PasswordCredentials | ScramRequest | ScramProof | TokenCredentials | CertificateCredentials
)
"""Any of the values above."""


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """What a server keeps to check SCRAM by, in place of a password (RFC 5802 §2.2, §3).

    Attributes:
        salt: Random, the account's own.
        iterations: Of PBKDF2.
        stored_key: H(ClientKey); never shown.
        server_key: Never shown: who has it can play the server.
    """

    salt: bytes
    iterations: int
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Denied:
    """A token was refused; the client is told how, and has to answer (RFC 7628 §3.2.3).

    Attributes:
        scope: The scope that a token has to have, ``""`` for any.
        discovery: Where the client finds out how to get one (a URL), ``""`` to say nothing.
    """

    scope: str = ""
    discovery: str = ""
