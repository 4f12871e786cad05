"""The field Authentication-Results, written and recognised (RFC 8601).

Invariants:

- What we write has foreign words in quoted strings alone, without anything that ends one.
- What we read is bounded; it says something only to who trusts whoever wrote it.
- A field that might be read as ours is taken for one that claims to be ours: whoever trusts our
  name must never read another's results (RFC 8601 §5).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from mailplat.message.auth.result import Finding, Result

__all__ = ["NAME", "authentication_results", "claims_to_be_from", "read_results"]

NAME = "Authentication-Results"

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]+")
_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]*@[A-Za-z0-9.-]+")
_UNSAFE = re.compile(r"[^ !#-\[\]-~]|(?<==)\?")  # what could begin an encoded word, too
_LONGEST = 320
_PIECE = re.compile(
    rb'"((?:[^"\\]|\\.)*+)"|([^\s;=()"]++)|([;=()])|\s++|(.)', re.DOTALL
)  # a quoted string, a word, a mark, blanks, or what is none of them
_MOST_READ = 8192
"""Bytes of a field that are read for its results."""

_LOOKED_AT = 1000
"""Bytes of a field in which the name of its server has to be found."""

_COMMENT = re.compile(rb"([^()\\]++|\\.)|([()])|\\\Z", re.DOTALL)
_BLANKS = b" \t\r\n"


def authentication_results(host: str, findings: Iterable[Finding]) -> str:
    """Make the field's value (RFC 8601 §2.2).

    Args:
        host: The name of the server that vouches for it: its authserv-id.
        findings: What was found; none becomes ``none``.
    """
    parts = [_value(host), *map(_part, findings)]
    return "; ".join(parts if len(parts) > 1 else [*parts, "none"])


def _part(finding: Finding) -> str:
    words = [f"{finding.method}={finding.result}"]
    if finding.reason:
        words.append(f"reason={_value(finding.reason)}")
    words += [f"{name}={_value(value)}" for name, value in finding.properties]
    return " ".join(words)


def _value(text: str) -> str:
    """Write a value, in quotes unless it is a token or an address (RFC 8601 §2.2 pvalue)."""
    text = text[:_LONGEST]
    if _TOKEN.fullmatch(text) or _ADDRESS.fullmatch(text):
        return text
    return f'"{_UNSAFE.sub("_", text)}"'


def claims_to_be_from(value: bytes, host: str) -> bool:
    """Tell whether a field claims to be this server's, or cannot be read well enough to tell.

    Args:
        value: The field's value.
        host: This server's authserv-id.
    """
    rest = _behind_comments(value[:_LOOKED_AT])
    if rest is None:
        return True
    if rest.startswith(b'"'):
        end = re.match(rb'"((?:[^"\\]|\\.)*+)"', rest, re.DOTALL)
        if end is None:
            return True
        name = re.sub(rb"\\(.)", rb"\1", end[1], flags=re.DOTALL)
    else:
        name = re.split(rb"[;\s(/]", rest, maxsplit=1)[0]
    found = name.strip(_BLANKS).decode("utf-8", "replace").rstrip(".").lower()
    return not found or found == host.rstrip(".").lower()


def read_results(value: bytes) -> tuple[Finding, ...]:
    """Read the results of a field, as far as they can be read (RFC 8601 §2.2).

    Args:
        value: What stands behind the name of the server: ``spf=pass smtp.mailfrom=a@b; dkim=...``.
    """
    findings = []
    for words in _parts(value[:_MOST_READ]):
        # method "=" result, then properties; reason= is one of them
        triples = zip(words[::3], words[1::3], words[2::3], strict=False)
        pairs = [(name.lower(), said) for name, mark, said in triples if mark == "="]
        if not pairs or len(pairs) * 3 != len(words):
            continue
        (method, result), *properties = pairs
        if result.lower() in Result.__members__.values():
            method = method.partition("/")[0]
            findings.append(Finding(method, Result(result.lower()), tuple(properties)))
    return tuple(findings)


def _parts(value: bytes) -> list[list[str]]:
    """Take a list with semicolons apart into words, without comments."""
    parts: list[list[str]] = [[]]
    depth = 0
    for piece in _PIECE.finditer(value):
        quoted, word, mark, _ = piece.groups()
        if mark in (b"(", b")"):
            depth = max(0, depth + (1 if mark == b"(" else -1))
        elif depth:
            continue
        elif mark == b";":
            parts.append([])
        elif quoted is not None:
            parts[-1].append(
                re.sub(rb"\\(.)", rb"\1", quoted, flags=re.DOTALL).decode("utf-8", "replace")
            )
        elif word is not None or mark is not None:
            parts[-1].append((word or mark).decode("utf-8", "replace"))
    return parts


def _behind_comments(value: bytes) -> bytes | None:
    """Skip blanks and comments in front; None if a comment does not end."""
    value = value.lstrip(_BLANKS)
    while value.startswith(b"("):
        depth = at = 0
        while piece := _COMMENT.match(value, at):
            at = piece.end()
            if piece[2]:
                depth += 1 if piece[2] == b"(" else -1
                if not depth:
                    break
        if depth or not piece:
            return None
        value = value[at:].lstrip(_BLANKS)
    return value
