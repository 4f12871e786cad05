"""What is worked out once, when a message arrives, and asked for a thousand times.

`message.scan` makes it, a store keeps it in the message's index row, and FETCH, SEARCH, SORT
and THREAD read it there: none of them opens the body for what stands here.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SUMMARY_VERSION", "Summary"]

SUMMARY_VERSION = 1
"""Raised when the meaning of a stored field changes; a store rebuilds older rows."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The summary of one message.

    Attributes:
        size: Bytes of the whole message (RFC 9051 RFC822.SIZE).
        header_size: Bytes of the header with the empty line behind it.
        header: The header with the empty line behind it, byte for byte; ``b""`` where it
            is larger than the scanner's limit (then read it from the body).
        envelope: ENVELOPE, ready for the wire with its parentheses (RFC 9051 §7.5.2).
        body: BODY, ready for the wire (the same without extension data).
        bodystructure: BODYSTRUCTURE, ready for the wire.
        parts: The part table in the packed form of `message.parts`; opaque to a store.
        preview: The first 200 characters of text, white space folded (RFC 8970 §3.1).
        sent: The Date field, seconds since 1970 UTC; None if it cannot be read.
        message_id: Message-ID with its angle brackets, ``""`` if there is none.
        references: The threading ancestors, oldest first (RFC 5256 §3 REFERENCES).
        base_subject: The subject for threads (RFC 5256 §2.1), in lower case.
        eight_bit: Whether any byte is above 127.
        nul: Whether any byte is 0 (then BINARY needs a literal8, RFC 3516 §4.4).
    """

    size: int
    header_size: int
    header: bytes
    envelope: bytes
    body: bytes
    bodystructure: bytes
    parts: bytes
    preview: str = ""
    sent: int | None = None
    message_id: str = ""
    references: tuple[str, ...] = ()
    base_subject: str = ""
    eight_bit: bool = False
    nul: bool = False
