"""SASLprep: one spelling for names and passwords that look alike (RFC 4013, a profile of RFC 3454).

Invariant: what comes out, put in again, comes out the same.
"""

from __future__ import annotations

import stringprep
from unicodedata import ucd_3_2_0

__all__ = ["saslprep"]

_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)
"""RFC 4013 §2.3."""


def saslprep(text: str, *, stored: bool = False) -> str:
    """Prepare a name or a password.

    Args:
        text: As it was given.
        stored: Whether it is kept: then code points without a meaning in Unicode 3.2 are
            refused too; in what is compared they are let pass (RFC 3454 §7).

    Raises:
        ValueError: It has characters that cannot be; which ones is not said.
    """
    if text.isascii():
        if text.isprintable():
            return text
        raise ValueError("control characters")
    mapped = "".join(
        " " if stringprep.in_table_c12(char) else char
        for char in text
        if not stringprep.in_table_b1(char)  # commonly mapped to nothing
    )
    prepared = ucd_3_2_0.normalize("NFKC", mapped)
    if any(prohibited(char) for char in prepared for prohibited in _PROHIBITED):
        raise ValueError("prohibited characters")
    if stored and any(stringprep.in_table_a1(char) for char in prepared):
        raise ValueError("unassigned code points")
    if any(stringprep.in_table_d1(char) for char in prepared) and not (
        # RFC 3454 §6: right-to-left from end to end, or not at all
        stringprep.in_table_d1(prepared[0])
        and stringprep.in_table_d1(prepared[-1])
        and not any(stringprep.in_table_d2(char) for char in prepared)
    ):
        raise ValueError("both writing directions")
    return prepared
