"""One AUTH of a client: an exchange on SMTP's lines (RFC 4954 §4)."""

from __future__ import annotations

from base64 import b64decode, b64encode

from mailplat.model.reply import Reply
from mailplat.proto.sasl.client import ClientExchange
from mailplat.proto.sasl.scram_client import Derivation, ServerNotProved

__all__ = ["ClientLogin"]

_MAX_INITIAL = 330
"""Bytes of an initial response that fit a line of 512 with the longest name (RFC 4954 §4)."""

_NOT_PROVED = Reply.of(535, "The server did not prove that it knows us", "5.7.8")


class ClientLogin:
    """One try.

    Args:
        mechanism: One that the server offers.
        exchange: A new one, of `proto.sasl.client.choose`.
    """

    def __init__(self, mechanism: str, exchange: ClientExchange) -> None:
        self._exchange = exchange
        self._late: bytes | None = None  # an initial response that is too long for its line
        self._cancelled = False
        self.line = f"AUTH {mechanism}".encode("ascii")
        initial = exchange.start()
        if initial is not None and len(initial) > _MAX_INITIAL:
            self._late = initial
        elif initial is not None:
            self.line += b" " + (b64encode(initial) or b"=")
        self.line += b"\r\n"

    def answer(self, challenge: Reply) -> bytes | Derivation:
        """Answer a 334 by a line; or say what has to be derived first, for `derived`."""
        late, self._late = self._late, None
        if late is not None:
            return _line(late)
        try:
            answer = self._exchange.receive(b64decode(challenge.text, validate=True))
        except (ValueError, ServerNotProved):
            self._cancelled = True
            return b"*\r\n"
        return answer if isinstance(answer, Derivation) else _line(answer)

    def derived(self, salted: bytes) -> bytes:
        """Give the line that goes out once the key is derived."""
        return _line(self._exchange.derived(salted))

    def outcome(self, reply: Reply) -> Reply:
        """Tell what came of it; a server that did not prove itself has not let us in."""
        if self._cancelled or (reply.positive and not self._exchange.complete):
            return _NOT_PROVED
        return reply


def _line(answer: bytes) -> bytes:
    return b64encode(answer) + b"\r\n"
