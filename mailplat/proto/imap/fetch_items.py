r"""What FETCH asks for, as frozen values (RFC 9051 §6.4.5).

Each item knows its ``label``: the bytes that name it in the answer.  ``RFC822``,
``RFC822.HEADER`` and ``RFC822.TEXT`` are sections with a label of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

__all__ = ["Attribute", "BinarySize", "FetchItem", "Preview", "Section", "SectionText"]


class FetchItem(Protocol):
    """One thing asked of each message; a plugin's own items need no more than this."""

    @property
    def label(self) -> bytes:
        """What names it in the answer."""


class Attribute(Enum):
    """The items that have neither section nor argument."""

    UID = "UID"
    FLAGS = "FLAGS"
    INTERNALDATE = "INTERNALDATE"
    SIZE = "RFC822.SIZE"
    ENVELOPE = "ENVELOPE"
    BODY = "BODY"
    BODYSTRUCTURE = "BODYSTRUCTURE"
    MODSEQ = "MODSEQ"
    EMAILID = "EMAILID"
    THREADID = "THREADID"
    SAVEDATE = "SAVEDATE"

    @property
    def label(self) -> bytes:
        """What names it in the answer."""
        return str(self.value).encode("ascii")


@dataclass(frozen=True, slots=True)
class Preview:
    """PREVIEW; lazy: only if it is at hand (RFC 8970 §3)."""

    lazy: bool = False

    @property
    def label(self) -> bytes:
        """What names it in the answer."""
        return b"PREVIEW"


class SectionText(Enum):
    """What of a part is meant (RFC 9051 §9 section-text)."""

    ALL = ""
    HEADER = "HEADER"
    HEADER_FIELDS = "HEADER.FIELDS"
    HEADER_FIELDS_NOT = "HEADER.FIELDS.NOT"
    TEXT = "TEXT"
    MIME = "MIME"


@dataclass(frozen=True, slots=True)
class Section:
    r"""``BODY[section]<partial>``, ``BINARY[part]<partial>`` and the ``RFC822`` forms.

    Attributes:
        label: What names it in the answer, with the partial's first byte: ``BODY[1.MIME]<0>``.
        part: The numbers of the part; ``()`` is the message itself.
        text: What of the part.
        fields: Names of header fields as the client spelled them, for ``HEADER.FIELDS``.
        partial: The first byte, from 0, and how many at most.
        peek: False: reading it sets ``\Seen``.
        binary: Whether the transfer encoding is taken off (RFC 3516 §4.2).
    """

    label: bytes
    part: tuple[int, ...] = ()
    text: SectionText = SectionText.ALL
    fields: tuple[str, ...] = ()
    partial: tuple[int, int] | None = None
    peek: bool = False
    binary: bool = False


@dataclass(frozen=True, slots=True)
class BinarySize:
    """``BINARY.SIZE[part]``: bytes of a part once its encoding is taken off (RFC 3516 §4.2)."""

    label: bytes
    part: tuple[int, ...] = ()
