"""SEARCH and UID SEARCH: what is found, told in the form asked for (RFC 9051 §6.4.4)."""

from __future__ import annotations

from collections.abc import Sequence

from mailplat.interfaces.store import Column
from mailplat.model.numset import NumSet
from mailplat.proto.imap import responses
from mailplat.proto.imap.commands import Search, SearchReturn
from mailplat.sessions.imap.matching import Matching
from mailplat.sessions.imap.selected import Selected
from mailplat.sessions.imap.state import SessionState

__all__ = ["search"]


async def search(state: SessionState, command: Search) -> None:
    """SEARCH and UID SEARCH."""
    selected = state.chosen()
    view = selected.view
    found = await Matching(selected, state.services).find(command.key, view.uids)
    returns = command.returns
    if returns is not None and returns.save:
        view.saved = NumSet.of(_told(returns, found))
    numbers = found if command.uid else view.select_uids(found).numbers
    highest = None
    if command.enables_condstore and len(found):
        highest = await _highest_modseq(selected, _told(command.returns, found))
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


def _told(returns: SearchReturn | None, found: Sequence[int]) -> Sequence[int]:
    """Pick what a client is told of: the ends alone, where it asks for no more.

    These are saved as ``$`` (RFC 5182 §2.4), and MODSEQ is about them (RFC 7162 §3.1.10).
    """
    if returns is None or not len(found) or not (returns.minimum or returns.maximum):
        return found
    if returns.everything or returns.count or returns.partial is not None:
        return found
    ends = {found[0]} if returns.minimum else set()
    if returns.maximum:
        ends.add(found[-1])
    return sorted(ends)


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
