"""SEARCH, SORT and THREAD: found by `matching`, then told as it is, in order, or as trees.

Ordering and threading are pure (`mailplat.message.ordering`, `mailplat.message.threading`) and
work on columns; of many messages they are worked out in a thread, so that others go on meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from twisted.internet.threads import deferToThread

from mailplat.interfaces.store import Column
from mailplat.message import headers
from mailplat.message.ordering import display_key, mailbox_key, text_key
from mailplat.message.threading import References, Thread, by_subject
from mailplat.message.threads import base_subject
from mailplat.model.errors import MailError
from mailplat.model.numset import NumSet
from mailplat.proto.imap import responses
from mailplat.proto.imap.commands import searches
from mailplat.proto.imap.commands.searches import (
    Search,
    SearchRefused,
    SearchReturn,
    Sort,
    SortCriterion,
    SortKey,
)
from mailplat.proto.imap.search_keys import SearchKey
from mailplat.sessions.imap.matching import Matching
from mailplat.sessions.imap.results import tell_found
from mailplat.sessions.imap.selected import Selected
from mailplat.sessions.imap.state import SessionState

__all__ = ["ALGORITHMS", "refused", "search", "sort", "thread"]

T = TypeVar("T")

_MANY = 2000
"""Messages from which on a thread takes over."""


async def refused(state: SessionState, command: SearchRefused) -> None:
    """A SEARCH or SORT that was to be saved, and cannot be done (RFC 5182 §2.1)."""
    state.chosen().view.saved = NumSet()
    state.conversation.no(command.text, command.code)


@contextmanager
def _forgetting(selected: Selected, returns: SearchReturn | None) -> Iterator[None]:
    """Forget what was saved if a search that was to be saved fails (RFC 5182 §2.1)."""
    try:
        yield
    except MailError:
        if returns is not None and returns.save:
            selected.view.saved = NumSet()
        raise


async def _found(state: SessionState, selected: Selected, key: SearchKey) -> Sequence[int]:
    """Find messages of the client's view, also by the keys of extensions."""
    added = {
        kind: partial(find, state) for kind, find in state.services.extensions.search_keys.items()
    }
    return await Matching(selected, state.services, added).find(key, selected.view.uids)


async def search(state: SessionState, command: Search) -> None:
    """SEARCH and UID SEARCH (RFC 9051 §6.4.4)."""
    selected = state.chosen()
    with _forgetting(selected, command.returns):
        found = await _found(state, selected, command.key)
        await tell_found(state, command, found)


# in order


async def sort(state: SessionState, command: Sort) -> None:
    """SORT and UID SORT (RFC 5256 §3, RFC 5957)."""
    selected = state.chosen()
    with _forgetting(selected, command.returns):
        found = await _found(state, selected, command.key)
        keys = {_COLUMNS[criterion.key][0] for criterion in command.criteria}
        if Column.SENT in keys:
            keys.add(Column.DATE)
        rows = await selected.mailbox.rows(found, keys)
        ordered = await _worked_out(
            len(rows.uids), _ordered, command.criteria, rows.uids, rows.columns
        )
        await tell_found(state, command, ordered)


def _ordered(
    criteria: Sequence[SortCriterion], uids: Sequence[int], columns: dict[Column, Sequence[Any]]
) -> Sequence[int]:
    """Sort by the last criterion first: what is equal keeps the order it has (RFC 5256 §3)."""
    places = list(range(len(uids)))
    for criterion in reversed(criteria):
        column, key = _COLUMNS[criterion.key]
        values = columns[column]
        if column is Column.SENT:
            values = _sent(values, columns[Column.DATE])
        keys = values if key is None else list(map(key, values))
        places.sort(key=keys.__getitem__, reverse=criterion.reverse)
    return [uids[place] for place in places]


def _sent(sent: Sequence[int | None], arrived: Sequence[int]) -> list[int]:
    """Take INTERNALDATE where there is no Date that can be read (RFC 5256 §2.2)."""
    return [date if one is None else one for one, date in zip(sent, arrived, strict=True)]


def _by_mailbox(field: bytes) -> Callable[[bytes], str]:
    return lambda header: mailbox_key(header, field)


def _by_display(field: bytes) -> Callable[[bytes], str]:
    return lambda header: display_key(header, field)


_COLUMNS: dict[SortKey, tuple[Column, Callable[[Any], Any] | None]] = {
    SortKey.ARRIVAL: (Column.DATE, None),
    SortKey.CC: (Column.HEADER, _by_mailbox(b"cc")),
    SortKey.DATE: (Column.SENT, None),
    SortKey.DISPLAYFROM: (Column.HEADER, _by_display(b"from")),
    SortKey.DISPLAYTO: (Column.HEADER, _by_display(b"to")),
    SortKey.FROM: (Column.HEADER, _by_mailbox(b"from")),
    SortKey.SIZE: (Column.SIZE, None),
    SortKey.SUBJECT: (Column.BASE_SUBJECT, text_key),
    SortKey.TO: (Column.HEADER, _by_mailbox(b"to")),
}
"""The column that a criterion goes by, and what makes it comparable."""


# as trees


async def thread(state: SessionState, command: searches.Thread) -> None:
    """THREAD and UID THREAD (RFC 5256 §3)."""
    make = ALGORITHMS.get(command.algorithm)
    if make is None:
        state.conversation.bad("Unknown threading algorithm")
        return
    selected = state.chosen()
    found = await _found(state, selected, command.key)
    uids, threads = await make(selected, found)
    numbers = uids if command.uid else selected.view.select_uids(uids).numbers
    state.conversation.send(responses.thread(threads, numbers))
    await state.tell_news(expunge=command.tells_expunge)
    state.conversation.ok()


async def _by_subject(
    selected: Selected, found: Sequence[int]
) -> tuple[Sequence[int], Sequence[Thread]]:
    columns = (Column.BASE_SUBJECT, Column.SENT, Column.DATE)
    rows = await selected.mailbox.rows(found, columns)
    dates = _sent(rows[Column.SENT], rows[Column.DATE])
    return rows.uids, by_subject(rows[Column.BASE_SUBJECT], dates)


async def _by_references(
    selected: Selected, found: Sequence[int]
) -> tuple[Sequence[int], Sequence[Thread]]:
    columns = (*_OF_REFERENCES, Column.BASE_SUBJECT)
    rows = await selected.mailbox.rows(found, columns)
    dates = _sent(rows[Column.SENT], rows[Column.DATE])
    size = len(rows.uids)
    known = rows[Column.MESSAGE_ID], rows[Column.REFERENCES], dates
    linked = await _worked_out(size, References, *known)
    subjects = rows[Column.BASE_SUBJECT]
    asked = linked.doubtful(subjects)
    by_uid = {rows.uids[number]: number for number in asked}
    more = await selected.mailbox.rows(sorted(by_uid), (Column.HEADER,))
    replies = {
        by_uid[uid]
        for uid, header in zip(more.uids, more[Column.HEADER], strict=True)
        if base_subject(headers.first(header, b"subject") or b"").reply
    }
    return rows.uids, await _worked_out(size, linked.threads, subjects, replies)


async def _by_arrival(
    selected: Selected, found: Sequence[int]
) -> tuple[Sequence[int], Sequence[Thread]]:
    rows = await selected.mailbox.rows(found, _OF_REFERENCES)
    dates = _sent(rows[Column.SENT], rows[Column.DATE])
    size = len(rows.uids)
    known = rows[Column.MESSAGE_ID], rows[Column.REFERENCES], dates
    linked = await _worked_out(size, References, *known)
    return rows.uids, await _worked_out(size, linked.threads_by_arrival, rows[Column.DATE])


_OF_REFERENCES = (Column.MESSAGE_ID, Column.REFERENCES, Column.SENT, Column.DATE)

ALGORITHMS = {
    "ORDEREDSUBJECT": _by_subject,
    "REFERENCES": _by_references,
    "REFS": _by_arrival,
}
"""What THREAD can do: the name of each algorithm, and what does it."""


async def _worked_out(size: int, work: Callable[..., T], *args: Any) -> T:
    """Do what takes long in a thread."""
    if size < _MANY:
        return work(*args)
    done: T = await deferToThread(work, *args)
    return done
