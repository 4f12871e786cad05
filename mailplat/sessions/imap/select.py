"""SELECT and EXAMINE (RFC 9051 §6.3.2), with what a returning client missed (RFC 7162 §3.2.5)."""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Sequence

from mailplat.interfaces.store import Column, IMailbox, MailboxState
from mailplat.model.flags import SEEN
from mailplat.model.numset import NumSet
from mailplat.proto.imap import responses
from mailplat.proto.imap.commands.mailboxes import Qresync, Select
from mailplat.proto.imap.fetch_writer import FetchWriter, Kind
from mailplat.proto.imap.view import View
from mailplat.sessions.imap.selected import Selected
from mailplat.sessions.imap.state import SessionState

__all__ = ["select"]


async def select(state: SessionState, command: Select) -> None:
    """SELECT and EXAMINE."""
    if state.selected is not None:
        state.close_mailbox()
        # RFC 9051 §7.1 CLOSED: what follows is about the new mailbox
        state.conversation.send(responses.condition("OK", "Previous mailbox closed", "CLOSED"))
    mailbox = await state.home.open_mailbox(command.mailbox)
    try:
        now = await mailbox.state(claim_recent=not command.read_only)
        unseen = await _first_unseen(mailbox, now.uids)
    except BaseException:
        mailbox.close()
        raise
    if command.condstore:
        state.enable(["CONDSTORE"])
    rev2 = state.enabled("IMAP4REV2")
    view = View(
        now.uids,
        now.modseq,
        mailbox.keywords,
        recent=None if rev2 else NumSet.span(now.recent_uid, now.uid_next - 1),
        condstore=state.condstore,
        qresync=state.enabled("QRESYNC"),
        read_only=command.read_only,
    )
    state.selected = Selected(
        mailbox,
        view,
        read_only=command.read_only,
        changed=state.store_has_news,
    )
    _describe(state, view, mailbox, now, unseen, rev2=rev2)
    if rev2:
        # RFC 9051 §6.3.2: which mailbox it is, in its normal spelling
        row = responses.list_row([], mailbox.name, utf8=state.conversation.utf8)
        state.conversation.send(row)
    if command.qresync is not None:
        try:
            await _resynchronize(state, state.selected, command.qresync)
        except BaseException:
            state.close_mailbox()
            raise
    state.conversation.mailbox_opened()
    code = "READ-ONLY" if command.read_only else "READ-WRITE"
    state.conversation.ok(code=code)


async def _first_unseen(mailbox: IMailbox, uids: Sequence[int]) -> int:
    r"""Give the sequence number of the first message without ``\Seen``; 0 if there is none."""
    rows = await mailbox.rows(uids, (Column.FLAGS,))
    place = _lowest_bytes(rows[Column.FLAGS]).translate(_SEEN).find(0)
    return bisect_left(uids, rows.uids[place]) + 1 if place >= 0 else 0


def _lowest_bytes(masks: Sequence[int]) -> bytes:
    """Give the lowest byte of each mask, without a step for each where that can be."""
    if isinstance(masks, array) and masks.itemsize > 1:
        start = 0 if sys.byteorder == "little" else masks.itemsize - 1
        return masks.tobytes()[start :: masks.itemsize]
    return bytes([mask & 0xFF for mask in masks])


_SEEN = bytes(byte & SEEN for byte in range(256))
"""For each byte of flags, whether the message was seen."""


def _describe(
    state: SessionState,
    view: View,
    mailbox: IMailbox,
    now: MailboxState,
    unseen: int,
    *,
    rev2: bool,
) -> None:
    """Tell what RFC 9051 §6.3.2 and RFC 3501 §6.3.1 ask for."""

    def ok(text: str, code: str) -> bytes:
        return responses.condition("OK", text, code)

    told = [
        responses.flags(mailbox.keywords),
        responses.permanent_flags(mailbox.keywords, read_only=view.read_only),
        responses.exists(view.exists),
    ]
    if not rev2:
        told.append(responses.recent(view.recent))
        if unseen:
            told.append(ok("First unseen", f"UNSEEN {unseen}"))
    told += [
        ok("UIDs valid", f"UIDVALIDITY {mailbox.uid_validity}"),
        ok("Predicted next UID", f"UIDNEXT {now.uid_next}"),
    ]
    if state.offers("CONDSTORE"):
        told.append(ok("Highest MODSEQ", f"HIGHESTMODSEQ {now.modseq}"))
    if state.offers("OBJECTID"):
        told.append(ok("Mailbox id", f"MAILBOXID ({mailbox.mailbox_id})"))  # RFC 8474 §4.2
    state.conversation.send(b"".join(told))


async def _resynchronize(state: SessionState, selected: Selected, known: Qresync) -> None:
    """Tell a returning client what changed since it was here (RFC 7162 §3.2.5.1)."""
    mailbox, view = selected.mailbox, selected.view
    if known.uid_validity != mailbox.uid_validity:
        return
    changes = await mailbox.changes_since(known.modseq)
    # what vanished a moment ago, after SELECT counted it, is told as news
    vanished = changes.vanished - NumSet.of(changes.vanished.select(view.uids))
    if known.known_uids is not None:
        vanished = vanished & known.known_uids
    state.conversation.send(responses.vanished(vanished, earlier=True))
    uids = sorted([*changes.added, *changes.changed])
    if known.known_uids is not None:
        uids = known.known_uids.select(uids)
    # what came a moment ago, after SELECT counted, is told as news
    rows = await mailbox.rows(view.select_uids(uids).uids, (Column.FLAGS, Column.MODSEQ))
    chosen = view.select_uids(rows.uids)
    writer = FetchWriter([(b"UID", Kind.NUMBER), (b"FLAGS", Kind.READY), (b"MODSEQ", Kind.MODSEQ)])
    state.conversation.send(view.learn_keywords(mailbox.keywords))
    flags = view.flag_column(rows.uids, rows[Column.FLAGS])
    state.conversation.send(writer.block(chosen.numbers, rows.uids, flags, rows[Column.MODSEQ]))
