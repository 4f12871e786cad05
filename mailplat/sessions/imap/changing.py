"""Commands that change messages: STORE, EXPUNGE, COPY, MOVE, and CLOSE.

Each is one call of the store, for whole sets of messages; what changed is then told as any news
is, so that the session that asked and those that watch are told by the same code.
"""

from __future__ import annotations

from mailplat.interfaces.store import Column
from mailplat.model.errors import Expunged, NoSuchMailbox
from mailplat.model.flags import DELETED
from mailplat.model.mailbox import Copied
from mailplat.model.numset import NumSet
from mailplat.proto.imap import responses
from mailplat.proto.imap.commands.mailboxes import Close, Unselect
from mailplat.proto.imap.commands.messages import Copy, Expunge, Move, Store
from mailplat.sessions.imap.selected import Selected
from mailplat.sessions.imap.state import SessionState

__all__ = ["close", "copy", "expunge", "move", "store", "unselect"]


async def store(state: SessionState, command: Store) -> None:
    """STORE and UID STORE (RFC 9051 §6.4.6, RFC 7162 §3.1.3)."""
    selected = state.writable()
    selection = selected.view.select(command.numbers, uid=command.uid)
    uids = selected.view.resolve_uids(command.numbers, uid=command.uid)
    stored = await selected.mailbox.store_flags(
        uids, command.action, command.flags, command.unchanged_since
    )
    state.conversation.send(
        selected.view.stored(
            stored, selected.mailbox.keywords, uid=command.uid, silent=command.silent
        )
    )
    selected.changed_here()
    refused = stored.refused if command.uid else selected.view.numbers_of(stored.refused)
    await state.tell_news(expunge=command.tells_expunge)
    if stored.refused:
        # RFC 7162 §3.1.3: OK, and who was refused
        state.conversation.ok("Some messages have changed since", f"MODIFIED {refused}")
    elif not command.uid and len(stored.uids) < len(selection):
        # RFC 5530 §3: the flags of those that are left were stored
        state.conversation.ok("Some messages were removed", Expunged.imap_code)
    else:
        state.conversation.ok()


async def expunge(state: SessionState, command: Expunge) -> None:
    """EXPUNGE and UID EXPUNGE (RFC 9051 §6.4.3, §6.4.9)."""
    selected = state.writable()
    chosen = None
    if command.uids is not None:
        chosen = selected.view.resolve_uids(command.uids, uid=True)
    gone = await _expunge_deleted(selected, chosen)
    selected.changed_here()
    await state.tell_news(expunge=True)
    code = ""
    if gone and state.enabled("QRESYNC"):
        code = f"HIGHESTMODSEQ {selected.view.modseq}"  # RFC 7162 §3.2.7
    state.conversation.ok(code=code)


async def _expunge_deleted(selected: Selected, chosen: NumSet | None) -> NumSet:
    uids = selected.view.uids if chosen is None else chosen
    rows = await selected.mailbox.rows(uids, [Column.FLAGS])
    deleted = [
        uid for uid, mask in zip(rows.uids, rows[Column.FLAGS], strict=True) if mask & DELETED
    ]
    if not deleted:
        return NumSet()
    return await selected.mailbox.expunge(NumSet.of(deleted))


async def copy(state: SessionState, command: Copy) -> None:
    """COPY and UID COPY (RFC 9051 §6.4.7)."""
    selected = state.chosen()
    uids = selected.view.resolve_uids(command.numbers, uid=command.uid)
    copied = None
    if uids:
        copied = await selected.mailbox.copy(uids, command.mailbox)
        selected.changed_here()  # the target may be the open mailbox itself
    elif not await state.home.status([command.mailbox]):
        raise NoSuchMailbox
    await state.tell_news(expunge=command.tells_expunge)
    state.conversation.ok(code=_copyuid(state, copied))


async def move(state: SessionState, command: Move) -> None:
    """MOVE and UID MOVE (RFC 9051 §6.4.8): COPYUID is told before the messages go."""
    selected = state.writable()
    uids = selected.view.resolve_uids(command.numbers, uid=command.uid)
    if uids:
        moved = await selected.mailbox.move(uids, command.mailbox)
        selected.changed_here()
        code = _copyuid(state, moved)
        if code:
            state.conversation.send(responses.condition("OK", "Moved", code))
    elif not await state.home.status([command.mailbox]):
        raise NoSuchMailbox
    await state.tell_news(expunge=True)
    state.conversation.ok()


def _copyuid(state: SessionState, copied: Copied | None) -> str:
    """RFC 4315 §3: no code where nothing was copied."""
    if copied is None or not copied.sources or not state.offers("UIDPLUS"):
        return ""
    sources, targets = NumSet.of(copied.sources), NumSet.of(copied.targets)
    return f"COPYUID {copied.uid_validity} {sources} {targets}"


async def close(state: SessionState, command: Close) -> None:
    """CLOSE (RFC 9051 §6.4.1): expunges in silence, unless the mailbox is read-only."""
    selected = state.chosen()
    if not selected.read_only:
        await _expunge_deleted(selected, None)
    state.close_mailbox()
    state.conversation.ok()


async def unselect(state: SessionState, command: Unselect) -> None:
    """UNSELECT (RFC 9051 §6.4.2, RFC 3691)."""
    state.close_mailbox()
    state.conversation.ok()
