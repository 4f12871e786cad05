r"""What Dovecot left beside the files: UIDs, keyword letters, subscriptions.

When a Maildir is taken over, these let its messages keep their UIDs, so that no client has to
fetch anything again:

``dovecot-uidlist``, version 3: a header ``3 V<uid validity> N<next uid> G<guid>``, then a line a
message: ``<uid> [<letter><value> ...] :<file name>``.  Version 1 (``1 <uid validity> <next uid>``
and ``<uid> <file name>``) is what older Dovecots and Courier's ``courierimapuiddb`` have.

``dovecot-keywords``: a line ``<index> <keyword>``; index 0 is the letter ``a`` of file names.

``subscriptions``: a name a line; version 2 begins with ``V\t2`` and separates levels by tabs.

Invariant: reading never fails.  What cannot be understood is passed over, as if it were not there:
a list that was cut short costs its messages new UIDs, higher than all those before, never a wrong
one.  A UID that is given twice is not believed the second time.  Dovecot appends lines without
writing ``N`` again, so the next UID is also above every UID that is listed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from mailplat.model.flags import is_keyword
from mailplat.model.numset import MAX_NUMBER

__all__ = [
    "KEYWORD_LETTERS",
    "UidList",
    "keywords_file",
    "read_keywords",
    "read_subscriptions",
    "read_uidlist",
]

KEYWORD_LETTERS = "abcdefghijklmnopqrstuvwxyz"

_VERSION_3 = re.compile(rb"3((?: [A-Z][^ ]*)*)")
_VERSION_1 = re.compile(rb"1 (\d{1,10}) (\d{1,10})")
_LINE_3 = re.compile(rb"(\d{1,10})(?: [A-Z][^ ]*)* :(.+)")
_LINE_1 = re.compile(rb"(\d{1,10}) (.+)")


@dataclass(frozen=True, slots=True)
class UidList:
    """What a ``dovecot-uidlist`` says.

    Attributes:
        uid_validity: Of the mailbox.
        uid_next: Higher than every UID that was ever given.
        uids: The UID of each base (see `filename.FileName`).
    """

    uid_validity: int
    uid_next: int
    uids: Mapping[str, int]


def read_uidlist(data: bytes) -> UidList | None:
    """Read a ``dovecot-uidlist`` or a ``courierimapuiddb``; None if it is neither."""
    head, *lines = data.split(b"\n")
    version_1 = _VERSION_1.fullmatch(head)
    version_3 = _VERSION_3.fullmatch(head)
    if version_1:
        validity, uid_next, line = int(version_1[1]), int(version_1[2]), _LINE_1
    elif version_3:
        fields = {field[:1]: field[1:] for field in version_3[1].split()}
        validity, uid_next, line = _number(fields.get(b"V")), _number(fields.get(b"N")), _LINE_3
    else:
        return None
    if not (0 < validity <= MAX_NUMBER and 0 < uid_next <= MAX_NUMBER):
        return None
    uids: dict[str, int] = {}
    taken: set[int] = set()
    for text in lines[:-1]:  # what has no line end is empty, or was cut short
        match = line.fullmatch(text)
        if match is None:
            continue
        uid = int(match[1])
        base = match[2].partition(b":")[0].decode("utf-8", "surrogateescape")
        if 0 < uid < MAX_NUMBER and uid not in taken and base not in uids:
            taken.add(uid)
            uids[base] = uid
    return UidList(validity, max(uid_next, max(taken, default=0) + 1), uids)


def read_keywords(data: bytes) -> dict[str, str]:
    """Read a ``dovecot-keywords``: the keyword of each letter."""
    found: dict[str, str] = {}
    for line in data.decode("ascii", "replace").splitlines():
        index, _, keyword = line.partition(" ")
        if re.fullmatch("[0-9]{1,2}", index) and int(index) < len(KEYWORD_LETTERS):
            letter = KEYWORD_LETTERS[int(index)]
            if is_keyword(keyword) and letter not in found and keyword not in found.values():
                found[letter] = keyword
    return found


def keywords_file(keywords: Mapping[str, str]) -> bytes:
    """Write a ``dovecot-keywords``, given the keyword of each letter."""
    return "".join(
        f"{KEYWORD_LETTERS.index(letter)} {keyword}\n"
        for letter, keyword in sorted(keywords.items())
    ).encode("ascii")


def read_subscriptions(data: bytes) -> list[str]:
    """Read a ``subscriptions``: names as directories are named, ``A.B`` in modified UTF-7."""
    lines = data.decode("utf-8", "replace").split("\n")
    if lines[0] == "V\t2":
        return [line.replace("\t", ".") for line in lines[1:] if line]
    return [line for line in lines if line]


def _number(text: bytes | None) -> int:
    return int(text) if text is not None and re.fullmatch(rb"\d{1,10}", text) else 0
