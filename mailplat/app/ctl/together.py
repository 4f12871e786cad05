"""Does many small things to the spool at once, so that they share its commits."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.python.failure import Failure

__all__ = ["together"]


async def together(works: Sequence[Coroutine[Any, Any, Any]]) -> None:
    """Run coroutines side by side to their ends.

    Raises:
        Exception: The first one that any of them raised.
    """
    begun = [Deferred.fromCoroutine(work) for work in works]
    for _, result in await DeferredList(begun, consumeErrors=True):
        if isinstance(result, Failure):
            result.raiseException()
