"""SCRAM, the server's side (RFC 5802 §5, RFC 7677): SCRAM-SHA-256, -SHA-1 and their -PLUS.

The exchange asks once: for the keys of the name (`ScramRequest`, answered by `ScramKeys`; unknown
names get keys too, that no password fits).  It ends with `ScramProof`, right or wrong.

Invariants:

- With ``-PLUS`` nothing is proved unless both ends see the same TLS connection.
- A client that can bind and believes we cannot (``y``) is refused where ``-PLUS`` is offered:
  somebody between us cut it off the list (RFC 5802 §6).
- A wrong name and a wrong password take the same steps.
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping

from mailplat.model.credentials import Denied, ScramKeys, ScramProof, ScramRequest
from mailplat.proto.sasl import scram
from mailplat.proto.sasl.exchange import MAX_FIELD, Answer, Challenge, Failed, Failure, Step
from mailplat.proto.sasl.saslprep import saslprep

__all__ = ["ScramExchange"]

_MALFORMED = Failed(Failure.MALFORMED)
_REFUSED = Failed(Failure.REFUSED)


class ScramExchange:
    """One try to log in by SCRAM.

    Args:
        algorithm: ``SCRAM-SHA-256`` or ``SCRAM-SHA-1``.
        nonce: Ours: printable, without a comma, never used before.
        bindings: What ties the exchange to its TLS connection, by the binding's name
            (``tls-exporter``, ``tls-server-end-point``); empty where nothing does.
        plus: Whether the client chose ``-PLUS``.
        plus_offered: Whether it could have.
    """

    def __init__(
        self,
        algorithm: str,
        nonce: str,
        *,
        bindings: Mapping[str, bytes] | None = None,
        plus: bool = False,
        plus_offered: bool = False,
    ) -> None:
        self._algorithm = algorithm
        self._hash = scram.HASHES[algorithm]
        self._nonce = nonce
        self._bindings = bindings or {}
        self._plus = plus
        self._plus_offered = plus_offered
        self._binding = b""  # what the client has to send as c=, before base64
        self._name = self._authzid = ""
        self._first = self._challenge = ""  # client-first-message-bare, server-first-message
        self._keys: ScramKeys | None = None
        self._proof: ScramProof | None = None

    def start(self, initial: bytes | None) -> Step:
        """Read the client's first message, or ask for it by an empty challenge."""
        return Challenge(b"") if initial is None else self.receive(initial)

    def receive(self, response: bytes) -> Step:
        """Take the client's first message, its final one, or its word that it saw our proof."""
        if self._proof is not None:  # nothing is left to say (RFC 4422 §5)
            return self._proof if not response else _MALFORMED
        try:
            message = response.decode()
        except UnicodeDecodeError:
            return _MALFORMED
        return self._receive_first(message) if self._keys is None else self._receive_final(message)

    def answer(self, answer: Answer) -> Step:
        """Take the keys of the name, and challenge the client to prove that it fits them."""
        if isinstance(answer, Denied):
            return _REFUSED
        self._keys = answer
        salt = b64encode(answer.salt).decode("ascii")
        self._challenge = f"r={self._nonce},s={salt},i={answer.iterations}"
        return Challenge(self._challenge.encode())

    def _receive_first(self, message: str) -> Step:
        """Read ``gs2-header client-first-message-bare`` (RFC 5802 §7)."""
        flag, *rest = message.split(",", 2)
        if len(rest) != 2 or not self._read_flag(flag):
            return _MALFORMED
        header, bare = f"{flag},{rest[0]},", rest[1]
        if rest[0]:
            authzid = scram.unescape(rest[0].removeprefix("a="))
            if not rest[0].startswith("a=") or not authzid:
                return _MALFORMED
            self._authzid = authzid
        kind, _, binding = flag.partition("=")
        if kind == "y" and self._plus_offered:
            return _REFUSED  # server-does-support-channel-binding
        if (kind == "p") is not self._plus or (kind == "p" and binding not in self._bindings):
            return _REFUSED  # unsupported-channel-binding-type
        self._binding = header.encode() + (self._bindings[binding] if binding else b"")
        return self._read_name(bare)

    def _read_flag(self, flag: str) -> bool:
        return flag in ("n", "y") or flag.startswith("p=")

    def _read_name(self, bare: str) -> Step:
        """Read ``n=NAME,r=NONCE``; what we do not know is passed over (RFC 5802 §5.1)."""
        fields = scram.attributes_of(bare)
        # "m=" would stand in front, and says that not knowing it is an error
        if fields is None or list(fields)[:2] != ["n", "r"] or len(bare) > 4 * MAX_FIELD:
            return _MALFORMED
        name, nonce = scram.unescape(fields["n"]), fields["r"]
        if name is None or not _is_nonce(nonce):
            return _MALFORMED
        try:
            self._name = saslprep(name)
        except ValueError:
            return _REFUSED
        if not self._name:
            return _REFUSED
        self._first = bare
        self._nonce = nonce + self._nonce
        return ScramRequest(self._name, self._algorithm)

    def _receive_final(self, message: str) -> Step:
        """Read ``c=BINDING,r=NONCE,p=PROOF`` and judge it (RFC 5802 §3)."""
        keys = self._keys
        assert keys is not None
        without_proof, comma, last = message.rpartition(",")
        fields = scram.attributes_of(without_proof)
        if not comma or not last.startswith("p=") or fields is None:
            return _MALFORMED
        if list(fields)[:2] != ["c", "r"]:
            return _MALFORMED
        try:
            binding, proof = (
                b64decode(text, validate=True) for text in (fields["c"], last.removeprefix("p="))
            )
        except ValueError:
            return _MALFORMED
        signed = f"{self._first},{self._challenge},{without_proof}"
        signature = scram.mac(self._hash, keys.stored_key, signed)
        if len(proof) != len(signature):
            return _MALFORMED
        stored = scram.digest(self._hash, scram.xor(proof, signature))
        right = (
            hmac.compare_digest(stored, keys.stored_key)
            & hmac.compare_digest(binding, self._binding)
            & hmac.compare_digest(fields["r"].encode(), self._nonce.encode())
        )
        if not right:
            return ScramProof(self._name, False, self._authzid)
        self._proof = ScramProof(self._name, True, self._authzid)
        ours = scram.mac(self._hash, keys.server_key, signed)
        return Challenge(b"v=" + b64encode(ours))


def _is_nonce(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text and 1 <= len(text) <= 512
