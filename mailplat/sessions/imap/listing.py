r"""LIST, LSUB and XLIST: which mailboxes there are (RFC 9051 §6.3.9, RFC 5258, RFC 5819, RFC 6154).

One pass over the home's mailboxes gives every form of answer; ``\HasChildren`` and CHILDINFO come
from the set of all ancestors, so the cost is linear in the number of mailboxes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mailplat.model.mailbox import INBOX, MailboxInfo, ancestors
from mailplat.proto.imap import responses
from mailplat.proto.imap.commands import List, ListReturn, ListSelect, Lsub, Xlist
from mailplat.sessions.imap.mailboxes import status_values
from mailplat.sessions.imap.patterns import Matcher
from mailplat.sessions.imap.state import SessionState

__all__ = ["list_mailboxes", "list_subscribed", "xlist"]


async def list_mailboxes(state: SessionState, command: List) -> None:
    """LIST in all its forms."""
    if command.patterns == ("",) and not command.extended:
        # RFC 9051 §6.3.9: an empty pattern asks for the separator
        state.conversation.send(responses.list_separator())
        state.conversation.ok()
        return
    infos = await state.home.mailboxes()
    matcher = Matcher(command.reference, command.patterns)
    parents = _parents(info.name for info in infos if info.exists)
    subscribed_parents = _parents(info.name for info in infos if info.subscribed)
    recursive = ListSelect.RECURSIVEMATCH in command.select
    wanted_subscribed = ListSelect.SUBSCRIBED in command.select
    shown: list[MailboxInfo] = []
    for info in infos:
        if not matcher(info.name):
            continue
        below = recursive and wanted_subscribed and info.name in subscribed_parents
        if wanted_subscribed:
            if not (info.subscribed or below):
                continue
        elif not info.exists and info.name not in parents:
            continue  # a subscribed name that is gone
        if ListSelect.SPECIAL_USE in command.select and not info.special_use:
            continue
        attributes = _attributes(info, parents)
        if info.subscribed and (wanted_subscribed or ListReturn.SUBSCRIBED in command.returns):
            attributes.append("\\Subscribed")
        # RFC 6154 §2: a plain LIST may tell the uses too, and clients rely on it
        attributes.extend(sorted(info.special_use))
        state.conversation.send(
            responses.list_row(
                attributes,
                info.name,
                child_info=["SUBSCRIBED"] if below else [],
                utf8=state.conversation.utf8,
            )
        )
        shown.append(info)
    if command.status:
        await _send_status(state, command, shown)
    state.conversation.ok()


async def _send_status(state: SessionState, command: List, shown: Sequence[MailboxInfo]) -> None:
    """Tell STATUS of each mailbox listed that exists (RFC 5819 §2)."""
    counted = await state.home.status([info.name for info in shown if info.exists])
    for name, status in counted.items():
        values = status_values(state, command.status, status)
        state.conversation.send(responses.status(name, values, utf8=state.conversation.utf8))


async def list_subscribed(state: SessionState, command: Lsub) -> None:
    r"""LSUB (RFC 3501 §6.3.9): ``\Noselect`` for a level that has subscribed names below it."""
    infos = await state.home.mailboxes()
    matcher = Matcher(command.reference, [command.pattern])
    known = {info.name: info for info in infos}
    subscribed = [info.name for info in infos if info.subscribed]
    shown = {name: list[str]() for name in subscribed if matcher(name)}
    for parent in _parents(subscribed) if "%" in command.pattern else ():
        # "a/b" subscribed and "%" asked for: the level "a" is told, though it is not subscribed
        if parent not in shown and matcher(parent):
            shown[parent] = ["\\Noselect"]
    for name in sorted(shown, key=_order):
        info = known.get(name)
        attributes = [*shown[name], *(sorted(info.special_use) if info else ())]
        state.conversation.send(
            responses.list_row(attributes, name, response="LSUB", utf8=state.conversation.utf8)
        )
    state.conversation.ok()


async def xlist(state: SessionState, command: Xlist) -> None:
    r"""XLIST, which old clients ask: LIST with the uses, INBOX marked ``\Inbox``."""
    infos = await state.home.mailboxes()
    matcher = Matcher(command.reference, [command.pattern])
    parents = _parents(info.name for info in infos if info.exists)
    for info in infos:
        if not matcher(info.name) or not (info.exists or info.name in parents):
            continue
        attributes = [*_attributes(info, parents), *sorted(info.special_use)]
        if info.name == INBOX:
            attributes.append("\\Inbox")
        state.conversation.send(
            responses.list_row(
                attributes, info.name, response="XLIST", utf8=state.conversation.utf8
            )
        )
    state.conversation.ok()


def _attributes(info: MailboxInfo, parents: set[str]) -> list[str]:
    attributes = []
    if not info.exists:
        # RFC 9051 §7.3.1: \NonExistent implies \Noselect; rev1 clients know only the latter
        attributes += ["\\NonExistent", "\\Noselect"]
    # (RFC 3348 §3)
    attributes.append("\\HasChildren" if info.name in parents else "\\HasNoChildren")
    return attributes


def _parents(names: Iterable[str]) -> set[str]:
    return {parent for name in names for parent in ancestors(name)}


def _order(name: str) -> tuple[bool, str]:
    return name != INBOX, name
