"""Work that is done side by side, and ends when all of it has."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.python.failure import Failure

__all__ = ["all_of"]


async def all_of(works: Iterable[Coroutine[Any, Any, Any]]) -> None:
    """Wait for all of these.

    Raises:
        Exception: What the first of them raised that failed; the others ended too.
    """
    started = [Deferred.fromCoroutine(work) for work in works]
    for _, result in await DeferredList(started, consumeErrors=True):
        if isinstance(result, Failure):
            result.raiseException()
