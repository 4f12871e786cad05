"""What a milter wants changed, as changes of a message of ours.

A milter counts in the header as it was sent to it: without the trace field that this server has
just put on top, and with all fields that it removes meanwhile (sendmail keeps them in its list).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from mailplat.message import headers
from mailplat.model.verdict import Change, ChangeHeader, InsertHeader, ReplaceBody
from mailplat.proto.milter.answers import BodyPart, Modification, Quarantine

__all__ = ["made_of"]

_LINE_END = re.compile(rb"\r\n|\r|\n")


def made_of(
    wanted: Iterable[Modification], told: bytes, own: bytes
) -> tuple[tuple[Change, ...], str | None]:
    """Give the changes of a message, and why it is put aside, if it is.

    Args:
        wanted: What the milter wants, in order.
        told: The header that it was told.
        own: The fields that stand above those, and that it was not told.
    """
    changed: list[Change] = []
    others: list[Change] = []
    parts: list[bytes] = []
    reason: str | None = None
    replaced = False
    gone: defaultdict[str, list[int]] = defaultdict(list)
    for one in wanted:
        match one:
            case ChangeHeader():
                changed += _renumbered(one, told, own, gone)
            case BodyPart(data):
                replaced = True
                parts.append(data)
            case Quarantine(why):
                reason = why
            case _:
                others.append(one)
    if replaced:
        # a line ends with CRLF: a lone CR or LF could end a message early elsewhere
        others.append(ReplaceBody(_LINE_END.sub(b"\r\n", b"".join(parts))))
    return (*changed, *others), reason


def _renumbered(
    one: ChangeHeader, told: bytes, own: bytes, gone: defaultdict[str, list[int]]
) -> list[Change]:
    """Count as we do: our own fields too, and those no more that are removed already."""
    name, key = one.name.encode("ascii"), one.name.lower()
    if one.index > len(headers.spans(told, name)):
        return [InsertHeader(one.name, one.value, None)] if one.value else []
    if one.index in gone[key]:
        return []
    before = sum(number < one.index for number in gone[key])
    if not one.value:
        gone[key].append(one.index)
    index = one.index - before + len(headers.spans(own, name))
    return [ChangeHeader(one.name, index, one.value)]
