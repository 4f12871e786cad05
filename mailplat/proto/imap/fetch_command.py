"""The grammar of FETCH: items, sections and modifiers (RFC 9051 §6.4.5 and its extensions)."""

from __future__ import annotations

import re
from collections.abc import Callable

from mailplat.model.numset import MAX_NUMBER
from mailplat.proto.imap.commands.event import Command
from mailplat.proto.imap.commands.messages import Fetch
from mailplat.proto.imap.fetch_items import (
    Attribute,
    BinarySize,
    FetchItem,
    Preview,
    Section,
    SectionText,
)
from mailplat.proto.imap.refusal import bad
from mailplat.proto.imap.sets import PartialRange
from mailplat.proto.imap.spelling import astring
from mailplat.proto.imap.tokens import MAX_MODSEQ, MAX_NUMBER64, Tokens

__all__ = ["FETCH_ITEMS", "MAX_PART_DEPTH", "fetch"]

MAX_PART_DEPTH = 100
"""Numbers of one part: no message is parsed deeper than that."""

_ATTRIBUTES: dict[bytes, FetchItem] = {item.label: item for item in Attribute}
_ENVELOPE_SET = (Attribute.FLAGS, Attribute.INTERNALDATE, Attribute.SIZE, Attribute.ENVELOPE)
_MACROS: dict[bytes, tuple[FetchItem, ...]] = {
    b"ALL": _ENVELOPE_SET,
    b"FAST": _ENVELOPE_SET[:3],
    b"FULL": (*_ENVELOPE_SET, Attribute.BODY),
}
_RFC822: dict[bytes, FetchItem] = {
    b"RFC822": Section(b"RFC822"),
    b"RFC822.HEADER": Section(b"RFC822.HEADER", text=SectionText.HEADER, peek=True),
    b"RFC822.TEXT": Section(b"RFC822.TEXT", text=SectionText.TEXT),
}
"""How RFC 3501 §6.4.5 still spells sections."""
_SECTIONS = frozenset({b"BODY", b"BODY.PEEK", b"BINARY", b"BINARY.PEEK", b"BINARY.SIZE"})

FETCH_ITEMS = _SECTIONS.union(_ATTRIBUTES, _MACROS, _RFC822, (b"PREVIEW",))
"""The names that are taken, in capitals."""

_NAME = re.compile(rb"[A-Za-z0-9.\-_]+")
_PART = re.compile(rb"\d{1,10}(?:\.\d{1,10})*")
_SECTION_TEXT = re.compile(rb"HEADER(?:\.FIELDS(?:\.NOT)?)?|TEXT|MIME", re.IGNORECASE)
_PARTIAL = re.compile(rb"<(\d{1,20})\.(\d{1,20})>")


def fetch(uid: bool) -> Callable[[Tokens, bytes], Command]:
    """``FETCH set items [(modifiers)]`` and ``UID FETCH``."""

    def read(tokens: Tokens, tag: bytes) -> Command:
        tokens.space()
        numbers = tokens.sequence_set()
        tokens.space()
        items = _items(tokens)
        changed_since, vanished, partial = _modifiers(tokens)
        tokens.end()
        if vanished and ("QRESYNC" not in tokens.mode.enabled or not uid or changed_since is None):
            # (RFC 7162 §3.2.6)
            tokens.fail("VANISHED needs QRESYNC enabled, UID FETCH and CHANGEDSINCE")
        if partial is not None and not uid:  # (RFC 9394 §3.3)
            tokens.fail("PARTIAL needs UID FETCH")
        wanted = dict.fromkeys(items)
        if uid:
            wanted[Attribute.UID] = None  # (RFC 9051 §6.4.9)
        if changed_since is not None:
            wanted[Attribute.MODSEQ] = None  # (RFC 7162 §3.1.4.1)
        if Attribute.UID in wanted:
            wanted = {Attribute.UID: None, **wanted}
        return Fetch(tag, numbers, uid, tuple(wanted), changed_since, vanished, partial)

    return read


def _items(tokens: Tokens) -> list[FetchItem]:
    if tokens.follows(b"("):
        return tokens.listed(_item)
    start = tokens.at
    found = _NAME.match(tokens.text, start)
    macro = _MACROS.get(found[0].upper()) if found else None
    if found is None or macro is None:
        return [_item(tokens)]
    tokens.at = found.end()
    return list(macro)


def _item(tokens: Tokens) -> FetchItem:
    found = _NAME.match(tokens.text, tokens.at)
    if found is None:
        raise bad("Expected a FETCH item")
    tokens.at = found.end()
    name = found[0].upper()
    if name in _SECTIONS and tokens.follows(b"["):
        return _section_item(tokens, name)
    item = _ATTRIBUTES.get(name) or _RFC822.get(name)
    if item is not None:
        return item
    if name == b"PREVIEW":
        lazy = tokens.found(b" (")
        if lazy:  # (RFC 8970 §6)
            if tokens.word() != b"LAZY":
                tokens.fail("Unknown PREVIEW modifier")
            tokens.expect(b")")
        return Preview(lazy)
    further = tokens.mode.fetch_items.get(name)
    if further is None:
        raise bad("Unknown FETCH item")
    made: FetchItem = further(tokens)
    return made


def _section_item(tokens: Tokens, name: bytes) -> FetchItem:
    """Read ``[section]<partial>`` behind BODY, BODY.PEEK, BINARY, BINARY.PEEK or BINARY.SIZE."""
    kind, _, suffix = name.partition(b".")
    binary = kind == b"BINARY"
    tokens.expect(b"[")
    part = _part(tokens)
    text = SectionText.ALL
    fields: tuple[str, ...] = ()
    if not binary and not tokens.follows(b"]"):
        if part:
            tokens.expect(b".")
        text, fields = _section_text(tokens)
        if text is SectionText.MIME and not part:
            tokens.fail("MIME needs a part number")
    tokens.expect(b"]")
    spelled = _spelled(part, text, fields)
    if suffix == b"SIZE":
        return BinarySize(b"BINARY.SIZE[%b]" % spelled, part)
    partial = _partial(tokens)
    label = b"%b[%b]" % (kind, spelled)
    if partial is not None:
        label += b"<%d>" % partial[0]
    return Section(label, part, text, fields, partial, suffix == b"PEEK", binary)


def _part(tokens: Tokens) -> tuple[int, ...]:
    found = _PART.match(tokens.text, tokens.at)
    if found is None:
        return ()
    tokens.at = found.end()
    numbers = tuple(map(int, found[0].split(b".")))
    if len(numbers) > MAX_PART_DEPTH or not all(0 < n <= MAX_NUMBER for n in numbers):
        tokens.fail("Invalid part number")
    return numbers


def _section_text(tokens: Tokens) -> tuple[SectionText, tuple[str, ...]]:
    found = _SECTION_TEXT.match(tokens.text, tokens.at)
    if found is None:
        tokens.fail("Unknown section")
    tokens.at = found.end()
    text = SectionText(found[0].upper().decode("ascii"))
    if text not in {SectionText.HEADER_FIELDS, SectionText.HEADER_FIELDS_NOT}:
        return text, ()
    tokens.space()
    return text, tuple(tokens.listed(Tokens.text_argument))


def _spelled(part: tuple[int, ...], text: SectionText, fields: tuple[str, ...]) -> bytes:
    numbers = ".".join(map(str, part))
    words = numbers + "." + text.value if numbers and text.value else numbers or text.value
    spelled = words.encode("ascii")
    if fields:
        spelled += b" (" + b" ".join(astring(name.encode("utf-8")) for name in fields) + b")"
    return spelled


def _partial(tokens: Tokens) -> tuple[int, int] | None:
    if not tokens.follows(b"<"):
        return None
    found = _PARTIAL.match(tokens.text, tokens.at)
    if found is None:
        tokens.fail("Invalid partial")
    tokens.at = found.end()
    start, count = int(found[1]), int(found[2])
    if start > MAX_NUMBER64 or not 0 < count <= MAX_NUMBER64:
        tokens.fail("Invalid partial")
    return start, count


def _modifiers(tokens: Tokens) -> tuple[int | None, bool, PartialRange | None]:
    """Read CHANGEDSINCE, VANISHED and PARTIAL, each once, in any order (RFC 4466 §2.4)."""
    changed_since: int | None = None
    vanished = False
    partial: PartialRange | None = None
    if not tokens.found(b" ("):
        return changed_since, vanished, partial
    while True:
        word = tokens.word()
        if word == b"CHANGEDSINCE" and changed_since is None:
            tokens.space()
            changed_since = tokens.number(MAX_MODSEQ)  # some clients say 0
        elif word == b"VANISHED" and not vanished:
            vanished = True
        elif word == b"PARTIAL" and partial is None:
            tokens.space()
            partial = tokens.partial_range()
        else:
            tokens.fail("Unknown FETCH modifier")
        if tokens.found(b")"):
            return changed_since, vanished, partial
        tokens.space()
