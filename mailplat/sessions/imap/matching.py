"""Which messages match a search key (RFC 9051 §6.4.4).

A key narrows an ascending list of UIDs to those that match.  `And` hands the result of one key
to the next, the cheapest first, so that headers and bodies are read only of messages that all the
flags, dates and sizes leave over.  Columns come in blocks; bodies are read a bounded number of
bytes at a time, and the reactor goes on between.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import compress
from typing import Any

from twisted.internet.threads import deferToThread

from mailplat.interfaces.search import ISearchable, Searched
from mailplat.interfaces.store import BodyRange, Column
from mailplat.message import addresses, dates, headers, words
from mailplat.message.text import fold, search_header, search_text
from mailplat.model.flags import FIRST_KEYWORD, SYSTEM_FLAGS
from mailplat.proto.imap.search_keys import (
    All,
    And,
    BodyHas,
    DateIs,
    DateOf,
    EmailId,
    HasFlag,
    HeaderHas,
    Larger,
    ModSeq,
    Not,
    Numbers,
    Older,
    Or,
    Recent,
    SaveDateSupported,
    SearchKey,
    Smaller,
    TextHas,
    ThreadId,
    When,
    Younger,
)
from mailplat.sessions.imap.selected import Selected
from mailplat.sessions.imap.services import IMAPServices

__all__ = ["Matching"]

_ADDRESSES = frozenset({"bcc", "cc", "from", "reply-to", "sender", "to"})
_NOT_IN_ATOMS = re.compile(r"[\x00-/:-@\[-`{-\x7f]+")
"""What may be spelled in several ways, or have comments around it, in a list of addresses."""

_FEW = 100
"""Headers that are looked through at once; more are in a thread, so that others go on."""

_DAY = 86_400
_ZONES = 15 * 3600
"""Seconds by which a Date field's own day may differ from the day in UTC, with room."""


_Find = Callable[[Any, Sequence[int]], Awaitable[Iterable[int]]]


class Matching:
    """Finds the messages of an open mailbox that match a key.

    Args:
        selected: The open mailbox.
        services: For limits and the time.
        added: Search keys of extensions, and what finds by them.
    """

    def __init__(
        self,
        selected: Selected,
        services: IMAPServices,
        added: Mapping[type[SearchKey], _Find] | None = None,
    ) -> None:
        self._selected = selected
        self._services = services
        self._added = added or {}

    async def find(self, key: SearchKey, uids: Sequence[int]) -> Sequence[int]:
        """Give those of ascending UIDs that match, ascending."""
        if type(key) in self._added:
            found = frozenset(await self._added[type(key)](key, uids))
            return [uid for uid in uids if uid in found]
        match key:
            case All() | SaveDateSupported():
                return uids
            case And(keys):
                for part in sorted(keys, key=self._cost):
                    if not uids:
                        break
                    uids = await self.find(part, uids)
                return uids
            case Or(keys):
                return await self._any(keys, uids)
            case Not(inner):
                return _minus(uids, await self.find(inner, uids))
            case Numbers(numbers, uid):
                view = self._selected.view
                return view.resolve_uids(numbers, uid=uid, searching=True).select(uids)
            case Recent():
                return self._selected.view.recent_uids.select(uids)
            case HeaderHas(name, text):
                return await self._with_header(name, text, uids)
            case BodyHas(text):
                return await self._with_text(text, uids, whole=False)
            case TextHas(text):
                return await self._with_text(text, uids, whole=True)
            case DateIs(DateOf.SENT, when, _):
                return await self._sent(key, when, uids)
            case _:
                column, test = self._simple(key)
                return await self._by_column(column, test, uids)

    def _simple(self, key: SearchKey) -> tuple[Column, Callable[[Any], bool]]:
        """Give the column and the test of a key that needs no more."""
        now = int(self._services.now())
        match key:
            case HasFlag(flag):
                mask = self._mask(flag)
                return Column.FLAGS, lambda flags: flags & mask != 0
            case DateIs(of, when, _):
                column = Column.SAVED if of is DateOf.SAVED else Column.DATE
                first, last = _bounds(key)
                if when is When.BEFORE:
                    return column, lambda date: date < first
                if when is When.ON:
                    return column, lambda date: first <= date < last
                return column, lambda date: date >= first
            case Larger(size):
                return Column.SIZE, lambda have: have > size
            case Smaller(size):
                return Column.SIZE, lambda have: have < size
            case Older(seconds):
                return Column.DATE, lambda date: date <= now - seconds
            case Younger(seconds):
                return Column.DATE, lambda date: date >= now - seconds
            case ModSeq(modseq):
                return Column.MODSEQ, lambda have: have >= modseq
            case EmailId(object_id):
                return Column.EMAIL_ID, lambda have: have == object_id
            case ThreadId():
                return Column.FLAGS, lambda _: False  # RFC 8474 §5.2: no thread ids, no match
            case _:
                raise TypeError(f"a search key that nobody knows: {key!r}")

    def _cost(self, key: SearchKey) -> int:
        """Say how dear a key is: memory 1, headers 2, what an extension does 3, bodies 4."""
        match key:
            case Not(inner):
                return self._cost(inner)
            case And(keys) | Or(keys):
                return max(map(self._cost, keys))
            case DateIs(DateOf.SENT):
                return 2
        return 3 if type(key) in self._added else _COSTS.get(type(key), 1)

    def _mask(self, flag: str) -> int:
        """Give a flag's bit; 0, which no message has, for a keyword nobody used."""
        if flag in SYSTEM_FLAGS:
            return SYSTEM_FLAGS[flag]
        for index, keyword in enumerate(self._selected.mailbox.keywords):
            if keyword.lower() == flag.lower():
                return 1 << (FIRST_KEYWORD + index)
        return 0

    async def _any(self, keys: Sequence[SearchKey], uids: Sequence[int]) -> Sequence[int]:
        """Match any of the keys; the dearer ones are asked only about what is left."""
        found: set[int] = set()
        rest = uids
        for part in sorted(keys, key=self._cost):
            matched = await self.find(part, rest)
            found.update(matched)
            rest = _minus(rest, matched)
        return [uid for uid in uids if uid in found]

    async def _by_column(
        self, column: Column, test: Callable[[Any], bool], uids: Sequence[int]
    ) -> Sequence[int]:
        rows = await self._selected.mailbox.rows(uids, (column,))
        return [uid for uid, value in zip(rows.uids, rows[column], strict=True) if test(value)]

    async def _sent(self, key: DateIs, when: When, uids: Sequence[int]) -> Sequence[int]:
        """Compare the Date field's own day (RFC 9051 §6.4.4 SENTON: zone disregarded).

        The column has the time in UTC; only where the zone could matter the field is read.
        """
        first, last = _bounds(key)
        rows = await self._selected.mailbox.rows(uids, (Column.SENT,))
        found, unsure = [], []
        for uid, sent in zip(rows.uids, rows[Column.SENT], strict=True):
            if sent is None:
                continue
            if min(abs(sent - first), abs(sent - last)) < _ZONES:
                unsure.append(uid)
            elif (
                sent < first
                if when is When.BEFORE
                else sent >= first
                if when is When.SINCE
                else first <= sent < last
            ):
                found.append(uid)
        if unsure:
            async for some, block in self._headers(unsure):
                for uid, header in zip(some, block, strict=True):
                    day = _own_day(headers.first(header, b"Date") or b"")
                    if day is not None and (
                        day < key.day
                        if when is When.BEFORE
                        else day >= key.day
                        if when is When.SINCE
                        else day == key.day
                    ):
                        found.append(uid)
            found.sort()
        return found

    async def _headers(
        self, uids: Sequence[int]
    ) -> AsyncIterator[tuple[Sequence[int], Sequence[bytes]]]:
        """Read headers, in blocks."""
        size = self._services.options.block_rows
        for start in range(0, len(uids), size):
            rows = await self._selected.mailbox.rows(uids[start : start + size], (Column.HEADER,))
            yield rows.uids, rows[Column.HEADER]

    async def _with_header(self, name: str, text: str, uids: Sequence[int]) -> Sequence[int]:
        wanted, field = fold(text), name.encode("ascii", "replace")
        of_addresses = name.lower() in _ADDRESSES
        # of an address, only its atoms surely stand in the header as they are
        sure = _longest(_NOT_IN_ATOMS.sub(" ", wanted)) if of_addresses else wanted
        if "=?" not in name:  # else the index might decode it together with its value
            uids = await self._narrowed(sure, Searched.HEADER, uids)
        matches = partial(_in_header, wanted, field, _probe(sure), of_addresses)
        found: list[int] = []
        async for some, block in self._headers(uids):
            if len(block) > _FEW:
                matched = await deferToThread(list, map(matches, block))
            else:
                matched = list(map(matches, block))
            found.extend(compress(some, matched))
        return found

    async def _narrowed(self, wanted: str, where: Searched, uids: Sequence[int]) -> Sequence[int]:
        """Leave away what the store's index knows not to match."""
        searchable: Any = ISearchable(self._selected.mailbox, None)
        if searchable is None or not wanted:
            return uids
        candidates: Sequence[int] | None = await searchable.candidates(wanted, where, uids)
        return uids if candidates is None else candidates

    async def _with_text(self, text: str, uids: Sequence[int], *, whole: bool) -> Sequence[int]:
        """Look into bodies, ``whole`` also into headers; a block of bytes at a time."""
        wanted = fold(text)
        if not wanted:
            return uids
        uids = await self._narrowed(wanted, Searched.TEXT if whole else Searched.BODY, uids)
        found: list[int] = []
        rows = await self._selected.mailbox.rows(uids, (Column.SIZE, Column.PARTS))
        batch: list[tuple[int, int, bytes]] = []
        waiting = 0
        for row in zip(rows.uids, rows[Column.SIZE], rows[Column.PARTS], strict=True):
            batch.append(row)
            waiting += row[1]
            if waiting >= self._services.options.block_bytes:
                found.extend(await self._in_bodies(wanted, batch, whole))
                batch, waiting = [], 0
        found.extend(await self._in_bodies(wanted, batch, whole))
        return found

    async def _in_bodies(
        self, wanted: str, batch: Sequence[tuple[int, int, bytes]], whole: bool
    ) -> list[int]:
        if not batch:
            return []
        ranges = [BodyRange(uid, 0, size) for uid, size, _ in batch]
        bodies = await self._selected.mailbox.bodies(ranges)
        tables = [parts for _, _, parts in batch]
        matched = await deferToThread(_in_texts, wanted, bodies, tables, whole)
        return [uid for (uid, _, _), matches in zip(batch, matched, strict=True) if matches]


def _plain(value: bytes) -> str:
    """Spell addresses without comments and quoting, as ENVELOPE has them (RFC 9051 §6.4.4)."""
    return " ".join(
        f"{words.decode(name or b'')} <{(local or b'').decode('utf-8', 'replace')}"
        f"@{(host or b'').decode('utf-8', 'replace')}>"
        for name, _, local, host in addresses.parse(value)
    )


def _in_header(wanted: str, field: bytes, probe: bytes, of_addresses: bool, header: bytes) -> bool:
    """Look into the fields of a name."""
    # most headers are known not to match without looking for the field
    if probe and b"=?" not in header and header.isascii() and probe not in header.lower():
        return False
    values = headers.every(header, field)
    return any(wanted in fold(words.decode(value)) for value in values) or (
        of_addresses and any(wanted in fold(_plain(value)) for value in values)
    )


def _in_texts(
    wanted: str, bodies: Sequence[bytes | None], tables: Sequence[bytes], whole: bool
) -> list[bool]:
    """Look into messages, for as long as it takes: in a thread."""
    return [
        body is not None
        and (
            wanted in search_text(body, parts)
            or (whole and wanted in search_header(headers.split(body)[0]))
        )
        for body, parts in zip(bodies, tables, strict=True)
    ]


def _bounds(key: DateIs) -> tuple[int, int]:
    """Give the first second of a key's day, and the first of the next."""
    first = int(datetime(key.day.year, key.day.month, key.day.day, tzinfo=UTC).timestamp())
    return first, first + _DAY


def _own_day(value: bytes) -> date | None:
    """Read the day of a Date field as it was where the sender is."""
    moment = dates.parse(value)
    if moment is None:
        return None
    return (datetime(1970, 1, 1) + timedelta(seconds=moment.seconds, minutes=moment.offset)).date()


def _minus(uids: Sequence[int], gone: Sequence[int]) -> Sequence[int]:
    if not gone:
        return uids
    taken = set(gone)
    return [uid for uid in uids if uid not in taken]


def _probe(wanted: str) -> bytes:
    """Pick what must stand in the header's own bytes if the text is there: its longest word."""
    word = _longest(wanted)
    return word.encode("ascii") if word.isascii() else b""


def _longest(text: str) -> str:
    return max(text.split() or [""], key=len)


_COSTS: dict[type[SearchKey], int] = {HeaderHas: 2, BodyHas: 4, TextHas: 4}
