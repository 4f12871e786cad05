"""Names for messages: short, in the order of time, and never given twice.

A name is the time in microseconds and a word of the process, in base 36: ``1kx3v9f0q2ja7b``.  Two
processes meet only in the same microsecond and with the same word out of 46,656.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

__all__ = ["QueueIds"]

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class QueueIds:
    """Gives names.

    Args:
        now: The time, seconds since 1970 UTC.
        word: Three characters for this process; random if not given.
    """

    def __init__(self, now: Callable[[], float], word: str | None = None) -> None:
        self._now = now
        self._word = word or "".join(secrets.choice(_DIGITS) for _ in range(3))
        self._last = 0

    def __call__(self) -> str:
        """Give the next name."""
        number = self._last = max(int(self._now() * 1_000_000), self._last + 1)
        text = ""
        while number:
            number, digit = divmod(number, 36)
            text = _DIGITS[digit] + text
        return text + self._word
