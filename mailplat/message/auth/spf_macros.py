"""SPF's macros: read once, filled in for each mail (RFC 7208 §7)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

__all__ = ["Macro", "Text", "domain_spec", "expand", "expand_domain", "macro_string", "wants"]

_PIECE = re.compile(
    r"%\{([slodiphcrtv])(\d*)(r?)([-.+,/_=]*)\}|(%[%_-])|([\x21-\x24\x26-\x7e]+)",
    re.IGNORECASE,
)
_ESCAPED = {"%%": "%", "%_": " ", "%-": "%20"}
_TOP_LABEL = re.compile(
    r"\.(?:[a-z0-9]*[a-z][a-z0-9]*|[a-z0-9]+-[a-z0-9-]*[a-z0-9])\.?", re.IGNORECASE
)
_LONGEST = 253


@dataclass(frozen=True, slots=True)
class Macro:
    """A macro (RFC 7208 §7.1).

    Attributes:
        letter: What to put there, in lower case.
        keep: How many parts of it, from the right; 0 for all.
        reverse: Whether the parts come in reverse.
        delimiters: What separates the parts.
        escape: Whether it is escaped as in a URL.
    """

    letter: str
    keep: int
    reverse: bool
    delimiters: str
    escape: bool


Text = Sequence[str | Macro]
"""What stands there as it is, and what is filled in."""


def macro_string(text: str, *, explanation: bool = False) -> Text:
    """Read a macro-string.

    Args:
        text: The string.
        explanation: Whether it is the text that explains a refusal: only there may blanks
            stand, and the macros ``c``, ``r`` and ``t`` (RFC 7208 §7.2).

    Raises:
        ValueError: It is none.
    """
    pieces: list[str | Macro] = []
    at = 0
    while at < len(text):
        if explanation and text[at] == " ":
            pieces.append(" ")
            at += 1
            continue
        found = _PIECE.match(text, at)
        if found is None:
            raise ValueError("not a macro-string")
        letter, digits, reverse, delimiters, escaped, literal = found.groups()
        if letter is None:
            pieces.append(_ESCAPED[escaped] if escaped else literal)
        else:
            keep = int(digits[:9]) if digits else 0
            if (digits and not keep) or (letter in "crtCRT" and not explanation):
                raise ValueError("no such macro")
            pieces.append(
                Macro(letter.lower(), keep, bool(reverse), delimiters or ".", letter.isupper())
            )
        at = found.end()
    return tuple(pieces)


def domain_spec(text: str) -> Text:
    """Read a domain-spec: a macro-string that ends as a name does, or in a macro.

    Raises:
        ValueError: It is none.
    """
    pieces = macro_string(text)
    start = text.rfind(".", 0, -1)
    ends_in_macro = isinstance(pieces[-1], Macro) or text.endswith(tuple(_ESCAPED)) if text else 0
    if not ends_in_macro and (start < 0 or not _TOP_LABEL.fullmatch(text, start)):
        raise ValueError("not a domain")
    return pieces


def wants(text: Text, letter: str) -> bool:
    """Tell whether a macro is used."""
    return any(isinstance(piece, Macro) and piece.letter == letter for piece in text)


def expand(text: Text, values: Mapping[str, str]) -> str:
    """Fill in the macros (RFC 7208 §7.3)."""
    return "".join(piece if isinstance(piece, str) else _filled(piece, values) for piece in text)


def expand_domain(text: Text, values: Mapping[str, str]) -> str:
    """Fill in the macros of a name; one that is too long loses labels from the left."""
    name = expand(text, values).removesuffix(".")
    if len(name) > _LONGEST:
        name = name[-_LONGEST - 1 :].partition(".")[2]
    return name


def _filled(macro: Macro, values: Mapping[str, str]) -> str:
    value = values[macro.letter]
    if macro.keep or macro.reverse or macro.delimiters != ".":
        parts = re.split(f"[{re.escape(macro.delimiters)}]", value)
        if macro.reverse:
            parts.reverse()
        value = ".".join(parts[-macro.keep :])
    return quote(value, safe="") if macro.escape else value
