"""What a check of authentication found, in the words of RFC 8601 §2.7."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Finding", "Result"]


class Result(StrEnum):
    """The outcome of one method."""

    NONE = "none"
    PASS = "pass"
    FAIL = "fail"
    SOFTFAIL = "softfail"
    POLICY = "policy"
    NEUTRAL = "neutral"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one method with what it was about, for Authentication-Results.

    Attributes:
        method: ``dkim``, ``spf``, ``dmarc``, ``arc``, ``iprev``, ``auth``.
        result: The outcome.
        properties: What was looked at: ``("header.d", "example.org")``.
        reason: Why, in a few words; never what a peer said.
    """

    method: str
    result: Result
    properties: tuple[tuple[str, str], ...] = ()
    reason: str = ""
