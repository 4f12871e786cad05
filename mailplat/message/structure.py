"""BODY and BODYSTRUCTURE, ready for the wire (RFC 9051 §7.5.2, RFC 3501 §7.4.2).

Both come out of one walk over the tree of `message.scan`: BODY is BODYSTRUCTURE without extension
data.  Types, names and values are spelt as the message spells them; what is missing gets MIME's
defaults (RFC 2045 §5.2, §6.1).
"""

from __future__ import annotations

from mailplat.message import parameters
from mailplat.message.envelope import envelope
from mailplat.message.headers import unfold
from mailplat.message.nstring import NIL, nstring, string
from mailplat.message.parameters import Parameters
from mailplat.message.tree import Kind, Part

__all__ = ["structure"]

_MOST_LANGUAGES = 50
"""Tags of one Content-Language field; more are passed over."""


def structure(part: Part) -> tuple[bytes, bytes]:
    """Make BODY and BODYSTRUCTURE of a part and those within it."""
    if part.kind is Kind.MULTIPART:
        return _multipart(part)
    fields = part.fields
    given = part.parameters
    if part.type.lower() == b"text" and parameters.value_of(given, b"charset") is None:
        given = (*given, (b"charset", b"us-ascii"))
    basic = b"(%b %b %b %b %b %b %d" % (
        string(part.type),
        string(part.subtype),
        _parameters(given),
        _text(fields.get(b"id")),
        _text(fields.get(b"description")),
        string(parameters.token(fields.get(b"transfer-encoding", b"")) or b"7bit"),
        part.end - part.body_start,
    )
    extension = _extension(_text(fields.get(b"md5")), part)
    if part.kind is Kind.LEAF:
        return basic + b")", basic + extension
    if part.kind is not Kind.MESSAGE:
        basic += b" %d" % part.lines
        return basic + b")", basic + extension
    inner = part.children[0]
    body, bodystructure = structure(inner)
    head = b"%b %b " % (basic, envelope(inner.header))
    return (
        b"%b%b %d)" % (head, body, part.lines),
        b"%b%b %d%b" % (head, bodystructure, part.lines, extension),
    )


def _multipart(part: Part) -> tuple[bytes, bytes]:
    made = [structure(child) for child in part.children]
    subtype = string(part.subtype)
    return (
        b"(%b %b)" % (b"".join(body for body, _ in made), subtype),
        b"(%b %b%b"
        % (
            b"".join(bodystructure for _, bodystructure in made),
            subtype,
            _extension(_parameters(part.parameters), part),
        ),
    )


def _extension(first: bytes, part: Part) -> bytes:
    """The extension data with what comes first in them: the MD5 or a multipart's parameters."""
    fields = part.fields
    if not fields:
        return b" %b NIL NIL NIL)" % first
    return b" %b %b %b %b)" % (
        first,
        _disposition(fields.get(b"disposition")),
        _language(fields.get(b"language")),
        _text(fields.get(b"location")),
    )


def _text(value: bytes | None) -> bytes:
    return NIL if value is None else nstring(unfold(value))


def _parameters(given: Parameters) -> bytes:
    if not given:
        return NIL
    return b"(" + b" ".join([b"%b %b" % (string(k), string(v)) for k, v in given]) + b")"


def _disposition(value: bytes | None) -> bytes:
    """Spell Content-Disposition (RFC 2183 §2)."""
    kind = parameters.token(value) if value is not None else b""
    if value is None or not kind:
        return NIL
    return b"(%b %b)" % (string(kind), _parameters(parameters.parse(value)))


def _language(value: bytes | None) -> bytes:
    """One tag as a string, several as a list (RFC 3282 §2)."""
    if value is None:
        return NIL
    tags = [tag.strip() for tag in unfold(value).split(b",", _MOST_LANGUAGES)[:_MOST_LANGUAGES]]
    tags = [tag for tag in tags if tag]
    if len(tags) > 1:
        return b"(" + b" ".join(map(string, tags)) + b")"
    return string(tags[0]) if tags else NIL
