r"""LIST, LSUB and XLIST: which mailboxes there are (RFC 9051 §6.3.9, RFC 5258, RFC 5819, RFC 6154).

One pass over the home's mailboxes gives every form of answer; ``\HasChildren`` and CHILDINFO come
from the set of all ancestors, so the cost is linear in the number of mailboxes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from mailplat.model.mailbox import INBOX, MailboxInfo, ancestors
from mailplat.proto.imap import responses
from mailplat.proto.imap.commands.mailboxes import List, ListReturn, ListSelect, Lsub, Xlist
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
    below = _parents_of_chosen(command, infos, matcher)
    shown: list[MailboxInfo] = []
    for info in _with_levels(infos, below):
        name = info.name
        if not matcher(name) or not (_chosen(command, info, parents) or name in below):
            continue
        attributes = _attributes(info, parents, extended=command.extended)
        if info.subscribed and {ListSelect.SUBSCRIBED, ListReturn.SUBSCRIBED} & {
            *command.select,
            *command.returns,
        }:
            attributes.append("\\Subscribed")
        # RFC 6154 §2: a plain LIST may tell the uses too, and clients rely on it
        attributes.extend(_uses(state, info))
        state.conversation.send(
            responses.list_row(
                attributes,
                name,
                child_info=_child_info(command) if name in below else (),
                utf8=state.conversation.utf8,
            )
        )
        shown.append(info)
    if command.status:
        await _send_status(state, command, shown)
    state.conversation.ok()


def _chosen(command: List, info: MailboxInfo, parents: Collection[str]) -> bool:
    """Whether LIST is about a mailbox, going by its selection options."""
    if ListSelect.SPECIAL_USE in command.select and not info.special_use:
        return False
    if ListSelect.SUBSCRIBED in command.select:
        return info.subscribed
    return info.exists or info.name in parents


def _parents_of_chosen(command: List, infos: Iterable[MailboxInfo], matcher: Matcher) -> set[str]:
    """Name what RECURSIVEMATCH shows for the sake of what is below it (RFC 5258 §3.5).

    That is only for mailboxes that the answer does not show by themselves.
    """
    if ListSelect.RECURSIVEMATCH not in command.select:
        return set()
    return _parents(
        info.name for info in infos if _chosen(command, info, ()) and not matcher(info.name)
    )


def _with_levels(infos: Sequence[MailboxInfo], names: Collection[str]) -> Iterable[MailboxInfo]:
    """Add levels that are not there at all, above subscribed names that are gone."""
    missing = set(names).difference(info.name for info in infos)
    if not missing:
        return infos
    added = [MailboxInfo(name, exists=False) for name in missing]
    return sorted([*infos, *added], key=lambda info: _order(info.name))


def _child_info(command: List) -> list[str]:
    options = command.select & {ListSelect.SUBSCRIBED, ListSelect.SPECIAL_USE}
    return sorted(option.value for option in options)


async def _send_status(state: SessionState, command: List, shown: Sequence[MailboxInfo]) -> None:
    """Tell STATUS of each mailbox listed that exists (RFC 5819 §2)."""
    counted = await state.home.status([info.name for info in shown if info.exists])
    for name, status in counted.items():
        values = await status_values(state, command.status, name, status)
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
        attributes = [*shown[name], *(_uses(state, info) if info else ())]
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


def _attributes(
    info: MailboxInfo, parents: Collection[str], *, extended: bool = False
) -> list[str]:
    attributes = []
    if not info.exists:
        attributes.append("\\NonExistent")
        if not extended:
            # RFC 9051 §7.3.1: it implies \Noselect, which is all that older clients know
            attributes.append("\\Noselect")
    # (RFC 3348 §3)
    attributes.append("\\HasChildren" if info.name in parents else "\\HasNoChildren")
    return attributes


def _uses(state: SessionState, info: MailboxInfo) -> list[str]:
    """Give a mailbox's uses, for a client that is to know of them."""
    return sorted(info.special_use) if state.offers("SPECIAL-USE") else []


def _parents(names: Iterable[str]) -> set[str]:
    return {parent for name in names for parent in ancestors(name)}


def _order(name: str) -> tuple[bool, str]:
    return name != INBOX, name
