"""SCRAM, the client's side (RFC 5802 §5, RFC 7677), with channel binding or without.

Invariants:

- A server that does not prove that it knows the account's keys is not believed (`complete`).
- Too few iterations would show the password to who listens, too many keep us busy: both are
  refused.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from dataclasses import dataclass, field

from mailplat.proto.sasl import scram

__all__ = ["Derivation", "ScramClient", "ServerNotProved"]


class ServerNotProved(Exception):
    """The server said what no honest one would, or cannot prove who it is."""


@dataclass(frozen=True, slots=True)
class Derivation:
    """Work to be done before the exchange goes on: `derive` in a thread, then `derived`."""

    hash: str
    password: str = field(repr=False)
    salt: bytes
    iterations: int

    def derive(self) -> bytes:
        """Derive the salted password; takes long."""
        return scram.salted_password(self.hash, self.password, self.salt, self.iterations)


class ScramClient:
    """One log-in.

    Args:
        algorithm: ``SCRAM-SHA-256`` or ``SCRAM-SHA-1``.
        name: Whose password.
        password: Never sent.
        nonce: Printable, without a comma, never used before.
        authzid: As whom to act; ``""`` is as oneself.
        binding: A channel binding's name and its data, for ``-PLUS``; None for none.
        could_bind: Without a binding: whether we would have one, had the server offered -PLUS.

    Attributes:
        complete: Whether the server has proved itself.
    """

    def __init__(
        self,
        algorithm: str,
        name: str,
        password: str,
        nonce: str,
        *,
        authzid: str = "",
        binding: tuple[str, bytes] | None = None,
        could_bind: bool = False,
    ) -> None:
        self.complete = False
        self._hash = scram.HASHES[algorithm]
        self._password = password
        self._nonce = nonce
        flag = f"p={binding[0]}" if binding else "y" if could_bind else "n"
        self._header = f"{flag},{f'a={scram.escape(authzid)}' if authzid else ''},"
        self._binding = binding[1] if binding else b""
        self._first = f"n={scram.escape(name)},r={nonce}"
        self._challenge = ""
        self._server_signature = b""

    def start(self) -> bytes:
        """Give the first message."""
        return (self._header + self._first).encode()

    def receive(self, challenge: bytes) -> bytes | Derivation:
        """Take a challenge; give the answer, or the work that has to be done first.

        Raises:
            ServerNotProved: It is nothing to answer.
        """
        text = challenge.decode("utf-8", "replace")
        fields = scram.attributes_of(text)
        if fields is None or "e" in fields:
            raise ServerNotProved("its challenge cannot be read, or is an error")
        if self._server_signature:
            return self._receive_proof(fields.get("v", ""))
        nonce, count = fields.get("r", ""), fields.get("i", "")
        if list(fields)[:3] != ["r", "s", "i"] or not count.isascii() or not count.isdigit():
            raise ServerNotProved("its challenge cannot be read")
        if not nonce.startswith(self._nonce) or nonce == self._nonce:
            raise ServerNotProved("its nonce is not its own")
        if len(count) > 9 or not scram.MIN_ITERATIONS <= int(count) <= scram.MAX_ITERATIONS:
            raise ServerNotProved(f"it asks for {count:.20} iterations")
        try:
            salt = b64decode(fields["s"], validate=True)
        except ValueError:
            salt = b""
        if not salt:
            raise ServerNotProved("its salt cannot be read")
        self._challenge, self._nonce = text, nonce
        return Derivation(self._hash, self._password, salt, int(count))

    def derived(self, salted: bytes) -> bytes:
        """Take what `Derivation.derive` gave; give the final message."""
        binding = b64encode(self._header.encode() + self._binding).decode("ascii")
        final = f"c={binding},r={self._nonce}"
        signed = f"{self._first},{self._challenge},{final}"
        key = scram.client_key(self._hash, salted)
        stored = hashlib.new(self._hash, key).digest()
        proof = scram.xor(key, scram.mac(self._hash, stored, signed))
        self._server_signature = scram.mac(self._hash, scram.server_key(self._hash, salted), signed)
        return f"{final},p={b64encode(proof).decode('ascii')}".encode()

    def _receive_proof(self, proof: str) -> bytes:
        try:
            given = b64decode(proof, validate=True)
        except ValueError:
            given = b""
        if not hmac.compare_digest(given, self._server_signature):
            raise ServerNotProved("it does not know the account's keys")
        self.complete = True
        return b""
