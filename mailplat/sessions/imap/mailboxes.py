"""Commands about mailboxes as a whole: make, remove, rename, subscribe, count."""

from __future__ import annotations

from collections.abc import Collection

from mailplat.interfaces.store import Column, IHome
from mailplat.model.errors import AlreadyExists, Cannot, NoSuchMailbox
from mailplat.model.flags import DELETED
from mailplat.model.mailbox import SEPARATOR, MailboxStatus
from mailplat.model.numset import MAX_NUMBER, NumSet
from mailplat.proto.imap import responses
from mailplat.proto.imap.commands.mailboxes import (
    Create,
    Delete,
    Namespace,
    Rename,
    Status,
    StatusItem,
    Subscribe,
    Unsubscribe,
)
from mailplat.sessions.imap.state import SessionState

__all__ = [
    "create",
    "delete",
    "namespace",
    "rename",
    "status",
    "status_values",
    "subscribe",
    "unsubscribe",
]


async def create(state: SessionState, command: Create) -> None:
    """CREATE (RFC 9051 §6.3.4), with the mailbox's id (RFC 8474 §4.1)."""
    if command.special_use:
        await _check_uses(state.home, command)
    mailbox_id = await state.home.create(command.mailbox, command.special_use)
    state.conversation.ok(code=f"MAILBOXID ({mailbox_id})" if state.offers("OBJECTID") else "")


async def _check_uses(home: IHome, command: Create) -> None:
    """Refuse a use that another mailbox has already (RFC 6154 §3: USEATTR is ours to choose)."""
    for info in await home.mailboxes():
        if info.special_use & command.special_use:
            raise AlreadyExists(public="Another mailbox has that use already")


async def delete(state: SessionState, command: Delete) -> None:
    """DELETE (RFC 9051 §6.3.5)."""
    infos = {info.name: info for info in await state.home.mailboxes()}
    info = infos.get(command.mailbox)
    if info is not None and not info.exists:
        below = command.mailbox + SEPARATOR
        if any(other.exists and name.startswith(below) for name, other in infos.items()):
            raise Cannot(public="Only mailboxes below it exist")
    await state.home.delete(command.mailbox)
    selected = state.selected
    if selected is not None and info is not None and selected.mailbox.mailbox_id == info.mailbox_id:
        # by its id: it may have another name than when it was opened
        state.close_mailbox()
        state.conversation.send(responses.condition("OK", "Mailbox deleted", "CLOSED"))
    state.conversation.ok()


async def rename(state: SessionState, command: Rename) -> None:
    """RENAME (RFC 9051 §6.3.6)."""
    await state.home.rename(command.source, command.target)
    if state.selected is not None:
        state.selected.changed_here()  # INBOX gave its messages away
    await state.tell_news(expunge=True)
    state.conversation.ok()


async def subscribe(state: SessionState, command: Subscribe) -> None:
    """SUBSCRIBE (RFC 9051 §6.3.7)."""
    await state.home.subscribe(command.mailbox)
    state.conversation.ok()


async def unsubscribe(state: SessionState, command: Unsubscribe) -> None:
    """UNSUBSCRIBE (RFC 9051 §6.3.8)."""
    await state.home.unsubscribe(command.mailbox)
    state.conversation.ok()


async def namespace(state: SessionState, command: Namespace) -> None:
    """NAMESPACE (RFC 2342): one personal namespace, no others."""
    state.conversation.send(responses.namespace())
    state.conversation.ok()


async def status(state: SessionState, command: Status) -> None:
    """STATUS (RFC 9051 §6.3.11)."""
    found = await state.home.status([command.mailbox])
    if command.mailbox not in found:
        raise NoSuchMailbox
    values = await status_values(state, command.items, command.mailbox, found[command.mailbox])
    state.conversation.send(responses.status(command.mailbox, values, utf8=state.conversation.utf8))
    state.conversation.ok()


async def status_values(
    state: SessionState, items: Collection[StatusItem], name: str, counted: MailboxStatus
) -> dict[StatusItem, int | str]:
    """Pick what was asked for, in the order asked."""
    values: dict[StatusItem, int | str] = {
        StatusItem.MESSAGES: counted.messages,
        StatusItem.RECENT: counted.recent,
        StatusItem.UIDNEXT: counted.uid_next,
        StatusItem.UIDVALIDITY: counted.uid_validity,
        StatusItem.UNSEEN: counted.unseen,
        StatusItem.DELETED: counted.deleted,
        StatusItem.SIZE: counted.size,
        StatusItem.HIGHESTMODSEQ: counted.highest_modseq,
        StatusItem.MAILBOXID: counted.mailbox_id,
        StatusItem.APPENDLIMIT: state.services.options.message_size,
    }
    if StatusItem.DELETED_STORAGE in items:
        values[StatusItem.DELETED_STORAGE] = await _deleted_storage(state.home, name, counted)
    return {item: values[item] for item in items}


async def _deleted_storage(home: IHome, name: str, counted: MailboxStatus) -> int:
    """Sum up the bytes of the messages that an EXPUNGE would remove (RFC 9208 §4.1.4)."""
    if not counted.deleted:
        return 0
    mailbox = await home.open_mailbox(name)
    try:
        rows = await mailbox.rows(NumSet.span(1, MAX_NUMBER), (Column.FLAGS, Column.SIZE))
    finally:
        mailbox.close()
    pairs = zip(rows[Column.FLAGS], rows[Column.SIZE], strict=True)
    return sum(size for mask, size in pairs if mask & DELETED)
