"""ARC: what servers on a message's way found, and whether that can be believed (RFC 8617).

Invariants:

- A chain is NONE, PASS or FAIL; a DNS that does not answer is FAIL too, and nothing raises
  (RFC 8617 §5.2.1).
- The body is read once, in blocks, for the newest signature alone: older ones are vouched for by
  the seals.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hmac import compare_digest

from mailplat.message.auth.canonical import BodyHash, Fields, relaxed_field
from mailplat.message.auth.dkim import (
    Limits,
    Signature,
    SignatureFault,
    Texts,
    check_key,
    read_signature,
    signed_data,
)
from mailplat.message.auth.result import Finding, Result
from mailplat.message.auth.tags import tag_list, without_value
from mailplat.model.errors import Unavailable

__all__ = ["MOST_SETS", "Chain", "ChainVerifier", "Link", "sealed_data"]

MOST_SETS = 50
"""Sets that a message may have (RFC 8617 §4.2.1)."""

_LARGEST = 256 * 1024
"""Bytes of all sets together: each seal signs all of those before it."""

RESULTS, SIGNATURE, SEAL = b"arc-authentication-results", b"arc-message-signature", b"arc-seal"
_OWN = (RESULTS, SIGNATURE, SEAL)
_INSTANCE = re.compile(rb"[ \t\r\n]*i[ \t\r\n]*=[ \t\r\n]*([0-9]{1,2})[ \t\r\n]*;", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Link:
    """A set of the three fields, as they stand in the header.

    Attributes:
        results: The values of ARC-Authentication-Results,
        signature: of ARC-Message-Signature,
        seal: and of ARC-Seal.
    """

    results: bytes
    signature: bytes
    seal: bytes


@dataclass(frozen=True, slots=True)
class Chain:
    """What became of a chain.

    Attributes:
        result: NONE, PASS or FAIL.
        links: Its sets, the oldest first, as far as they could be told apart.
        domain: Who sealed last; ``""`` if that cannot be read.
        ended: Whether the newest seal says that the chain failed: it cannot go on.
        reason: Why it fails.
        sealers: The domain and the selector of each seal, the oldest first; of chains that pass.
    """

    result: Result
    links: tuple[Link, ...] = ()
    domain: str = ""
    ended: bool = False
    reason: str = ""
    sealers: tuple[tuple[str, str], ...] = ()

    @property
    def finding(self) -> Finding:
        """What Authentication-Results says of it (RFC 8617 §6)."""
        properties = (("header.d", self.domain),) if self.domain else ()
        return Finding("arc", self.result, properties, self.reason)


class _Broken(Exception):
    """The chain fails; the text can be shown to anyone."""


def sealed_data(links: Sequence[Link], last_seal: bytes) -> bytes:
    """Give what a seal signs: all sets in order, its own field without its signature.

    Args:
        links: The sets, the oldest first; the last one is the seal's own.
        last_seal: The value of the seal, its signature empty or not (RFC 8617 §5.1.1).
    """
    parts: list[bytes] = []
    for link in links:
        parts.append(relaxed_field(RESULTS, link.results))
        parts.append(relaxed_field(SIGNATURE, link.signature))
        if link is not links[-1]:
            parts.append(relaxed_field(SEAL, link.seal))
    parts.append(without_value(relaxed_field(SEAL, last_seal), len(SEAL) + 1))
    return b"".join(parts)


class ChainVerifier:
    """Verifies the chain of one message (RFC 8617 §5.2).

    Args:
        header: The message's header.
        limits: Which keys count.
    """

    def __init__(self, header: bytes, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        worth = len(header) <= self._limits.header and b"arc-" in header.lower()
        self._fields = Fields(header if worth else b"")
        self._broken = ""
        self._links: tuple[Link, ...] = ()
        self._seals: list[tuple[Signature, str]] = []
        self._newest: Signature | None = None
        self._body: BodyHash | None = None
        try:
            self._links = _links(self._fields)
            self._read()
        except _Broken as broken:
            self._broken = str(broken)

    @property
    def needs_body(self) -> bool:
        """Whether there is a chain for whose sake the body must be read."""
        return self._body is not None

    def receive(self, block: bytes) -> None:
        """Take the next bytes of the body, which begins behind the header's empty line."""
        if self._body is not None:
            self._body.receive(block)

    async def result(self, texts: Texts) -> Chain:
        """Say what became of the chain; the whole body was received."""
        domain = self._seals[-1][0].domain if self._seals else ""
        ended = bool(self._seals) and self._seals[-1][1] == "fail"
        if not self._links and not self._broken:
            return Chain(Result.NONE)
        try:
            if self._broken:
                raise _Broken(self._broken)
            await self._check_newest(texts)
            for count in range(len(self._links), 0, -1):
                await self._check_seal(count, texts)
        except _Broken as broken:
            return Chain(Result.FAIL, self._links, domain, ended, str(broken))
        sealers = tuple((seal.domain, seal.selector) for seal, _ in self._seals)
        return Chain(Result.PASS, self._links, domain, sealers=sealers)

    def _read(self) -> None:
        """Take the sets apart, and check what needs no key."""
        if not self._links:
            return
        self._seals = [_seal(link.seal) for link in self._links]
        if self._seals[-1][1] == "fail":
            raise _Broken("the chain failed before")
        said = [cv for _, cv in self._seals]
        if said != ["none"] + ["pass"] * (len(said) - 1):
            raise _Broken("a seal does not say what it should")
        try:
            newest = self._newest = read_signature(self._links[-1].signature, version="")
        except SignatureFault as fault:
            raise _Broken(fault.reason) from None
        if (
            SEAL in newest.names
        ):  # others of ARC sealers must not sign either, but do: it does no harm
            raise _Broken("a seal is signed")
        self._body = BodyHash(newest.body_form)

    async def _check_newest(self, texts: Texts) -> None:
        """Check the newest signature of the message itself."""
        newest, body = self._newest, self._body
        assert newest is not None  # it was read, or the chain is broken
        assert body is not None
        if not compare_digest(body.finish(), newest.body_hash):
            raise _Broken("body hash did not verify")
        (own,) = (
            whole
            for whole, value in zip(
                self._fields.raw(SIGNATURE), self._fields.values(SIGNATURE), strict=True
            )
            if value == self._links[-1].signature
        )
        name = own[: own.index(b":")].rstrip(b" \t")
        signed = signed_data(self._fields, newest.names, newest.header_form, name, own)
        await self._verify(newest, signed, texts)

    async def _check_seal(self, count: int, texts: Texts) -> None:
        seal, _ = self._seals[count - 1]
        links = self._links[:count]
        await self._verify(seal, sealed_data(links, links[-1].seal), texts)

    async def _verify(self, signature: Signature, signed: bytes, texts: Texts) -> None:
        try:
            key = check_key(await texts(signature.key_name), signature, self._limits)
        except SignatureFault as fault:
            raise _Broken(fault.reason) from None
        except Unavailable:
            raise _Broken("key cannot be asked for now") from None
        if not key.verify(signature.signature, signed):
            raise _Broken("signature did not verify")


def _links(fields: Fields) -> tuple[Link, ...]:
    """Put the sets together (RFC 8617 §5.2 steps 1 and 3)."""
    if not any(fields.count(name) for name in _OWN):
        return ()
    if any(fields.count(name) > MOST_SETS for name in _OWN):
        raise _Broken("too many sets")
    if sum(len(value) for name in _OWN for value in fields.values(name)) > _LARGEST:
        raise _Broken("sets are too large")
    found = [
        {_instance(value, name is RESULTS): value for value in fields.values(name)} for name in _OWN
    ]
    wanted = list(range(1, fields.count(SEAL) + 1))
    if any(
        sorted(one) != wanted or len(one) != fields.count(name)
        for one, name in zip(found, _OWN, strict=True)
    ):
        raise _Broken("sets are not complete")
    results, signatures, seals = found
    return tuple(Link(results[n], signatures[n], seals[n]) for n in wanted)


def _instance(value: bytes, is_results: bool) -> int:
    """Read the number of a field's set; 0 if it has none."""
    if is_results:
        found = _INSTANCE.match(value)
        return int(found[1]) if found else 0
    try:
        number = tag_list(value).get("i", "")
    except ValueError:
        return 0
    return int(number) if number.isascii() and number.isdigit() and len(number) < 3 else 0


def _seal(value: bytes) -> tuple[Signature, str]:
    """Take a seal apart: it has neither fields nor a body of its own (RFC 8617 §4.1.3)."""
    try:
        tags = tag_list(value)
        if "h" in tags:
            raise _Broken("a seal names fields")
        seal = read_signature(value.rstrip(b" \t\r\n;") + b"; bh=AA==; h=from", version="")
    except ValueError:
        raise _Broken("seal cannot be read") from None
    except SignatureFault as fault:
        raise _Broken(fault.reason) from None
    return seal, tags.get("cv", "").lower()
