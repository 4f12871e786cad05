"""What SEARCH and SORT found, told in the form asked for (RFC 9051 §6.4.4, RFC 5267 §3)."""

from __future__ import annotations

from collections.abc import Sequence

from mailplat.interfaces.store import Column
from mailplat.model.numset import NumSet
from mailplat.proto.imap import responses
from mailplat.proto.imap.commands.searches import Search, SearchReturn, Sort
from mailplat.sessions.imap.selected import Selected
from mailplat.sessions.imap.state import SessionState

__all__ = ["tell_found"]

_EVERYTHING = SearchReturn(everything=True)


async def tell_found(state: SessionState, command: Search | Sort, found: Sequence[int]) -> None:
    """Tell what a command found, and end it.

    Args:
        state: The session.
        command: What was asked.
        found: UIDs; ascending for SEARCH, in the order asked for with SORT.
    """
    selected = state.chosen()
    returns = command.returns
    if returns is not None and returns.save:
        selected.view.saved = NumSet.of(_told(returns, found))
    numbers = found if command.uid else selected.view.select_uids(found).numbers
    highest = None
    if command.enables_condstore and len(found):
        highest = await _highest_modseq(selected, _told(returns, found))
    if returns is None and state.enabled("IMAP4REV2") and isinstance(command, Search):
        returns = _EVERYTHING  # RFC 9051 §6.4.4: rev2 knows no SEARCH response
    if returns is None:
        tell = responses.search if isinstance(command, Search) else responses.sort
        state.conversation.send(tell(numbers, highest))
    elif returns != SearchReturn(save=True):
        state.conversation.send(_esearch(command, returns, numbers, highest))
    await state.tell_news(expunge=command.tells_expunge)
    state.conversation.ok()


def _told(returns: SearchReturn | None, found: Sequence[int]) -> Sequence[int]:
    """Pick what a client is told of: the ends and a page alone, where it asks for no more.

    These are saved as ``$`` (RFC 5182 §2.4, RFC 9394 §3.2), and MODSEQ is about them
    (RFC 7162 §3.1.10).
    """
    if returns is None or not len(found) or returns.everything or returns.count:
        return found
    if not (returns.minimum or returns.maximum or returns.partial is not None):
        return found
    told: set[int] = set()
    if returns.partial is not None:
        start, stop = returns.partial.bounds(len(found))
        told.update(found[start:stop])
    if returns.minimum:
        told.add(found[0])
    if returns.maximum:
        told.add(found[-1])
    return sorted(told)


def _esearch(
    command: Search | Sort, returns: SearchReturn, numbers: Sequence[int], highest: int | None
) -> bytes:
    def spelled(some: Sequence[int]) -> NumSet | Sequence[int]:
        return NumSet.of(some) if isinstance(command, Search) else some

    page = None
    if returns.partial is not None:
        start, stop = returns.partial.bounds(len(numbers))
        page = (returns.partial, spelled(numbers[start:stop]))
    return responses.esearch(
        command.tag,
        uid=command.uid,
        minimum=numbers[0] if returns.minimum and len(numbers) else None,
        maximum=numbers[-1] if returns.maximum and len(numbers) else None,
        everything=spelled(numbers) if returns.everything else None,
        count=len(numbers) if returns.count else None,
        partial=page,
        modseq=highest,
    )


async def _highest_modseq(selected: Selected, found: Sequence[int]) -> int:
    rows = await selected.mailbox.rows(NumSet.of(found), (Column.MODSEQ,))
    return max(rows[Column.MODSEQ], default=0)
