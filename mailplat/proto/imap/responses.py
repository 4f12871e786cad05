r"""Untagged responses other than FETCH, as bytes ready to be sent (RFC 9051 §7).

Each function makes whole lines.  ``utf8`` says whether the client takes UTF-8 in quoted strings
and mailbox names (`ServerConversation.utf8`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mailplat.message.threading import Thread
from mailplat.model.flags import SYSTEM_FLAGS
from mailplat.model.numset import NumSet
from mailplat.proto.imap.commands.mailboxes import StatusItem
from mailplat.proto.imap.sets import PartialRange
from mailplat.proto.imap.spelling import astring, mailbox, nstring, quoted, resp_text, string

__all__ = [
    "capability",
    "condition",
    "enabled",
    "esearch",
    "exists",
    "expunged",
    "flags",
    "identity",
    "list_row",
    "list_separator",
    "namespace",
    "permanent_flags",
    "quota",
    "quota_roots",
    "recent",
    "search",
    "sort",
    "status",
    "thread",
    "vanished",
]

_RANGES_A_LINE = 4000
"""Ranges of one VANISHED line; its bytes stay below 92,000."""


def condition(word: str, text: str, code: str = "", *, utf8: bool = False) -> bytes:
    """``* OK [CODE] text``, and the same with NO or BAD."""
    return b"* %b %b\r\n" % (word.encode("ascii"), resp_text(text, code, utf8=utf8))


def capability(names: Iterable[str]) -> bytes:
    """``* CAPABILITY ...`` (RFC 9051 §7.2.2)."""
    return _words(b"CAPABILITY", names)


def enabled(names: Iterable[str]) -> bytes:
    """``* ENABLED ...``: what ENABLE turned on, even if it is nothing (RFC 5161 §3.2)."""
    return _words(b"ENABLED", names)


def exists(count: int) -> bytes:
    """``* n EXISTS``."""
    return b"* %d EXISTS\r\n" % count


def recent(count: int) -> bytes:
    """``* n RECENT`` (RFC 3501 §7.3.2)."""
    return b"* %d RECENT\r\n" % count


def expunged(numbers: Iterable[int]) -> bytes:
    """``* n EXPUNGE`` for each, in the order given: highest first keeps them as they were."""
    return b"".join([b"* %d EXPUNGE\r\n" % number for number in numbers])


def vanished(uids: NumSet, *, earlier: bool = False) -> bytes:
    """``* VANISHED [(EARLIER)] uids`` (RFC 7162 §3.2.10); nothing for no UIDs."""
    start = b"* VANISHED (EARLIER) " if earlier else b"* VANISHED "
    ranges = uids.ranges
    return b"".join(
        b"%b%b\r\n" % (start, str(NumSet(ranges[at : at + _RANGES_A_LINE])).encode("ascii"))
        for at in range(0, len(ranges), _RANGES_A_LINE)
    )


def flags(keywords: Sequence[str]) -> bytes:
    """``* FLAGS (...)``: the flags there are in the mailbox (RFC 9051 §7.3.5)."""
    return b"* FLAGS (%b)\r\n" % " ".join([*SYSTEM_FLAGS, *keywords]).encode("ascii")


def permanent_flags(keywords: Sequence[str], *, read_only: bool) -> bytes:
    """``* OK [PERMANENTFLAGS (...)]``: the flags that can be changed (RFC 9051 §7.1)."""
    if read_only:
        return b"* OK [PERMANENTFLAGS ()] No flags can be changed\r\n"
    names = " ".join([*SYSTEM_FLAGS, *keywords, "\\*"]).encode("ascii")
    return b"* OK [PERMANENTFLAGS (%b)] Flags can be changed\r\n" % names


def search(numbers: Iterable[int], modseq: int | None = None) -> bytes:
    """``* SEARCH ...`` (RFC 3501 §7.2.5), with the highest MODSEQ found (RFC 7162 §3.1.5)."""
    return _numbers(b"SEARCH", numbers, modseq)


def sort(numbers: Iterable[int], modseq: int | None = None) -> bytes:
    """``* SORT ...``, in the order found (RFC 5256 §4, RFC 7162 §3.1.6)."""
    return _numbers(b"SORT", numbers, modseq)


def esearch(
    tag: bytes,
    *,
    uid: bool,
    minimum: int | None = None,
    maximum: int | None = None,
    everything: NumSet | Sequence[int] | None = None,
    count: int | None = None,
    partial: tuple[PartialRange, NumSet | Sequence[int]] | None = None,
    modseq: int | None = None,
) -> bytes:
    """``* ESEARCH (TAG "...") ...`` (RFC 4731 §3.1, RFC 9051 §7.3.4); what is None is left out.

    Args:
        tag: Of the SEARCH or SORT.
        uid: Whether the numbers are UIDs.
        minimum: The lowest number found, or the first of a SORT.
        maximum: The highest number found, or the last of a SORT.
        everything: All that was found: a set, or a sequence in its own order (RFC 5267 §3.1).
            An empty one is left out.
        count: How many were found.
        partial: The page that was asked for, and what lies in it (RFC 9394 §3.1).
        modseq: The highest MODSEQ among the messages told of (RFC 7162 §3.1.10).
    """
    parts = [b"* ESEARCH (TAG %b)" % quoted(tag)]
    if uid:
        parts.append(b"UID")
    for name, number in ((b"MIN", minimum), (b"MAX", maximum), (b"COUNT", count)):
        if number is not None:
            parts.append(b"%b %d" % (name, number))
    if everything:
        parts.append(b"ALL " + _set(everything))
    if partial is not None:
        page, found = partial
        parts.append(b"PARTIAL (%b %b)" % (str(page).encode("ascii"), _set(found) or b"NIL"))
    if modseq is not None:
        parts.append(b"MODSEQ %d" % modseq)
    return b" ".join(parts) + b"\r\n"


def thread(threads: Iterable[Thread], numbers: Sequence[int]) -> bytes:
    """``* THREAD (1 2 (3)(4 5))...`` (RFC 5256 §4); threads may be of any depth.

    Args:
        threads: Trees of places in ``numbers``.
        numbers: What each message is called: its sequence number, or its UID.
    """
    out: list[str] = []
    waiting: list[Thread | str] = []
    for top in threads:
        waiting.append(top)
        out.append("(")
        while waiting:
            node = waiting.pop()
            if isinstance(node, str):
                out.append(node)
                continue
            if node.number is not None:
                out.append(str(numbers[node.number]))
            children = node.children
            if node.number is not None and children:
                out.append(" ")
            if len(children) == 1 and node.number is not None:
                waiting.append(children[0])
                continue
            for child in reversed(children):
                waiting += [")", child, "("]
        out.append(")")
    if not out:
        return b"* THREAD\r\n"
    return b"* THREAD %b\r\n" % "".join(out).encode("ascii")


def list_row(
    attributes: Iterable[str],
    name: str,
    *,
    utf8: bool,
    response: str = "LIST",
    child_info: Sequence[str] = (),
    old_name: str | None = None,
) -> bytes:
    r"""``* LIST (...) "/" name`` (RFC 9051 §7.3.1).

    Args:
        attributes: ``\HasChildren`` and its like, in the order to be told.
        name: The mailbox.
        utf8: Whether the client takes UTF-8.
        response: ``LIST``, ``LSUB`` or ``XLIST``.
        child_info: Selection options that mailboxes below it match (RFC 5258 §3.5).
        old_name: How the client called it before (RFC 9051 §6.3.9.7).
    """
    more: list[bytes] = []
    if child_info:
        options = b" ".join(quoted(option.encode("ascii")) for option in child_info)
        more.append(b'"CHILDINFO" (%b)' % options)
    if old_name is not None:
        more.append(b'"OLDNAME" (%b)' % mailbox(old_name, utf8=utf8))
    return b'* %b (%b) "/" %b%b\r\n' % (
        response.encode("ascii"),
        " ".join(attributes).encode("ascii"),
        mailbox(name, utf8=utf8),
        b" (%b)" % b" ".join(more) if more else b"",
    )


def list_separator(response: str = "LIST") -> bytes:
    r"""The answer to ``LIST "" ""``: the separator and the root (RFC 9051 §6.3.9)."""
    return b'* %b (\\Noselect) "/" ""\r\n' % response.encode("ascii")


def status(name: str, values: Mapping[StatusItem, int | str], *, utf8: bool) -> bytes:
    """``* STATUS name (...)`` (RFC 9051 §7.3.4); a MAILBOXID is a str, all else are numbers."""
    items = " ".join(
        f"{item.value} ({value})" if item is StatusItem.MAILBOXID else f"{item.value} {value}"
        for item, value in values.items()
    )
    return b"* STATUS %b (%b)\r\n" % (mailbox(name, utf8=utf8), items.encode("ascii"))


def namespace() -> bytes:
    """``* NAMESPACE``: all mailboxes are the user's own (RFC 2342 §5)."""
    return b'* NAMESPACE (("" "/")) NIL NIL\r\n'


def identity(fields: Mapping[str, str | None]) -> bytes:
    """``* ID (...)`` (RFC 2971 §3.2); NIL if there is nothing to tell."""
    if not fields:
        return b"* ID NIL\r\n"
    pairs = b" ".join(
        string(name.encode("utf-8"))
        + b" "
        + nstring(None if value is None else value.encode("utf-8"))
        for name, value in fields.items()
    )
    return b"* ID (%b)\r\n" % pairs


def quota(root: str, resources: Iterable[tuple[str, int, int]], *, utf8: bool) -> bytes:
    """``* QUOTA root (STORAGE 10 512)``: name, usage, limit (RFC 9208 §4.2.1)."""
    rows = " ".join(f"{name} {usage} {limit}" for name, usage, limit in resources)
    return b"* QUOTA %b (%b)\r\n" % (
        astring(root.encode("utf-8"), utf8=utf8),
        rows.encode("ascii"),
    )


def quota_roots(name: str, roots: Iterable[str], *, utf8: bool) -> bytes:
    """``* QUOTAROOT mailbox root ...`` (RFC 9208 §4.2.2)."""
    spelled = [mailbox(name, utf8=utf8)]
    spelled += [astring(root.encode("utf-8"), utf8=utf8) for root in roots]
    return b"* QUOTAROOT %b\r\n" % b" ".join(spelled)


def _words(name: bytes, words: Iterable[str]) -> bytes:
    return b" ".join([b"*", name, *(word.encode("ascii") for word in words)]) + b"\r\n"


def _numbers(name: bytes, numbers: Iterable[int], modseq: int | None) -> bytes:
    words = [name.decode("ascii"), *map(str, numbers)]
    if modseq is not None and len(words) > 1:
        words.append(f"(MODSEQ {modseq})")
    return b"* %b\r\n" % " ".join(words).encode("ascii")


def _set(numbers: NumSet | Sequence[int]) -> bytes:
    """Spell a set, or a sequence in its own order with ascending runs put together."""
    if isinstance(numbers, NumSet):
        return str(numbers).encode("ascii")
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return str(NumSet(tuple(runs))).encode("ascii")
