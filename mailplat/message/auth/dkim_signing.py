"""DKIM signatures made (RFC 6376 §5, RFC 8301, RFC 8463).

What is made is the value of a DKIM-Signature field.  It holds however the field is folded where
fields are signed relaxed; folded by `mailplat.message.headers.field`, it holds signed simple too.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Sequence
from dataclasses import dataclass

from mailplat.message import headers
from mailplat.message.auth.canonical import Canonicalisation, Fields
from mailplat.message.auth.dkim import signed_data
from mailplat.message.auth.keys import PrivateKey

__all__ = ["NAME", "SIGNED", "SIGNED_IF_THERE", "Signer", "base64_words"]

NAME = "DKIM-Signature"

SIGNED = (
    b"from",
    b"to",
    b"cc",
    b"subject",
    b"date",
    b"message-id",
    b"reply-to",
    b"in-reply-to",
    b"references",
    b"mime-version",
    b"content-type",
    b"content-transfer-encoding",
)
"""Fields that are signed, as a rule once more than they are there (RFC 6376 §5.4)."""

SIGNED_IF_THERE = (
    b"sender",
    b"content-id",
    b"content-description",
    b"resent-date",
    b"resent-from",
    b"resent-to",
    b"resent-cc",
    b"resent-message-id",
    b"list-id",
    b"list-help",
    b"list-unsubscribe",
    b"list-unsubscribe-post",
    b"list-subscribe",
    b"list-post",
    b"list-owner",
    b"list-archive",
)
"""Fields that are signed as they are; a mailing list may add some (RFC 6376 §5.4.1)."""

_WORD = 72
"""Characters of base64 between two places to fold at."""


def base64_words(data: bytes) -> str:
    """Write base64 with blanks, where it can be folded."""
    text = b2a_base64(data, newline=False).decode()
    return " ".join(text[at : at + _WORD] for at in range(0, len(text), _WORD))


@dataclass(frozen=True, slots=True)
class Signer:
    """A domain's key, and how it signs.

    Attributes:
        domain: Who signs.
        selector: The key's name in the DNS.
        key: The key.
        header_form: The canonical form of fields.
        body_form: The canonical form of the body.
        lasts: Seconds that a signature counts; None for ever.
        oversign: Whether fields are signed once more than they are there, so that none is added.
    """

    domain: str
    selector: str
    key: PrivateKey
    header_form: Canonicalisation = Canonicalisation.RELAXED
    body_form: Canonicalisation = Canonicalisation.RELAXED
    lasts: int | None = None
    oversign: bool = True

    def sign(self, header: bytes, body_hash: bytes, now: int) -> str:
        """Make the value of the DKIM-Signature field; takes about a millisecond with RSA.

        Args:
            header: The message's header.
            body_hash: What `BodyHash` gave for its body in this signer's form.
            now: Seconds since 1970 UTC.
        """
        fields = Fields(header)
        names = list(_names(fields, oversign=self.oversign))
        tags = [
            "v=1",
            f"a={self.key.algorithm}",
            f"c={self.header_form}/{self.body_form}",
            f"d={self.domain}",
            f"s={self.selector}",
            f"t={now}",
        ]
        if self.lasts is not None:
            tags.append(f"x={now + self.lasts}")
        tags += [f"h={': '.join(names)}", f"bh={base64_words(body_hash)}", "b="]
        value = "; ".join(tags)
        own = headers.field(NAME, value)
        signed = signed_data(
            fields, [name.encode() for name in names], self.header_form, NAME.encode(), own
        )
        return f"{value} {base64_words(self.key.sign(signed))}"


def _names(fields: Fields, *, oversign: bool) -> Sequence[str]:
    """List the fields to sign; what is there twice is signed twice."""
    names = [name for name in SIGNED for _ in range(fields.count(name) + oversign)]
    names += [name for name in SIGNED_IF_THERE for _ in range(fields.count(name))]
    return [name.decode() for name in names or (b"from",)]  # never none (RFC 6376 §5.4)
