"""Which capabilities a command makes use of, so that one that is switched off is not there at all.

Asked only for clients from whom something is switched off; others pay nothing for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mailplat.proto.imap.commands.append import Append, AppendMessage, AppendNext, Replace
from mailplat.proto.imap.commands.event import Event
from mailplat.proto.imap.commands.mailboxes import (
    Create,
    GetQuota,
    GetQuotaRoot,
    List,
    ListReturn,
    ListSelect,
    Namespace,
    Select,
    SetQuota,
    Status,
    StatusItem,
    Unselect,
    Xlist,
)
from mailplat.proto.imap.commands.messages import Copy, Expunge, Fetch, Move, Store
from mailplat.proto.imap.commands.searches import Search, SearchReturn, Sort, SortKey, Thread
from mailplat.proto.imap.commands.session import (
    Authenticate,
    Compress,
    Enable,
    Id,
    Idle,
    StartTLS,
)
from mailplat.proto.imap.fetch_items import Attribute, BinarySize, FetchItem, Preview, Section
from mailplat.proto.imap.search_keys import (
    DateIs,
    DateOf,
    EmailId,
    ModSeq,
    Numbers,
    Older,
    SaveDateSupported,
    SearchKey,
    ThreadId,
    Younger,
    walk,
)
from mailplat.proto.imap.sets import SequenceSet

__all__ = ["needed_by"]


def needed_by(event: Event, of_extensions: Mapping[type, str]) -> Iterator[str]:
    """Name what an event makes use of, in capitals.

    Args:
        event: What the client asks.
        of_extensions: The capability that each class of an extension needs.
    """
    kind = type(event)
    if kind in _COMMANDS:
        yield _COMMANDS[kind]
    if kind in _ARGUMENTS:
        yield from _ARGUMENTS[kind](event)
    parts: tuple[Any, ...] = (event,)
    if isinstance(event, Fetch):
        parts += event.items
    elif isinstance(event, (Search, Sort, Thread)):
        parts += tuple(walk(event.key))
    for part in parts:
        if type(part) in of_extensions:
            yield of_extensions[type(part)]


_COMMANDS: dict[type[Event], str] = {
    AppendNext: "MULTIAPPEND",
    Enable: "ENABLE",
    GetQuota: "QUOTA",
    GetQuotaRoot: "QUOTA",
    Id: "ID",
    Idle: "IDLE",
    Move: "MOVE",
    Namespace: "NAMESPACE",
    Replace: "REPLACE",
    SetQuota: "QUOTA",
    Sort: "SORT",
    StartTLS: "STARTTLS",
    Unselect: "UNSELECT",
    Xlist: "XLIST",
}
"""Commands that are nothing but their capability."""


def _authenticate(command: Authenticate) -> Iterator[str]:
    yield f"AUTH={command.mechanism}"
    if command.initial is not None:
        yield "SASL-IR"


def _compress(command: Compress) -> Iterator[str]:
    yield f"COMPRESS={command.mechanism}"


def _select(command: Select) -> Iterator[str]:
    if command.condstore:
        yield "CONDSTORE"
    if command.qresync is not None:
        yield "QRESYNC"


def _create(command: Create) -> Iterator[str]:
    if command.special_use:
        yield "CREATE-SPECIAL-USE"


_STATUS = {
    StatusItem.APPENDLIMIT: "APPENDLIMIT",
    StatusItem.DELETED_STORAGE: "QUOTA",
    StatusItem.HIGHESTMODSEQ: "CONDSTORE",
    StatusItem.MAILBOXID: "OBJECTID",
    StatusItem.SIZE: "STATUS=SIZE",
}


def _status(command: Status | List) -> Iterator[str]:
    for item in command.items if isinstance(command, Status) else command.status:
        if item in _STATUS:
            yield _STATUS[item]


def _list(command: List) -> Iterator[str]:
    if command.extended:
        yield "LIST-EXTENDED"
    if ListSelect.SPECIAL_USE in command.select or ListReturn.SPECIAL_USE in command.returns:
        yield "SPECIAL-USE"
    if ListReturn.CHILDREN in command.returns:
        yield "CHILDREN"
    if command.status:
        yield "LIST-STATUS"
    yield from _status(command)


def _message(message: AppendMessage) -> Iterator[str]:
    if message.binary and not message.utf8:
        yield "BINARY"
    if message.utf8:
        yield "UTF8=ACCEPT"


def _append(event: Append | AppendNext) -> Iterator[str]:
    yield from _message(event.message)


def _replace(command: Replace) -> Iterator[str]:
    yield from _message(command.message)
    yield from _numbers(command.numbers)


def _numbers(numbers: SequenceSet) -> Iterator[str]:
    if numbers.saved:
        yield "SEARCHRES"


def _chosen(command: Copy | Move) -> Iterator[str]:
    yield from _numbers(command.numbers)


def _expunge(command: Expunge) -> Iterator[str]:
    if command.uids is not None:
        yield "UIDPLUS"
        yield from _numbers(command.uids)


def _store(command: Store) -> Iterator[str]:
    yield from _numbers(command.numbers)
    if command.unchanged_since is not None:
        yield "CONDSTORE"


_ATTRIBUTES: dict[FetchItem, str] = {
    Attribute.EMAILID: "OBJECTID",
    Attribute.MODSEQ: "CONDSTORE",
    Attribute.SAVEDATE: "SAVEDATE",
    Attribute.THREADID: "OBJECTID",
}


def _fetch(command: Fetch) -> Iterator[str]:
    yield from _numbers(command.numbers)
    if command.vanished:
        yield "QRESYNC"
    if command.partial is not None:
        yield "PARTIAL"
    for item in command.items:
        if item in _ATTRIBUTES:
            yield _ATTRIBUTES[item]
        elif isinstance(item, Preview):
            yield "PREVIEW"
        elif isinstance(item, BinarySize) or (isinstance(item, Section) and item.binary):
            yield "BINARY"


_KEYS: dict[type[SearchKey], str] = {
    EmailId: "OBJECTID",
    ModSeq: "CONDSTORE",
    Older: "WITHIN",
    SaveDateSupported: "SAVEDATE",
    ThreadId: "OBJECTID",
    Younger: "WITHIN",
}


def _key(key: SearchKey) -> Iterator[str]:
    for part in walk(key):
        if isinstance(part, Numbers):
            yield from _numbers(part.numbers)
        elif isinstance(part, DateIs) and part.of is DateOf.SAVED:
            yield "SAVEDATE"
        elif type(part) in _KEYS:
            yield _KEYS[type(part)]


def _returns(returns: SearchReturn | None, capability: str) -> Iterator[str]:
    if returns is not None:
        yield capability
        if returns.save:
            yield "SEARCHRES"
        if returns.partial is not None:
            yield "PARTIAL"


def _search(command: Search) -> Iterator[str]:
    yield from _returns(command.returns, "ESEARCH")
    yield from _key(command.key)


def _sort(command: Sort) -> Iterator[str]:
    yield from _returns(command.returns, "ESORT")
    if any(one.key in (SortKey.DISPLAYFROM, SortKey.DISPLAYTO) for one in command.criteria):
        yield "SORT=DISPLAY"
    yield from _key(command.key)


def _thread(command: Thread) -> Iterator[str]:
    yield f"THREAD={command.algorithm}"
    yield from _key(command.key)


_ARGUMENTS: dict[type[Event], Callable[[Any], Iterator[str]]] = {
    Append: _append,
    AppendNext: _append,
    Authenticate: _authenticate,
    Compress: _compress,
    Copy: _chosen,
    Create: _create,
    Expunge: _expunge,
    Fetch: _fetch,
    List: _list,
    Move: _chosen,
    Replace: _replace,
    Search: _search,
    Select: _select,
    Sort: _sort,
    Status: _status,
    Store: _store,
    Thread: _thread,
}
"""What the arguments of a command make use of."""
