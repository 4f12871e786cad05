"""DKIM verified: who answers for a message (RFC 6376, RFC 8301, RFC 8463).

Invariants:

- The body is read once, whatever the number of signatures, in blocks.
- No signature raises: what is wrong with it becomes its result, in words of our own.
- A signature passes only if it covers every From field there is and the whole body, was made
  with SHA-256 and with a key that is long enough.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from hmac import compare_digest

from mailplat.message.auth.canonical import BodyHash, Canonicalisation, Fields, relaxed_field
from mailplat.message.auth.keys import KeyFault, PublicKey, key_record
from mailplat.message.auth.result import Finding, Result
from mailplat.message.auth.tags import (
    base64_value,
    quoted_value,
    tag_list,
    without_value,
    words,
)
from mailplat.model.errors import Unavailable

__all__ = [
    "Limits",
    "Signature",
    "SignatureFault",
    "Texts",
    "Verified",
    "Verifier",
    "check_key",
    "read_signature",
    "signed_data",
]

Texts = Callable[[str], Awaitable[Sequence[bytes]]]
"""Asks the DNS for TXT: gives each record's strings joined, nothing where there is none.

Raises `Unavailable` where the DNS does not answer.
"""

_NAME = b"dkim-signature"

_DOMAIN = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.(?!-)[a-z0-9_-]{1,63})*")
_NUMBER = re.compile(r"[0-9]{1,76}")
_HEADER_NAME = re.compile(r"[!-9<-~]+")
_ALGORITHMS = {"rsa-sha256": "rsa", "ed25519-sha256": "ed25519"}
_REQUIRED = ("v", "a", "b", "bh", "d", "h", "s")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a message may make a verifier do.

    Attributes:
        signatures: Of a message that are looked at, from the top (RFC 6376 §6.1).
        key_bits: Of the smallest RSA key that counts (RFC 8301 §3.2).
        records: At one name in the DNS that are tried (RFC 6376 §6.1.2).
        partial_bodies: Whether a signature may leave the body's end out (RFC 6376 §8.2).
        header: Bytes of a header whose signatures are looked at; each may sign all of it.
    """

    signatures: int = 10
    key_bits: int = 1024
    records: int = 3
    partial_bodies: bool = False
    header: int = 1024 * 1024


class SignatureFault(Exception):
    """A signature does not hold; carries the result and words that can be shown to anyone."""

    def __init__(self, result: Result, reason: str) -> None:
        super().__init__(reason)
        self.result = result
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature's field, taken apart (RFC 6376 §3.5).

    Attributes:
        algorithm: ``rsa-sha256`` or ``ed25519-sha256``.
        domain: Who signed, in lower case.
        selector: Which key, in lower case.
        identity: The agent or user that it is for; ``@`` and the domain by default.
        names: The signed fields' names, in lower case.
        signature: The signature itself.
        body_hash: What the body's hash should be.
        header_form: How fields are brought into canonical form.
        body_form: How the body is.
        length: Bytes of the canonical body that are signed; None for all.
        expires: Until when it counts, in seconds since 1970; None for ever.
    """

    algorithm: str
    domain: str
    selector: str
    identity: str
    names: tuple[bytes, ...]
    signature: bytes
    body_hash: bytes
    header_form: Canonicalisation
    body_form: Canonicalisation
    length: int | None
    expires: int | None

    @property
    def key_name(self) -> str:
        """Where its public key is (RFC 6376 §3.6.2.1)."""
        return f"{self.selector}._domainkey.{self.domain}"


@dataclass(frozen=True, slots=True)
class Verified:
    """What became of one signature.

    Attributes:
        result: PASS, or why not.
        domain: Who signed (``d=``); ``""`` if that cannot be read.
        selector: Which key (``s=``).
        identity: Whom it is for (``i=``).
        algorithm: What it was made with.
        start: The signature's first characters, which tell signatures apart (RFC 6008 §4).
        reason: Why it does not hold.
        testing: Whether the domain only tests DKIM.
    """

    result: Result
    domain: str = ""
    selector: str = ""
    identity: str = ""
    algorithm: str = ""
    start: str = ""
    reason: str = ""
    testing: bool = False

    @property
    def finding(self) -> Finding:
        """What Authentication-Results says of it (RFC 8601 §2.7.1)."""
        properties = [
            ("header.d", self.domain),
            ("header.i", self.identity),
            ("header.s", self.selector),
            ("header.a", self.algorithm),
            ("header.b", self.start),
        ]
        reason = self.reason or ("the domain tests DKIM" if self.testing else "")
        return Finding("dkim", self.result, tuple(one for one in properties if one[1]), reason)


def read_signature(value: bytes, version: str = "1") -> Signature:
    """Take a signature's field apart, and check what needs no key (RFC 6376 §6.1.1).

    Args:
        value: The field's value.
        version: What ``v`` must be; ``""`` where there is none, as in ARC.

    Raises:
        SignatureFault: It cannot be used.
    """
    try:
        return _read(tag_list(value), version)
    except ValueError:
        raise SignatureFault(Result.NEUTRAL, "signature cannot be read") from None


def _read(tags: dict[str, str], version: str) -> Signature:
    if any(name not in tags for name in _REQUIRED if name != "v" or version):
        raise SignatureFault(Result.PERMERROR, "signature lacks a tag")
    if version and tags["v"] != version:
        raise SignatureFault(Result.NEUTRAL, "signature of another version")
    domain, selector, algorithm = tags["d"].lower(), tags["s"].lower(), tags["a"].lower()
    if not _DOMAIN.fullmatch(domain) or not _DOMAIN.fullmatch(selector):
        raise ValueError("not a domain")
    if algorithm not in _ALGORITHMS:  # rsa-sha1 among them (RFC 8301 §3.1)
        raise SignatureFault(Result.PERMERROR, "algorithm is unknown or too weak")
    identity = quoted_value(tags.get("i", "")) if version else ""
    identity = identity or f"@{domain}"
    within = identity.rpartition("@")[2].lower()
    if "@" not in identity or (within != domain and not within.endswith("." + domain)):
        raise SignatureFault(Result.PERMERROR, "identity is not of the domain")
    if "dns/txt" not in words(tags.get("q", "dns/txt")):
        raise SignatureFault(Result.PERMERROR, "key is not in the DNS")
    names = words(tags["h"])
    if not all(map(_HEADER_NAME.fullmatch, names)):
        raise ValueError("not names of fields")
    header_form, _, body_form = tags.get("c", "simple").lower().partition("/")
    made, expires = _number(tags, "t"), _number(tags, "x")
    if made is not None and expires is not None and expires <= made:
        raise ValueError("expires before it is made")
    return Signature(
        algorithm=algorithm,
        domain=domain,
        selector=selector,
        identity=identity,
        names=tuple(name.encode() for name in names),
        signature=base64_value(tags["b"]),
        body_hash=base64_value(tags["bh"]),
        header_form=Canonicalisation(header_form),
        body_form=Canonicalisation(body_form or "simple"),
        length=_number(tags, "l") if version else None,
        expires=expires,
    )


def _number(tags: dict[str, str], name: str) -> int | None:
    value = tags.get(name)
    if value is None:
        return None
    if not _NUMBER.fullmatch(value):
        raise ValueError("not a number")
    return int(value)


def check_key(found: Sequence[bytes], signature: Signature, limits: Limits) -> PublicKey:
    """Choose the key record that a signature can be verified with (RFC 6376 §6.1.2).

    Raises:
        SignatureFault: None of them will do.
    """
    fault = SignatureFault(Result.PERMERROR, "no key for signature")
    for text in found[: limits.records]:
        try:
            key = key_record(text)
            _suit(key, signature, limits)
        except KeyFault as unreadable:
            fault = SignatureFault(Result.PERMERROR, str(unreadable))
        except SignatureFault as unsuitable:
            fault = unsuitable
        else:
            return key
    raise fault


def _suit(key: PublicKey, signature: Signature, limits: Limits) -> None:
    """Make sure that a key is for such a signature."""
    if key.key is None:
        raise SignatureFault(Result.PERMERROR, "key was revoked")
    if key.kind != _ALGORITHMS[signature.algorithm]:
        raise SignatureFault(Result.PERMERROR, "key is for another algorithm")
    if key.hashes and "sha256" not in key.hashes:
        raise SignatureFault(Result.PERMERROR, "key is for another hash")
    if not key.for_mail:
        raise SignatureFault(Result.PERMERROR, "key is not for mail")
    if key.strict and signature.identity.rpartition("@")[2].lower() != signature.domain:
        raise SignatureFault(Result.PERMERROR, "key is not for subdomains")
    if key.kind == "rsa" and key.bits < limits.key_bits:
        raise SignatureFault(Result.POLICY, "key is too short")


def signed_data(
    fields: Fields,
    names: Sequence[bytes],
    form: Canonicalisation,
    own_name: bytes,
    own_field: bytes,
) -> bytes:
    """Give what a signature signs (RFC 6376 §3.7).

    Args:
        fields: The message's fields.
        names: Those that are signed, in lower case.
        form: Their canonical form.
        own_name: The name of the signature's own field, as it stands there.
        own_field: That field.
    """
    at = own_field.index(b":") + 1
    own = without_value(own_field, at)
    if form is Canonicalisation.RELAXED:
        own = relaxed_field(own_name, own[at:])[:-2]
    return fields.picked(names, form) + own


@dataclass(slots=True)
class _Seen:
    """A signature on its way to a result."""

    whole: bytes
    signature: Signature | None = None
    verified: Verified = Verified(Result.NEUTRAL)
    hash: tuple[Canonicalisation, int | None] = (Canonicalisation.SIMPLE, None)


class Verifier:
    """Verifies the signatures of one message.

    Args:
        header: The message's header.
        limits: How much it may make us do.
    """

    def __init__(self, header: bytes, limits: Limits = Limits()) -> None:
        self._limits = limits
        self._fields = Fields(header if len(header) <= limits.header else b"")
        self._hashes: dict[tuple[Canonicalisation, int | None], BodyHash] = {}
        self._digests: dict[tuple[Canonicalisation, int | None], tuple[bytes, int]] = {}
        self._seen: list[_Seen] = []
        raw = self._fields.raw(_NAME)[: limits.signatures]
        for whole, value in zip(raw, self._fields.values(_NAME), strict=False):
            seen = _Seen(whole)
            try:
                signature = seen.signature = read_signature(value)
            except SignatureFault as fault:
                seen.verified = Verified(fault.result, reason=fault.reason)
            else:
                # where only whole bodies count, one hash a form will do for any number of lengths
                length = signature.length if limits.partial_bodies else None
                seen.hash = (signature.body_form, length)
                self._hashes.setdefault(seen.hash, BodyHash(*seen.hash))
            self._seen.append(seen)

    @property
    def needs_body(self) -> bool:
        """Whether there is a signature for whose sake the body must be read."""
        return bool(self._hashes)

    def receive(self, block: bytes) -> None:
        """Take the next bytes of the body, which begins behind the header's empty line."""
        for one in self._hashes.values():
            one.receive(block)

    async def results(self, texts: Texts, now: float) -> tuple[Verified, ...]:
        """Say what became of each signature, from the top; the whole body was received.

        Args:
            texts: Asks the DNS.
            now: Seconds since 1970 UTC.
        """
        self._digests = {how: (one.finish(), one.size) for how, one in self._hashes.items()}
        self._hashes = {}
        return tuple([await self._result(seen, texts, now) for seen in self._seen])

    async def _result(self, seen: _Seen, texts: Texts, now: float) -> Verified:
        signature = seen.signature
        if signature is None:
            return seen.verified
        result, reason, testing = Result.PASS, "", False
        try:
            self._check_message(signature, seen, now)
            try:
                found = await texts(signature.key_name)
            except Unavailable:
                raise SignatureFault(Result.TEMPERROR, "key cannot be asked for now") from None
            key = check_key(found, signature, self._limits)
            testing = key.testing
            self._check_signature(signature, seen, key)
        except SignatureFault as fault:
            result, reason = fault.result, fault.reason
        return Verified(
            result,
            domain=signature.domain,
            selector=signature.selector,
            identity=signature.identity,
            algorithm=signature.algorithm,
            start=_start(signature.signature),
            reason=reason,
            testing=testing,
        )

    def _check_message(self, signature: Signature, seen: _Seen, now: float) -> None:
        """Check what needs no key, before the DNS is asked."""
        if b"from" not in signature.names:
            raise SignatureFault(Result.PERMERROR, "From is not signed")
        if signature.names.count(b"from") < self._fields.count(b"from"):
            # one was added on top, and readers would show it (RFC 6376 §8.15)
            raise SignatureFault(Result.POLICY, "there is a From that is not signed")
        if signature.expires is not None and signature.expires < now:
            raise SignatureFault(Result.FAIL, "signature expired")
        digest, size = self._digests[seen.hash]
        if signature.length is not None and signature.length > size:
            raise SignatureFault(Result.FAIL, "body is shorter than what was signed")
        if not self._limits.partial_bodies and signature.length not in (None, size):
            raise SignatureFault(Result.POLICY, "body is not signed to its end")
        if not compare_digest(digest, signature.body_hash):
            raise SignatureFault(Result.FAIL, "body hash did not verify")

    def _check_signature(self, signature: Signature, seen: _Seen, key: PublicKey) -> None:
        own_name = seen.whole[: seen.whole.index(b":")].rstrip(b" \t")
        signed = signed_data(
            self._fields, signature.names, signature.header_form, own_name, seen.whole
        )
        if not key.verify(signature.signature, signed):
            raise SignatureFault(Result.FAIL, "signature did not verify")


def _start(signature: bytes) -> str:
    return b2a_base64(signature[:6], newline=False).decode()
