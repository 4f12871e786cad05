"""APPEND and REPLACE: messages into a mailbox (RFC 9051 §6.3.12, RFC 3502, RFC 8508).

Invariants:

- Refused before a byte is read where that can be known: no such mailbox, too big, over quota.
- All messages of a command are stored in one call, or none; until then they are in intakes, and
  every way out closes these.
- Once storing began it goes on to its end, even if the connection is lost.
"""

from __future__ import annotations

from mailplat.model.errors import MailError, NoSuchMailbox, OverQuota, TooBig
from mailplat.model.mailbox import Appended
from mailplat.model.numset import NumSet
from mailplat.net.shield import shielded
from mailplat.proto.imap import responses
from mailplat.proto.imap.commands.append import (
    Append,
    AppendData,
    AppendEnd,
    AppendMessage,
    AppendNext,
    Replace,
)
from mailplat.proto.imap.commands.event import Aborted
from mailplat.sessions.imap.appending import Appending
from mailplat.sessions.imap.selected import Selected
from mailplat.sessions.imap.state import SessionState

__all__ = ["aborted", "append", "append_data", "append_end", "append_next", "replace"]


async def append(state: SessionState, command: Append) -> None:
    """APPEND's first message is about to come."""
    await _check_mailbox(state, command.mailbox)
    state.appending = Appending(state.services, command.mailbox)
    await _accept(state, state.appending, command.message)


async def replace(state: SessionState, command: Replace) -> None:
    """REPLACE's message is about to come (RFC 8508 §3)."""
    selected = state.writable()
    await _check_mailbox(state, command.mailbox)
    uids = selected.view.resolve_uids(command.numbers, uid=command.uid)
    if not (await selected.mailbox.rows(uids, ())).uids:
        state.conversation.no("No such message", "NONEXISTENT")
        return
    state.appending = Appending(state.services, command.mailbox, uids)
    await _accept(state, state.appending, command.message)


async def append_next(state: SessionState, event: AppendNext) -> None:
    """A further message of the same APPEND."""
    if state.appending is None:
        raise RuntimeError("a further message without a first")
    await _accept(state, state.appending, event.message)


async def _check_mailbox(state: SessionState, name: str) -> None:
    if not await state.home.status([name]):
        # RFC 9051 §6.3.12: the client may CREATE it and try again
        raise NoSuchMailbox


async def _accept(state: SessionState, appending: Appending, message: AppendMessage) -> None:
    """Take a message on, unless it is known already that it cannot be stored."""
    options = state.services.options
    try:
        if message.size > options.message_size:
            raise TooBig
        if appending.total + message.size > options.append_total:
            raise TooBig(public="Too many bytes in one APPEND")
        limit, usage = await state.home.limit(), await state.home.usage()
        new_size = usage.storage + appending.total + message.size
        if limit.storage is not None and new_size > limit.storage:
            raise OverQuota
        if limit.messages is not None and usage.messages + appending.count >= limit.messages:
            raise OverQuota
        appending.begin(message)
    except MailError:
        drop(state)
        raise
    state.conversation.accept()


async def append_data(state: SessionState, event: AppendData) -> None:
    """A block of the message."""
    if state.appending is not None:
        try:
            await state.appending.write(event.data)
        except MailError:
            drop(state)
            raise


async def append_end(state: SessionState, event: AppendEnd) -> None:
    """All is here: store it."""
    appending, selected = state.appending, state.selected
    if appending is None:
        raise RuntimeError("the end of no APPEND")
    state.appending = None
    appended = await shielded(_store(state, appending, selected))
    if selected is not None:
        selected.changed_here()
    if appended is None:
        state.conversation.no("APPEND called off")  # RFC 3502 §6.3.11
        return
    code = ""
    if state.offers("UIDPLUS"):
        code = f"APPENDUID {appended.uid_validity} {NumSet.of(appended.uids)}"
    if appending.replaces and code:
        # RFC 8508 §3.3: the client learns of the new message before it misses the old one
        state.conversation.send(responses.condition("OK", "Replacement stored", code))
        code = ""
    await state.tell_news(expunge=True)
    state.conversation.ok(code=code)


async def _store(
    state: SessionState, appending: Appending, selected: Selected | None
) -> Appended | None:
    """Store what came, and take away what it replaces; None if nothing was to be stored."""
    try:
        messages = await appending.messages()
        if not all(message.body.size for message in messages):
            return None
        if not appending.replaces or selected is None:
            return await state.home.append(appending.mailbox, messages)
        with selected.held():
            appended = await state.home.append(appending.mailbox, messages)
            await selected.mailbox.expunge(appending.replaces)
            return appended
    finally:
        appending.close()


async def aborted(state: SessionState, event: Aborted) -> None:
    """The client broke off; nothing of it was stored."""
    drop(state)
    state.exchange = None


def drop(state: SessionState) -> None:
    """Forget the APPEND that is under way, if there is one."""
    if state.appending is not None:
        state.appending.close()
        state.appending = None
