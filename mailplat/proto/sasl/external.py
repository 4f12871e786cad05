"""EXTERNAL: TLS has said already who the client is (RFC 4422 appendix A).

It is offered only where the client showed a certificate that the listener's authority vouches for.
"""

from __future__ import annotations

from mailplat.model.credentials import CertificateCredentials
from mailplat.proto.sasl.exchange import Challenge, Failed, Failure, Step, text_of

__all__ = ["ExternalExchange"]


class ExternalExchange:
    """EXTERNAL: the one message is the name to act as, or empty."""

    def start(self, initial: bytes | None) -> Step:
        """Read the initial response, or ask for it by an empty challenge."""
        return Challenge(b"") if initial is None else self.receive(initial)

    def receive(self, response: bytes) -> Step:
        """Read the one message there is."""
        authzid = text_of(response)
        if authzid is None or "\0" in authzid:
            return Failed(Failure.MALFORMED)
        return CertificateCredentials(authzid)
