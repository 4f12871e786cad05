"""One SMTP reply: a code, an enhanced status code and its lines (RFC 5321 §4.2, RFC 2034)."""

from __future__ import annotations

from dataclasses import dataclass

from mailplat.model.errors import MailError

__all__ = ["Reply"]


@dataclass(frozen=True, slots=True)
class Reply:
    """What one side of an SMTP dialogue answers.

    Attributes:
        code: Three digits (RFC 5321 §4.2.1).
        lines: The text, a line each, without line ends; never empty.
        status: The enhanced status code, ``""`` where there is none (RFC 2034 §4: not in
            greetings, 3xx replies and the reply to EHLO).
    """

    code: int
    lines: tuple[str, ...]
    status: str = ""

    @classmethod
    def of(cls, code: int, text: str, status: str = "") -> Reply:
        """Make a reply of one line."""
        return cls(code, (text,), status)

    @classmethod
    def to_error(cls, error: MailError) -> Reply:
        """Say an error's public side."""
        return cls(error.code, (error.public,), error.status)

    @property
    def positive(self) -> bool:
        """Whether it is a 2xx or 3xx."""
        return 200 <= self.code < 400

    @property
    def transient(self) -> bool:
        """Whether it is a 4xx: worth a retry."""
        return 400 <= self.code < 500

    @property
    def permanent(self) -> bool:
        """Whether it is a 5xx."""
        return 500 <= self.code < 600

    @property
    def text(self) -> str:
        """The lines, joined by blanks, for logs and delivery reports."""
        return " ".join(self.lines)
