"""Mechanisms that show the server a password: PLAIN (RFC 4616) and LOGIN (draft-murchison)."""

from __future__ import annotations

from mailplat.model.credentials import PasswordCredentials
from mailplat.proto.sasl.exchange import Challenge, Failed, Failure, Mechanisms, Step, text_of

__all__ = ["PASSWORD_MECHANISMS", "LoginExchange", "PlainExchange"]


class PlainExchange:
    """PLAIN: ``[authzid] NUL authcid NUL passwd`` in one message (RFC 4616 §2)."""

    def start(self, initial: bytes | None) -> Step:
        """Read the initial response, or ask for it by an empty challenge."""
        return Challenge(b"") if initial is None else self.receive(initial)

    def receive(self, response: bytes) -> Step:
        """Read the one message there is."""
        fields = response.split(b"\0")
        if len(fields) != 3:
            return Failed(Failure.MALFORMED)
        authzid, authcid, password = map(text_of, fields)
        if authzid is None or authcid is None or password is None:
            return Failed(Failure.MALFORMED)
        if not authcid or not password:  # never verifies (RFC 4616 §2)
            return Failed(Failure.REFUSED)
        return PasswordCredentials(authcid, password, authzid)


class LoginExchange:
    """LOGIN: the name, then the password (draft-murchison-sasl-login §2.2)."""

    def __init__(self) -> None:
        self._name = ""

    def start(self, initial: bytes | None) -> Step:
        """Ask for the name; a client that sent it already is asked for the password."""
        return Challenge(b"Username:") if initial is None else self.receive(initial)

    def receive(self, response: bytes) -> Step:
        """Read the name first, then the password."""
        text = text_of(response)
        if text is None or "\0" in text:
            return Failed(Failure.MALFORMED)
        if not text:
            return Failed(Failure.REFUSED)
        if not self._name:
            self._name = text
            return Challenge(b"Password:")
        return PasswordCredentials(self._name, text)


PASSWORD_MECHANISMS: Mechanisms = {"PLAIN": PlainExchange, "LOGIN": LoginExchange}
"""The two, in the order they are offered where nothing else is said."""
