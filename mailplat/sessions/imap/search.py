"""SEARCH and UID SEARCH: what is found, told in the form asked for (RFC 9051 §6.4.4)."""

from __future__ import annotations

from collections.abc import Sequence

from mailplat.interfaces.store import Column
from mailplat.model.numset import NumSet
from mailplat.proto.imap import responses
from mailplat.proto.imap.commands import Search, SearchReturn
from mailplat.proto.imap.search_keys import ModSeq, walk
from mailplat.sessions.imap.matching import Matching
from mailplat.sessions.imap.selected import Selected
from mailplat.sessions.imap.state import SessionState

__all__ = ["search"]


async def search(state: SessionState, command: Search) -> None:
    """SEARCH and UID SEARCH."""
    selected = state.chosen()
    view = selected.view
    with_modseq = any(isinstance(key, ModSeq) for key in walk(command.key))
    if with_modseq:
        state.use_condstore()
    found = await Matching(selected, state.services).find(command.key, view.uids)
    returns = command.returns
    if returns is not None and returns.save:
        view.saved = _saved(returns, found)
    numbers = found if command.uid else view.select_uids(found).numbers
    highest = await _highest_modseq(selected, found) if with_modseq and len(found) else None
    if returns is not None:
        if returns != SearchReturn(save=True):
            state.conversation.send(_esearch(command.tag, command.uid, returns, numbers, highest))
    elif state.enabled("IMAP4REV2"):
        # RFC 9051 §6.4.4: rev2 knows no SEARCH response
        everything = SearchReturn(everything=True)
        state.conversation.send(_esearch(command.tag, command.uid, everything, numbers, highest))
    else:
        state.conversation.send(responses.search(numbers, highest))
    await state.tell_news(expunge=command.tells_expunge)
    state.conversation.ok()


def _saved(returns: SearchReturn, found: Sequence[int]) -> NumSet:
    """Say what ``$`` stands for from now on (RFC 5182 §2.4)."""
    wide = returns.everything or returns.count or returns.partial is not None
    if not found or wide or not (returns.minimum or returns.maximum):
        return NumSet.of(found)
    ends = []
    if returns.minimum:
        ends.append(found[0])
    if returns.maximum:
        ends.append(found[-1])
    return NumSet.of(ends)


def _esearch(
    tag: bytes,
    uid: bool,
    returns: SearchReturn,
    numbers: Sequence[int],
    highest: int | None,
) -> bytes:
    """Spell the answer to SEARCH RETURN (RFC 4731 §3.1)."""
    page = None
    if returns.partial is not None:
        start, stop = returns.partial.bounds(len(numbers))
        page = (returns.partial, NumSet.of(numbers[start:stop]))
    return responses.esearch(
        tag,
        uid=uid,
        minimum=numbers[0] if returns.minimum and len(numbers) else None,
        maximum=numbers[-1] if returns.maximum and len(numbers) else None,
        everything=NumSet.of(numbers) if returns.everything else None,
        count=len(numbers) if returns.count else None,
        partial=page,
        modseq=highest,
    )


async def _highest_modseq(selected: Selected, found: Sequence[int]) -> int:
    rows = await selected.mailbox.rows(found, (Column.MODSEQ,))
    return max(rows[Column.MODSEQ], default=0)
