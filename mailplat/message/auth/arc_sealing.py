"""ARC sets made: what we found, signed for those who get the message next (RFC 8617 §5.1)."""

from __future__ import annotations

from dataclasses import dataclass

from mailplat.message import headers
from mailplat.message.auth.arc import MOST_SETS, Chain, Link, sealed_data
from mailplat.message.auth.canonical import Canonicalisation, Fields
from mailplat.message.auth.dkim import signed_data
from mailplat.message.auth.dkim_signing import SIGNED, SIGNED_IF_THERE, base64_words
from mailplat.message.auth.keys import PrivateKey
from mailplat.message.auth.result import Result

__all__ = ["Sealer"]

_RESULTS = "ARC-Authentication-Results"
_SIGNATURE = "ARC-Message-Signature"
_SEAL = "ARC-Seal"
_RELAXED = Canonicalisation.RELAXED


@dataclass(frozen=True, slots=True)
class Sealer:
    """A domain's key, for sealing.

    Attributes:
        domain: Who seals.
        selector: The key's name in the DNS.
        key: The key.
    """

    domain: str
    selector: str
    key: PrivateKey

    def seal(
        self, header: bytes, body_hash: bytes, chain: Chain, results: str, now: int
    ) -> tuple[tuple[str, str], ...]:
        """Make a set; takes some milliseconds with RSA.

        Args:
            header: The message's header.
            body_hash: What `BodyHash` gave for its body, relaxed.
            chain: What became of the chain that the message came with.
            results: The value of our Authentication-Results field.
            now: Seconds since 1970 UTC.

        Returns:
            Names and values of fields, each to be put on top of those before it; nothing where
            the chain ended before, or is as long as it may be (RFC 8617 §5.1.2, §4.2.1).
        """
        number = len(chain.links) + 1
        failed = chain.result is Result.FAIL
        if chain.ended or number > MOST_SETS or (failed and not chain.links):
            return ()
        found = f"i={number}; {results}"
        signature = self._signature(header, body_hash, number, now)
        verdict = "fail" if failed else "pass" if chain.links else "none"
        seal = (
            f"i={number}; a={self.key.algorithm}; t={now}; cv={verdict}; "
            f"d={self.domain}; s={self.selector}; b="
        )
        own = Link(_written(_RESULTS, found), _written(_SIGNATURE, signature), b"")
        # a chain that failed is not vouched for: the seal covers its own set (RFC 8617 §5.1.2)
        links = (own,) if failed else (*chain.links, own)
        signed = sealed_data(links, _written(_SEAL, seal))
        seal = f"{seal} {base64_words(self.key.sign(signed))}"
        return ((_RESULTS, found), (_SIGNATURE, signature), (_SEAL, seal))

    def _signature(self, header: bytes, body_hash: bytes, number: int, now: int) -> str:
        fields = Fields(header)
        wanted = (*SIGNED, *SIGNED_IF_THERE, b"dkim-signature")
        names = [name for name in wanted for _ in range(fields.count(name))]
        value = (
            f"i={number}; a={self.key.algorithm}; c=relaxed/relaxed; d={self.domain}; "
            f"s={self.selector}; t={now}; h={': '.join(name.decode() for name in names)}; "
            f"bh={base64_words(body_hash)}; b="
        )
        own = headers.field(_SIGNATURE, value)
        signed = signed_data(fields, names, _RELAXED, _SIGNATURE.encode(), own)
        return f"{value} {base64_words(self.key.sign(signed))}"


def _written(name: str, value: str) -> bytes:
    """Give a value as it will stand in the header."""
    return headers.field(name, value).partition(b":")[2]
